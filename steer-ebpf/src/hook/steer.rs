//! What connect and sendmsg have in common: decide, count, rewrite.

use steer_common::{
    addr::Peer,
    egress::meta::ECONNREFUSED,
    logic::{Decision, Dialled, Steer, decide},
    reason::Reason,
    service::Route,
};

use crate::core::{
    count,
    guard::{self, Attempt},
    kernel_maps::KernelMaps,
    sock::Sock,
    verdict::Verdict,
};

/// Decides for one connection or datagram. `remember` is told of a steered one, `hand_over` of one that goes
/// to the agent, and both say which reason to count.
#[inline(always)]
pub(super) fn steer<S: Sock>(
    sock: &S,
    attempt: Attempt,
    remember: impl FnOnce(&S, Peer, &Steer<'_>) -> Reason,
    hand_over: impl FnOnce(&S, Peer, &Route, Peer) -> Reason,
    forget: impl FnOnce(&S),
) -> Verdict {
    let Some(proto) = sock.proto() else {
        count::reason(Reason::OtherProtocol);
        return guard::dialled(sock, attempt);
    };
    let Peer { addr, port, .. } = sock.peer();
    let dialled = Dialled { addr, port, proto };
    let maps = KernelMaps {
        context: sock.context(),
    };
    match decide(&maps, &dialled) {
        Decision::Pass(reason) => {
            forget(sock);
            count::reason(reason);
            guard::dialled(sock, attempt)
        }
        Decision::Refuse(reason) => {
            count::reason(reason);
            Verdict::Refuse(ECONNREFUSED)
        }
        Decision::Steer(steered) => {
            count::destination(steered.route.counters, steered.destination);
            count::reason(remember(sock, dialled.peer(), &steered));
            guard::steered(sock, attempt, steered.endpoint.peer());
            sock.set_peer(steered.endpoint.peer());
            Verdict::Allow
        }
        Decision::HandOver(route, listener) => {
            count::reason(hand_over(sock, dialled.peer(), route, listener));
            guard::steered(sock, attempt, listener);
            sock.set_peer(listener);
            Verdict::Allow
        }
    }
}
