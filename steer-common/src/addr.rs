//! One address type for everything: 16 bytes, IPv4 as IPv4-mapped IPv6 (RFC 4291, section 2.5.5.2).
//!
//! IPv4, IPv6, and IPv4 dialled from an IPv6 socket so share one code path.

use core::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// An IPv6 or IPv4-mapped address: four words in memory (network) order.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Addr {
    words: [u32; 4],
}

/// The third word of an IPv4-mapped address: `0000:ffff` in network order.
const MAPPED: u32 = 0x0000_ffff_u32.to_be();

impl Addr {
    /// From four words in network order, as `bpf_sock_addr.user_ip6` holds them.
    #[inline(always)]
    pub const fn from_words(words: [u32; 4]) -> Self {
        Self { words }
    }

    /// From one word in network order, as `bpf_sock_addr.user_ip4` holds it.
    #[inline(always)]
    pub const fn from_v4_word(word: u32) -> Self {
        Self {
            words: [0, 0, MAPPED, word],
        }
    }

    /// The four words, in network order.
    #[inline(always)]
    pub const fn words(&self) -> [u32; 4] {
        self.words
    }

    /// The last word: the whole address if it is IPv4.
    #[inline(always)]
    pub const fn v4_word(&self) -> u32 {
        self.words[3]
    }

    /// Whether this is an IPv4 address.
    #[inline(always)]
    pub const fn is_v4(&self) -> bool {
        self.words[0] == 0 && self.words[1] == 0 && self.words[2] == MAPPED
    }

    /// Whether it never leaves its network namespace: 127.0.0.0/8 or `::1`.
    #[inline(always)]
    pub const fn is_loopback(&self) -> bool {
        let [a, b, c, d] = self.words;
        if self.is_v4() {
            return u32::from_be(d) >> 24 == 127;
        }
        a == 0 && b == 0 && c == 0 && u32::from_be(d) == 1
    }

    /// As the standard library knows it, IPv4-mapped addresses as IPv4.
    pub fn to_ip(self) -> IpAddr {
        let mut bytes = [0_u8; 16];
        for (chunk, word) in bytes.chunks_exact_mut(4).zip(self.words) {
            chunk.copy_from_slice(&word.to_ne_bytes());
        }
        Ipv6Addr::from(bytes).to_canonical()
    }

    /// The network of its first bits, as IPv6 counts them: zero behind.
    #[must_use]
    pub fn masked(self, bits: u32) -> Self {
        let all = match self.to_ip() {
            IpAddr::V4(v4) => u128::from(v4.to_ipv6_mapped()),
            IpAddr::V6(v6) => u128::from(v6),
        };
        let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
        Ipv6Addr::from(all & mask).into()
    }
}

impl From<IpAddr> for Addr {
    fn from(ip: IpAddr) -> Self {
        let bytes = match ip {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
            IpAddr::V6(v6) => v6.octets(),
        };
        let mut words = [0_u32; 4];
        for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(4)) {
            *word = u32::from_ne_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]);
        }
        Self { words }
    }
}

impl From<Ipv4Addr> for Addr {
    fn from(ip: Ipv4Addr) -> Self {
        IpAddr::V4(ip).into()
    }
}

impl From<Ipv6Addr> for Addr {
    fn from(ip: Ipv6Addr) -> Self {
        IpAddr::V6(ip).into()
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_ip().fmt(f)
    }
}

impl fmt::Debug for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Addresses of one pod: one of each family, and room for as many more. Unused ones are all zero.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PodAddrs([Addr; POD_ADDRS]);

/// How many addresses of a pod are kept.
pub const POD_ADDRS: usize = 4;

impl PodAddrs {
    /// The first of these; what is one too many is left out.
    pub fn new(addrs: impl IntoIterator<Item = Addr>) -> Self {
        let mut kept = Self::default();
        for (place, addr) in kept.0.iter_mut().zip(addrs) {
            *place = addr;
        }
        kept
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = Addr> + '_ {
        self.0
            .iter()
            .copied()
            .filter(|addr| *addr != Addr::default())
    }

    /// Whether it is one of them. The unspecified address is nobody's.
    #[inline(always)]
    pub fn contain(&self, addr: &Addr) -> bool {
        let mut index = 0;
        while index < POD_ADDRS {
            if self.0[index] == *addr {
                return *addr != Addr::default();
            }
            index += 1;
        }
        false
    }
}

/// A port in network order.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Port(u16);

impl Port {
    /// From a number as people write it.
    #[inline(always)]
    pub const fn new(number: u16) -> Self {
        Self(number.to_be())
    }

    /// From network order, as `bpf_sock_addr.user_port` holds it in its low 16 bits.
    #[inline(always)]
    pub const fn from_be(be: u16) -> Self {
        Self(be)
    }

    /// In network order.
    #[inline(always)]
    pub const fn be(self) -> u16 {
        self.0
    }

    /// As people write it.
    #[inline(always)]
    pub const fn number(self) -> u16 {
        u16::from_be(self.0)
    }
}

impl PartialOrd for Port {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Port {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.number().cmp(&other.number())
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number().fmt(f)
    }
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A transport that is steered. The numbers are IANA's protocol numbers.
#[repr(u8)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Proto {
    /// Transmission Control Protocol.
    Tcp = 6,
    /// User Datagram Protocol.
    Udp = 17,
}

impl Proto {
    /// From the protocol number of a socket; anything else is not steered.
    #[inline(always)]
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            6 => Some(Self::Tcp),
            17 => Some(Self::Udp),
            _ => None,
        }
    }

    /// The name as Kubernetes writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        }
    }
}

impl fmt::Display for Proto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An address and a port: an endpoint, or what a client dialled.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Peer {
    /// The address.
    pub addr: Addr,
    /// The port.
    pub port: Port,
    /// Always zero: without it, equal peers could differ in padding.
    pub pad: u16,
}

impl Peer {
    /// A peer from its parts.
    #[inline(always)]
    pub const fn new(addr: Addr, port: Port) -> Self {
        Self { addr, port, pad: 0 }
    }

    /// As the standard library knows it.
    pub fn to_socket_addr(self) -> SocketAddr {
        SocketAddr::new(self.addr.to_ip(), self.port.number())
    }
}

impl From<SocketAddr> for Peer {
    fn from(addr: SocketAddr) -> Self {
        Self::new(addr.ip().into(), Port::new(addr.port()))
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_socket_addr().fmt(f)
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

const _: () = assert!(size_of::<Addr>() == 16 && size_of::<Peer>() == 20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v4_is_mapped_and_comes_back() {
        let ip: IpAddr = "10.200.1.92".parse().unwrap();
        let addr = Addr::from(ip);
        assert!(addr.is_v4());
        assert_eq!(addr.to_ip(), ip);
        assert_eq!(
            addr,
            Addr::from_v4_word(u32::from_ne_bytes([10, 200, 1, 92]))
        );
        assert_eq!(
            addr,
            Addr::from("::ffff:10.200.1.92".parse::<Ipv6Addr>().unwrap())
        );
    }

    #[test]
    fn v6_is_not_v4() {
        let ip: IpAddr = "fd00:10:200::5c".parse().unwrap();
        assert!(!Addr::from(ip).is_v4());
        assert_eq!(Addr::from(ip).to_ip(), ip);
    }

    #[test]
    fn ports_order_as_numbers() {
        assert!(Port::new(80) < Port::new(256));
        assert_eq!(Port::new(443).number(), 443);
    }
}
