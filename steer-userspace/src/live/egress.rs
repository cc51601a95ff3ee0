//! The maps of the egress guard, asked as the kernel asks them.

use steer_common::{
    Addr,
    egress::{
        HostId, HostKey, HostRule, Learned, LearnedKey, NameKey, NetKey, NetRule, Policy, PolicyId,
        name::NAME_MAX,
    },
    logic::egress::EgressMaps,
};

use super::Live;

/// The copy of the guard's maps, asked at a moment.
pub struct AskedEgress<'a> {
    /// The copy.
    pub live: &'a Live,
    /// The second of the monotonic clock.
    pub now_secs: u32,
}

impl EgressMaps for AskedEgress<'_> {
    fn policy(&self, policy: PolicyId) -> Option<&Policy> {
        self.live.egress.policies.get(&policy)
    }

    fn net(&self, key: &NetKey) -> Option<NetRule> {
        self.live.net(key).map(|(_, rule)| rule)
    }

    fn host(&self, key: &HostKey) -> Option<&HostRule> {
        self.live.egress.hosts.get(key)
    }

    fn resolved(&self, key: &LearnedKey) -> Option<&Learned> {
        self.live.egress.resolved.get(key)
    }

    fn learned(&self, key: &LearnedKey) -> Option<&Learned> {
        self.live.learned.get(key)
    }

    fn is_resolver(&self, addr: &Addr) -> bool {
        self.live.egress.resolvers.contains(addr)
    }

    fn now_secs(&self) -> u32 {
        self.now_secs
    }
}

impl Live {
    /// The narrowest network of a policy that an address is in, and how many bits it has.
    pub fn net(&self, key: &NetKey) -> Option<(u32, NetRule)> {
        (NetKey::ADDRESS_BITS - 128..=NetKey::ADDRESS_BITS)
            .rev()
            .find_map(|bits| {
                let addr = key.addr.masked(bits + 128 - NetKey::ADDRESS_BITS);
                let wide = NetKey { addr, ..*key };
                Some((bits, *self.egress.nets.get(&(wide, bits))?))
            })
    }

    /// The host whose ports a name has for a policy: that of the longest entry that it fits.
    pub fn name(&self, policy: PolicyId, name: &str) -> Option<HostId> {
        let (bits, exact) = NameKey::new(policy, name)?;
        let bytes = (bits / 8) as usize - 2;
        (0..=bytes.min(NAME_MAX)).rev().find_map(|length| {
            let mut key = exact;
            key.name[length..].fill(0);
            let bits = u32::try_from(length + 2).ok()? * 8;
            let rule = self.egress.names.get(&(key, bits))?;
            Some(rule.host).filter(|host| *host != 0)
        })
    }
}

#[cfg(test)]
mod tests {
    use steer_common::egress::NameRule;

    use super::*;

    fn addr(text: &str) -> Addr {
        text.parse::<std::net::IpAddr>().unwrap().into()
    }

    #[test]
    fn the_narrowest_network_counts() {
        let mut live = Live::default();
        for (text, bits, host) in [("10.0.0.0", 8, 1), ("10.1.0.0", 16, 2), ("fd00::", 8, 3)] {
            let key = NetKey {
                policy: 1,
                addr: addr(text),
            };
            let rule = NetRule { host, flags: 0 };
            let bits = NetKey::prefix(key.addr, bits);
            live.egress.nets.insert((key, bits), rule);
        }
        let found = |policy, text| {
            let key = NetKey {
                policy,
                addr: addr(text),
            };
            live.net(&key).map(|(_, rule)| rule.host)
        };
        assert_eq!(found(1, "10.1.2.3"), Some(2));
        assert_eq!(found(1, "10.2.2.3"), Some(1));
        assert_eq!(found(1, "fd00::1"), Some(3));
        assert_eq!(found(1, "11.0.0.1"), None);
        assert_eq!(found(2, "10.1.2.3"), None);
    }

    #[test]
    fn the_longest_name_counts() {
        let mut live = Live::default();
        for (name, host) in [("*.example.com", 1), ("a.example.com", 2)] {
            let (bits, key) = NameKey::new(1, name).unwrap();
            live.egress
                .names
                .insert((key, bits), NameRule { host, flags: 0 });
        }
        assert_eq!(live.name(1, "a.example.com"), Some(2));
        assert_eq!(live.name(1, "b.a.example.com"), Some(1));
        assert_eq!(live.name(1, "example.com"), None);
        assert_eq!(live.name(1, "aa.example.com"), Some(1));
        assert_eq!(live.name(2, "a.example.com"), None);
    }
}
