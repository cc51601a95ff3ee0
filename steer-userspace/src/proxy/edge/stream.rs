//! Bytes of a client and of an endpoint, both ways: each side is read as fast as the other takes it,
//! and one that has nothing more to say may still listen.

use tokio::io::copy_bidirectional;

use super::{super::upstream::Upstreams, ready::Counted};
use crate::proxy::connection::Stream;

/// Endpoints that are tried before a connection is given up.
const TRIED_MAX: u64 = 3;

/// Passes them on until both are done.
pub(super) async fn pass(mut client: impl Stream, upstreams: &Upstreams, counted: &Counted) {
    let Some((to, turn)) = counted.rule.draw(counted.tickets.split()) else {
        return;
    };
    let count = to.endpoints.len() as u64;
    for tried in 0..count.min(TRIED_MAX) {
        let Some(at) = to.endpoint(turn.wrapping_add(tried)) else {
            return;
        };
        match upstreams.connect(at).await {
            Ok(mut server) => {
                if let Err(error) = copy_bidirectional(&mut client, &mut server).await {
                    tracing::debug!(%error, "a connection from outside broke");
                }
                return;
            }
            Err(error) => tracing::debug!(%error, %at, "an endpoint cannot be reached"),
        }
    }
}
