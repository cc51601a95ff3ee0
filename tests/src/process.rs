//! Processes born in, or sent into, the namespaces and the cgroup of a pod.
//!
//! The work between fork and exec is system calls on what was prepared before: a forked child of a
//! process with threads may not allocate.

use std::{
    ffi::{CStr, CString},
    fs::{File, OpenOptions},
    io::{self, Write as _},
    os::unix::{ffi::OsStrExt as _, process::CommandExt as _},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    unistd::{chdir, sethostname, setsid},
};

use crate::{cgroup::Cgroup, netns::Namespaces};

/// What a new pod gets for its own.
pub(crate) struct Birth<'a> {
    pub(crate) hostname: &'a str,
    pub(crate) cgroup: &'a Cgroup,
    /// Files of the pod put over files of the host; none leaves it in the host's mount namespace.
    pub(crate) files: &'a [(&'a Path, &'a Path)],
}

/// Starts the process that keeps a pod's namespaces: it does nothing, for ever.
pub(crate) fn pause(birth: &Birth<'_>) -> Result<Child> {
    let mut procs = open_procs(birth.cgroup)?;
    let hostname = birth.hostname.to_owned();
    for (_, onto) in birth.files {
        let message =
            "pods get a file of their own in the place of this one: create it, empty if need be";
        ensure!(onto.exists(), "{} is missing; {message}", onto.display());
    }
    let files: Vec<(CString, CString)> = birth
        .files
        .iter()
        .map(|(from, onto)| Ok((c_path(from)?, c_path(onto)?)))
        .collect::<Result<_>>()?;
    let mut command = Command::new("sleep");
    command
        .arg("infinity")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.current_dir("/");
    let prepare = move || -> io::Result<()> {
        setsid()?;
        procs.write_all(b"0")?;
        unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWUTS)?;
        sethostname(&hostname)?;
        if files.is_empty() {
            return Ok(());
        }
        unshare(CloneFlags::CLONE_NEWNS)?;
        let none = None::<&str>;
        mount(none, c"/", none, MsFlags::MS_SLAVE | MsFlags::MS_REC, none)?;
        for (from, onto) in &files {
            mount(
                Some(from.as_c_str()),
                onto.as_c_str(),
                none,
                MsFlags::MS_BIND,
                none,
            )?;
        }
        Ok(())
    };
    // SAFETY: the closure makes system calls on memory and descriptors prepared before the fork.
    unsafe { command.pre_exec(prepare) };
    command
        .spawn()
        .with_context(|| format!("start the pod {}", birth.hostname))
}

/// Makes `command` run inside: in these namespaces and this cgroup.
pub(crate) fn send_into(
    command: &mut Command,
    namespaces: Arc<Namespaces>,
    cgroup: &Cgroup,
) -> Result<()> {
    let mut procs = open_procs(cgroup)?;
    let prepare = move || -> io::Result<()> {
        procs.write_all(b"0")?;
        let mut here = [0; libc::PATH_MAX as usize];
        // SAFETY: the buffer is as long as is said.
        if unsafe { libc::getcwd(here.as_mut_ptr(), here.len()) }.is_null() {
            return Err(io::Error::last_os_error());
        }
        // Entering a mount namespace ends in its root directory.
        namespaces.enter()?;
        // SAFETY: getcwd has ended the path with a NUL.
        chdir(unsafe { CStr::from_ptr(here.as_ptr()) })?;
        Ok(())
    };
    // SAFETY: the closure makes system calls on memory and descriptors prepared before the fork.
    unsafe { command.pre_exec(prepare) };
    Ok(())
}

/// Makes `command` outlive the terminal and the process that starts it; it writes to `log`.
pub(crate) fn detach(command: &mut Command, log: &Path) -> Result<()> {
    let out = OpenOptions::new().create(true).append(true).open(log);
    let out = out.with_context(|| format!("open {}", log.display()))?;
    command
        .stdin(Stdio::null())
        .stderr(out.try_clone()?)
        .stdout(out);
    // SAFETY: setsid is a system call without arguments.
    unsafe {
        command.pre_exec(|| {
            setsid()?;
            Ok(())
        });
    }
    Ok(())
}

/// Writing `0` there moves the writer into the cgroup.
fn open_procs(cgroup: &Cgroup) -> Result<File> {
    let path = cgroup.path().join("cgroup.procs");
    let opened = OpenOptions::new().write(true).open(&path);
    opened.with_context(|| format!("open {}", path.display()))
}

fn c_path(path: &Path) -> Result<CString> {
    CString::new(path.as_os_str().as_bytes())
        .with_context(|| format!("the path {} holds a NUL", path.display()))
}
