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
}

impl Reason {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 15] = [
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
        }
    }

    /// What happened.
    pub const fn outcome(self) -> Outcome {
        match self {
            Self::Drawn | Self::Remembered | Self::OriginNotStored | Self::ReplyNotStored => {
                Outcome::Steered
            }
            Self::NotAService
            | Self::NotVisible
            | Self::OtherProtocol
            | Self::TicketMissing
            | Self::EndpointMissing
            | Self::PeerUntouched
            | Self::ReplyUntouched => Outcome::Untouched,
            Self::NoEndpoint | Self::NoDestination => Outcome::Refused,
            Self::PeerRestored | Self::ReplyRestored => Outcome::Restored,
        }
    }

    /// One sentence for people.
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
