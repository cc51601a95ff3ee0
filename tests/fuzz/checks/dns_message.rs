//! DNS messages: no input may panic, leave its room, or teach an address that is not in it.

use steer_common::parse::dns::{Dns, MESSAGE_MAX, read};

pub(crate) fn check(data: &[u8]) {
    let mut dns = Dns::new();
    let len = data.len().min(MESSAGE_MAX);
    dns.bytes[..len].copy_from_slice(&data[..len]);
    let mut found = 0;
    let _read = read(&mut dns, len, |_, _| found += 1);
    assert!(found * 12 <= len);
    let at = dns.name_key(1);
    assert!(at + 260 <= dns.name_room().len());
}
