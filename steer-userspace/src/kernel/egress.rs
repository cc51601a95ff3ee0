//! The maps of the egress guard: typed, written by steps, read back.

use std::collections::{BTreeMap, BTreeSet};

use aya::{
    Pod,
    maps::{
        Array, HashMap, Map, MapData,
        lpm_trie::{Key, LpmTrie as Trie},
    },
};
use steer_common::{
    Addr,
    egress::{
        Flow, FlowKey, FlowState, HostKey, HostRule, Learned, LearnedKey, Meta, NameKey, NameRule,
        NetKey, NetRule, Policy, PolicyId, PortRow, Resolver, SeenName,
    },
    limits,
};

use super::{
    Heartbeat, KernelError, Pins,
    apply::gone,
    maps::{array, data, hash},
};
use crate::plan::{Change, EgressRows, EgressSettings, EgressStep};

/// The maps that say what may be reached.
pub struct EgressMaps {
    meta: Array<MapData, Meta>,
    policies: Array<MapData, Policy>,
    pub(super) nets: Trie<MapData, NetKey, NetRule>,
    pub(super) hosts: HashMap<MapData, HostKey, HostRule>,
    pub(super) names: Trie<MapData, NameKey, NameRule>,
    pub(super) resolved: HashMap<MapData, LearnedKey, Learned>,
    learned: HashMap<MapData, LearnedKey, Learned>,
    seen: HashMap<MapData, LearnedKey, SeenName>,
    pub(super) resolvers: HashMap<MapData, Addr, Resolver>,
    pub(super) ports: HashMap<MapData, u32, PortRow>,
    flows: HashMap<MapData, FlowKey, Flow>,
}

impl EgressMaps {
    /// Opens them.
    pub fn open(pins: &Pins) -> Result<Self, KernelError> {
        Ok(Self {
            meta: array(pins, "META")?,
            policies: array(pins, "POLICIES")?,
            nets: trie(pins, "EGRESS_NETS")?,
            hosts: hash(pins, "EGRESS_HOSTS", Map::HashMap)?,
            names: trie(pins, "EGRESS_NAMES")?,
            resolved: hash(pins, "EGRESS_RESOLVED", Map::HashMap)?,
            learned: hash(pins, "EGRESS_LEARNED", Map::LruHashMap)?,
            seen: hash(pins, "NAMES_SEEN", Map::LruHashMap)?,
            resolvers: hash(pins, "RESOLVERS", Map::HashMap)?,
            ports: hash(pins, "PORTS", Map::HashMap)?,
            flows: hash(pins, "FLOWS", Map::LruHashMap)?,
        })
    }

    /// META, which an agent fills before anything else.
    pub fn meta(&self) -> Result<Meta, KernelError> {
        self.meta.get(&0, 0).map_err(KernelError::map("META"))
    }

    /// A row of POLICIES.
    pub(super) fn policy(&self, id: PolicyId) -> Result<Policy, KernelError> {
        self.policies
            .get(&id, 0)
            .map_err(KernelError::map("POLICIES"))
    }

    /// Fills META if nobody has yet; says that its rows are of this layout if it was taken over.
    pub(super) fn start_meta(&mut self) -> Result<(), KernelError> {
        let meta = self.meta()?;
        self.set_meta(match meta.abi {
            0 => Meta::new(),
            _ => Meta {
                abi: steer_common::ABI_VERSION,
                ..meta
            },
        })
    }

    /// Says for how long a heartbeat is good, and what is to happen after that.
    pub fn expect_beats(&mut self, every: &Heartbeat) -> Result<(), KernelError> {
        let meta = self.meta()?;
        self.set_meta(Meta {
            heartbeat_ms: u32::try_from(every.good_for.as_millis()).unwrap_or(u32::MAX),
            when_away: every.when_away.number(),
            ..meta
        })
    }

