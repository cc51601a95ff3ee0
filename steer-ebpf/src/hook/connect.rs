//! cgroup/connect4 and connect6: an endpoint is chosen when a socket connects.
//!
//! Steering fails open: what cannot be decided goes where it was dialled; a known service without
//! an endpoint refuses. Whose requests must be looked at goes to the agent, if it is there to do it.
//! The egress guard fails closed.

use aya_ebpf::{macros::cgroup_sock_addr, programs::SockAddrContext};
use steer_common::{
    addr::Peer,
    flow::{DESTINATION_BY_REQUEST, Origin},
    logic::Steer,
    reason::Reason,
    service::Route,
};

use super::steer::steer;
use crate::core::{
    guard::Attempt,
    origin,
    sock::{Sock, V4, V6},
};

/// AF_INET sockets.
#[cgroup_sock_addr(connect4)]
pub fn steer_connect4(ctx: SockAddrContext) -> i32 {
    steer(
        &V4(&ctx),
        Attempt::Connect,
        remember,
        hand_over,
        origin::clear,
    )
    .literal()
}

/// AF_INET6 sockets, those that dial IPv4 among them.
#[cgroup_sock_addr(connect6)]
pub fn steer_connect6(ctx: SockAddrContext) -> i32 {
    steer(
        &V6(&ctx),
        Attempt::Connect,
        remember,
        hand_over,
        origin::clear,
    )
    .literal()
}

#[inline(always)]
fn remember<S: Sock>(sock: &S, dialled: Peer, steered: &Steer<'_>) -> Reason {
    let stored = origin::store(
        sock,
        Origin {
            dialled,
            endpoint: steered.endpoint.peer(),
            service: steered.route.service,
            split: steered.route.split,
            destination: steered.destination,
            generation: steered.route.generation,
        },
    );
    if stored {
        steered.reason
    } else {
        Reason::OriginNotStored
    }
}

#[inline(always)]
fn hand_over<S: Sock>(sock: &S, dialled: Peer, route: &Route, listener: Peer) -> Reason {
    let stored = origin::store(
        sock,
        Origin {
            dialled,
            endpoint: listener,
            service: route.service,
            split: route.split,
            destination: DESTINATION_BY_REQUEST,
            generation: route.generation,
        },
    );
    if stored {
        Reason::HandedOver
    } else {
        Reason::OriginNotStored
    }
}
