//! The command `steer`.

fn main() {}
