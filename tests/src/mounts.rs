//! What `/proc/self/mountinfo` says, and the BPF file system of a lab.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// One line of mountinfo, as far as the lab looks at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Where it is mounted.
    pub at: PathBuf,
    /// Type of the file system.
    pub kind: String,
}

/// Every mount this process sees.
pub fn all() -> Result<Vec<Mount>> {
    let text = fs::read_to_string("/proc/self/mountinfo").context("read the mounts")?;
    Ok(text.lines().filter_map(parse).collect())
}

/// Where the first file system of type `kind` is mounted.
pub fn first_of_type(kind: &str) -> Result<Option<PathBuf>> {
    Ok(all()?
        .into_iter()
        .find(|mount| mount.kind == kind)
        .map(|mount| mount.at))
}

/// A line is `id parent device root at options [optional fields] - type source options`.
fn parse(line: &str) -> Option<Mount> {
    let (before, after) = line.split_once(" - ")?;
    let at = before.split(' ').nth(4)?;
    let kind = after.split(' ').next()?;
    Some(Mount {
        at: PathBuf::from(unescape(at)),
        kind: kind.to_owned(),
    })
}

/// Blanks and their like are written as three octal digits after a backslash.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, escaped)) = rest.split_once('\\') {
        out.push_str(plain);
        let byte = escaped
            .get(..3)
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        if let Some(byte) = byte {
            out.push(char::from(byte));
            rest = &escaped[3..];
        } else {
            out.push('\\');
            rest = escaped;
        }
    }
    out.push_str(rest);
    out
}

/// Files that a kernel with `bpf_preload` puts into every BPF file system. Nobody may remove them.
const PRELOADED: [&str; 2] = ["maps.debug", "progs.debug"];

/// Mounts a BPF file system of its own at `at`.
pub fn mount_bpf(at: &Path) -> Result<()> {
    fs::create_dir_all(at)?;
    mount(
        Some("bpf"),
        at,
        Some("bpf"),
        MsFlags::empty(),
        Some("mode=0700"),
    )
    .with_context(|| format!("mount a BPF file system at {}", at.display()))
}

/// Takes it away with all that is pinned in it, if it is there.
pub fn unmount_bpf(at: &Path) -> Result<()> {
    while all()?.iter().any(|mount| mount.at == at) {
        // Pods hold copies of the mount in their own mount namespaces, so pins are unlinked first.
        clear(at)?;
        umount2(at, MntFlags::MNT_DETACH).with_context(|| format!("unmount {}", at.display()))?;
    }
    Ok(())
}

fn clear(directory: &Path) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if PRELOADED.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            clear(&entry.path())?;
            fs::remove_dir(entry.path())?;
        } else {
            let path = entry.path();
            fs::remove_file(&path).with_context(|| format!("unpin {}", path.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_of_a_hybrid_host() {
        let line = "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw";
        let mount = parse(line).unwrap();
        assert_eq!(mount.at, Path::new("/sys/fs/cgroup/unified"));
        assert_eq!(mount.kind, "cgroup2");
    }

    #[test]
    fn blanks_are_octal() {
        assert_eq!(unescape("/a\\040b\\134c"), "/a b\\c");
        assert_eq!(unescape("/a\\x"), "/a\\x");
    }
}
