//! Packets from the network header on: no input may panic, and what is carried lies in the packet.
#![no_main]

use libfuzzer_sys::fuzz_target;
use steer_common::parse::packet::{Bytes, Packet, read};

struct Memory<'a>(&'a [u8]);

impl Bytes for Memory<'_> {
    fn load<const N: usize>(&self, at: u32, to: &mut [u8; N]) -> bool {
        let at = at as usize;
        let Some(bytes) = self.0.get(at..at.saturating_add(N)) else {
            return false;
        };
        to.copy_from_slice(bytes);
        true
    }

    fn len(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }
}

fuzz_target!(|data: &[u8]| {
    let mut packet = Packet::default();
    if read(&Memory(data), 0, &mut packet).is_ok() {
        assert!(packet.payload <= packet.end && packet.end as usize <= data.len());
    }
});
