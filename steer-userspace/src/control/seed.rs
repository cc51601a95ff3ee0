//! Lets connections be that were there before a policy.

use std::{io, net::SocketAddr};

use steer_common::{
    Proto,
    addr::{Peer, Port},
    egress::FlowKey,
};

use crate::{
    kernel::{EgressMaps, KernelError},
    node::connections::Insider,
};

/// Why they were not all let be.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// They could not be listed.
    #[error("listing the connections of a pod")]
    List(#[source] io::Error),
    /// The kernel refused.
    #[error(transparent)]
    Kernel(#[from] KernelError),
}

/// Lets the connections of a network namespace be; says how many there are. To be done before its
/// policy comes into force: later, the programs write FLOWS too.
pub fn seed(maps: &mut EgressMaps, insider: &Insider) -> Result<usize, SeedError> {
    let connections = insider.connections().map_err(SeedError::List)?;
    for found in &connections {
        let (local, remote) = (peer(found.local), peer(found.remote));
        maps.seed(&FlowKey::connection(local, remote, Proto::Tcp as u32))?;
    }
    Ok(connections.len())
}

fn peer(address: SocketAddr) -> Peer {
    Peer::new(address.ip().into(), Port::new(address.port()))
}
