//! The egress guard at the socket: judged when it connects or sends without connecting.
//!
//! Fails closed: what cannot be decided is refused, unless the policy is open or only audits.

use core::ptr::{addr_of, read_volatile};

use aya_ebpf::{EbpfContext as _, bindings::bpf_sock, helpers::bpf_get_netns_cookie};
use steer_common::{
    addr::{Peer, Port},
    egress::{Allowed, Check, EventKind, FlowKey, Layer, Meta},
    logic::{Rule, Wish},
    reason::Reason,
};

use super::{
    allowed, count,
    egress_maps::{Client, guard},
    emit::{self, Report},
    flows,
    judge::ruling,
    sock::Sock,
    verdict::Verdict,
};

/// What a socket wants.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// To be connected.
    Connect,
    /// To send one datagram.
    Datagram,
}

/// Judges what was dialled and is not steered.
#[inline(always)]
pub(crate) fn dialled<S: Sock>(sock: &S, attempt: Attempt) -> Verdict {
    let Some(meta) = guard() else {
        return Verdict::Allow;
    };
    let client = client(sock);
    let Some(generation) = client.judged() else {
        count::reason(Reason::PolicyOpen);
        return Verdict::Allow;
    };
    let wish = Wish {
        policy: client.policy,
        peer: sock.peer(),
        proto: sock.proto_number(),
    };
    if attempt == Attempt::Datagram
        && let Some(reason) = flow(sock, &client, generation, wish.peer)
    {
        count::reason(reason);
        return Verdict::Allow;
    }
    let ruling = ruling(&wish);
    if !matches!(ruling.rule(), Rule::Allow) && client.owns(&wish.peer.addr) {
        count::reason(Reason::Loopback);
        return Verdict::Allow;
    }
    match ruling.rule() {
        Rule::Allow => {
            count::number(ruling.reason());
            // Without a mark its packets are looked at: they must carry a name.
            if matches!(ruling.check(), Check::Address) {
                mark(sock, attempt, &client, generation, wish.peer);
            }
            Verdict::Allow
        }
        Rule::Audit => {
            audit(&client, &wish, attempt, ruling.reason());
            if wish.proto != UDP {
                // Reported once; its packets need not be.
                mark(sock, attempt, &client, generation, wish.peer);
            }
            Verdict::Allow
        }
        Rule::Refuse => refuse(meta, &client, &wish, attempt, ruling.reason()),
    }
}

const UDP: u32 = 17;

/// Marks a socket that is steered: the registry named the service that was dialled.
#[inline(always)]
pub(crate) fn steered<S: Sock>(sock: &S, attempt: Attempt, endpoint: Peer) {
    if attempt == Attempt::Datagram || guard().is_none() {
        return;
    }
    let client = client(sock);
    if let Some(generation) = client.judged() {
        mark(sock, attempt, &client, generation, endpoint);
    }
}

/// Whether this port is known to talk with this peer: an answer to who asked is no attempt.
#[inline(always)]
fn flow<S: Sock>(sock: &S, client: &Client, generation: u32, peer: Peer) -> Option<Reason> {
    let socket = socket(sock);
    // SAFETY: the socket of a valid context.
    let port = unsafe { read_volatile(addr_of!((*socket).src_port)) } as u16;
    if port == 0 {
        return None;
    }
    let key = FlowKey::datagram(client.cookie, Port::new(port), peer);
    flows::known(client, generation, &key)
}

#[inline(always)]
fn client<S: Sock>(sock: &S) -> Client {
    // SAFETY: the kernel's own context pointer.
    Client::of(unsafe { bpf_get_netns_cookie(sock.context().as_ptr()) })
}

#[inline(always)]
fn mark<S: Sock>(sock: &S, attempt: Attempt, client: &Client, generation: u32, peer: Peer) {
    if attempt == Attempt::Datagram {
        return;
    }
    let mark = Allowed {
        peer,
        policy: client.policy,
        generation,
    };
    allowed::store(sock.cookie(), mark);
}

#[inline(always)]
fn audit(client: &Client, wish: &Wish, attempt: Attempt, reason: u32) {
    // Resolvers point UDP sockets at candidates and send nothing: no attempt.
    if attempt == Attempt::Connect && wish.proto == UDP {
        return;
    }
    count::reason(Reason::Audited);
    report(client, wish, EventKind::WouldRefuse, reason);
}

#[inline(always)]
fn refuse(meta: &Meta, client: &Client, wish: &Wish, attempt: Attempt, reason: u32) -> Verdict {
    if attempt == Attempt::Connect && wish.proto == UDP {
        count::reason(Reason::UdpConnect);
    } else {
        count::number(reason);
        report(client, wish, EventKind::Refused, reason);
    }
    Verdict::Refuse(meta.errno)
}

#[inline(always)]
fn report(client: &Client, wish: &Wish, kind: EventKind, reason: u32) {
    let report = Report {
        client: *client,
        peer: wish.peer,
        proto: wish.proto,
        reason,
        kind: kind as u32,
        layer: Layer::Socket as u32,
        pad: 0,
    };
    emit::attempt(&report);
}

#[inline(always)]
fn socket<S: Sock>(sock: &S) -> *mut bpf_sock {
    // SAFETY: the kernel hands a valid context; the union's only real member is the socket.
    unsafe { (*sock.context().sock_addr).__bindgen_anon_1.sk }
}
