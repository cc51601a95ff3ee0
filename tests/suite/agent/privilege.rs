//! What a running agent may do, and who may write what it writes.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use steer::kernel::capability::KEPT;
use steer_tests::harness::test;

use crate::stage::{Stage, ensure_ninety_ten};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("privilege::only_what_it_needs_for_life", capabilities),
        test("privilege::nobody_else_may_write_its_files", files),
    ]
}

/// Every thread has the capabilities that are kept, and no way to get another.
fn capabilities() -> Result<()> {
    let stage = Stage::raise("privilege")?;
    let kept = KEPT.iter().fold(0_u64, |set, one| set | 1 << one.bit);
    let tasks = fs::read_dir(format!("/proc/{}/task", stage.agent.pid()))?;
    let mut threads = 0;
    for task in tasks {
        let status = fs::read_to_string(task?.path().join("status"))?;
        let field = |name: &str| -> Result<&str> {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.map(str::trim).with_context(|| format!("no {name}"))
        };
        for name in ["CapEff:", "CapPrm:", "CapBnd:"] {
            let set = u64::from_str_radix(field(name)?, 16)?;
            ensure!(set == kept, "{name} {set:x}, not {kept:x}");
        }
        for name in ["CapInh:", "CapAmb:"] {
            ensure!(
                u64::from_str_radix(field(name)?, 16)? == 0,
                "{name} {status}"
            );
        }
        ensure!(field("NoNewPrivs:")? == "1", "{status}");
        threads += 1;
    }
    ensure!(threads > 1, "only {threads} threads were looked at");
    // And it is enough.
    stage.split([50, 50])?;
    stage.split([90, 10])?;
    ensure_ninety_ten(&stage.lab)
}

fn files() -> Result<()> {
    let stage = Stage::raise("files-modes")?;
    let mut looked = 0;
    for folder in [stage.lab.dirs().state(), stage.lab.dirs().pins()] {
        looked += ensure_ours(&folder)?;
    }
    ensure!(looked > 30, "only {looked} files were looked at");
    // What an agent listens on: nothing.
    let sockets = fs::read_dir(format!("/proc/{}/fd", stage.agent.pid()))?;
    let inodes: Vec<String> = sockets
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .filter_map(|to| {
            Some(
                to.to_str()?
                    .strip_prefix("socket:[")?
                    .strip_suffix(']')?
                    .to_owned(),
            )
        })
        .collect();
    for table in ["tcp", "tcp6"] {
        let text = fs::read_to_string(format!("/proc/{}/net/{table}", stage.agent.pid()))?;
        for line in text.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            // 0A is LISTEN.
            let listens = fields.get(3) == Some(&"0A");
            let ours = fields
                .get(9)
                .is_some_and(|&inode| inodes.iter().any(|own| own == inode));
            ensure!(!(listens && ours), "it listens: {line}");
        }
    }
    Ok(())
}

/// Nobody but the owner may write there.
fn ensure_ours(folder: &Path) -> Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let found = fs::symlink_metadata(&path)?;
        let mode = found.permissions().mode();
        ensure!(mode & 0o022 == 0, "{} has mode {mode:o}", path.display());
        count += 1;
        if found.is_dir() {
            count += ensure_ours(&path)?;
        }
    }
    Ok(count)
}
