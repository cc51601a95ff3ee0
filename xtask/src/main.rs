//! `cargo xtask`: everything a developer does with steer.

fn main() {}
