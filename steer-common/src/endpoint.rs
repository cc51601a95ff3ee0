//! Endpoints: where a connection may land. Rows are immutable once a route points to them.

use crate::{
    addr::{Addr, Peer, Port},
    service::WorkloadId,
};

/// A row of ENDPOINTS. A destination is a contiguous range of them.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Endpoint {
    /// Its address, of the same family as the service address that leads here.
    pub addr: Addr,
    /// Its port (the Service's `targetPort`, resolved).
    pub port: Port,
    /// No flag is defined yet: zero.
    pub flags: u16,
    /// The workload behind it, by its number in the agent's names file.
    pub workload: WorkloadId,
}

impl Endpoint {
    /// Address and port.
    #[inline(always)]
    pub const fn peer(&self) -> Peer {
        Peer::new(self.addr, self.port)
    }
}

const _: () = assert!(size_of::<Endpoint>() == 24);
