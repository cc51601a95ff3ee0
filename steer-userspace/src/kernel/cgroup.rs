//! Where cgroup v2 is mounted: not always at /sys/fs/cgroup (hybrid hosts).

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};

use super::KernelError;

/// The root of the cgroup v2 hierarchy, as this process sees it.
pub fn root() -> Result<PathBuf, KernelError> {
    let path = "/proc/self/mountinfo";
    let mounts = fs::read_to_string(path).map_err(KernelError::io("reading", path))?;
    root_in(&mounts).ok_or(KernelError::NoCgroup2)
}

/// The shortest mount point of a cgroup2 file system in the text of a mountinfo file (proc(5)).
fn root_in(mounts: &str) -> Option<PathBuf> {
    mounts
        .lines()
        .filter_map(|line| {
            let (left, right) = line.split_once(" - ")?;
            let mut fields = left.split(' ').skip(3);
            let (inside, mount_point) = (fields.next()?, fields.next()?);
            // A bind mount of a part of the hierarchy is not its root.
            let whole = inside == "/" && right.starts_with("cgroup2 ");
            whole.then(|| PathBuf::from(mount_point.replace("\\040", " ")))
        })
        .min_by_key(|path| path.as_os_str().len())
}

/// Opens a cgroup to attach to.
pub fn open(path: &Path) -> Result<fs::File, KernelError> {
    let is_cgroup2 = statfs(path).is_ok_and(|found| found.filesystem_type() == CGROUP2_SUPER_MAGIC);
    if !is_cgroup2 {
        return Err(KernelError::NotCgroup2 {
            path: path.to_owned(),
        });
    }
    fs::File::open(path).map_err(KernelError::io("opening", path))
}

/// The kernel's id of a cgroup: the inode of its directory (kernfs, since Linux 5.5).
pub fn id(file: &fs::File) -> io::Result<u64> {
    Ok(file.metadata()?.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hybrid_hosts_mount_it_elsewhere() {
        let mounts = "\
24 1 0:22 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
25 24 0:23 / /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu\n\
33 24 0:31 / /sys/fs/cgroup/unified rw,relatime shared:10 - cgroup2 cgroup2 rw\n";
        assert_eq!(root_in(mounts), Some("/sys/fs/cgroup/unified".into()));
        assert_eq!(
            root_in("24 1 0:22 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"),
            None
        );
    }

    #[test]
    fn a_bind_mount_of_a_part_is_not_the_root() {
        let mounts = "\
30 24 0:31 /kubepods /a rw - cgroup2 cgroup2 rw\n\
33 24 0:31 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        assert_eq!(root_in(mounts), Some("/sys/fs/cgroup".into()));
    }
}