    /// Says that the agent lives; or, with 0, that it goes.
    pub fn beat(&mut self, now_ns: u64) -> Result<(), KernelError> {
        let meta = self.meta()?;
        self.set_meta(Meta {
            heartbeat_ns: now_ns,
            ..meta
        })
    }

    /// Notes that a generation is being applied.
    pub(super) fn begin(&mut self, generation: u32) -> Result<(), KernelError> {
        let meta = self.meta()?;
        self.set_meta(Meta {
            applying: generation,
            ..meta
        })
    }

    /// Notes that it is in force.
    pub(super) fn finish(&mut self, generation: u32) -> Result<(), KernelError> {
        let meta = self.meta()?;
        self.set_meta(Meta {
            generation,
            applying: 0,
            ..meta
        })
    }

    fn set_meta(&mut self, meta: Meta) -> Result<(), KernelError> {
        self.meta.set(0, meta, 0).map_err(KernelError::map("META"))
    }

    pub(super) fn step(&mut self, step: &EgressStep) -> Result<(), KernelError> {
        match step {
            EgressStep::Settings(settings) => {
                let meta = self.meta()?;
                self.set_meta(merged(meta, settings))
            }
            EgressStep::Policy(id, policy) => self
                .policies
                .set(*id, *policy, 0)
                .map_err(KernelError::map("POLICIES")),
            EgressStep::Net(Change::Set((key, bits), rule)) => self
                .nets
                .insert(&Key::new(*bits, *key), rule, 0)
                .map_err(KernelError::map("EGRESS_NETS")),
            EgressStep::Net(Change::Remove((key, bits))) => {
                gone("EGRESS_NETS", self.nets.remove(&Key::new(*bits, *key)))
            }
            EgressStep::Name(Change::Set(name, rule)) => self
                .names
                .insert(&Key::new(name.1, name.0), rule, 0)
                .map_err(KernelError::map("EGRESS_NAMES")),
            EgressStep::Name(Change::Remove(name)) => {
                gone("EGRESS_NAMES", self.names.remove(&Key::new(name.1, name.0)))
            }
            EgressStep::Host(Change::Set(key, rule)) => {
                set("EGRESS_HOSTS", &mut self.hosts, key, rule)
            }
            EgressStep::Host(Change::Remove(key)) => gone("EGRESS_HOSTS", self.hosts.remove(key)),
            EgressStep::Resolved(Change::Set(key, row)) => {
                set("EGRESS_RESOLVED", &mut self.resolved, key, &**row)
            }
            EgressStep::Resolved(Change::Remove(key)) => {
                gone("EGRESS_RESOLVED", self.resolved.remove(key))
            }
            EgressStep::Resolver(Change::Set(addr, ())) => {
                set("RESOLVERS", &mut self.resolvers, addr, &Resolver::default())
            }
            EgressStep::Resolver(Change::Remove(addr)) => {
                gone("RESOLVERS", self.resolvers.remove(addr))
            }
            EgressStep::Port(Change::Set(index, row)) => {
                set("PORTS", &mut self.ports, index, &**row)
            }
            EgressStep::Port(Change::Remove(index)) => gone("PORTS", self.ports.remove(index)),
        }
    }

    /// What the agent wrote, as the maps hold it.
    pub fn read(&self) -> Result<EgressRows, KernelError> {
        let mut policies = BTreeMap::new();
        for id in 0..limits::POLICIES_MAX.min(self.policies.len()) {
            let policy = self.policy(id)?;
            if policy != Policy::default() {
                policies.insert(id, policy);
            }
        }
        Ok(EgressRows {
            settings: EgressSettings::from(&self.meta()?),
            policies,
            nets: prefixes("EGRESS_NETS", &self.nets)?,
            hosts: rows("EGRESS_HOSTS", &self.hosts)?,
            names: prefixes("EGRESS_NAMES", &self.names)?,
            resolved: rows("EGRESS_RESOLVED", &self.resolved)?,
            resolvers: rows("RESOLVERS", &self.resolvers)?
                .into_keys()
                .collect::<BTreeSet<_>>(),
            ports: rows("PORTS", &self.ports)?,
        })
    }

