//! Requests of outside: the host that they name chooses the virtual host, and its rules go on as those
//! of pods do.

use std::{convert::Infallible, sync::Arc};

use http::{Request, Response, StatusCode};
use hyper::{body::Incoming, service::service_fn};
use tokio::sync::watch;

use super::{
    Ends, Way, forwarded,
    ready::{Inside, Ready},
};
use crate::proxy::{
    connection::{self, Stream},
    forward::{self, Scheme},
    local,
    note::{Counted, Note},
    table,
};

/// Virtual hosts of a port, as they are when a request comes.
#[derive(Clone)]
pub(super) struct Site {
    way: Way,
    ends: Ends,
    /// The name that was asked for in TLS, if it ended here.
    name: Option<Arc<str>>,
}

impl Site {
    /// Of a port that speaks HTTP.
    pub(super) fn plain(way: &Way, ends: Ends) -> Self {
        Self {
            way: way.clone(),
            ends,
            name: None,
        }
    }

    /// Behind a name of TLS.
    pub(super) fn named(way: &Way, ends: Ends, name: String) -> Self {
        Self {
            name: Some(name.into()),
            ..Self::plain(way, ends)
        }
    }

    fn scheme(&self) -> &'static str {
        if self.name.is_some() { "https" } else { "http" }
    }

    /// The rules for a host.
    fn find(&self, authority: &str) -> Option<Arc<table::Ready>> {
        let ready = self.way.ready()?;
        let found = match (&*ready, &self.name) {
            (Ready::Requests(site), None) => site.find(authority),
            (Ready::Names(names), Some(name)) => match names.find(name)? {
                Inside::Requests(Some(_), site) => site.find(authority),
                _ => None,
            },
            _ => None,
        };
        found.cloned()
    }

    async fn answer(&self, mut request: Request<Incoming>) -> Response<Counted> {
        let scheme = self.scheme();
        forwarded::note(request.headers_mut(), self.ends.client.ip(), scheme);
        request.extensions_mut().insert(Scheme(scheme));
        let note = self.note(&request);
        let (parts, body) = request.into_parts();
        let authority = forward::authority(&parts, "").unwrap_or_default();
        let response = if let Some(ready) = self.find(&authority) {
            let request = Request::from_parts(parts, body);
            self.way.pod.answer(&ready, request, &note).await
        } else {
            note.no_route();
            local::answer(&parts.headers, StatusCode::NOT_FOUND, "")
        };
        note.sent(response)
    }

    /// What is noted of a request for the access log.
    fn note(&self, request: &Request<Incoming>) -> Note {
        let Some(logs) = self.way.logs() else {
            return Note::default();
        };
        let ends = (self.ends.client, self.ends.dialled);
        let name = self.name.as_deref().filter(|name| !name.is_empty());
        logs.begin_outside(self.way.port, request, ends, name)
    }
}

/// Answers what comes over a connection.
pub(super) async fn serve(stream: impl Stream, site: Site, ends: &mut watch::Receiver<bool>) {
    let answer = service_fn(move |request: Request<Incoming>| {
        let site = site.clone();
        async move { Ok::<_, Infallible>(site.answer(request).await) }
    });
    connection::serve(stream, ends, answer).await;
}
