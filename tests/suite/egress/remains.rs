//! What remains possible under the guard. It is played like everything else and counted apart; a line
//! here goes when its attempt is held, and `docs/guide/egress.md` says each of them to users.

/// Variants of a case that get through, and where users read of them.
struct Remains {
    case: &'static str,
    variants: &'static [usize],
    /// Words of the guide.
    told: &'static str,
}

const REMAINS: &[Remains] = &[
    Remains {
        case: "names::forged_outside",
        variants: &[0],
        told: "answers as the resolver",
    },
    Remains {
        case: "first_bytes::other_http_host",
        variants: &[14],
        told: "later requests of a connection",
    },
];

/// Where no agent has seen the pod: nobody has said which interface is the one to the node, and
/// nothing at its veth holds neighbour discovery to the link.
const UNSEEN: &[Remains] = &[
    Remains {
        case: "flows::inbound_forged_by_the_pod_itself",
        variants: &[2, 3, 6, 7],
        told: "calls from outside that the pod makes itself",
    },
    Remains {
        case: "packets::icmp",
        variants: &[2, 3],
        told: "neighbour discovery",
    },
];

const GUIDE: &str = include_str!("../../../docs/guide/egress.md");

/// Whether a variant of a case is known to get through.
pub(crate) fn remains(case: &str, variant: usize) -> bool {
    lists(REMAINS, case, variant)
}

/// The same where no agent has seen the pod.
pub(crate) fn remains_unseen(case: &str, variant: usize) -> bool {
    lists(UNSEEN, case, variant) || remains(case, variant)
}

fn lists(list: &[Remains], case: &str, variant: usize) -> bool {
    list.iter()
        .any(|one| one.case == case && one.variants.contains(&variant))
}

/// Everything that remains possible is said where users look.
pub(crate) fn is_told() -> anyhow::Result<()> {
    let (_, part) = GUIDE
        .split_once("## What remains possible")
        .ok_or_else(|| anyhow::anyhow!("the guide has no part on what remains possible"))?;
    let part = part.split_once("\n## ").map_or(part, |(part, _)| part);
    for one in REMAINS.iter().chain(UNSEEN) {
        anyhow::ensure!(
            part.contains(one.told),
            "{}: the guide does not say: {}",
            one.case,
            one.told
        );
    }
    Ok(())
}
