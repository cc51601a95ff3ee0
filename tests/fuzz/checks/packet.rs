//! Packets from the network header on: no input may panic, and what is carried lies in the packet.

use steer_common::parse::packet::{Packet, read};

pub(crate) fn check(data: &[u8]) {
    let mut packet = Packet::default();
    if read(&data, 0, &mut packet).is_ok() {
        assert!(packet.payload <= packet.end && packet.end as usize <= data.len());
    }
}
