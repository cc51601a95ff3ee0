use std::{collections::BTreeMap, net::IpAddr};

use super::*;
use crate::{
    addr::Port,
    egress::{Grant, host::PORT_ANY},
};

#[derive(Default)]
struct Rows {
    policies: Vec<Policy>,
    nets: BTreeMap<(NetKey, u32), NetRule>,
    hosts: BTreeMap<HostKey, HostRule>,
    resolved: BTreeMap<LearnedKey, Learned>,
    learned: BTreeMap<LearnedKey, Learned>,
    resolvers: Vec<Addr>,
    now_secs: u32,
}

/// The leading `bits` bits of a key, as a trie compares them.
fn leading(key: &NetKey, bits: u32) -> Vec<bool> {
    let words = key.addr.words().map(u32::from_be);
    let all = std::iter::once(key.policy).chain(words);
    all.flat_map(|word| (0..32).rev().map(move |bit| word >> bit & 1 == 1))
        .take(bits as usize)
        .collect()
}

impl EgressMaps for Rows {
    fn policy(&self, policy: PolicyId) -> Option<&Policy> {
        self.policies.get(policy as usize)
    }
    fn net(&self, key: &NetKey) -> Option<NetRule> {
        let matches = |net: &NetKey, bits: u32| leading(net, bits) == leading(key, bits);
        let found = self
            .nets
            .iter()
            .filter(|((net, bits), _)| matches(net, *bits));
        found
            .max_by_key(|((_, bits), _)| *bits)
            .map(|(_, rule)| *rule)
    }
    fn host(&self, key: &HostKey) -> Option<&HostRule> {
        self.hosts.get(key)
    }
    fn resolved(&self, key: &LearnedKey) -> Option<&Learned> {
        self.resolved.get(key)
    }
    fn learned(&self, key: &LearnedKey) -> Option<&Learned> {
        self.learned.get(key)
    }
    fn is_resolver(&self, addr: &Addr) -> bool {
        self.resolvers.contains(addr)
    }
    fn now_secs(&self) -> u32 {
        self.now_secs
    }
}

fn addr(text: &str) -> Addr {
    text.parse::<IpAddr>().unwrap().into()
}

fn wish(to: &str, port: u16) -> Wish {
    Wish {
        policy: 1,
        peer: Peer::new(addr(to), Port::new(port)),
        proto: 6,
    }
}

impl Rows {
    fn enforcing() -> Self {
        let policies = [Mode::Open, Mode::Enforce, Mode::Audit];
        let policies = policies.map(|mode| Policy::new(mode, 1)).to_vec();
        Self {
            policies,
            now_secs: 1_000,
            ..Self::default()
        }
    }

    fn net(mut self, to: &str, bits: u32, host: HostId, flags: u32) -> Self {
        let key = NetKey {
            policy: 1,
            addr: addr(to),
        };
        let bits = NetKey::prefix(key.addr, bits);
        self.nets.insert((key, bits), NetRule { host, flags });
        self
    }

    fn host(mut self, host: HostId, port: Port, check: Check) -> Self {
        let key = HostKey {
            policy: 1,
            host,
            port,
            proto: 6,
            pad: 0,
        };
        let rule = HostRule {
            key,
            check: check as u32,
            rule: 0,
        };
        self.hosts.insert(key, rule);
        self
    }

    fn learned(mut self, to: &str, grants: &[Grant]) -> Self {
        let key = LearnedKey {
            policy: 1,
            addr: addr(to),
        };
        let mut row = Learned::one(key, Grant::default());
        row.grants[..grants.len()].copy_from_slice(grants);
        self.learned.insert(key, row);
        self
    }

    fn allowed(&self, wish: &Wish) -> Result<(Reason, Check), Reason> {
        match judge(self, wish) {
            Judgement::Allow(grounds) => Ok((grounds.reason, grounds.check)),
            Judgement::Audit(reason) | Judgement::Refuse(reason) => Err(reason),
        }
    }
}

#[test]
fn modes() {
    let rows = Rows::enforcing();
    let at = |policy| {
        let wish = Wish {
            policy,
            ..wish("192.0.2.1", 443)
        };
        judge(&rows, &wish)
    };
    assert!(matches!(at(0), Judgement::Allow(grounds) if grounds.reason == Reason::PolicyOpen));
    assert_eq!(at(1), Judgement::Refuse(Reason::NotInRegistry));
    assert_eq!(at(2), Judgement::Audit(Reason::NotInRegistry));
    assert_eq!(at(3), Judgement::Refuse(Reason::PolicyMissing));
    assert!(matches!(Mode::from_word(77), Mode::Enforce));
}

