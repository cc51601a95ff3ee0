//! One request: which rule takes it, where it goes, what is tried again.

use std::{future::Future, net::SocketAddr, sync::Arc};

use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version,
    header::{HOST, LOCATION},
    request::Parts,
    uri::{Authority, PathAndQuery},
};
use hyper::{
    body::{Body as _, Incoming},
    upgrade::OnUpgrade,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::copy_bidirectional,
    time::{Instant, sleep, timeout, timeout_at},
};

use super::{
    body::{self, Body},
    cut::Cut,
    headers, local,
    mirror::Mirrors,
    note::Note,
    table::{Ready, Tickets},
    upstream::{Answer, Lost, Upstreams},
    workers,
};
use crate::access_log::Flag;
use crate::requests::{
    Action, CorsAnswer, Failure, Forward, HeaderChange, Matched, Rule, Seen, To,
};

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

/// A request that is sent on.
struct Asked<'a> {
    parts: Parts,
    authority: String,
    matched: Matched<'a>,
    forward: &'a Forward,
}

impl Asked<'_> {
    /// The request as the endpoint gets it, and whether it asks for an upgrade. `None` if a rewrite
    /// makes it none.
    fn template(mut self, to: &To, http2: bool) -> Option<(Request<()>, bool)> {
        let rule = self.matched.rule;
        let headers = &mut self.parts.headers;
        let upgrade = headers::hop(headers);
        to.request.apply(headers);
        rule.request.apply(headers);
        let authority = self.forward.authority(rule, to).unwrap_or(&self.authority);
        let path = self.matched.path(self.forward, self.parts.uri.path());
        let target = target(&self.parts.uri, path)?;
        let mut request = Request::new(());
        *request.method_mut() = self.parts.method;
        if http2 {
            *request.version_mut() = Version::HTTP_2;
            headers.remove(HOST);
            let uri = Uri::builder().scheme("http").authority(authority);
            *request.uri_mut() = uri.path_and_query(target).build().ok()?;
        } else {
            if self.parts.version == Version::HTTP_2 {
                headers::join_cookies(headers);
            }
            headers.insert(HOST, HeaderValue::from_str(authority).ok()?);
            *request.uri_mut() = Uri::from(target);
        }
        *request.headers_mut() = self.parts.headers;
        Some((request, upgrade))
    }
}

/// The attempts of one request.
struct Sending<'a> {
    upstreams: &'a Arc<Upstreams>,
    note: &'a Note,
    rule: &'a Rule,
    to: &'a To,
    turn: u64,
    template: Request<()>,
}

impl Sending<'_> {
    /// Sends it until it is answered, or may not be sent again.
    async fn send(&self, body: Body, repeatable: bool) -> Result<Response<Incoming>, Failure> {
        let mut request = self.request(body);
        let (mut done, mut crossed) = (0, false);
        loop {
            let attempt = self.attempt(self.endpoint(done), request).await;
            let (failure, unsent) = match attempt {
                Ok(Answer { response, local }) => match answered(&response) {
                    Some(failure) if self.again(failure, done, repeatable) => (failure, None),
                    failed => {
                        self.note.answered(local);
                        self.spent(failed.is_some(), done);
                        return Ok(response);
                    }
                },
                // Its end crossed the request: that the endpoint closed an idle connection is no failure.
                Err(lost)
                    if lost.reused
                        && !crossed
                        && repeatable
                        && self.template.method().is_idempotent() =>
                {
                    crossed = true;
                    request = self.request(body::empty());
                    continue;
                }
                Err(lost) => {
                    let here = repeatable || lost.unsent.is_some();
                    if !self.again(lost.failure, done, here) {
                        self.spent(true, done);
                        return Err(lost.failure);
                    }
                    (lost.failure, lost.unsent)
                }
            };
            tracing::debug!(?failure, done, "a request is tried again");
            sleep(self.rule.retries.wait(done)).await;
            done += 1;
            request = unsent.unwrap_or_else(|| self.request(body::empty()));
        }
    }

    async fn attempt(&self, to: SocketAddr, request: Request<Body>) -> Result<Answer, Lost> {
        self.note.attempt(to);
        let sent = self.upstreams.send(to, request);
        let late = |_| Lost {
            failure: Failure::Timeout,
            unsent: None,
            reused: false,
        };
        match self.rule.retries.per_try {
            None => sent.await,
            Some(most) => timeout(most, sent).await.map_err(late)?,
        }
    }

    /// Notes that no further retry may be, if it failed.
    fn spent(&self, failed: bool, done: u32) {
        if failed && self.rule.retries.is_spent(done) {
            self.note.flag(Flag::UpstreamRetryLimitExceeded);
        }
    }

    fn again(&self, failure: Failure, done: u32, here: bool) -> bool {
        let method = self.template.method();
        self.rule.retries.again(failure, done, method, here)
    }

    /// A retry goes to another endpoint, if there is one.
    fn endpoint(&self, done: u32) -> SocketAddr {
        let all = &self.to.endpoints;
        let turn = self.turn.wrapping_add(done.into()) % (all.len() as u64);
        let index = usize::try_from(turn).unwrap_or_default();
        all.get(index).copied().unwrap_or_else(unspecified)
    }

    fn request(&self, body: Body) -> Request<Body> {
        let mut request = Request::new(body);
        *request.method_mut() = self.template.method().clone();
        *request.uri_mut() = self.template.uri().clone();
        *request.version_mut() = self.template.version();
        request.headers_mut().clone_from(self.template.headers());
        request
    }
}

/// Never dialled: there is an endpoint wherever one is looked for.
fn unspecified() -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0], 0))
}

/// An answer that may be a reason to try again.
fn answered(response: &Response<Incoming>) -> Option<Failure> {
    let grpc = response.headers().get(local::GRPC_STATUS);
    let grpc = grpc.and_then(|value| value.to_str().ok()?.parse().ok());
    match grpc {
        Some(0) | None => {
            let status = response.status();
            let is_failure = status.is_client_error() || status.is_server_error();
            is_failure.then_some(Failure::Status(status))
        }
        Some(status) => Some(Failure::Grpc(status)),
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

/// The answer as the client gets it.
fn handed_back(
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

fn target(uri: &Uri, path: Option<String>) -> Option<PathAndQuery> {
    let Some(path) = path else {
        let same = uri.path_and_query().cloned();
        return Some(same.unwrap_or_else(|| PathAndQuery::from_static("/")));
    };
    let query = uri.query().map(|query| format!("?{query}"));
    let text = format!("{path}{}", query.unwrap_or_default());
    let text = if text.starts_with('/') {
        text
    } else {
        format!("/{text}")
    };
    text.parse().ok()
}
