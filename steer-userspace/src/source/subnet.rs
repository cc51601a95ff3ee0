//! Subnets, as `destinationSubnets` writes them.

use std::{fmt, net::IpAddr};

/// An address and how many of its leading bits count.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Subnet {
    address: IpAddr,
    bits: u32,
}

impl Subnet {
    /// From `10.0.0.0/8`, or from a single address.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text
            .split_once('/')
            .map_or((text, None), |(a, b)| (a, Some(b)));
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Some(most), |bits| bits.parse().ok())?;
        (bits <= most).then_some(Self { address, bits })
    }

    /// A network that begins with these bits of an address.
    pub fn new(address: IpAddr, bits: u32) -> Self {
        let address = match address {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(32_u32.saturating_sub(bits));
                IpAddr::V4((u32::from(v4) & mask.unwrap_or(0)).into())
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(128_u32.saturating_sub(bits));
                IpAddr::V6((u128::from(v6) & mask.unwrap_or(0)).into())
            }
        };
        Self { address, bits }
    }

    /// One address.
    pub fn of(address: IpAddr) -> Self {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        Self { address, bits }
    }

    /// The same with nothing behind its leading bits.
    #[must_use]
    pub fn network(self) -> Self {
        Self::new(self.address, self.bits)
    }

    /// Its address as written.
    pub fn address(self) -> IpAddr {
        self.address
    }

    /// How many leading bits count.
    pub fn bits(self) -> u32 {
        self.bits
    }

    /// The address, if it is only one.
    pub fn single(self) -> Option<IpAddr> {
        (self == Self::of(self.address)).then_some(self.address)
    }

    /// Whether everything in `other` is in it.
    pub fn covers(self, other: Self) -> bool {
        self.bits <= other.bits && self.contains(other.address)
    }

    /// Whether `address` is in it.
    pub fn contains(self, address: IpAddr) -> bool {
        let leading = |value: u128, width: u32| match self.bits {
            0 => 0,
            bits => value >> (width - bits),
        };
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                leading(u32::from(own).into(), 32) == leading(u32::from(other).into(), 32)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                leading(u128::from(own), 128) == leading(u128::from(other), 128)
            }
            _ => false,
        }
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.address)?;
        match self.single() {
            Some(_) => Ok(()),
            None => write!(f, "/{}", self.bits),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subnets_contain_what_begins_alike() {
        let subnet = |text| Subnet::parse(text).unwrap();
        assert!(subnet("10.200.0.0/16").contains("10.200.1.92".parse().unwrap()));
        assert!(!subnet("10.200.0.0/16").contains("10.201.1.92".parse().unwrap()));
        assert!(subnet("0.0.0.0/0").contains("1.2.3.4".parse().unwrap()));
        assert!(!subnet("0.0.0.0/0").contains("::1".parse().unwrap()));
        assert!(subnet("fd00::/8").contains("fd00:1::2".parse().unwrap()));
        assert!(subnet("10.0.0.1").contains("10.0.0.1".parse().unwrap()));
        assert_eq!(subnet("10.1.2.3/8").network().to_string(), "10.0.0.0/8");
        assert_eq!(subnet("fd00:1::2/0").network().to_string(), "::/0");
        assert_eq!(subnet("10.1.2.3/32").to_string(), "10.1.2.3");
        assert!(subnet("10.0.0.0/8").covers(subnet("10.1.0.0/16")));
        assert!(!subnet("10.1.0.0/16").covers(subnet("10.0.0.0/8")));
        assert!(Subnet::parse("10.0.0.0/33").is_none() && Subnet::parse("x").is_none());
    }
}
