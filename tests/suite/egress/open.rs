//! What the guard does not hold yet: attempts that are known to get through, and what is allowed and
//! known to be refused. They are played and counted like all others, and a line here goes when its
//! attempt is held.

use std::ops::Range;

/// Variants of a case, and why they are open.
struct Open {
    case: &'static str,
    variants: Range<usize>,
    #[expect(dead_code, reason = "for who reads the list")]
    why: &'static str,
}

const fn open(case: &'static str, variants: Range<usize>, why: &'static str) -> Open {
    Open {
        case,
        variants,
        why,
    }
}

const SPOOFED: &str =
    "a host outside may take the resolver's address, unless the network forbids it";

const OPENS: &[Open] = &[
    open(
        "flows::inbound_survive",
        5..6,
        "ICMP has no flows: the answer to a ping from outside is refused at the veth",
    ),
    open("names::forged_outside", 0..1, SPOOFED),
    open(
        "first_bytes::other_http_host",
        14..15,
        "only the first request of a connection is looked at",
    ),
];

/// Where no agent has seen the pod, and so nobody has said which interface is the one to the node.
/// And nothing at its veth holds neighbour discovery to the link.
const UNSEEN: [(&str, &[usize]); 2] = [
    ("flows::inbound_forged_by_the_pod_itself", &[2, 3, 6, 7]),
    ("packets::icmp", &[0, 1, 2, 3, 4]),
];

/// Whether a variant of a case is known not to go as it should where no agent has seen the pod.
pub(crate) fn is_open_unseen(case: &str, variant: usize) -> bool {
    let known = |(name, variants): &(&str, &[usize])| *name == case && variants.contains(&variant);
    UNSEEN.iter().any(known) || is_open(case, variant)
}

/// Whether a variant of a case is known not to go as it should.
pub(crate) fn is_open(case: &str, variant: usize) -> bool {
    let known = |open: &Open| open.case == case && open.variants.contains(&variant);
    OPENS.iter().any(known)
}
