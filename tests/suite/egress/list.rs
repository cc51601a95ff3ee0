//! Every case.

use crate::case::{By, Case, Proof, Verdict};

const fn attack(name: &'static str, play: &'static str) -> Case {
    Case {
        name,
        play,
        by: By::Attacker,
        proof: Proof::Arrives,
        verdict: Verdict::Refused,
    }
}

impl Case {
    /// Others serve at the address as well: an answer is the proof.
    const fn answered(self) -> Self {
        Self {
            proof: Proof::Answers,
            ..self
        }
    }

    const fn by(self, by: By) -> Self {
        Self { by, ..self }
    }

    /// It is no attack, and must get through.
    const fn passes(self) -> Self {
        Self {
            verdict: Verdict::Passes,
            ..self.answered()
        }
    }
}

/// They are numbered from 1, in this order.
pub(crate) const CASES: &[Case] = &[
    attack("sockets::tcp", "sockets.tcp"),
    attack("sockets::multipath_tcp", "sockets.multipath"),
    attack("sockets::tcp_fast_open", "sockets.fast_open"),
    attack("sockets::udp", "sockets.udp"),
    attack("sockets::that_were_allowed_elsewhere", "sockets.second"),
    attack("sockets::other_calls", "sockets.calls"),
    attack("sockets::io_uring", "uring.io_uring"),
    attack("sockets::marks_and_other_options", "sockets.options"),
    attack("sockets::opened_before_the_policy", "sockets.early"),
    attack("sockets::passed_to_another_pod", "nested.take").by(By::Heir),
    attack("detours::source_routes", "detours.source_routes"),
    attack(
        "detours::raw_socket_connected_elsewhere",
        "detours.raw_elsewhere",
    ),
    attack(
        "detours::announced_paths_of_multipath_tcp",
        "detours.follow",
    )
    .by(By::Announced),
    attack("packets::raw_udp", "raw.udp"),
    attack("packets::raw_tcp", "raw.tcp"),
    attack("packets::frames", "raw.frames"),
    attack("packets::frames_with_tags", "raw.tagged"),
    attack("packets::ip_options", "raw.options"),
    attack("packets::fragments", "raw.fragments"),
    attack("packets::fragments_ipv6", "raw.fragments6"),
    attack("packets::extension_headers", "raw.extensions"),
    attack("packets::icmp", "raw.icmp"),
    attack("packets::other_protocols", "raw.protocols"),
    attack("packets::source_of_another", "raw.source"),
    attack("namespaces::a_second_one", "nested.second"),
    attack("namespaces::tunnels", "nested.tunnels"),
    attack("flows::port_of_an_inbound_call", "flows.back").by(By::Called),
    attack("flows::inbound_forged_by_the_pod_itself", "flows.forged"),
    attack("flows::outbound_of_before_survive", "flows.opened").passes(),
    attack("flows::inbound_survive", "flows.inbound")
        .by(By::Caller)
        .passes(),
    attack("flows::allowed", "flows.allowed").passes(),
    attack("flows::to_the_pod_itself", "flows.to_itself").passes(),
    attack("names::honest_answers", "names.control").passes(),
    attack("names::owners_do_not_matter", "names.owners").passes(),
    attack("names::malformed_answers", "names.malformed"),
    attack("names::answers_that_do_not_answer", "names.beside"),
    attack("names::not_listed", "names.unlisted"),
    attack("names::rebinding", "names.rebinding").answered(),
    attack("names::other_port", "names.other_port"),
    attack("names::another_resolver", "names.other_resolver"),
    attack("names::tcp_in_pieces", "names.pieces"),
    attack("names::forged_by_the_pod_itself", "names.by_itself"),
    attack("names::forged_by_another_pod", "names.wait_for_forgery").by(By::Forger),
    attack("names::forged_outside", "names.wait_for_forgery").by(By::OutsideForger),
    attack("names::resolvers_outside", "names.outside"),
    attack("first_bytes::allowed_tls_name", "first.tls_good").passes(),
    attack("first_bytes::other_tls_name", "first.tls_other").answered(),
    attack("first_bytes::odd_tls", "first.tls_odd").answered(),
    attack("first_bytes::allowed_http_host", "first.http_good").passes(),
    attack("first_bytes::other_http_host", "first.http_other").answered(),
];
