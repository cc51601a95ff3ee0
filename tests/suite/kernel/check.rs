//! What the clients saw, counted.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use anyhow::{Context as _, Result, ensure};
use steer_common::addr::Proto;
use steer_tests::client::{Attempt, Manner, Storm};

use crate::common::stage::{v4, v6};

/// A way to reach a service.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    pub(crate) manner: Manner,
    pub(crate) family: Family,
}

/// The family of the socket and of what it dials.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Family {
    V4,
    V6,
    /// IPv4 from an IPv6 socket, as Java dials.
    Mapped,
}

/// Every way there is.
pub(crate) fn ways() -> impl Iterator<Item = Way> {
    let manners = [Manner::Tcp, Manner::Udp, Manner::UdpConnected];
    let families = [Family::V4, Family::V6, Family::Mapped];
    manners
        .into_iter()
        .flat_map(move |manner| families.map(|family| Way { manner, family }))
}

impl Way {
    pub(crate) fn proto(self) -> Proto {
        match self.manner {
            Manner::Tcp => Proto::Tcp,
            Manner::Udp | Manner::UdpConnected => Proto::Udp,
        }
    }

    /// An address of a service in this family.
    pub(crate) fn service(self, number: u8) -> SocketAddr {
        service(self.family != Family::V6, number)
    }

    /// An endpoint in this family.
    pub(crate) fn endpoint(self, number: u8) -> SocketAddr {
        match self.family {
            Family::V4 | Family::Mapped => v4(number),
            Family::V6 => v6(number),
        }
    }

    /// Attempts, one after another.
    pub(crate) fn storm(self, target: SocketAddr, count: u64) -> Storm {
        Storm {
            manner: self.manner,
            mapped: self.family == Family::Mapped,
            ..Storm::new(target, count)
        }
    }

    /// As a socket of this family shows an address.
    pub(crate) fn shown(self, address: SocketAddr) -> SocketAddr {
        match address.ip() {
            IpAddr::V4(v4) if self.family == Family::Mapped => {
                SocketAddr::new(v4.to_ipv6_mapped().into(), address.port())
            }
            _ => address,
        }
    }
}

/// The address of a service, port 80.
pub(crate) fn service(v4: bool, number: u8) -> SocketAddr {
    let ip: IpAddr = if v4 {
        Ipv4Addr::new(10, 200, 1, number).into()
    } else {
        Ipv6Addr::new(0xfd00, 0x200, 1, 0, 0, 0, 0, number.into()).into()
    };
    SocketAddr::new(ip, 80)
}

/// The address of a service in IPv4.
pub(crate) fn service_v4(number: u8) -> SocketAddr {
    service(true, number)
}

/// Where an attempt landed; one that failed is an error.
pub(crate) fn landed(attempt: &Attempt) -> Result<SocketAddr> {
    ensure!(attempt.error.is_none(), "{attempt:?}");
    attempt
        .endpoint()
        .with_context(|| format!("no server answered: {attempt:?}"))
}

/// How often each endpoint was reached.
pub(crate) fn counts(attempts: &[Attempt]) -> Result<BTreeMap<SocketAddr, usize>> {
    let mut counts = BTreeMap::new();
    for attempt in attempts {
        *counts.entry(landed(attempt)?).or_default() += 1;
    }
    Ok(counts)
}

/// How often each outcome came in all: endpoints, and errors by name.
pub(crate) fn outcome(attempt: &Attempt) -> String {
    let endpoint = attempt.endpoint().map(|endpoint| endpoint.to_string());
    let error = attempt.error.clone();
    error.or(endpoint).unwrap_or_else(|| "silence".to_owned())
}

/// In any `period` consecutive attempts each outcome comes exactly as often as is said.
pub(crate) fn ensure_exact(attempts: &[Attempt], shares: &[(String, usize)]) -> Result<()> {
    let period = shares.iter().map(|(_, share)| share).sum();
    ensure!(attempts.len() >= period, "{} attempts", attempts.len());
    let wanted: BTreeMap<&str, usize> = shares
        .iter()
        .filter(|(_, share)| *share > 0)
        .map(|(name, share)| (name.as_str(), *share))
        .collect();
    let outcomes: Vec<String> = attempts.iter().map(outcome).collect();
    for (at, window) in outcomes.windows(period).enumerate() {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for outcome in window {
            *counts.entry(outcome).or_default() += 1;
        }
        ensure!(counts == wanted, "from {at}: {counts:?}, not {wanted:?}");
    }
    Ok(())
}
