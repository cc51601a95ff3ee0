//! What /proc says about processes: the network namespace, the cgroup, the age of each.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read as _},
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::Path,
};

use super::{
    NodeError,
    cgroup::{self, CgroupPath},
};

/// A process that was seen in a namespace. Its start time tells it from a later one of its number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Witness {
    pub(super) pid: u32,
    started: u64,
}

/// One walk over /proc.
#[derive(Default, Debug)]
pub(super) struct Walk {
    /// The processes of each network namespace, by its inode.
    pub(super) namespaces: BTreeMap<u64, Vec<u32>>,
    /// Processes that this one may not look at.
    pub(super) refused: Vec<u32>,
}

/// Whether a process simply ended meanwhile.
pub(super) fn vanished(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}

/// The network namespace of the calling thread.
pub(super) fn own_namespace() -> Result<u64, NodeError> {
    let path = "/proc/thread-self/ns/net";
    let link = fs::read_link(path).map_err(NodeError::io("reading", path))?;
    inode(&link).ok_or_else(|| {
        NodeError::io("reading", path)(io::Error::other("not the name of a namespace"))
    })
}

/// Whether a process is in `watched` or below it. Anyone may know.
pub(super) fn is_below(watched: &CgroupPath, pid: u32) -> bool {
    cgroup_of(pid).is_some_and(|path| watched.contains(&path))
}

/// The cgroup of a process; `None` if it is gone, or in none of cgroup v2.
pub(super) fn cgroup_of(pid: u32) -> Option<CgroupPath> {
    let text = fs::read(format!("/proc/{pid}/cgroup")).ok()?;
    cgroup::unified(&text)
}

/// Looks at every process once.
pub(super) fn walk() -> Result<Walk, NodeError> {
    let mut walk = Walk::default();
    let entries = fs::read_dir("/proc").map_err(NodeError::io("listing", "/proc"))?;
    for entry in entries {
        let entry = entry.map_err(NodeError::io("listing", "/proc"))?;
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        match fs::read_link(format!("/proc/{pid}/ns/net")) {
            Ok(link) => {
                if let Some(inode) = inode(&link) {
                    walk.namespaces.entry(inode).or_default().push(pid);
                }
            }
            Err(error) if vanished(&error) => {}
            Err(_) => walk.refused.push(pid),
        }
    }
    Ok(walk)
}

impl Witness {
    /// The first of `pids` that is in `watched` or below it.
    pub(super) fn below(watched: &CgroupPath, pids: &[u32]) -> Option<Self> {
        pids.iter().find_map(|&pid| {
            if !is_below(watched, pid) {
                return None;
            }
            let started = start_time_of(pid).ok()??;
            Some(Self { pid, started })
        })
    }

    /// A process or thread, wherever it is.
    pub(super) fn of(pid: u32) -> io::Result<Self> {
        let started = start_time_of(pid)?;
        let started = started.ok_or_else(|| io::Error::other("no start time in /proc/PID/stat"))?;
        Ok(Self { pid, started })
    }

    /// Whether it is still the process it was.
    pub(super) fn lives(self) -> bool {
        start_time_of(self.pid).is_ok_and(|found| found == Some(self.started))
    }

    /// Its network namespace, if that is still the one of that inode.
    pub(super) fn open_namespace(self, inode: u64) -> io::Result<Option<File>> {
        let file = File::open(format!("/proc/{}/ns/net", self.pid))?;
        let same = file.metadata()?.ino() == inode && self.lives();
        Ok(same.then_some(file))
    }
}

/// When a process started, in clock ticks since boot.
fn start_time_of(pid: u32) -> io::Result<Option<u64>> {
    // One call reads it all, which fits; every scan does this for every pod.
    let mut stat = [0; 2048];
    let length = File::open(format!("/proc/{pid}/stat"))?.read(&mut stat)?;
    Ok(stat.get(..length).and_then(start_time))
}

/// The inode in `net:[4026531840]`.
fn inode(link: &Path) -> Option<u64> {
    let name = std::str::from_utf8(link.as_os_str().as_bytes()).ok()?;
    name.strip_prefix("net:[")?.strip_suffix(']')?.parse().ok()
}

/// Field 22 of a /proc/PID/stat file. The name, in parentheses, may hold anything.
fn start_time(stat: &[u8]) -> Option<u64> {
    let after_name = stat.iter().rposition(|&byte| byte == b')')? + 1;
    let field = stat
        .get(after_name..)?
        .split(u8::is_ascii_whitespace)
        .filter(|field| !field.is_empty())
        .nth(19)?;
    std::str::from_utf8(field).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_shift_the_start_time() {
        let fields = "S 1 7 7 0 -1 4194560 9 0 0 0 1 2 0 0 20 0 1 0 123456 1000 5\n";
        for name in ["sleep", "a b", ") R 1", ")", "\u{fffd}(("] {
            let stat = format!("7 ({name}) {fields}");
            assert_eq!(start_time(stat.as_bytes()), Some(123_456), "{name}");
        }
        assert_eq!(start_time(b"7 (sleep"), None);
        assert_eq!(start_time(b"7 (sleep) S 1"), None);
    }

    #[test]
    fn only_network_namespaces_have_an_inode_here() {
        assert_eq!(inode(Path::new("net:[4026531840]")), Some(4_026_531_840));
        assert_eq!(inode(Path::new("mnt:[4026531840]")), None);
        assert_eq!(inode(Path::new("net:[]")), None);
    }

    #[test]
    fn a_walk_sees_this_process_in_its_own_namespace() {
        let own = own_namespace().expect("this thread has a namespace");
        let walk = walk().expect("/proc is there");
        let pid = std::process::id();
        assert!(walk.namespaces[&own].contains(&pid));
        let witness = Witness::below(&anywhere(), &[pid]);
        assert!(witness.expect("is below the root").lives());
    }

    fn anywhere() -> CgroupPath {
        cgroup::unified(b"0::/../../../../../../../..\n").expect("is a line of cgroup v2")
    }
}
