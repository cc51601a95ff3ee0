//! Subnets, as `destinationSubnets` writes them.

use std::net::IpAddr;

/// An address and how many of its leading bits count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
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
        assert!(Subnet::parse("10.0.0.0/33").is_none() && Subnet::parse("x").is_none());
    }
}
