//! Bytes of a client and of an endpoint, both ways: each side is read as fast as the other takes it,
//! and one that has nothing more to say may still listen.

use tokio::io::copy_bidirectional;

use super::{super::upstream::Upstreams, line::Measured, ready::Counted};
use crate::{access_log::Flag, proxy::connection::Stream};

/// Endpoints that are tried before a connection is given up.
const TRIED_MAX: u64 = 3;

/// Passes them on until both are done.
pub(super) async fn pass(
    mut client: Measured<impl Stream>,
    upstreams: &Upstreams,
    counted: &Counted,
) {
    let Some((to, turn)) = counted.rule.draw(counted.tickets.split()) else {
        client.line.flag(Flag::NoHealthyUpstream);
        return;
    };
    client.line.to(to);
    let count = to.endpoints.len() as u64;
    for tried in 0..count.min(TRIED_MAX) {
        let Some(at) = to.endpoint(turn.wrapping_add(tried)) else {
            break;
        };
        client.line.attempt(at);
        match upstreams.connect(at).await {
            Ok(mut server) => {
                client.line.connected(server.local_addr().ok());
                if let Err(error) = copy_bidirectional(&mut client, &mut server).await {
                    tracing::debug!(%error, "a connection from outside broke");
                }
                return;
            }
            Err(error) => tracing::debug!(%error, %at, "an endpoint cannot be reached"),
        }
    }
    if count == 0 {
        client.line.flag(Flag::NoHealthyUpstream);
        return;
    }
    // As Envoy has it: not reached, and not tried again.
    client.line.flag(Flag::UpstreamConnectionFailure);
    client.line.flag(Flag::UpstreamRetryLimitExceeded);
}
