//! `steer unload`: no trace is left.

use std::{fs, io, path::Path};

use anyhow::Context as _;
use nix::sys::signal::{SigSet, Signal};

use super::{
    Exit,
    args::{Instance, Unload},
    output::{self, counted},
};
use crate::{
    control::{Lock, LockError, STATE_FILES},
    kernel::Removed,
};

/// Removes everything that an agent left.
pub(super) fn run(args: &Unload, instance: &Instance) -> anyhow::Result<Exit> {
    // Held until all is gone, so that no agent starts meanwhile.
    let mut lock = None;
    if !args.force && instance.state.exists() {
        match Lock::take(&instance.state) {
            Ok(taken) => lock = Some(taken),
            Err(LockError::Taken { pid }) => {
                output::remark(&format!(
                    "steer: an agent runs (pid {pid}): stop it first; --force unloads all the same"
                ));
                return Ok(Exit::No);
            }
            Err(error) => return Err(error.into()),
        }
    }
    let pins = instance.pins();
    let removed = pins.remove()?;
    let files = remove_files(&instance.state)?;
    output::write(&text(pins.root(), removed, &instance.state, files))?;
    drop(lock);
    if args.stay {
        stay()?;
    }
    Ok(Exit::Done)
}

/// Until somebody ends it, as Kubernetes ends pods.
fn stay() -> anyhow::Result<()> {
    let ends: SigSet = [Signal::SIGTERM, Signal::SIGINT].into_iter().collect();
    ends.thread_block().context("waiting for a signal")?;
    ends.wait().context("waiting for a signal")?;
    Ok(())
}

/// Removes the agent's files, and their directory unless somebody keeps other things there.
fn remove_files(state: &Path) -> anyhow::Result<usize> {
    let mut count = 0;
    for name in STATE_FILES {
        let path = state.join(name);
        match fs::remove_file(&path) {
            // The lock may be of this very command.
            Ok(()) => count += usize::from(name != "lock"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(error).with_context(|| format!("removing {}", path.display()));
            }
        }
    }
    let _kept = fs::remove_dir(state);
    Ok(count)
}

fn text(pins: &Path, removed: Removed, state: &Path, files: usize) -> String {
    let kernel = if removed == Removed::default() {
        format!("nothing is pinned at {}\n", pins.display())
    } else {
        format!(
            "removed {} and {} pinned at {}: connections go where they are dialled\n",
            counted(removed.links, "program"),
            counted(removed.maps, "map"),
            pins.display()
        )
    };
    let files = counted(files, "file");
    format!("{kernel}removed {files} of state in {}\n", state.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_files_in_the_state_directory_are_kept() {
        let state = tempfile::tempdir().unwrap();
        for name in ["names.jsonl", "lock", "notes.txt"] {
            fs::write(state.path().join(name), "").unwrap();
        }
        assert_eq!(remove_files(state.path()).unwrap(), 1);
        let kept: Vec<_> = fs::read_dir(state.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(kept, ["notes.txt"]);
        assert_eq!(remove_files(state.path()).unwrap(), 0);
    }

    #[test]
    fn it_says_what_was_removed() {
        let (pins, state) = (Path::new("/pins"), Path::new("/state"));
        assert_eq!(
            text(pins, Removed { links: 8, maps: 10 }, state, 3),
            "removed 8 programs and 10 maps pinned at /pins: connections go where they are \
             dialled\nremoved 3 files of state in /state\n"
        );
        assert_eq!(
            text(pins, Removed::default(), state, 0),
            "nothing is pinned at /pins\nremoved 0 files of state in /state\n"
        );
    }
}
