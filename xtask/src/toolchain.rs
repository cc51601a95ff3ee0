//! The compiler and the linker of the kernel programs.
//!
//! The BPF target has no prebuilt `core`: the compiler must come with its library's sources.
//! Debian's does (rustc-web and rust-web-src); elsewhere a rustup toolchain with rust-src does.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::{
    process::{answer, find},
    workspace::{bpf_target, root, tools},
};

/// The oldest bpf-linker that reads what these compilers write, and the one setup installs.
pub(crate) const LINKER_VERSION: &str = "0.13.0";

/// The target triple of the kernel programs.
pub(crate) const TARGET: &str = "bpfel-unknown-none";

/// A rustc with its library's sources, and its cargo.
#[derive(Clone)]
pub(crate) struct Toolchain {
    pub(crate) cargo: PathBuf,
    pub(crate) rustc: PathBuf,
    /// The major version of the LLVM inside: the linker's must be the same.
    pub(crate) llvm: u32,
}

impl Toolchain {
    /// The first compiler on this machine that can build the kernel programs.
    pub(crate) fn discover() -> Option<Self> {
        Self::at(Path::new("/usr/bin")).or_else(|| {
            rustup_toolchains()
                .iter()
                .find_map(|toolchain| Self::at(&toolchain.join("bin")))
        })
    }

    fn at(directory: &Path) -> Option<Self> {
        let (cargo, rustc) = (directory.join("cargo"), directory.join("rustc"));
        if !cargo.is_file() || !rustc.is_file() {
            return None;
        }
        let sysroot = answer(Command::new(&rustc).args(["--print", "sysroot"]))?;
        let sources =
            Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/core/src/lib.rs");
        if !sources.is_file() {
            return None;
        }
        let version = answer(Command::new(&rustc).arg("-vV"))?;
        // Edition 2024 with the intrinsics of 1.95: an older compiler is none.
        if minor(&version)? < 95 {
            return None;
        }
        Some(Self {
            cargo,
            rustc,
            llvm: llvm_major(&version)?,
        })
    }

    /// A cargo command for the kernel programs, free of what the outer cargo set.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Result<Command> {
        self.cargo_into(&bpf_target(), arguments)
    }

    /// The same, into another target folder.
    pub(crate) fn cargo_into(&self, target: &Path, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(&self.cargo);
        for name in [
            "CARGO",
            "RUSTC_WRAPPER",
            "RUSTUP_TOOLCHAIN",
            "CARGO_ENCODED_RUSTFLAGS",
        ] {
            command.env_remove(name);
        }
        command
            .current_dir(root().join("steer-ebpf"))
            .env("RUSTC", &self.rustc)
            // build-std and the atomic intrinsic are not stable.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTFLAGS", flags(std::env::consts::ARCH))
            .env("PATH", crate::process::path_with(&[tools().join("bin")])?)
            .args(arguments)
            .args(["--target", TARGET, "-Zbuild-std=core", "--target-dir"])
            .arg(target);
        Ok(command)
    }

    /// The clippy that belongs to this compiler.
    pub(crate) fn clippy(&self) -> Option<PathBuf> {
        let driver = self.rustc.with_file_name("clippy-driver");
        driver.is_file().then_some(driver)
    }
}

/// What the compiler of the kernel programs is told.
fn flags(architecture: &str) -> String {
    [
        &format!("--cfg bpf_target_arch=\"{architecture}\""),
        "-Cdebuginfo=2",
        "-Clink-arg=--btf",
        // Copies and clears inline: the linker would make each a call of a loop over bytes.
        "-Clink-arg=--disable-expand-memcpy-in-order",
        // v3: the atomic add that fetches does not exist before it.
        "-Ctarget-cpu=v3",
    ]
    .join(" ")
}

/// The linker that [`Toolchain::cargo`] will find: this checkout's own, or one on PATH that is
/// new enough.
pub(crate) fn linker() -> Option<PathBuf> {
    let own = tools().join("bin/bpf-linker");
    [Some(own), find("bpf-linker")]
        .into_iter()
        .flatten()
        .find(|linker| {
            let said = answer(Command::new(linker).arg("--version")).unwrap_or_default();
            let found = said.split_whitespace().nth(1).unwrap_or_default();
            parts(found) >= parts(LINKER_VERSION)
        })
}

/// The compiler and its linker, or what to do about it.
pub(crate) fn require() -> Result<Toolchain> {
    let toolchain = Toolchain::discover()
        .context("no Rust compiler with its library's sources; type: cargo xtask setup")?;
    linker().context("no bpf-linker; type: cargo xtask setup")?;
    Ok(toolchain)
}

/// Directories of rustup's toolchains, nightly first.
fn rustup_toolchains() -> Vec<PathBuf> {
    let said = answer(Command::new("rustup").args(["toolchain", "list", "--verbose"]));
    let mut found: Vec<PathBuf> = said
        .unwrap_or_default()
        .lines()
        .filter_map(|line| line.split_whitespace().last().map(PathBuf::from))
        .filter(|path| path.is_absolute())
        .collect();
    found.sort_by_key(|path| !path.to_string_lossy().contains("nightly"));
    found
}

fn minor(version: &str) -> Option<u32> {
    let release = version
        .lines()
        .find_map(|line| line.strip_prefix("release: "))?;
    release.split('.').nth(1)?.parse().ok()
}

fn llvm_major(version: &str) -> Option<u32> {
    let llvm = version
        .lines()
        .find_map(|line| line.strip_prefix("LLVM version: "))?;
    llvm.split('.').next()?.trim().parse().ok()
}

fn parts(version: &str) -> Vec<u32> {
    version
        .split('.')
        .map_while(|part| part.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "rustc 1.96.0 (ac68faa20 2026-05-25)\nbinary: rustc\nhost: x\n\
        release: 1.96.0-nightly\nLLVM version: 22.1.8\n";

    #[test]
    fn versions_are_read() {
        assert_eq!(minor(SAID), Some(96));
        assert_eq!(llvm_major(SAID), Some(22));
        assert!(parts("0.13.1") > parts(LINKER_VERSION));
        assert!(parts("0.9.15") < parts(LINKER_VERSION));
        assert!(parts("") < parts(LINKER_VERSION));
    }
}
