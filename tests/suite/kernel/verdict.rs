//! What the program at the veth returns: `TCX_*` of linux/bpf.h.

/// Goes on: the next program, or the stack.
pub(crate) const NEXT: i32 = -1;
/// Is dropped.
pub(crate) const DROP: i32 = 2;
/// Goes back, as its own answer.
pub(crate) const REDIRECT: i32 = 7;
