//! `cargo xtask lint`: format, clippy for the host, clippy for the kernel programs.

use anyhow::{Context as _, Result};

use crate::{
    build_ebpf,
    process::run as run_command,
    setup::{self, Group},
    toolchain,
    workspace::cargo,
};

/// Check the format, and let clippy read everything
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args) -> Result<()> {
    setup::ensure(&[Group::Build, Group::Lint])?;
    run_command(&mut cargo(&["fmt", "--all", "--check"])).context("type: cargo fmt --all")?;
    let ebpf = ["--manifest-path", "steer-ebpf/Cargo.toml"];
    run_command(cargo(&["fmt", "--check"]).args(ebpf))
        .context("type: cargo fmt --manifest-path steer-ebpf/Cargo.toml")?;
    // The build script of steer-userspace wants the object.
    build_ebpf::build_and_gate()?;
    // One run for both targets would link the panic handler of the kernel programs twice.
    run_command(&mut cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--quiet",
        "--",
        "-Dwarnings",
    ]))
    .context("clippy is not content")?;
    kernel_programs()
}

/// clippy of the compiler that builds them; without one, the compiler's own warnings.
fn kernel_programs() -> Result<()> {
    let toolchain = toolchain::require()?;
    let mut command = if let Some(driver) = toolchain.clippy() {
        let mut check = toolchain.cargo(&["check", "--release"])?;
        check
            .env("RUSTC_WORKSPACE_WRAPPER", driver)
            // How cargo-clippy hands its driver the arguments after `--`.
            .env("CLIPPY_ARGS", "-Dwarnings__CLIPPY_HACKERY__");
        check
    } else {
        let mut check = toolchain.cargo(&["rustc", "--release"])?;
        check.args(["--", "-Dwarnings"]);
        check
    };
    run_command(&mut command).context("the kernel programs have warnings")
}
