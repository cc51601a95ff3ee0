//! Tells the crate where the compiled kernel programs are.

use std::{env, path::PathBuf, process};

/// Where `cargo xtask build-ebpf` puts them.
const BUILT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../target/bpf/bpfel-unknown-none/release/steer"
);

fn main() {
    println!("cargo::rerun-if-env-changed=STEER_BUILD");
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    // Two builds of one version can be told apart (semver.org, build metadata).
    let version = match env::var("STEER_BUILD") {
        Ok(build) if !build.is_empty() => format!("{version}+{build}"),
        Ok(_) | Err(_) => version,
    };
    println!("cargo::rustc-env=STEER_VERSION={version}");
    println!("cargo::rerun-if-env-changed=STEER_EBPF_OBJ");
    let object = PathBuf::from(env::var_os("STEER_EBPF_OBJ").unwrap_or_else(|| BUILT.into()));
    println!("cargo::rerun-if-changed={}", object.display());
    // An absolute path: `include_bytes!` reads a relative one from the source file's folder.
    match object.canonicalize() {
        Ok(object) => println!("cargo::rustc-env=STEER_EBPF_OBJECT={}", object.display()),
        Err(error) => {
            println!(
                "cargo::error=no compiled kernel programs at {} ({error}); type: cargo xtask build-ebpf",
                object.display()
            );
            process::exit(1);
        }
    }
}
