//! A packet as a hook has it.

use core::ptr::{addr_of, read_volatile};

use aya_ebpf::{
    bindings::__sk_buff,
    helpers::{bpf_get_netns_cookie, bpf_get_socket_cookie, generated::bpf_skb_load_bytes},
};
use steer_common::{
    parse::packet::{self, Bytes, Packet},
    reason::Reason,
};

/// The context of a packet hook.
#[derive(Clone, Copy)]
pub(crate) struct Skb(pub(crate) *mut __sk_buff);

impl Bytes for Skb {
    #[inline(always)]
    fn words<const N: usize>(&self, at: u32, to: &mut [u32; N]) -> bool {
        let size = size_of::<[u32; N]>() as u32;
        // SAFETY: a valid context, and room for as many bytes.
        unsafe { bpf_skb_load_bytes(self.0.cast(), at, to.as_mut_ptr().cast(), size) == 0 }
    }

    #[inline(always)]
    fn len(&self) -> u32 {
        // SAFETY: a valid context. Volatile: the verifier must see each test of it.
        unsafe { read_volatile(addr_of!((*self.0).len)) }
    }
}

impl Skb {
    /// Fills `to` from `at` on; false if the packet is shorter.
    #[inline(always)]
    pub(crate) fn load<const N: usize>(self, at: u32, to: &mut [u8; N]) -> bool {
        // SAFETY: a valid context, and room for as many bytes.
        unsafe { bpf_skb_load_bytes(self.0.cast(), at, to.as_mut_ptr().cast(), N as u32) == 0 }
    }

    /// The interface it is on.
    #[inline(always)]
    pub(crate) fn interface(self) -> u32 {
        // SAFETY: a valid context.
        unsafe { read_volatile(addr_of!((*self.0).ifindex)) }
    }

    /// What the frame carries, in host order; `None` if it is tagged.
    #[inline(always)]
    pub(crate) fn ether_type(self) -> Option<u16> {
        // SAFETY: a valid context.
        let (tagged, kind) = unsafe {
            (
                read_volatile(addr_of!((*self.0).vlan_present)),
                read_volatile(addr_of!((*self.0).protocol)),
            )
        };
        (tagged == 0).then_some(u16::from_be(kind as u16))
    }

    /// The cookie of its network namespace.
    #[inline(always)]
    pub(crate) fn namespace(self) -> u64 {
        // SAFETY: a valid context.
        unsafe { bpf_get_netns_cookie(self.0.cast()) }
    }

    /// The cookie of its socket; 0 if it has none.
    #[inline(always)]
    pub(crate) fn socket(self) -> u64 {
        // SAFETY: a valid context.
        unsafe { bpf_get_socket_cookie(self.0.cast()) }
    }

    /// Copies up to `N` bytes from `at` to `to`, and says how many. None if there are fewer than
    /// `least`, which must not be 0. `N` is a power of two.
    #[inline(always)]
    pub(crate) fn copy<const N: usize>(
        self,
        at: u32,
        end: u32,
        least: u64,
        to: *mut [u8; N],
    ) -> Option<usize> {
        let raw = u64::from(end).wrapping_sub(u64::from(at));
        if raw < least || raw > 0xffff {
            return None;
        }
        let length = if raw > N as u64 { N as u64 } else { raw };
        // In this form the bounds survive LLVM, which would drop tests it can prove, and the
        // verifiers of Linux 6.1 to 7.2.
        // SAFETY: a local.
        let length =
            (unsafe { read_volatile(&raw const length) }.wrapping_sub(1) & (N as u64 - 1)) + 1;
        // SAFETY: a valid context, and room for `N` bytes.
        let failed = unsafe { bpf_skb_load_bytes(self.0.cast(), at, to.cast(), length as u32) };
        (failed == 0).then_some(length as usize)
    }
}

/// The part of a packet that is in one piece, which the headers nearly always are in. Read without a
/// helper: on processors that guard their returns, each call costs more than what it does here.
struct Linear {
    data: *const u8,
    end: *const u8,
    len: u32,
}

impl Linear {
    #[inline(always)]
    fn of(skb: Skb) -> Self {
        // SAFETY: a valid context.
        let (data, end) = unsafe {
            (
                read_volatile(addr_of!((*skb.0).data)),
                read_volatile(addr_of!((*skb.0).data_end)),
            )
        };
        Self {
            data: data as usize as *const u8,
            end: end as usize as *const u8,
            len: skb.len(),
        }
    }
}

impl Bytes for Linear {
    #[inline(always)]
    #[expect(
        clippy::cast_ptr_alignment,
        reason = "the verifier sees to it on processors that need it, and an unaligned read would \
                  be compiled into one of each byte"
    )]
    fn words<const N: usize>(&self, at: u32, to: &mut [u32; N]) -> bool {
        let from = self.data.wrapping_add(at as usize);
        if from.wrapping_add(size_of::<[u32; N]>()) > self.end {
            return false;
        }
        for (index, word) in to.iter_mut().enumerate() {
            // SAFETY: in the packet, as was just found out.
            *word = unsafe { read_volatile(from.cast::<u32>().add(index)) };
        }
        true
    }

    #[inline(always)]
    fn len(&self) -> u32 {
        self.len
    }
}

/// Reads the packet whose network header begins at `at` to `to`, which is as `Packet::default()`. In
/// place: to return it would be to copy it twice.
#[inline(always)]
pub(crate) fn read(skb: Skb, at: u32, to: &mut Packet) -> Result<(), u32> {
    if packet::read(&Linear::of(skb), at, to).is_ok() {
        return Ok(());
    }
    // Malformed, or in pieces.
    *to = Packet::default();
    match steer_read_packet(skb.0, at, to) {
        0 => Ok(()),
        reason => Err(reason),
    }
}

/// 0, or the number of a reason. A function of its own: the stack of its callers has no room for
/// the headers.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn steer_read_packet(skb: *mut __sk_buff, at: u32, to: *mut Packet) -> u32 {
    // SAFETY: null, which the verifier wants to see tested, or room for a packet.
    let Some(to) = (unsafe { to.as_mut() }) else {
        return Reason::PacketMalformed.index();
    };
    match packet::read(&Skb(skb), at, to) {
        Ok(()) => 0,
        Err(reason) => reason.index(),
    }
}
