//! Packets from the network header on: no input may panic, and what is carried lies in the packet.

use steer_common::parse::packet::{Bytes, Packet, read};

struct Memory<'a>(&'a [u8]);

impl Bytes for Memory<'_> {
    fn words<const N: usize>(&self, at: u32, to: &mut [u32; N]) -> bool {
        let at = at as usize;
        let Some(bytes) = self.0.get(at..at.saturating_add(4 * N)) else {
            return false;
        };
        for (word, four) in to.iter_mut().zip(bytes.as_chunks().0) {
            *word = u32::from_ne_bytes(*four);
        }
        true
    }

    fn len(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }
}

pub(crate) fn check(data: &[u8]) {
    let mut packet = Packet::default();
    if read(&Memory(data), 0, &mut packet).is_ok() {
        assert!(packet.payload <= packet.end && packet.end as usize <= data.len());
    }
}