    /// Leads from what the maps hold to `wanted`.
    pub(super) fn put(&mut self, wanted: &EgressRows) -> Result<(), KernelError> {
        let live = self.read()?;
        live.steps(wanted)
            .iter()
            .try_for_each(|step| self.step(step))
    }

    /// Lets a connection be that was there before the policy. For the moment between the rows and
    /// the switch: later, programs write FLOWS too.
    pub fn seed(&mut self, key: &FlowKey) -> Result<(), KernelError> {
        let flow = Flow {
            state: FlowState::Seeded as u32,
            ..Flow::default()
        };
        set("FLOWS", &mut self.flows, key, &flow)
    }

    /// `EGRESS_LEARNED`: what the kernel learned from answers. Entries that go meanwhile are left
    /// out.
    pub fn learned(&self) -> BTreeMap<LearnedKey, Learned> {
        self.learned.iter().filter_map(Result::ok).collect()
    }

    /// Forgets everything that was learned from answers.
    pub fn forget_learned(&mut self) -> Result<(), KernelError> {
        for key in self.learned().into_keys() {
            gone("EGRESS_LEARNED", self.learned.remove(&key))?;
        }
        Ok(())
    }

    /// The last name that was answered with an address.
    pub fn name_seen(&self, key: &LearnedKey) -> Option<String> {
        let seen = self.seen.get(key, 0).ok()?;
        Some(spelled(&seen))
    }

    /// `NAMES_SEEN`.
    pub fn names_seen(&self) -> BTreeMap<LearnedKey, String> {
        let rows = self.seen.iter().filter_map(Result::ok);
        rows.map(|(key, seen)| (key, spelled(&seen))).collect()
    }
}

fn merged(meta: Meta, settings: &EgressSettings) -> Meta {
    Meta {
        egress: u32::from(settings.on),
        errno: settings.errno,
        ttl_min_secs: settings.ttl_min_secs,
        ttl_max_secs: settings.ttl_max_secs,
        events_per_sec: settings.events_per_sec,
        ..meta
    }
}

/// A name that is stored reversed, as people write it.
fn spelled(seen: &SeenName) -> String {
    let length = (seen.len as usize).min(seen.name.len());
    seen.name[..length]
        .iter()
        .rev()
        .map(|&byte| char::from(byte))
        .collect()
}

/// The second of the monotonic clock, by which grants end.
pub fn now_secs() -> u32 {
    let clock = nix::time::ClockId::CLOCK_MONOTONIC;
    let now = nix::time::clock_gettime(clock).map_or(0, |now| now.tv_sec());
    u32::try_from(now).unwrap_or(u32::MAX)
}

fn trie<K: Pod, V: Pod>(
    pins: &Pins,
    name: &'static str,
) -> Result<Trie<MapData, K, V>, KernelError> {
    Trie::try_from(Map::LpmTrie(data(&pins.map(name), name)?)).map_err(KernelError::map(name))
}

fn set<K: Pod, V: Pod>(
    name: &'static str,
    map: &mut HashMap<MapData, K, V>,
    key: &K,
    value: &V,
) -> Result<(), KernelError> {
    map.insert(key, value, 0).map_err(KernelError::map(name))
}

fn rows<K: Pod + Ord, V: Pod>(
    name: &'static str,
    map: &HashMap<MapData, K, V>,
) -> Result<BTreeMap<K, V>, KernelError> {
    map.iter()
        .collect::<Result<_, _>>()
        .map_err(KernelError::map(name))
}

fn prefixes<K: Pod + Ord, V: Pod>(
    name: &'static str,
    map: &Trie<MapData, K, V>,
) -> Result<BTreeMap<(K, u32), V>, KernelError> {
    map.iter()
        .map(|row| row.map(|(key, value)| ((key.data(), key.prefix_len()), value)))
        .collect::<Result<_, _>>()
        .map_err(KernelError::map(name))
}
