//! `cargo xtask lint`: format, clippy for the host, clippy for the kernel programs.

use anyhow::{Context as _, Result, ensure};

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
    // The build script of steer-userspace wants the object.
    build_ebpf::build_and_gate()?;
    let checks = [
        format(),
        format_kernel_programs(),
        host(),
        kernel_programs(),
    ];
    let failures: Vec<String> = checks
        .into_iter()
        .filter_map(Result::err)
        .map(|error| format!("{error:#}"))
        .collect();
    ensure!(failures.is_empty(), "{}", failures.join("; "));
    Ok(())
}

fn format() -> Result<()> {
    run_command(&mut cargo(&["fmt", "--all", "--check"])).context("type: cargo fmt --all")
}

fn format_kernel_programs() -> Result<()> {
    let ebpf = [
        "fmt",
        "--manifest-path",
        "steer-ebpf/Cargo.toml",
        "--package",
        "steer-ebpf",
    ];
    run_command(cargo(&ebpf).arg("--check"))
        .with_context(|| format!("type: cargo {}", ebpf.join(" ")))
}

/// One run for both targets would link the panic handler of the kernel programs twice.
fn host() -> Result<()> {
    let all = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--keep-going",
        "--",
        "-Dwarnings",
    ];
    run_command(&mut cargo(&all)).context("clippy is not content")
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
