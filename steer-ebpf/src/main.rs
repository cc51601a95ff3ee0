//! The kernel programs of steer: one hook, one file; the decision itself is in `steer-common`.
#![no_std]
#![no_main]
// `atomic_xadd` with a result: AtomicU64::fetch_add does not exist on this target.
#![feature(core_intrinsics)]

mod core;
mod hook;
mod maps;

/// GPL-compatible, else the kernel refuses the GPL-only helpers.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_info: &::core::panic::PanicInfo<'_>) -> ! {
    // Unreachable: nothing here can panic, and the verifier refuses a program that could loop.
    loop {}
}
