//! Copies rows word by word: a struct copy of this size becomes a call of a byte-wise `memcpy`
//! on this target (rustc 1.96), which costs more than the rest of a hook.

use core::ptr::{read_volatile, write_volatile};

/// Copies `from` to `to`.
///
/// # Safety
///
/// `to` is valid for writes of a `T`, and `T` is made of whole 32-bit words without padding.
#[inline(always)]
pub(crate) unsafe fn copy<T>(from: *const T, to: *mut T) {
    let mut word = 0;
    while word < size_of::<T>() / 4 {
        // SAFETY: in bounds of both; the caller vouches for the rest. Volatile, so that the loop
        // is not recognised as a memcpy.
        unsafe {
            write_volatile(
                to.cast::<u32>().add(word),
                read_volatile(from.cast::<u32>().add(word)),
            );
        }
        word += 1;
    }
}