#[test]
fn networks_by_port() {
    let rows = Rows::enforcing()
        .net("198.51.100.0", 24, 5, 0)
        .net("198.51.100.7", 32, 0, NET_NEVER_LEARNED)
        .host(5, Port::new(443), Check::Address)
        .learned("198.51.100.7", &[Grant::new(5, 2_000)]);
    let address = Ok((Reason::InNetwork, Check::Address));
    assert_eq!(rows.allowed(&wish("198.51.100.9", 443)), address);
    assert_eq!(
        rows.allowed(&wish("198.51.100.9", 80)),
        Err(Reason::PortNotNamed)
    );
    assert_eq!(
        rows.allowed(&wish("198.51.101.9", 443)),
        Err(Reason::NotInRegistry)
    );
    // The longest match alone counts, and what must not be learned is not believed either.
    assert_eq!(
        rows.allowed(&wish("198.51.100.7", 443)),
        Err(Reason::NotInRegistry)
    );
    let rows = rows.host(5, PORT_ANY, Check::Sni);
    assert_eq!(
        rows.allowed(&wish("198.51.100.9", 80)),
        Ok((Reason::InNetwork, Check::Sni))
    );
}

#[test]
fn learned_names_end() {
    let mut rows = Rows::enforcing()
        .host(7, Port::new(443), Check::Sni)
        .host(8, Port::new(443), Check::Address)
        .learned("2001:db8::1", &[Grant::new(7, 1_001)]);
    let https = wish("2001:db8::1", 443);
    assert_eq!(rows.allowed(&https), Ok((Reason::NameLearned, Check::Sni)));
    assert_eq!(
        rows.allowed(&wish("2001:db8::1", 80)),
        Err(Reason::PortNotNamed)
    );
    rows.now_secs = 1_001;
    assert_eq!(rows.allowed(&https), Err(Reason::NameEnded));
    // A host that needs no look at the first bytes wins, whatever the order.
    let rows = rows.learned("2001:db8::1", &[Grant::new(7, 2_000), Grant::new(8, 2_000)]);
    assert_eq!(
        rows.allowed(&https),
        Ok((Reason::NameLearned, Check::Address))
    );
}

#[test]
fn a_row_that_was_re_used_speaks_for_nobody() {
    let mut rows = Rows::enforcing()
        .host(7, Port::new(443), Check::Address)
        .learned("192.0.2.1", &[Grant::new(7, 2_000)]);
    let https = wish("192.0.2.1", 443);
    assert!(rows.allowed(&https).is_ok());
    for row in rows.learned.values_mut() {
        row.key.addr = addr("192.0.2.2");
    }
    assert_eq!(rows.allowed(&https), Err(Reason::NotInRegistry));
    let mut rows = Rows::enforcing()
        .host(7, Port::new(443), Check::Address)
        .learned("192.0.2.1", &[Grant::new(7, 2_000)]);
    for rule in rows.hosts.values_mut() {
        rule.key.host = 9;
    }
    assert_eq!(rows.allowed(&https), Err(Reason::PortNotNamed));
}

#[test]
fn resolvers_on_their_port_and_loopback() {
    let mut rows = Rows::enforcing();
    rows.resolvers.push(addr("10.96.0.10"));
    let reason = |wish: Wish| rows.allowed(&wish).map(|(reason, _)| reason);
    assert_eq!(reason(wish("10.96.0.10", 53)), Ok(Reason::ToResolver));
    assert_eq!(reason(wish("10.96.0.10", 853)), Err(Reason::NotInRegistry));
    assert_eq!(reason(wish("10.96.0.11", 53)), Err(Reason::NotInRegistry));
    for here in ["127.0.0.1", "127.9.9.9", "::1"] {
        assert_eq!(reason(wish(here, 80)), Ok(Reason::Loopback), "{here}");
    }
    for not in ["::", "0.0.0.0", "128.0.0.1", "::2"] {
        assert_eq!(reason(wish(not, 80)), Err(Reason::NotInRegistry), "{not}");
    }
}

#[test]
fn a_ruling_is_the_judgement_in_one_word() {
    let grounds = Grounds {
        reason: Reason::NameLearned,
        check: Check::Sni,
        host: 7,
    };
    let ruling = Ruling::from(Judgement::Allow(grounds));
    assert_eq!(ruling.rule(), Rule::Allow);
    assert_eq!(ruling.check(), Check::Sni);
    assert_eq!(ruling.reason(), Reason::NameLearned.index());
    let ruling = Ruling::from(Judgement::Audit(Reason::Quic));
    assert_eq!(
        (ruling.rule(), ruling.reason()),
        (Rule::Audit, Reason::Quic.index())
    );
    assert_eq!(Ruling::from_word(0).rule(), Rule::Refuse);
}

#[test]
fn datagrams_have_no_first_bytes() {
    let mut rows = Rows::enforcing()
        .host(7, Port::new(443), Check::Sni)
        .learned("192.0.2.1", &[Grant::new(7, 2_000)]);
    let key = HostKey {
        policy: 1,
        host: 7,
        port: Port::new(443),
        proto: 17,
        pad: 0,
    };
    let check = Check::Sni as u32;
    let udp = HostRule {
        key,
        check,
        rule: 0,
    };
    rows.hosts.insert(key, udp);
    let quic = Wish {
        proto: UDP,
        ..wish("192.0.2.1", 443)
    };
    assert_eq!(rows.allowed(&quic), Err(Reason::Quic));
}
