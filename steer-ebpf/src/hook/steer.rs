//! What connect and sendmsg have in common: decide, count, rewrite.

use steer_common::{
    addr::Peer,
    logic::{Decision, Dialled, Steer, decide},
    reason::Reason,
};

use crate::core::{count, kernel_maps::KernelMaps, sock::Sock, verdict::Verdict};

/// Decides for one connection or datagram. `remember` is told of a steered one and says which
/// reason to count.
#[inline(always)]
pub(super) fn steer<S: Sock>(
    sock: &S,
    remember: impl FnOnce(&S, Peer, &Steer<'_>) -> Reason,
    forget: impl FnOnce(&S),
) -> Verdict {
    let Some(proto) = sock.proto() else {
        count::reason(Reason::OtherProtocol);
        return Verdict::Allow;
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
            Verdict::Allow
        }
        Decision::Refuse(reason) => {
            count::reason(reason);
            Verdict::Refuse
        }
        Decision::Steer(steered) => {
            count::destination(steered.route.counters, steered.destination);
            count::reason(remember(sock, dialled.peer(), &steered));
            sock.set_peer(steered.endpoint.peer());
            Verdict::Allow
        }
    }
}
