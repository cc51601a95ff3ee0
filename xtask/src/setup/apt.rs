//! Debian's and Ubuntu's package manager.

use std::{path::Path, process::Command};

use anyhow::{Context as _, Result, bail};

use crate::process::{answer, find, is_root, run, say};

/// True on Debian, Ubuntu and their like.
pub(crate) fn is_there() -> bool {
    find("apt-get").is_some() && find("dpkg").is_some()
}

/// Installs packages; as root only, for it asks nothing.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let list = packages.join(" ");
    if !is_root() {
        bail!("only root may install packages; type: sudo apt-get install {list}");
    }
    if packages.iter().any(|package| candidate(package).is_none()) {
        say("the package lists do not name all of these: fetching the lists");
        run(&mut apt_get(&["update"]))?;
    }
    let unknown: Vec<&str> = packages
        .iter()
        .copied()
        .filter(|package| candidate(package).is_none())
        .collect();
    if !unknown.is_empty() {
        bail!(
            "this release has no package {}; for the compiler, type: \
             rustup toolchain install nightly --component rust-src",
            unknown.join(" ")
        );
    }
    say("installing packages (network)");
    let services = [("nginx-light", "nginx"), ("haproxy", "haproxy")];
    let is_new = |&(package, service): &(&str, &str)| {
        packages.contains(&package) && !Path::new("/usr/sbin").join(service).exists()
    };
    let services: Vec<_> = services.into_iter().filter(is_new).collect();
    if run(&mut install_command(packages)).is_err() {
        say("once more, with fresh package lists");
        run(&mut apt_get(&["update"]))?;
        run(&mut install_command(packages))
            .with_context(|| format!("type, and read what it says: apt-get install {list}"))?;
    }
    for (_, service) in services {
        stop_service(service)?;
    }
    if packages.contains(&"prometheus") {
        stop_service("prometheus")?;
    }
    Ok(())
}

fn install_command(packages: &[&str]) -> Command {
    let mut command = apt_get(&["install", "--yes", "--no-install-recommends"]);
    command.args(packages);
    command
}

fn apt_get(arguments: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command
        .env("DEBIAN_FRONTEND", "noninteractive")
        .args(arguments);
    command
}

/// The version that would be installed.
fn candidate(package: &str) -> Option<String> {
    let said = answer(
        Command::new("apt-cache")
            .env("LC_ALL", "C")
            .args(["policy", package]),
    )?;
    let version = said
        .lines()
        .find_map(|line| line.trim().strip_prefix("Candidate: "))?;
    (version != "(none)").then(|| version.to_owned())
}

/// The package starts a server on the host; the lab only wants its program.
fn stop_service(name: &str) -> Result<()> {
    if !Path::new("/run/systemd/system").exists() {
        return Ok(());
    }
    say(&format!(
        "only the programs of {name} are wanted: the host's service is switched off again"
    ));
    run(Command::new("systemctl").args(["disable", "--now", name]))
}
