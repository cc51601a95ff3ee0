//! What becomes of a TCP connection: noted beside its socket when it is established, reported when it
//! closes. Never waits: what does not fit is counted.

use core::ptr::{self, addr_of, addr_of_mut, read_volatile, write_volatile};

use aya_ebpf::{
    EbpfContext as _,
    bindings::{
        BPF_RB_NO_WAKEUP, BPF_SK_STORAGE_GET_F_CREATE, BPF_SOCK_OPS_STATE_CB_FLAG, bpf_sock,
        bpf_sock_ops,
    },
    helpers::{
        bpf_get_netns_cookie, bpf_get_socket_cookie, bpf_ktime_get_ns,
        generated::bpf_sk_storage_get,
    },
    programs::SockOpsContext,
};
use steer_common::{
    addr::{Addr, Peer, Port},
    connection::{Connection, OBSERVE_OPENED, Opened, TcpOpened, state},
    flow::Origin,
    reason::Reason,
};

use super::{count, origin, rows};
use crate::maps::{CONNECTIONS, OBSERVED, OPENED, TCP_OPENED};

const AF_INET: u32 = 2;

/// A connection is established. Notes it, if its namespace is observed on that side.
#[inline(always)]
pub(crate) fn opened(ctx: &SockOpsContext, side: u32) {
    // SAFETY: the kernel's own context pointer.
    let namespace = unsafe { bpf_get_netns_cookie(ctx.as_ptr()) };
    let Some(sides) = OBSERVED.get_ptr(namespace) else {
        return;
    };
    // SAFETY: one word of an element, read once.
    let sides = unsafe { read_volatile(sides) };
    if sides & side == 0 {
        return;
    }
    let remote = remote(ctx.ops);
    // A pod that talks with itself, or with the agent in it.
    if remote.addr.is_loopback() {
        return;
    }
    let Some(socket) = socket(ctx) else { return };
    // SAFETY: the kernel's own context pointer.
    let cookie = unsafe { bpf_get_socket_cookie(ctx.as_ptr()) };
    let dialler = if side == OBSERVE_OPENED {
        origin::of_socket(cookie, socket)
    } else {
        None
    };
    if dialler.is_some_and(Origin::is_of_requests) {
        return;
    }
    let steered = dialler.filter(|origin| origin.endpoint == remote);
    let local = local(ctx.ops);
    let mut note = Opened {
        // SAFETY: a helper without arguments.
        opened_ns: unsafe { bpf_ktime_get_ns() },
        namespace,
        // SAFETY: a valid context of a full socket.
        acked: unsafe { read_volatile(addr_of!((*ctx.ops).bytes_acked)) },
        received: 0,
        dialled: match (steered, side) {
            (Some(origin), _) => origin.dialled,
            (None, OBSERVE_OPENED) => remote,
            (None, _) => local,
        },
        service: steered.map_or(0, |origin| origin.service),
        split: steered.map_or(0, |origin| origin.split),
        destination: steered.map_or(0, |origin| origin.destination),
        side,
        pad: 0,
    };
    let is_kept = if let Some(row) = claim(cookie) {
        // SAFETY: a row of this socket's own.
        unsafe {
            addr_of_mut!((*row).local).write(local);
            addr_of_mut!((*row).remote).write(remote);
            addr_of_mut!((*row).opened).write(note);
        }
        true
    } else {
        let create = u64::from(BPF_SK_STORAGE_GET_F_CREATE);
        !beside(socket, &raw mut note, create).is_null()
    };
    if !is_kept || ctx.set_cb_flags(BPF_SOCK_OPS_STATE_CB_FLAG as i32).is_err() {
        count::reason(Reason::ConnectionsLost);
    }
}

/// A connection goes from one state to another. Reports it, if that is its end.
#[inline(always)]
pub(crate) fn changed(ctx: &SockOpsContext) {
    let (from, to) = (ctx.arg(0), ctx.arg(1));
    if to != state::FIN_WAIT2 && to != state::CLOSE {
        return;
    }
    // SAFETY: the kernel's own context pointer.
    let cookie = unsafe { bpf_get_socket_cookie(ctx.as_ptr()) };
    if let Some(row) = own(cookie) {
        // SAFETY: a row of this socket's own.
        passed(ctx, unsafe { &mut (*row).opened }, from, to);
        if to == state::CLOSE {
            // SAFETY: the owner's word of a row of the map.
            unsafe { rows::free(addr_of_mut!((*row).socket), cookie) };
        }
        return;
    }
    let Some(socket) = socket(ctx) else { return };
    let kept = beside(socket, ptr::null_mut(), 0);
    // SAFETY: null or a valid value of the map, which lives as long as the socket.
    if let Some(note) = unsafe { kept.as_mut() } {
        passed(ctx, note, from, to);
    }
}

/// It passes to one of the two states in which something is done.
#[inline(always)]
fn passed(ctx: &SockOpsContext, note: &mut Opened, from: u32, to: u32) {
    // SAFETY: a valid context of a full socket.
    let received = unsafe { read_volatile(addr_of!((*ctx.ops).bytes_received)) };
    if to == state::CLOSE {
        report(ctx, note, from, received);
    } else {
        note.received = received;
    }
}

