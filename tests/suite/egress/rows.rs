//! The policy under which the attacker stands, as rows.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context as _, Result};
use steer::plan::EgressRows;
use steer_common::{
    Addr, Port,
    egress::{
        Check, HostKey, HostRule, Mode, NameKey, NameRule, NetKey, NetRule, Policy, PolicyId,
    },
};

use crate::ground::{DNS, GOOD, GOOD_V4, GOOD_V6, ROGUE, SCRIPTED, address_of};

/// The attacker's policy: it enforces.
pub(crate) const HELD: PolicyId = 1;
/// That of every other pod.
pub(crate) const FREE: PolicyId = 2;
/// The host `good.example` and those below it.
pub(crate) const GOOD_HOST: u32 = 1;
/// A resolver that may be reached, and is not trusted.
const ROGUE_HOST: u32 = 2;

const TCP: u8 = 6;
const UDP: u8 = 17;
/// What is never learned: loopback, link-local and the cluster's networks.
const NEVER: [(&str, u32); 8] = [
    ("127.0.0.0", 8),
    ("169.254.0.0", 16),
    ("10.10.0.0", 16),
    ("10.200.0.0", 16),
    ("::1", 128),
    ("fe80::", 10),
    ("fd00:10::", 32),
    ("fd00:200::", 32),
];

/// Everything but the interfaces.
pub(crate) fn rows() -> Result<EgressRows> {
    let mut rows = EgressRows::default();
    rows.settings.on = true;
    rows.settings.ttl_min_secs = 2;
    for (policy, mode) in [
        (0, Mode::Enforce),
        (HELD, Mode::Enforce),
        (FREE, Mode::Open),
    ] {
        rows.policies.insert(policy, Policy::new(mode, 0));
    }
    for (network, bits) in NEVER {
        net(&mut rows, network.parse()?, bits, 0, true);
    }
    good(&mut rows)?;
    for proto in [TCP, UDP] {
        host(&mut rows, ROGUE_HOST, 53, proto, Check::Address);
    }
    let rogue = address_of(ROGUE)?;
    net(&mut rows, rogue, 32, ROGUE_HOST, true);
    for resolver in [DNS, SCRIPTED] {
        rows.resolvers.insert(Addr::from(address_of(resolver)?));
    }
    Ok(rows)
}

/// `good.example` and what is below it: some ports by the first bytes, one by the address alone.
fn good(rows: &mut EgressRows) -> Result<()> {
    host(rows, GOOD_HOST, 80, TCP, Check::Host);
    host(rows, GOOD_HOST, 443, TCP, Check::Sni);
    host(rows, GOOD_HOST, 7000, TCP, Check::Address);
    host(rows, GOOD_HOST, 7000, UDP, Check::Address);
    for pattern in [GOOD.to_owned(), format!("*.{GOOD}")] {
        let (bits, key) = NameKey::new(HELD, &pattern).context("a name")?;
        let rule = NameRule {
            host: GOOD_HOST,
            flags: 0,
        };
        rows.names.insert((key, bits), rule);
    }
    net(rows, Ipv4Addr::into(GOOD_V4), 32, GOOD_HOST, false);
    net(rows, Ipv6Addr::into(GOOD_V6), 128, GOOD_HOST, false);
    Ok(())
}

fn host(rows: &mut EgressRows, host: u32, port: u16, proto: u8, check: Check) {
    let key = HostKey::new(HELD, host, Port::new(port), proto);
    rows.hosts.insert(key, HostRule::new(key, check, 0));
}

fn net(rows: &mut EgressRows, network: IpAddr, bits: u32, host: u32, never: bool) {
    let addr = Addr::from(network);
    let key = NetKey { policy: HELD, addr };
    let rule = NetRule {
        host,
        flags: u32::from(never),
    };
    rows.nets.insert((key, NetKey::prefix(addr, bits)), rule);
}
