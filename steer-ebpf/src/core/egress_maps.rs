//! The maps as the egress judgement sees them, and who asks.

use core::ptr::read_volatile;

use aya_ebpf::{btf_maps::lpm_trie::Key, helpers::bpf_ktime_get_coarse_ns};
use steer_common::{
    addr::Addr,
    egress::{
        HostKey, HostRule, Learned, LearnedKey, Meta, Mode, NetKey, NetRule, Policy, PolicyId,
        PortRow, policy::POLICY_DEFAULT,
    },
    logic::{EgressMaps, Granted, Names, Wish},
    reason::Reason,
};

use super::{count, judge};

use crate::maps::{
    EGRESS_HOSTS, EGRESS_LEARNED, EGRESS_NETS, EGRESS_RESOLVED, META, POLICIES, PORTS, RESOLVERS,
    SOURCES,
};

/// The maps of the egress guard.
pub(crate) struct KernelEgress;

impl EgressMaps for KernelEgress {
    #[inline(always)]
    fn policy(&self, policy: PolicyId) -> Option<&Policy> {
        POLICIES.get(policy)
    }

    #[inline(always)]
    fn net(&self, key: &NetKey) -> Option<NetRule> {
        EGRESS_NETS
            .get(&Key::new(NetKey::ADDRESS_BITS, *key))
            .copied()
    }

    #[inline(always)]
    fn host(&self, key: &HostKey) -> Option<&HostRule> {
        // SAFETY: null or an element that stays readable while the program runs; the judgement
        // finds out whether it was given to another key meanwhile.
        EGRESS_HOSTS.get_ptr(key).map(|rule| unsafe { &*rule })
    }

    #[inline(always)]
    fn resolved(&self, key: &LearnedKey) -> Option<&Learned> {
        // SAFETY: as above.
        EGRESS_RESOLVED.get_ptr(key).map(|row| unsafe { &*row })
    }

    #[inline(always)]
    fn learned(&self, key: &LearnedKey) -> Option<&Learned> {
        // SAFETY: as above.
        EGRESS_LEARNED.get_ptr(key).map(|row| unsafe { &*row })
    }

    #[inline(always)]
    fn is_resolver(&self, addr: &Addr) -> bool {
        RESOLVERS.get_ptr(addr).is_some()
    }

    #[inline(always)]
    fn now_secs(&self) -> u32 {
        now_secs()
    }

    #[inline(always)]
    fn granted(&self, wish: &Wish, names: Names) -> Granted {
        judge::names(wish, names)
    }
}

/// The second of the monotonic clock.
#[inline(always)]
pub(crate) fn now_secs() -> u32 {
    // SAFETY: a helper without arguments.
    (unsafe { bpf_ktime_get_coarse_ns() } / 1_000_000_000) as u32
}

/// META, if the guard is on.
#[inline(always)]
pub(crate) fn guard() -> Option<&'static Meta> {
    let meta = META.get(0)?;
    // SAFETY: a valid row; volatile, because the agent writes it in place.
    (unsafe { read_volatile(&raw const meta.egress) } != 0).then_some(meta)
}

/// What is known of an interface at the node's side of a veth.
#[inline(always)]
pub(crate) fn port(interface: u32) -> Option<&'static PortRow> {
    // SAFETY: an element of the map; an interface keeps its row as long as it lives.
    PORTS.get_ptr(interface).map(|port| unsafe { &*port })
}

/// Who a network namespace is, to the guard.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Client {
    /// The cookie of the namespace.
    pub(crate) cookie: u64,
    /// Its policy.
    pub(crate) policy: PolicyId,
    /// Its workload.
    pub(crate) workload: u32,
    /// Its interface, if it is known.
    pub(crate) interface: u32,
}

impl Client {
    /// Looks a namespace up. One that nobody knows has the default policy.
    #[inline(always)]
    pub(crate) fn of(cookie: u64) -> Self {
        let known = || {
            let source = SOURCES.get_ptr(cookie)?;
            // SAFETY: a valid element; each word is read once, and the first says whose it is.
            let (policy, workload, interface) = unsafe {
                (
                    read_volatile(&raw const (*source).policy),
                    read_volatile(&raw const (*source).workload),
                    read_volatile(&raw const (*source).interface),
                )
            };
            policy
                .of(cookie)
                .map(|policy| (policy, workload, interface))
        };
        // Once more: the namespace's row was being replaced, and the new one is there.
        let (policy, workload, interface) =
            known().or_else(known).unwrap_or((POLICY_DEFAULT, 0, 0));
        Self {
            cookie,
            policy,
            workload,
            interface,
        }
    }

    /// Who is behind an interface. One that nobody knows is judged by the default policy.
    #[inline(always)]
    pub(crate) fn behind(port: Option<&PortRow>) -> Self {
        let Some(port) = port else {
            count::reason(Reason::PortUnknown);
            return Self {
                cookie: 0,
                policy: POLICY_DEFAULT,
                workload: 0,
                interface: 0,
            };
        };
        Self {
            cookie: port.client,
            policy: port.policy,
            workload: port.workload,
            interface: 0,
        }
    }

    /// Whether an address is the pod's own: what goes there does not leave it.
    #[inline(always)]
    pub(crate) fn owns(&self, addr: &Addr) -> bool {
        let Some(source) = SOURCES.get_ptr(self.cookie) else {
            return false;
        };
        // SAFETY: a valid element. By now, or in the middle, it may have become another namespace's:
        // the word that is read last says so.
        unsafe {
            let found = (*source).addrs.contain(addr);
            found
                && read_volatile(&raw const (*source).policy)
                    .of(self.cookie)
                    .is_some()
        }
    }

    /// Whether what comes in by an interface may have come from outside the pod. A pod may make
    /// interfaces and send itself what it likes.
    #[inline(always)]
    pub(crate) fn is_reached_by(&self, interface: u32) -> bool {
        self.interface == 0 || self.interface == interface
    }

    /// The generation of its policy, unless that is open. 0 if it has no row: no mark or flow
    /// has that generation.
    #[inline(always)]
    pub(crate) fn judged(&self) -> Option<u32> {
        let Some(policy) = POLICIES.get(self.policy) else {
            return Some(0);
        };
        // SAFETY: a valid row; volatile, because the agent writes it in place.
        let (mode, generation) = unsafe {
            (
                read_volatile(&raw const policy.mode),
                read_volatile(&raw const policy.generation),
            )
        };
        (!matches!(Mode::from_word(mode), Mode::Open)).then_some(generation)
    }
}