/// The row of the socket, if it has one.
#[inline(always)]
fn own(socket: u64) -> Option<*mut TcpOpened> {
    let row = TCP_OPENED.get_ptr_mut(rows::index(socket))?;
    // SAFETY: the owner's word of a row of the map.
    unsafe { rows::is_of(addr_of_mut!((*row).socket), socket) }.then_some(row)
}

/// Takes the row of the socket, unless another socket has it.
#[inline(always)]
fn claim(socket: u64) -> Option<*mut TcpOpened> {
    let row = TCP_OPENED.get_ptr_mut(rows::index(socket))?;
    // SAFETY: the owner's word of a row of the map.
    unsafe { rows::claim(addr_of_mut!((*row).socket), socket) }.then_some(row)
}

#[inline(always)]
fn report(ctx: &SockOpsContext, note: &Opened, from: u32, received: u64) {
    let Some(mut entry) = CONNECTIONS.reserve(0) else {
        count::reason(Reason::ConnectionsLost);
        return;
    };
    let record: *mut Connection = entry.as_mut_ptr();
    let ops = ctx.ops;
    // SAFETY: the entry is as long as the record, and ours until it is submitted; a valid context.
    unsafe {
        let acked = read_volatile(addr_of!((*ops).bytes_acked));
        // The kernel keeps eight times the time.
        let rtt_us = read_volatile(addr_of!((*ops).srtt_us)) >> 3;
        write_volatile(addr_of_mut!((*record).opened_ns), note.opened_ns);
        write_volatile(addr_of_mut!((*record).closed_ns), bpf_ktime_get_ns());
        write_volatile(addr_of_mut!((*record).namespace), note.namespace);
        write_volatile(
            addr_of_mut!((*record).received),
            note.received(from, received),
        );
        write_volatile(addr_of_mut!((*record).sent), note.sent(from, acked));
        write_volatile(addr_of_mut!((*record).dialled), note.dialled);
        write_volatile(addr_of_mut!((*record).local), local(ops));
        write_volatile(addr_of_mut!((*record).remote), remote(ops));
        write_volatile(addr_of_mut!((*record).service), note.service);
        write_volatile(addr_of_mut!((*record).split), note.split);
        write_volatile(addr_of_mut!((*record).destination), note.destination);
        write_volatile(addr_of_mut!((*record).side), note.side);
        write_volatile(addr_of_mut!((*record).rtt_us), rtt_us);
    }
    // Read by the clock: nobody waits to be woken.
    entry.submit(BPF_RB_NO_WAKEUP.into());
}

#[inline(always)]
fn beside(socket: *mut bpf_sock, value: *mut Opened, flags: u64) -> *mut Opened {
    // SAFETY: the map's own address and the context's own socket.
    unsafe {
        bpf_sk_storage_get(
            (&raw const OPENED).cast_mut().cast(),
            socket.cast(),
            value.cast(),
            flags,
        )
    }
    .cast()
}

/// The socket, if it is a whole one.
#[inline(always)]
fn socket(ctx: &SockOpsContext) -> Option<*mut bpf_sock> {
    // SAFETY: the kernel hands a valid context; the union's only real member is the socket.
    let socket = unsafe { (*ctx.ops).__bindgen_anon_2.sk };
    (!socket.is_null()).then_some(socket)
}

#[inline(always)]
fn remote(ops: *mut bpf_sock_ops) -> Peer {
    // SAFETY: a valid context; the port is in network order, in the high half of the word.
    let port = Port::from_be((unsafe { read_volatile(addr_of!((*ops).remote_port)) } >> 16) as u16);
    // SAFETY: a valid context; each word is readable on its own.
    let (v4, v6) = unsafe {
        (
            read_volatile(addr_of!((*ops).remote_ip4)),
            [
                read_volatile(addr_of!((*ops).remote_ip6[0])),
                read_volatile(addr_of!((*ops).remote_ip6[1])),
                read_volatile(addr_of!((*ops).remote_ip6[2])),
                read_volatile(addr_of!((*ops).remote_ip6[3])),
            ],
        )
    };
    Peer::new(of_family(ops, v4, v6), port)
}

#[inline(always)]
fn local(ops: *mut bpf_sock_ops) -> Peer {
    // SAFETY: a valid context; this port is in the host's order.
    let port = Port::new(unsafe { read_volatile(addr_of!((*ops).local_port)) } as u16);
    // SAFETY: a valid context; each word is readable on its own.
    let (v4, v6) = unsafe {
        (
            read_volatile(addr_of!((*ops).local_ip4)),
            [
                read_volatile(addr_of!((*ops).local_ip6[0])),
                read_volatile(addr_of!((*ops).local_ip6[1])),
                read_volatile(addr_of!((*ops).local_ip6[2])),
                read_volatile(addr_of!((*ops).local_ip6[3])),
            ],
        )
    };
    Peer::new(of_family(ops, v4, v6), port)
}

/// One of two addresses that were both read: of loads on two ways LLVM makes one at an offset that
/// depends, and the verifier takes only constant offsets into a context ("dereference of modified ctx
/// ptr", Linux 6.18).
#[inline(always)]
fn of_family(ops: *mut bpf_sock_ops, v4: u32, v6: [u32; 4]) -> Addr {
    // SAFETY: a valid context.
    if unsafe { read_volatile(addr_of!((*ops).family)) } == AF_INET {
        Addr::from_v4_word(v4)
    } else {
        Addr::from_words(v6)
    }
}
