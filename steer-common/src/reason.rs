//! Why a program did what it did: the verdict's reason is the counter's index, the metric's label
//! and the event's text. Every exit of every program has one. Numbers are never reused.

use crate::limits::REASON_COUNTERS;

/// What happened to the traffic.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Sent to an endpoint that steer chose.
    Steered,
    /// Left as the application asked.
    Untouched,
    /// Refused; the application sees an errno.
    Refused,
    /// The application was told what it dialled instead of what it was given.
    Restored,
    /// Let through by the egress guard.
    Allowed,
}

/// The reason of one exit of one program.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Reason {
    /// An endpoint was drawn.
    Drawn = 0,
    /// The client was given the endpoint it had before (`sessionAffinity: ClientIP`).
    Remembered = 1,
    /// What was dialled is no service address.
    NotAService = 2,
    /// The service is not exported to this client.
    NotVisible = 3,
    /// Neither TCP nor UDP.
    OtherProtocol = 4,
    /// The split has no ticket counter.
    TicketMissing = 5,
    /// The row of the endpoint does not exist.
    EndpointMissing = 6,
    /// The drawn destination has no ready endpoint.
    NoEndpoint = 7,
    /// The route has no destination that may be drawn: unknown host or subset, or no endpoints.
    NoDestination = 8,
    /// `getpeername` was answered with what was dialled.
    PeerRestored = 9,
    /// `getpeername` was left alone.
    PeerUntouched = 10,
    /// A datagram's source was replaced by what was dialled.
    ReplyRestored = 11,
    /// A datagram's source was left alone.
    ReplyUntouched = 12,
    /// What was dialled could not be stored beside the socket: steered, but `getpeername` shows
    /// the endpoint.
    OriginNotStored = 13,
    /// What was dialled could not be stored for a datagram: sent, but the reply shows the endpoint.
    ReplyNotStored = 14,
    /// The policy lets everything through.
    PolicyOpen = 15,
    /// The client's policy has no row.
    PolicyMissing = 16,
    /// The registry names the address or its network, with this port.
    InNetwork = 17,
    /// A DNS answer gave this address to a name that is allowed on this port.
    NameLearned = 18,
    /// The agent found this address for a name that is allowed on this port.
    NameResolved = 19,
    /// A question to a trusted resolver.
    ToResolver = 20,
    /// It does not leave the pod.
    Loopback = 21,
    /// The registry does not name it.
    NotInRegistry = 22,
    /// The registry names the address, but not with this port and protocol.
    PortNotNamed = 23,
    /// A name had this address, and its time is over.
    NameEnded = 24,
    /// It would have been refused, but for the policy's mode.
    Audited = 25,
    /// A UDP socket was pointed at what the registry does not name; nothing was sent.
    UdpConnect = 26,
    /// connect had let this socket reach this peer.
    SocketAllowed = 27,
    /// connect or an earlier packet was let through by a policy that has changed since, and it no longer is.
    Revoked = 28,
    /// A packet too short for its headers.
    PacketMalformed = 29,
    /// A fragment of a packet: it cannot be judged by itself.
    Fragment = 30,
    /// IP options.
    IpOptions = 31,
    /// An IPv6 extension header.
    ExtensionHeader = 32,
    /// Neither IPv4, IPv6 nor ARP.
    EtherType = 33,
    /// The pod sent from an address that is not its own.
    SourceForeign = 34,
    /// ARP and neighbour discovery.
    Neighbour = 35,
    /// The interface is no known pod's.
    PortUnknown = 36,
    /// A packet of a connection that was let through.
    FlowKnown = 37,
    /// A packet of a connection that the other side opened.
    FlowInbound = 38,
    /// A refused TCP packet was answered with a reset.
    ResetSent = 39,
    /// A question to a trusted resolver was noted.
    QueryNoted = 40,
    /// A question to a trusted resolver that could not be read: its answer teaches nothing.
    QueryUnread = 41,
    /// Addresses of an allowed name were learned from an answer.
    AnswerLearned = 42,
    /// An answer about a name that is not allowed.
    AnswerNotListed = 43,
    /// An answer that nobody asked for.
    AnswerUnasked = 44,
    /// An answer that could not be read to its end.
    AnswerMalformed = 45,
    /// An answer without an address.
    AnswerEmpty = 46,
    /// An answer gave an allowed name an address inside the cluster, or of loopback or link-local: not learned.
    AddressNeverLearned = 47,
    /// An address stands for more names than it has room for: the one that ends first was forgotten.
    GrantLost = 48,
    /// An address could not be stored.
    LearnFailed = 49,
    /// The first bytes carry an allowed name.
    HelloAllowed = 50,
    /// The first bytes are not all there yet.
    HelloPending = 51,
    /// The first bytes carry a name that is not allowed on this port.
    HelloNotListed = 52,
    /// The TLS hello or the request carries no name.
    HelloNoName = 53,
    /// The TLS hello hides its name (ECH).
    HelloEncrypted = 54,
    /// The first bytes are neither a TLS hello nor an HTTP/1 request, where one is expected.
    HelloOther = 55,
    /// HTTP/2 without TLS: its names cannot be read here.
    HelloHttp2 = 56,
    /// The first bytes go on longer than is looked at.
    HelloTooLong = 57,
    /// First bytes were sent again with another content, or out of order.
    HelloRewritten = 58,
    /// UDP on a port whose server name is checked.
    Quic = 59,
    /// An event was not reported: too many in this second, or the buffer was full.
    EventsLost = 60,
    /// A SYN with data on a port whose first bytes are checked.
    HelloInSyn = 61,
    /// The connection was handed to the agent, which looks at its requests.
    HandedOver = 62,
    /// Requests should be looked at, and the agent is not there to do it: drawn as if they need not.
    CatchAll = 63,
    /// Requests should be looked at, and the agent is not there to do it: the node is closed then.
    AgentAway = 64,
    /// A connection was not reported: the buffer was full, or there was no memory for a note of it.
    ConnectionsLost = 65,
    /// Bytes of a request were not handed to the agent that copies it.
    TapFull = 66,
    /// The endpoint has a connection with the client's address and port already, by another way: the
    /// agent's listener takes this one.
    EdgeTaken = 67,
    /// A connection from outside could not be remembered: the agent's listener takes it.
    EdgeNotStored = 68,
}

