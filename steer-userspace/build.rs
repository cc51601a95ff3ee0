//! Tells the crate where the BPF object is.

use std::{env, path::PathBuf};

fn main() {
    println!("cargo::rerun-if-env-changed=STEER_EBPF_OBJ");
    let built = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../target/bpf/bpfel-unknown-none/release/steer"
    );
    let object = env::var_os("STEER_EBPF_OBJ").map_or_else(|| PathBuf::from(built), PathBuf::from);
    println!("cargo::rerun-if-changed={}", object.display());
    assert!(
        object.exists(),
        "there is no BPF object at {}: run `cargo xtask build-ebpf` first",
        object.display()
    );
    println!("cargo::rustc-env=STEER_EBPF_OBJECT={}", object.display());
}
