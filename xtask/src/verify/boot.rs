//! Runs the runner: on this machine, or as the first process of a guest in QEMU.
//!
//! The guest is emulated (TCG), on one processor and one thread: it runs on any machine, and that of
//! several threads crashes now and then. It has no network and no disk.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::{
    Programs, archive,
    kernels::{Image, Kernel, folder},
};
use crate::process::{as_root, say};

/// Stands before the report on its line.
const MARK: &str = "steer-verify-report: ";
/// What the runner says once its machine is made.
const AWAKE: &str = "steer-verify-awake";
/// How often a guest is booted that dies before its first process.
const BOOTS: u32 = 3;
/// How long a guest may take, on a machine that has other things to do as well.
const PATIENCE: Duration = Duration::from_mins(30);

/// Runs it on this machine.
pub(super) fn here(programs: &Programs) -> Result<Value> {
    let suites = folder().join("suites");
    fs::create_dir_all(&suites)?;
    for (name, path) in &programs.suites {
        let link = suites.join(name);
        if link.is_symlink() {
            fs::remove_file(&link)?;
        }
        symlink(path, link)?;
    }
    let output = as_root(programs.binary("steer-verify")?)
        .env("STEER_BIN", programs.binary("steer")?)
        .env("STEER_VERIFY_SUITES", &suites)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run steer-verify")?;
    let text = String::from_utf8_lossy(&output.stdout);
    report(&text).context("steer-verify told nothing")
}

/// Boots a kernel and lets it tell.
pub(super) fn guest(kernel: Kernel, image: &Image, programs: &Programs) -> Result<Value> {
    let name = kernel.name();
    let archive = archive::pack(name, image, programs)?;
    let console = folder().join(format!("{name}.console"));
    for attempt in 1..=BOOTS {
        let text = boot(&image.kernel, &archive)?;
        fs::write(&console, &text)?;
        if let Some(report) = report(&text) {
            fs::remove_file(&archive)?;
            return Ok(report);
        }
        if text.contains(AWAKE) {
            break;
        }
        say(&format!(
            "the guest of {name} died before its first process (boot {attempt} of {BOOTS})"
        ));
    }
    bail!(
        "the guest of {name} told nothing; its last words: {}",
        console.display()
    )
}

fn report(text: &str) -> Option<Value> {
    let line = text
        .lines()
        .find_map(|line| line.trim().strip_prefix(MARK))?;
    serde_json::from_str(line).ok()
}

/// One boot; what came over the console.
fn boot(kernel: &Path, archive: &Path) -> Result<String> {
    let home = archive::HOME;
    // What the kernel does not know becomes the environment of the first process.
    let line = format!(
        "console=ttyS0 panic=-1 quiet PATH=/usr/bin STEER_BIN={home}/steer \
         STEER_VERIFY_SUITES={home}/deps"
    );
    let mut child = Command::new("qemu-system-x86_64")
        .args(["-M", "q35", "-accel", "tcg,thread=single", "-cpu", "max"])
        .args([
            "-m",
            "3072",
            "-smp",
            "1",
            "-nographic",
            "-no-reboot",
            "-nic",
            "none",
        ])
        .arg("-kernel")
        .arg(kernel)
        .arg("-initrd")
        .arg(archive)
        .args(["-append", &line])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .context("cannot run qemu-system-x86_64; type: cargo xtask setup verify")?;
    let output = child.stdout.take().context("QEMU has an output")?;
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            if sender
                .send(String::from_utf8_lossy(&line).into_owned())
                .is_err()
            {
                return;
            }
        }
    });
    let started = Instant::now();
    let mut text = String::new();
    while let Some(left) = PATIENCE.checked_sub(started.elapsed()) {
        let Ok(line) = lines.recv_timeout(left) else {
            break;
        };
        text.push_str(&line);
        text.push('\n');
    }
    // It has ended by itself, or takes too long.
    child.kill().context("QEMU cannot be stopped")?;
    child.wait()?;
    Ok(text)
}
