//! `steer unload`.

use std::fs;

use anyhow::Context as _;

use super::{
    Exit,
    args::{Instance, Unload},
    output,
};
use crate::control::{Lock, LockError};

/// The files of a state directory.
const FILES: [&str; 4] = ["names.jsonl", "status.json", "clusters.json", "lock"];

/// Removes everything that an agent left.
pub(super) fn run(args: &Unload, instance: &Instance) -> anyhow::Result<Exit> {
    let lock = if instance.state.is_dir() {
        Some(Lock::take(&instance.state))
    } else {
        None
    };
    if let Some(Err(error @ LockError::Taken { .. })) = &lock
        && !args.force
    {
        anyhow::bail!("{error}; --force unloads all the same");
    }
    let pins = instance.pins();
    let removed = pins.remove()?;
    let mut files = 0;
    for name in FILES {
        let path = instance.state.join(name);
        if path.exists() {
            fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
            files += usize::from(name != "lock");
        }
    }
    // Left alone if somebody keeps other things there.
    let _kept = fs::remove_dir(&instance.state);
    let text = if removed {
        format!(
            "removed the programs, links and maps in {} and {files} files of state\n",
            pins.root().display()
        )
    } else {
        format!(
            "nothing is pinned at {}; removed {files} files of state\n",
            pins.root().display()
        )
    };
    output::write(&text)?;
    Ok(Exit::Done)
}
