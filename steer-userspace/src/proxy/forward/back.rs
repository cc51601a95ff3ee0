//! An answer as the client gets it.

use http::{HeaderMap, Response, StatusCode, Version};
use hyper::{body::Incoming, upgrade::OnUpgrade};
use hyper_util::rt::TokioIo;
use tokio::{io::copy_bidirectional, time::Instant};

use crate::{
    proxy::{
        body::{self, Body},
        headers, local,
        note::Note,
        workers,
    },
    requests::{HeaderChange, Rule, To},
};

/// The answer as the client gets it.
pub(super) fn handed_back(
    mut response: Response<Incoming>,
    rule: &Rule,
    to: &To,
    deadline: Option<Instant>,
    client: Option<OnUpgrade>,
    note: &Note,
) -> Response<Body> {
    let switched = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let server = switched.then(|| hyper::upgrade::on(&mut response));
    let (mut parts, body) = response.into_parts();
    // Its own connection's; the client has another one.
    parts.version = Version::default();
    headers::hop(&mut parts.headers);
    let changes: [&HeaderChange; 2] = [&to.response, &rule.response];
    changes
        .into_iter()
        .for_each(|change| change.apply(&mut parts.headers));
    match (client, server) {
        (Some(client), Some(server)) => {
            tokio::spawn(tunnel(client, server, note.clone()));
            Response::from_parts(parts, body::empty())
        }
        // A switch that nobody asked for.
        (None, Some(_)) => local::answer(&HeaderMap::new(), StatusCode::BAD_GATEWAY, ""),
        (_, None) => Response::from_parts(parts, body::until(body, deadline)),
    }
}

async fn tunnel(client: OnUpgrade, server: OnUpgrade, note: Note) {
    let _weight = workers::weight();
    let (Ok(client), Ok(server)) = (client.await, server.await) else {
        return;
    };
    let (mut client, mut server) = (TokioIo::new(client), TokioIo::new(server));
    match copy_bidirectional(&mut client, &mut server).await {
        Ok((received, sent)) => note.passed(received, sent),
        Err(error) => tracing::debug!(%error, "a tunnel broke"),
    }
}
