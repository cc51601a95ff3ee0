//! CONNECTIONS: what became of TCP connections of pods that somebody observes, one record each.

use crate::{
    addr::Peer,
    flow::{DESTINATION_BY_REQUEST, Origin, SPLIT_OF_AGENT},
    service::{ServiceId, SplitId},
};

/// A bit of a row of OBSERVED: connections that the namespace opens.
pub const OBSERVE_OPENED: u32 = 1;
/// A bit of a row of OBSERVED: connections that it accepts.
pub const OBSERVE_ACCEPTED: u32 = 2;

/// A record of CONNECTIONS. Bytes are those of the stream, without SYN and FIN.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Connection {
    /// When it was established, in nanoseconds of the monotonic clock.
    pub opened_ns: u64,
    /// When it was closed; 0 if it is open.
    pub closed_ns: u64,
    /// The cookie of the pod's network namespace.
    pub namespace: u64,
    /// Bytes that came to this end.
    pub received: u64,
    /// Bytes that this end sent, and the other acknowledged.
    pub sent: u64,
    /// What was dialled; the other end, if it was not steered.
    pub dialled: Peer,
    /// This end.
    pub local: Peer,
    /// The other end.
    pub remote: Peer,
    /// The service; 0 if it was not steered.
    pub service: ServiceId,
    /// The split that was drawn from.
    pub split: SplitId,
    /// Which destination of the route.
    pub destination: u32,
    /// `OBSERVE_OPENED` or `OBSERVE_ACCEPTED`.
    pub side: u32,
    /// The smoothed round-trip time when it was closed.
    pub rtt_us: u32,
}

impl Connection {
    /// A record as the ring holds it; None if it has another size.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != size_of::<Self>() {
            return None;
        }
        // SAFETY: as long as the record, which is made of integers: every content is valid.
        Some(unsafe { bytes.as_ptr().cast::<Self>().read_unaligned() })
    }

    /// One that is open, as a row of `TCP_OPENED` has it; its bytes are not known from there.
    pub const fn open(row: &TcpOpened) -> Self {
        let opened = &row.opened;
        Self {
            opened_ns: opened.opened_ns,
            closed_ns: 0,
            namespace: opened.namespace,
            received: 0,
            sent: 0,
            dialled: opened.dialled,
            local: row.local,
            remote: row.remote,
            service: opened.service,
            split: opened.split,
            destination: opened.destination,
            side: opened.side,
            rtt_us: 0,
        }
    }

    /// Whether a route led it to its other end.
    pub const fn is_steered(&self) -> bool {
        self.service != 0
    }
}

/// A row of `TCP_OPENED`: a connection that is open.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TcpOpened {
    /// The kernel's cookie of the socket; 0 if the row is free.
    pub socket: u64,
    /// This end.
    pub local: Peer,
    /// The other end.
    pub remote: Peer,
    /// What was noted when it was established.
    pub opened: Opened,
}

/// What was noted when a connection was established. Socket storage OPENED has it if another socket has
/// the row.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Opened {
    /// When that was, in nanoseconds of the monotonic clock.
    pub opened_ns: u64,
    /// The cookie of the namespace.
    pub namespace: u64,
    /// What counted as acknowledged by then: the SYN.
    pub acked: u64,
    /// What had been received when the other side acknowledged the FIN.
    pub received: u64,
    /// What was dialled.
    pub dialled: Peer,
    /// As in a record.
    pub service: ServiceId,
    /// As in a record.
    pub split: SplitId,
    /// As in a record.
    pub destination: u32,
    /// As in a record.
    pub side: u32,
    /// Always zero.
    pub pad: u32,
}

/// States of TCP, as the kernel numbers them.
pub mod state {
    /// Established.
    pub const ESTABLISHED: u32 = 1;
    /// Our FIN is on its way.
    pub const FIN_WAIT1: u32 = 4;
    /// It was acknowledged.
    pub const FIN_WAIT2: u32 = 5;
    /// Nothing more.
    pub const CLOSE: u32 = 7;
    /// The other side's FIN came.
    pub const CLOSE_WAIT: u32 = 8;
    /// And ours is on its way.
    pub const LAST_ACK: u32 = 9;
    /// Both are on their way.
    pub const CLOSING: u32 = 11;
}

impl Opened {
    /// Bytes received of a connection that goes from `from` to CLOSE: its FIN was counted as one.
    #[inline(always)]
    pub const fn received(&self, from: u32, counted: u64) -> u64 {
        let fin = match from {
            state::CLOSE_WAIT | state::LAST_ACK | state::CLOSING => true,
            state::FIN_WAIT2 => counted > self.received,
            _ => false,
        };
        counted.saturating_sub(fin as u64)
    }

    /// Bytes sent of it: SYN and FIN were counted as one each.
    #[inline(always)]
    pub const fn sent(&self, from: u32, acked: u64) -> u64 {
        let fin = matches!(from, state::FIN_WAIT2 | state::LAST_ACK | state::CLOSING);
        acked.saturating_sub(self.acked).saturating_sub(fin as u64)
    }
}

impl Origin {
    /// Whether the agent has to do with the socket: it looks at requests, and knows more of them.
    #[inline(always)]
    pub const fn is_of_requests(&self) -> bool {
        self.split == SPLIT_OF_AGENT || self.destination == DESTINATION_BY_REQUEST
    }
}

const _: () = assert!(
    size_of::<Connection>() == 120 && size_of::<Opened>() == 72 && size_of::<TcpOpened>() == 120
);

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(received: u64) -> Opened {
        Opened {
            opened_ns: 0,
            namespace: 1,
            acked: 1,
            received,
            dialled: Peer::default(),
            service: 0,
            split: 0,
            destination: 0,
            side: OBSERVE_OPENED,
            pad: 0,
        }
    }

    /// 79 bytes one way, 500 the other, whoever closes first.
    #[test]
    fn syn_and_fin_are_no_bytes() {
        use state::{CLOSE_WAIT, CLOSING, ESTABLISHED, FIN_WAIT1, FIN_WAIT2, LAST_ACK};
        // From which state, what the kernel counts, and what had come when our FIN was acknowledged.
        let all = [
            (FIN_WAIT2, 81, 501, 500),
            (FIN_WAIT2, 81, 500, 500),
            (LAST_ACK, 81, 501, 0),
            (CLOSING, 81, 501, 0),
            (CLOSE_WAIT, 80, 501, 0),
            (FIN_WAIT1, 80, 500, 0),
            (ESTABLISHED, 80, 500, 0),
        ];
        for (from, acked, counted, at_fin) in all {
            let opened = opened(at_fin);
            assert_eq!(opened.sent(from, acked), 79, "{from}");
            assert_eq!(opened.received(from, counted), 500, "{from}");
        }
    }

    #[test]
    fn a_record_is_as_long_as_it_is() {
        assert_eq!(Connection::from_bytes(&[0; 119]), None);
        let found = Connection::from_bytes(&[0; 120]).unwrap();
        assert!(!found.is_steered());
    }
}
