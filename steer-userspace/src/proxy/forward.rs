//! One request: which rule takes it, and what becomes of it.

mod asked;
mod back;
mod sending;

use std::{future::Future, sync::Arc};

use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version,
    header::{HOST, LOCATION},
    request::Parts,
    uri::Authority,
};
use hyper::{
    body::{Body as _, Incoming},
    upgrade::OnUpgrade,
};
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    body::{self, Body},
    cut::Cut,
    local,
    mirror::Mirrors,
    note::Note,
    table::{Ready, Tickets},
    upstream::Upstreams,
};
use crate::{
    access_log::Flag,
    requests::{Action, CorsAnswer, Failure, Rule, Seen},
};
use asked::Asked;
use back::handed_back;
use sending::Sending;

/// A pod whose requests these are.
pub(super) struct Pod {
    pub(super) upstreams: Arc<Upstreams>,
    pub(super) mirrors: Arc<Mirrors>,
    /// Whether these come from outside: then the endpoint decides which HTTP it is spoken to with.
    pub(super) edge: bool,
}

/// The scheme of a connection, where it is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scheme(pub(super) &'static str);

impl Pod {
    /// Answers a request.
    pub(super) async fn answer(
        &self,
        ready: &Ready,
        mut request: Request<Incoming>,
        note: &Note,
    ) -> Response<Body> {
        let bad = |status| local::answer(&HeaderMap::new(), status, "");
        // Extension of the request: taken before it is changed.
        let client = hyper::upgrade::on(&mut request);
        let (parts, body) = request.into_parts();
        let Some(authority) = authority(&parts, &ready.host) else {
            note.flag(Flag::DownstreamProtocolError);
            return local::unclear();
        };
        if parts.method == Method::CONNECT {
            note.no_route();
            return bad(StatusCode::NOT_FOUND);
        }
        let seen = Seen {
            method: &parts.method,
            path: parts.uri.path(),
            query: parts.uri.query(),
            scheme: scheme(&parts),
            authority: &authority,
            headers: &parts.headers,
        };
        let found = ready.route.find(&seen);
        let Some((matched, tickets)) =
            found.and_then(|found| Some((found, ready.tickets(&found)?)))
        else {
            note.no_route();
            return local::answer(&parts.headers, StatusCode::NOT_FOUND, "");
        };
        tickets.take();
        note.route(|| matched.name());
        if let Some(aborted) = fault(matched.rule, tickets, &parts.headers, note).await {
            return aborted;
        }
        let cors = match cors(matched.rule, &seen, note) {
            Ok(headers) => headers,
            Err(answered) => return answered,
        };
        note.because("direct_response");
        let mut response = match &matched.rule.action {
            Action::Redirect(redirect) => {
                let mut response = local::plain(redirect.status, b"");
                let to = HeaderValue::from_str(&matched.location(redirect, &seen));
                let Ok(to) = to else {
                    return bad(StatusCode::BAD_REQUEST);
                };
                response.headers_mut().insert(LOCATION, to);
                response
            }
            Action::Answer(answer) => local::plain(answer.status, &answer.body),
            Action::Forward(forward) => {
                let asked = Asked {
                    parts,
                    authority,
                    matched,
                    forward,
                };
                self.forward(asked, tickets, body, client, note).await
            }
        };
        if !matches!(matched.rule.action, Action::Forward(_)) {
            matched.rule.response.apply(response.headers_mut());
        }
        // Whatever the application says of it.
        for (name, value) in &cors {
            response.headers_mut().insert(name, value.clone());
        }
        response
    }

