//! The maps as the decision sees them.

use core::{
    intrinsics::{AtomicOrdering, atomic_xadd},
    ptr::read_volatile,
};

use aya_ebpf::{
    EbpfContext as _,
    helpers::{bpf_get_netns_cookie, bpf_ktime_get_coarse_ns},
    programs::SockAddrContext,
};
use steer_common::{
    endpoint::Endpoint,
    flow::{Affinity, AffinityKey, MemberKey, Recalled},
    index::Bucket,
    logic::{Door, Maps, Tables},
    service::{ClassId, Route, RowId, SplitId},
};

use super::door;
use crate::maps::{AFFINITY, BUCKET_MASK, ENDPOINTS, MEMBERS, ROUTES, SERVICES, SOURCES, TICKETS};

/// The maps, for the socket of one hook.
pub(crate) struct KernelMaps<'a> {
    pub(crate) context: &'a SockAddrContext,
}

impl KernelMaps<'_> {
    /// The network namespace that asks: the pod.
    #[inline(always)]
    fn client(&self) -> u64 {
        // SAFETY: the kernel's own context pointer.
        unsafe { bpf_get_netns_cookie(self.context.as_ptr()) }
    }
}

/// The maps that lead from an address to an endpoint, whoever asks.
pub(crate) struct KernelTables;

impl Tables for KernelTables {
    #[inline(always)]
    fn bucket_mask(&self) -> u32 {
        // SAFETY: a static; volatile, because the agent sets it when it loads the object.
        unsafe { read_volatile(&raw const BUCKET_MASK) }
    }

    #[inline(always)]
    fn bucket(&self, index: u32) -> Option<&Bucket> {
        SERVICES.get(index)
    }

    #[inline(always)]
    fn route(&self, row: RowId) -> Option<&Route> {
        ROUTES.get(row)
    }

    #[inline(always)]
    fn endpoint(&self, index: u32) -> Option<&Endpoint> {
        ENDPOINTS.get(index)
    }

    #[inline(always)]
    fn take_ticket(&self, split: SplitId) -> Option<u64> {
        let ticket = TICKETS.get_ptr_mut(split)?;
        // SeqCst, because LLVM turns a Relaxed fetch-and-add into an add without a fetch on this
        // target (rustc 1.96), and every connection would draw ticket 1.
        // SAFETY: a valid, aligned u64 of the map.
        Some(unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::SeqCst }>(ticket, 1) })
    }
}

impl Maps for KernelMaps<'_> {
    type Tables = KernelTables;

    #[inline(always)]
    fn tables(&self) -> &KernelTables {
        &KernelTables
    }
    #[inline(always)]
    fn class(&self) -> Option<ClassId> {
        let client = self.client();
        let class = || {
            let source = SOURCES.get_ptr(client)?;
            // SAFETY: one aligned word of an element, read once. By now it may be another
            // namespace's: `of` finds that out.
            unsafe { read_volatile(&raw const (*source).class) }.of(client)
        };
        // Once more: the namespace's row was being replaced, and the new one is there.
        class().or_else(class)
    }

    #[inline(always)]
    fn door(&self, route: &Route) -> Door {
        door::of(self.context, route)
    }

    #[inline(always)]
    fn recall(&self, route: &Route) -> Option<Recalled> {
        let key = AffinityKey {
            client: self.client(),
            split: route.split,
            pad: 0,
        };
        let memory = AFFINITY.get_ptr_mut(key)?;
        // SAFETY: a helper without arguments.
        let now_ns = unsafe { bpf_ktime_get_coarse_ns() };
        // SAFETY: a valid row of the map; only programs of the same client write it.
        let Affinity {
            seen_ns, endpoint, ..
        } = unsafe { *memory };
        if now_ns.wrapping_sub(seen_ns) > u64::from(route.affinity_secs) * 1_000_000_000 {
            return None;
        }
        let member = MEMBERS.get_ptr(MemberKey {
            split: route.split,
            endpoint,
        })?;
        // SAFETY: as above; the hold starts anew with each connection.
        unsafe { (*memory).seen_ns = now_ns };
        // SAFETY: a valid element of the map, though perhaps re-used for another key by now; `decide`
        // finds that out.
        let member = unsafe { *member };
        Some(Recalled { endpoint, member })
    }

    #[inline(always)]
    fn remember(&self, route: &Route, endpoint: &Endpoint) {
        let key = AffinityKey {
            client: self.client(),
            split: route.split,
            pad: 0,
        };
        // SAFETY: a helper without arguments.
        let seen_ns = unsafe { bpf_ktime_get_coarse_ns() };
        let value = Affinity {
            seen_ns,
            endpoint: endpoint.peer(),
            pad: 0,
        };
        // An LRU map makes room by itself; should it fail, the client draws anew next time.
        let _forgotten = AFFINITY.insert(key, value, 0);
    }
}
