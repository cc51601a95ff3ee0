//! `EGRESS_NAMES` and `NAMES_SEEN`: names, reversed and in lower case.

use super::{host::HostId, policy::PolicyId};

/// Bytes of a name in a key: the longest legal name, 253, and the zero that ends it.
pub const NAME_MAX: usize = 254;

/// Data of a key of `EGRESS_NAMES`, a trie of longest prefixes; 256 bytes are the kernel's limit.
///
/// `api.example.com` is stored as `moc.elpmaxe.ipa` and a zero byte, `*.example.com` as
/// `moc.elpmaxe.` without one, `*` as nothing.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NameKey {
    /// Whose; always matched in full. A policy's number fits 16 bits (`limits::POLICIES_MAX`).
    pub policy: [u8; 2],
    /// The name, reversed.
    pub name: [u8; NAME_MAX],
}

impl NameKey {
    /// The key and its prefix length for a host as configuration writes it: a name, `*.suffix` or
    /// `*`. None if that is no name, or one that is too long.
    pub fn new(policy: PolicyId, host: &str) -> Option<(u32, Self)> {
        let (suffix, wildcard) = match host.strip_prefix('*') {
            Some("") => ("", true),
            Some(rest) => (rest.strip_prefix('.')?, true),
            None => (host, false),
        };
        let policy = u16::try_from(policy).ok()?.to_le_bytes();
        let mut name = [0_u8; NAME_MAX];
        let mut length = 0;
        for byte in suffix.bytes().rev() {
            *name.get_mut(length)? = fold(byte)?;
            length += 1;
        }
        // Behind a name a zero, before a wildcard's suffix the dot.
        if !(wildcard && suffix.is_empty()) {
            *name.get_mut(length)? = if wildcard { b'.' } else { 0 };
            length += 1;
        }
        if !wildcard && suffix.is_empty() {
            return None;
        }
        let bits = u32::try_from(2 + length).ok()? * 8;
        Some((bits, Self { policy, name }))
    }
}

impl core::fmt::Debug for NameKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}:", u16::from_le_bytes(self.policy))?;
        for &byte in self.name.iter().take_while(|&&byte| byte != 0) {
            write!(f, "{}", char::from(byte))?;
        }
        Ok(())
    }
}

/// A byte of a name as it is stored and compared; None for what no host name holds.
#[inline(always)]
pub const fn fold(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte | 0x20),
        b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => Some(byte),
        _ => None,
    }
}

/// A row of `EGRESS_NAMES`.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NameRule {
    /// The host whose ports apply; 0: the name may not be learned.
    pub host: HostId,
    /// Always zero.
    pub flags: u32,
}

/// Bytes of a name in `NAMES_SEEN`.
pub const SEEN_MAX: usize = 252;

/// A row of `NAMES_SEEN`: the last name that was answered with an address, allowed or not. What
/// is longer is cut at its beginning, for the end of a name says whose it is.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SeenName {
    /// Hash of the question: the same name need not be stored again.
    pub question: u64,
    /// How many bytes.
    pub len: u32,
    /// The name, reversed.
    pub name: [u8; SEEN_MAX],
}

const _: () = assert!(size_of::<NameKey>() == 256 && size_of::<SeenName>() == 264);

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(host: &str) -> Option<(u32, String)> {
        let (bits, key) = NameKey::new(3, host)?;
        let length = bits as usize / 8 - 2;
        Some((
            bits,
            String::from_utf8(key.name[..length].to_vec()).unwrap(),
        ))
    }

    #[test]
    fn names_and_wildcards() {
        assert_eq!(
            stored("a.Example.com"),
            Some((16 + 112, "moc.elpmaxe.a\0".to_owned()))
        );
        assert_eq!(
            stored("*.example.com"),
            Some((16 + 96, "moc.elpmaxe.".to_owned()))
        );
        assert_eq!(stored("*"), Some((16, String::new())));
        for wrong in ["", "*a.example.com", "a b", "caf\u{e9}.example", "*."] {
            assert!(NameKey::new(0, wrong).is_none() || wrong == "*.", "{wrong}");
        }
    }

    #[test]
    fn the_longest_name_fits_and_no_longer_one() {
        let labels = |count: usize| vec!["a"; count].join(".");
        assert!(NameKey::new(0, &labels(127)).is_some());
        assert!(NameKey::new(0, &labels(128)).is_none());
        assert!(NameKey::new(65_536, "a").is_none());
    }
}
