//! The socket address of a hook's context: the only place that knows the family.

use core::ptr::{addr_of, addr_of_mut, read_volatile, write_volatile};

use aya_ebpf::{
    EbpfContext as _, bindings::bpf_sock_addr, helpers::bpf_get_socket_cookie,
    programs::SockAddrContext,
};
use steer_common::addr::{Addr, Peer, Port, Proto};

/// The context of a cgroup socket-address hook.
pub(crate) trait Sock {
    /// The context itself, for helpers.
    fn context(&self) -> &SockAddrContext;
    /// The address in the context: what was dialled, or whom a datagram or answer is from.
    fn peer(&self) -> Peer;
    /// Replaces it.
    fn set_peer(&self, peer: Peer);

    /// IANA's number of the transport.
    #[inline(always)]
    fn proto_number(&self) -> u32 {
        // SAFETY: the kernel hands a valid context; protocol is readable in each of these hooks.
        unsafe { read_volatile(addr_of!((*self.context().sock_addr).protocol)) }
    }

    /// The kernel's number of the socket, never used again.
    #[inline(always)]
    fn cookie(&self) -> u64 {
        // SAFETY: the kernel's own context pointer.
        unsafe { bpf_get_socket_cookie(self.context().as_ptr()) }
    }

    /// The transport, if it is one that is steered.
    #[inline(always)]
    fn proto(&self) -> Option<Proto> {
        Proto::from_number(self.proto_number())
    }
}

/// Context of an AF_INET hook.
pub(crate) struct V4<'a>(pub(crate) &'a SockAddrContext);

/// Context of an AF_INET6 hook.
pub(crate) struct V6<'a>(pub(crate) &'a SockAddrContext);

impl Sock for V4<'_> {
    #[inline(always)]
    fn context(&self) -> &SockAddrContext {
        self.0
    }

    #[inline(always)]
    fn peer(&self) -> Peer {
        // SAFETY: a valid context; user_ip4 is readable in the v4 hooks.
        let word = unsafe { read_volatile(addr_of!((*self.0.sock_addr).user_ip4)) };
        Peer::new(Addr::from_v4_word(word), port(self.0.sock_addr))
    }

    #[inline(always)]
    fn set_peer(&self, peer: Peer) {
        // SAFETY: a valid context; user_ip4 is writable in the v4 hooks.
        unsafe {
            write_volatile(
                addr_of_mut!((*self.0.sock_addr).user_ip4),
                peer.addr.v4_word(),
            );
        };
        set_port(self.0.sock_addr, peer.port);
    }
}

impl Sock for V6<'_> {
    #[inline(always)]
    fn context(&self) -> &SockAddrContext {
        self.0
    }

    #[inline(always)]
    fn peer(&self) -> Peer {
        let ctx = self.0.sock_addr;
        // SAFETY: a valid context; each word of user_ip6 is readable on its own in the v6 hooks.
        let words = unsafe {
            [
                read_volatile(addr_of!((*ctx).user_ip6[0])),
                read_volatile(addr_of!((*ctx).user_ip6[1])),
                read_volatile(addr_of!((*ctx).user_ip6[2])),
                read_volatile(addr_of!((*ctx).user_ip6[3])),
            ]
        };
        Peer::new(Addr::from_words(words), port(ctx))
    }

    #[inline(always)]
    fn set_peer(&self, peer: Peer) {
        let ctx = self.0.sock_addr;
        let [a, b, c, d] = peer.addr.words();
        // SAFETY: a valid context; each word of user_ip6 is writable on its own in the v6 hooks.
        unsafe {
            write_volatile(addr_of_mut!((*ctx).user_ip6[0]), a);
            write_volatile(addr_of_mut!((*ctx).user_ip6[1]), b);
            write_volatile(addr_of_mut!((*ctx).user_ip6[2]), c);
            write_volatile(addr_of_mut!((*ctx).user_ip6[3]), d);
        }
        set_port(ctx, peer.port);
    }
}

/// The port is in network order in the low 16 bits of a u32.
#[inline(always)]
fn port(ctx: *mut bpf_sock_addr) -> Port {
    // SAFETY: a valid context; user_port is readable in each of these hooks.
    Port::from_be(unsafe { read_volatile(addr_of!((*ctx).user_port)) } as u16)
}

#[inline(always)]
fn set_port(ctx: *mut bpf_sock_addr, port: Port) {
    // SAFETY: a valid context; user_port is writable in each of these hooks.
    unsafe { write_volatile(addr_of_mut!((*ctx).user_port), u32::from(port.be())) };
}