impl Reason {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 69] = [
        Self::Drawn,
        Self::Remembered,
        Self::NotAService,
        Self::NotVisible,
        Self::OtherProtocol,
        Self::TicketMissing,
        Self::EndpointMissing,
        Self::NoEndpoint,
        Self::NoDestination,
        Self::PeerRestored,
        Self::PeerUntouched,
        Self::ReplyRestored,
        Self::ReplyUntouched,
        Self::OriginNotStored,
        Self::ReplyNotStored,
        Self::PolicyOpen,
        Self::PolicyMissing,
        Self::InNetwork,
        Self::NameLearned,
        Self::NameResolved,
        Self::ToResolver,
        Self::Loopback,
        Self::NotInRegistry,
        Self::PortNotNamed,
        Self::NameEnded,
        Self::Audited,
        Self::UdpConnect,
        Self::SocketAllowed,
        Self::Revoked,
        Self::PacketMalformed,
        Self::Fragment,
        Self::IpOptions,
        Self::ExtensionHeader,
        Self::EtherType,
        Self::SourceForeign,
        Self::Neighbour,
        Self::PortUnknown,
        Self::FlowKnown,
        Self::FlowInbound,
        Self::ResetSent,
        Self::QueryNoted,
        Self::QueryUnread,
        Self::AnswerLearned,
        Self::AnswerNotListed,
        Self::AnswerUnasked,
        Self::AnswerMalformed,
        Self::AnswerEmpty,
        Self::AddressNeverLearned,
        Self::GrantLost,
        Self::LearnFailed,
        Self::HelloAllowed,
        Self::HelloPending,
        Self::HelloNotListed,
        Self::HelloNoName,
        Self::HelloEncrypted,
        Self::HelloOther,
        Self::HelloHttp2,
        Self::HelloTooLong,
        Self::HelloRewritten,
        Self::Quic,
        Self::EventsLost,
        Self::HelloInSyn,
        Self::HandedOver,
        Self::CatchAll,
        Self::AgentAway,
        Self::ConnectionsLost,
        Self::TapFull,
        Self::EdgeTaken,
        Self::EdgeNotStored,
    ];

    /// Its row of COUNTERS.
    #[inline(always)]
    pub const fn index(self) -> u32 {
        self as u32
    }

    /// The label in metrics, events and listings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Drawn => "drawn",
            Self::Remembered => "remembered",
            Self::NotAService => "not_a_service",
            Self::NotVisible => "not_visible",
            Self::OtherProtocol => "other_protocol",
            Self::TicketMissing => "ticket_missing",
            Self::EndpointMissing => "endpoint_missing",
            Self::NoEndpoint => "no_endpoint",
            Self::NoDestination => "no_destination",
            Self::PeerRestored => "peer_restored",
            Self::PeerUntouched => "peer_untouched",
            Self::ReplyRestored => "reply_restored",
            Self::ReplyUntouched => "reply_untouched",
            Self::OriginNotStored => "origin_not_stored",
            Self::ReplyNotStored => "reply_not_stored",
            Self::PolicyOpen => "policy_open",
            Self::PolicyMissing => "policy_missing",
            Self::InNetwork => "in_network",
            Self::NameLearned => "name_learned",
            Self::NameResolved => "name_resolved",
            Self::ToResolver => "to_resolver",
            Self::Loopback => "loopback",
            Self::NotInRegistry => "not_in_registry",
            Self::PortNotNamed => "port_not_named",
            Self::NameEnded => "name_ended",
            Self::Audited => "audited",
            Self::UdpConnect => "udp_connect",
            Self::SocketAllowed => "socket_allowed",
            Self::Revoked => "revoked",
            Self::PacketMalformed => "packet_malformed",
            Self::Fragment => "fragment",
            Self::IpOptions => "ip_options",
            Self::ExtensionHeader => "extension_header",
            Self::EtherType => "ether_type",
            Self::SourceForeign => "source_foreign",
            Self::Neighbour => "neighbour",
            Self::PortUnknown => "port_unknown",
            Self::FlowKnown => "flow_known",
            Self::FlowInbound => "flow_inbound",
            Self::ResetSent => "reset_sent",
            Self::QueryNoted => "query_noted",
            Self::QueryUnread => "query_unread",
            Self::AnswerLearned => "answer_learned",
            Self::AnswerNotListed => "answer_not_listed",
            Self::AnswerUnasked => "answer_unasked",
            Self::AnswerMalformed => "answer_malformed",
            Self::AnswerEmpty => "answer_empty",
            Self::AddressNeverLearned => "address_never_learned",
            Self::GrantLost => "grant_lost",
            Self::LearnFailed => "learn_failed",
            Self::HelloAllowed => "hello_allowed",
            Self::HelloPending => "hello_pending",
            Self::HelloNotListed => "hello_not_listed",
            Self::HelloNoName => "hello_no_name",
            Self::HelloEncrypted => "hello_encrypted",
            Self::HelloOther => "hello_other",
            Self::HelloHttp2 => "hello_http2",
            Self::HelloTooLong => "hello_too_long",
            Self::HelloRewritten => "hello_rewritten",
            Self::Quic => "quic",
            Self::EventsLost => "events_lost",
            Self::HelloInSyn => "hello_in_syn",
            Self::HandedOver => "handed_over",
            Self::CatchAll => "catch_all",
            Self::AgentAway => "agent_away",
            Self::ConnectionsLost => "connections_lost",
            Self::TapFull => "tap_full",
            Self::EdgeTaken => "edge_taken",
            Self::EdgeNotStored => "edge_not_stored",
        }
    }

    /// What happened.
    pub const fn outcome(self) -> Outcome {
        match self {
            Self::Drawn
            | Self::Remembered
            | Self::OriginNotStored
            | Self::ReplyNotStored
            | Self::HandedOver
            | Self::CatchAll => Outcome::Steered,
            Self::NotAService
            | Self::NotVisible
            | Self::OtherProtocol
            | Self::TicketMissing
            | Self::EndpointMissing
            | Self::PeerUntouched
            | Self::ReplyUntouched
            | Self::PolicyOpen
            | Self::Audited
            | Self::Neighbour
            | Self::AnswerNotListed
            | Self::AnswerMalformed
            | Self::AnswerEmpty
            | Self::AddressNeverLearned
            | Self::GrantLost
            | Self::LearnFailed
            | Self::EventsLost
            | Self::ConnectionsLost
            | Self::TapFull
            | Self::EdgeTaken
            | Self::EdgeNotStored => Outcome::Untouched,
            Self::NoEndpoint
            | Self::NoDestination
            | Self::PolicyMissing
            | Self::NotInRegistry
            | Self::PortNotNamed
            | Self::NameEnded
            | Self::UdpConnect
            | Self::Revoked
            | Self::PacketMalformed
            | Self::Fragment
            | Self::IpOptions
            | Self::ExtensionHeader
            | Self::EtherType
            | Self::SourceForeign
            | Self::PortUnknown
            | Self::ResetSent
            | Self::AnswerUnasked
            | Self::HelloNotListed
            | Self::HelloNoName
            | Self::HelloEncrypted
            | Self::HelloOther
            | Self::HelloHttp2
            | Self::HelloTooLong
            | Self::HelloRewritten
            | Self::HelloInSyn
            | Self::Quic
            | Self::AgentAway => Outcome::Refused,
            Self::PeerRestored | Self::ReplyRestored => Outcome::Restored,
            Self::InNetwork
            | Self::NameLearned
            | Self::NameResolved
            | Self::ToResolver
            | Self::Loopback
            | Self::SocketAllowed
            | Self::FlowKnown
            | Self::FlowInbound
            | Self::QueryNoted
            | Self::QueryUnread
            | Self::AnswerLearned
            | Self::HelloAllowed
            | Self::HelloPending => Outcome::Allowed,
        }
    }

    /// One sentence for people.
    #[expect(clippy::too_many_lines, reason = "a table")]
    pub const fn help(self) -> &'static str {
        match self {
            Self::Drawn => "an endpoint was drawn by ticket",
            Self::Remembered => "the endpoint the client had before (sessionAffinity: ClientIP)",
            Self::NotAService => "the address dialled belongs to no service: left as dialled",
            Self::NotVisible => "the service is not exported to this client: left as dialled",
            Self::OtherProtocol => "neither TCP nor UDP: left as dialled",
            Self::TicketMissing => "the route has no ticket counter: left as dialled",
            Self::EndpointMissing => "the route points to no endpoint: left as dialled",
            Self::NoEndpoint => "the drawn destination has no ready endpoint: refused",
            Self::NoDestination => "the route has no usable destination: refused",
            Self::PeerRestored => "getpeername told what was dialled",
            Self::PeerUntouched => "getpeername of a socket that was not steered",
            Self::ReplyRestored => "a datagram seems to come from what was dialled",
            Self::ReplyUntouched => "a datagram of a socket that was not steered",
            Self::OriginNotStored => "steered, but what was dialled could not be remembered",
            Self::ReplyNotStored => "sent, but what was dialled could not be remembered",
            Self::PolicyOpen => "the egress policy lets everything through (ALLOW_ANY)",
            Self::PolicyMissing => "the client's egress policy is not there: refused",
            Self::InNetwork => {
                "the registry names the address, or a network it is in, with this port"
            }
            Self::NameLearned => "a DNS answer gave the address to an allowed name",
            Self::NameResolved => "the agent found the address for an allowed name",
            Self::ToResolver => "to a trusted resolver, on port 53",
            Self::Loopback => "it does not leave the pod",
            Self::NotInRegistry => {
                "the registry does not name the address (REGISTRY_ONLY): refused"
            }
            Self::PortNotNamed => {
                "the registry names the address, but not with this port and protocol: refused"
            }
            Self::NameEnded => {
                "an allowed name had the address, and the answer's time is over: refused"
            }
            Self::Audited => "it would have been refused, but the policy only audits",
            Self::UdpConnect => {
                "a UDP connect to what the registry does not name; nothing was sent: refused"
            }
            Self::SocketAllowed => "connect had let this socket reach this peer",
            Self::Revoked => "what an earlier policy let through is no longer allowed: refused",
            Self::PacketMalformed => "a packet too short for its headers: refused",
            Self::Fragment => "a fragment of a packet: refused",
            Self::IpOptions => "a packet with IP options: refused",
            Self::ExtensionHeader => "a packet with an IPv6 extension header: refused",
            Self::EtherType => "a frame that is neither IPv4, IPv6 nor ARP: refused",
            Self::SourceForeign => "a packet from an address that is not the pod's own: refused",
            Self::Neighbour => "ARP, or neighbour discovery",
            Self::PortUnknown => {
                "the interface belongs to no known pod: judged by the default policy"
            }
            Self::FlowKnown => "a packet of a connection that was let through",
            Self::FlowInbound => "a packet of a connection that the other side opened",
            Self::ResetSent => "a refused TCP packet was answered with a reset",
            Self::QueryNoted => "a question to a trusted resolver was noted",
            Self::QueryUnread => "a question that could not be read: its answer teaches nothing",
            Self::AnswerLearned => "addresses of an allowed name were learned from a DNS answer",
            Self::AnswerNotListed => {
                "a DNS answer about a name that is not allowed: passed on, nothing learned"
            }
            Self::AnswerUnasked => "a DNS answer that nobody asked for: dropped",
            Self::AnswerMalformed => {
                "a DNS answer that could not be read to its end: passed on, nothing more learned"
            }
            Self::AnswerEmpty => "a DNS answer without an address",
            Self::AddressNeverLearned => {
                "an allowed name was given an address that is never learned (cluster, loopback, link-local)"
            }
            Self::GrantLost => {
                "an address stands for more names than there is room for: one was forgotten"
            }
            Self::LearnFailed => {
                "an address could not be stored: a connection to it will be refused"
            }
            Self::HelloAllowed => "the first bytes carry an allowed name",
            Self::HelloPending => "the first bytes are not all there yet",
            Self::HelloNotListed => {
                "the TLS hello or HTTP request names a host that is not allowed: refused"
            }
            Self::HelloNoName => {
                "the TLS hello has no server name, or the request no Host: refused"
            }
            Self::HelloEncrypted => {
                "the TLS hello hides its name (encrypted client hello): refused"
            }
            Self::HelloOther => {
                "the first bytes are not of the protocol that the port is declared for: refused"
            }
            Self::HelloHttp2 => "HTTP/2 without TLS on a port whose Host is checked: refused",
            Self::HelloTooLong => {
                "the TLS hello or request head is longer than is looked at: refused"
            }
            Self::HelloRewritten => {
                "first bytes sent again with another content, or out of order: dropped"
            }
            Self::Quic => "UDP (QUIC) where the server name must be checked: refused",
            Self::EventsLost => {
                "an event was not reported: too many in this second, or the buffer was full"
            }
            Self::HelloInSyn => {
                "a SYN with data (TCP fast open) where the first bytes are checked: refused"
            }
            Self::ConnectionsLost => {
                "a connection has no line in the access log, or is not counted: the buffer was full, or there was no memory"
            }
            Self::HandedOver => "handed to the agent, which looks at each request",
            Self::CatchAll => {
                "requests cannot be looked at here: drawn by the rule that needs none of them"
            }
            Self::AgentAway => {
                "requests must be looked at and the agent is away (--when-away closed): refused"
            }
            Self::TapFull => {
                "the buffer of what is copied was full: a request goes on, its copy does not"
            }
            Self::EdgeTaken => {
                "from outside, with an address and port that the endpoint has a connection with: to the agent's listener"
            }
            Self::EdgeNotStored => {
                "from outside, and it could not be remembered: to the agent's listener"
            }
        }
    }
}

const _: () = assert!(Reason::ALL.len() <= REASON_COUNTERS as usize);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_in_order_and_names_are_unique() {
        for (index, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(reason.index() as usize, index);
            let same = Reason::ALL
                .iter()
                .filter(|other| other.name() == reason.name())
                .count();
            assert_eq!(same, 1, "{}", reason.name());
        }
    }
}
