//! Paths in the cgroup v2 hierarchy, as /proc writes them, and which lies below which. Pure.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

/// A place in the hierarchy, relative to the root of the reader's cgroup namespace: so many steps
/// up (`/..`), then names down. As the kernel writes it: the first name never leads back to the
/// reader's own root.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct CgroupPath {
    up: usize,
    down: Vec<Vec<u8>>,
}

impl CgroupPath {
    fn parse(path: &[u8]) -> Self {
        let mut names = path
            .split(|&byte| byte == b'/')
            .filter(|name| !name.is_empty())
            .peekable();
        let mut up = 0;
        while names.next_if(|&name| name == b"..").is_some() {
            up += 1;
        }
        Self {
            up,
            down: names.map(<[u8]>::to_vec).collect(),
        }
    }

    /// The way from here down to `other`; `None` if it is not below, or its names are not known.
    pub(super) fn way_to(&self, other: &Self) -> Option<PathBuf> {
        let below = other.down.strip_prefix(self.down.as_slice())?;
        (self.up == other.up).then(|| below.iter().map(|name| path(name)).collect())
    }

    /// Whether `other` is this cgroup or lies below it.
    pub(super) fn contains(&self, other: &Self) -> bool {
        if self.up == other.up {
            return other.down.starts_with(&self.down);
        }
        // An ancestor of the reader's root contains what needs fewer steps up; a sibling of one
        // contains none of it.
        self.up > other.up && self.down.is_empty()
    }
}

/// The cgroup v2 line of a /proc/PID/cgroup file.
pub(super) fn unified(text: &[u8]) -> Option<CgroupPath> {
    text.split(|&byte| byte == b'\n')
        .find_map(|line| line.strip_prefix(b"0::"))
        .map(CgroupPath::parse)
}

/// Which part of the hierarchy is mounted at `mount_point`, from the text of a mountinfo file: the
/// last line counts, it covers the others.
pub(super) fn mounted_at(mountinfo: &[u8], mount_point: &Path) -> Option<CgroupPath> {
    mountinfo
        .split(|&byte| byte == b'\n')
        .filter_map(|line| {
            let mut fields = line.split(|&byte| byte == b' ');
            let root = fields.nth(3)?;
            let here = path(&unescape(fields.next()?)) == mount_point;
            let kind = fields.skip_while(|&field| field != b"-").nth(1)?;
            (here && kind == b"cgroup2").then(|| CgroupPath::parse(&unescape(root)))
        })
        .next_back()
}

fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}

/// Undoes the octal escapes of mountinfo: `\040` is a space.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        let octal = (byte == b'\\')
            .then(|| after.get(..3))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        plain.push(octal.unwrap_or(byte));
        rest = octal.map_or(after, |_| &after[3..]);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(watched: &str, process: &str) -> bool {
        let process = format!("3:cpu:/kubepods\n0::{process}\n");
        let process = unified(process.as_bytes()).expect("has a line of cgroup v2");
        CgroupPath::parse(watched.as_bytes()).contains(&process)
    }

    #[test]
    fn a_subtree_is_watched() {
        assert!(contains("/", "/anything/at/all"));
        assert!(contains("/", "/"));
        assert!(contains("/kubepods", "/kubepods"));
        assert!(contains("/kubepods", "/kubepods/burstable/pod1"));
        assert!(!contains("/kubepods", "/"));
        assert!(!contains("/kubepods", "/kubepods-of-another"));
        assert!(!contains("/kubepods", "/system.slice/sshd.service"));
    }

    #[test]
    fn an_agent_in_a_cgroup_namespace_sees_the_rest_above_its_root() {
        // Its root is /kubepods/steer/agent of the host; the host's root is mounted.
        assert!(contains("/../../..", "/../../pod1/app"));
        assert!(contains("/../../..", "/"));
        assert!(contains("/../..", "/../../pod1/app"));
        assert!(!contains("/../..", "/../../../system.slice"));
        assert!(contains("/../../pod1", "/../../pod1/app"));
        assert!(!contains("/../../pod1", "/../../pod2/app"));
        assert!(!contains("/../../pod1", "/../sidecar"));
        assert!(!contains("/", "/../other"));
        assert!(!contains("/", "/.."));
    }

    #[test]
    fn the_way_down_is_known_unless_it_leads_through_hidden_names() {
        let way = |watched: &str, process: &str| {
            let place = |text: &str| CgroupPath::parse(text.as_bytes());
            place(watched).way_to(&place(process))
        };
        assert_eq!(way("/", "/a/b"), Some("a/b".into()));
        assert_eq!(way("/a", "/a"), Some(PathBuf::new()));
        assert_eq!(way("/../..", "/../../pod1/app"), Some("pod1/app".into()));
        assert_eq!(way("/a", "/b"), None);
        assert_eq!(way("/../../..", "/../../pod1/app"), None);
    }

    #[test]
    fn hosts_without_cgroup_v2_have_no_such_line() {
        assert_eq!(unified(b"3:cpu:/a\n1:name=systemd:/b\n"), None);
        assert_eq!(unified(b""), None);
    }

    #[test]
    fn the_last_mount_at_a_place_covers_the_others() {
        let mounts = b"\
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n\
77 41 0:38 /../lab\\040a/pods /sys/fs/cgroup/unified/lab\\040a/pods rw shared:7 - cgroup2 c rw\n\
78 41 0:39 / /elsewhere rw - tmpfs tmpfs rw\n";
        let at = |place: &str| mounted_at(mounts, Path::new(place));
        let expected = CgroupPath::parse(b"/../lab a/pods");
        assert_eq!(
            at("/sys/fs/cgroup/unified/lab a/pods"),
            Some(expected.clone())
        );
        assert_eq!((expected.up, expected.down.len()), (1, 2));
        assert_eq!(at("/sys/fs/cgroup/unified"), Some(CgroupPath::parse(b"/")));
        assert_eq!(at("/elsewhere"), None);
        assert_eq!(at("/nowhere"), None);
    }
}