    async fn forward(
        &self,
        asked: Asked<'_>,
        tickets: &Tickets,
        body: Incoming,
        client: OnUpgrade,
        note: &Note,
    ) -> Response<Body> {
        let is_grpc = local::is_grpc(&asked.parts.headers);
        let failed = |status, text| local::answer_to(is_grpc, status, text);
        let unavailable = |text| failed(StatusCode::SERVICE_UNAVAILABLE, text);
        let Some((to, turn)) = asked.forward.draw(tickets.split()) else {
            note.failed(Flag::NoHealthyUpstream);
            return unavailable("no healthy upstream");
        };
        if to.endpoints.is_empty() {
            note.cluster(&to.cluster);
            note.failed(Flag::NoHealthyUpstream);
            return unavailable("no healthy upstream");
        }
        let rule = asked.matched.rule;
        let forward = asked.forward;
        let deadline = rule.timeout.map(|most| Instant::now() + most);
        let http2 = if self.edge {
            to.http2
        } else {
            asked.parts.version == Version::HTTP_2
        };
        let Some((template, upgrade)) = asked.template(to, http2) else {
            return failed(StatusCode::BAD_REQUEST, "");
        };
        note.sends(&to.cluster, template.uri());
        let repeatable = body.is_end_stream();
        // What becomes of another protocol cannot be copied.
        let body = if forward.is_mirrored() && !upgrade {
            let copies = forward.mirrored(tickets.mirror());
            self.mirrors.copy(&self.upstreams, &template, copies, body)
        } else {
            body::handed_on(body)
        };
        let mut cut = Cut::default();
        let body = note.received(cut.noticed(body));
        let sending = Sending {
            upstreams: &self.upstreams,
            note,
            rule,
            to,
            turn,
            template,
        };
        let sent = within(deadline, sending.send(body, repeatable)).await;
        let sent = sent.unwrap_or(Err(Failure::Timeout));
        if let Err(failure) = sent {
            if let Some(flag) = cut.flag() {
                note.failed(flag);
                return local::unclear();
            }
            note.failed(failure.into());
        }
        match sent {
            Ok(response) => {
                let client = upgrade.then_some(client);
                handed_back(response, rule, to, deadline, client, note)
            }
            Err(Failure::Timeout) => {
                failed(StatusCode::GATEWAY_TIMEOUT, "upstream request timeout")
            }
            Err(Failure::Protocol) => {
                let text = "upstream connect error or disconnect/reset before headers. reset reason: protocol error";
                failed(StatusCode::BAD_GATEWAY, text)
            }
            Err(Failure::Connect) => unavailable(
                "upstream connect error or disconnect/reset before headers. reset reason: connection failure",
            ),
            Err(_) => unavailable(
                "upstream connect error or disconnect/reset before headers. reset reason: connection termination",
            ),
        }
    }
}

/// What is said to pages of others: in the answer, or instead of it.
fn cors(rule: &Rule, seen: &Seen<'_>, note: &Note) -> Result<HeaderMap, Response<Body>> {
    let answer = rule.cors.as_ref().map(|cors| cors.answer(seen));
    match answer.unwrap_or(CorsAnswer::Nothing) {
        CorsAnswer::Headers(headers) => Ok(headers),
        CorsAnswer::Nothing => Ok(HeaderMap::new()),
        CorsAnswer::Preflight(headers) => {
            note.because("cors_response");
            let mut response = local::plain(StatusCode::OK, b"");
            *response.headers_mut() = headers;
            Err(response)
        }
    }
}

/// Makes a request late, or lets it fail.
async fn fault(
    rule: &Rule,
    tickets: &Tickets,
    headers: &HeaderMap,
    note: &Note,
) -> Option<Response<Body>> {
    if !rule.fault.is_some() {
        return None;
    }
    let ticket = tickets.fault();
    if let Some(delay) = rule.fault.delay(ticket) {
        note.flag(Flag::DelayInjected);
        sleep(delay).await;
    }
    let how = rule.fault.abort(ticket)?;
    note.failed(Flag::FaultInjected);
    Some(local::aborted(headers, how))
}

/// What comes of it, if that is in time.
async fn within<T>(deadline: Option<Instant>, work: impl Future<Output = T>) -> Option<T> {
    match deadline {
        None => Some(work.await),
        Some(deadline) => timeout_at(deadline, work).await.ok(),
    }
}

fn scheme(parts: &Parts) -> &str {
    let known = parts.extensions.get::<Scheme>();
    let known = known.map(|scheme| scheme.0);
    known.or_else(|| parts.uri.scheme_str()).unwrap_or("http")
}

/// Whom a request is for: as it names them; HTTP/1.0 need not.
pub(super) fn authority(parts: &Parts, host: &str) -> Option<String> {
    let mut hosts = parts.headers.get_all(HOST).iter();
    let said = match (hosts.next(), hosts.next()) {
        (Some(only), None) => only.to_str().ok()?,
        (None, _) if parts.version == Version::HTTP_2 && parts.uri.authority().is_some() => "",
        (None, _) if parts.version == Version::HTTP_10 => host,
        _ => return None,
    };
    let named = parts.uri.authority().map_or(said, Authority::as_str);
    let is_one = |text: &str| !text.contains('@') && text.parse::<Authority>().is_ok();
    (named.is_empty() || is_one(named)).then(|| named.to_owned())
}
