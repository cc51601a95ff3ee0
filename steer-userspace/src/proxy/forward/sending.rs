//! What is tried until a request is answered.

use std::{net::SocketAddr, sync::Arc};

use http::{Request, Response};
use hyper::body::Incoming;
use tokio::time::{sleep, timeout};

use crate::{
    access_log::Flag,
    proxy::{
        body::{self, Body},
        local,
        note::Note,
        upstream::{Answer, Lost, Upstreams},
    },
    requests::{Failure, Rule, To},
};

/// The attempts of one request.
pub(super) struct Sending<'a> {
    pub(super) upstreams: &'a Arc<Upstreams>,
    pub(super) note: &'a Note,
    pub(super) rule: &'a Rule,
    pub(super) to: &'a To,
    pub(super) turn: u64,
    pub(super) template: Request<()>,
}

impl Sending<'_> {
    /// Sends it until it is answered, or may not be sent again.
    pub(super) async fn send(
        &self,
        body: Body,
        repeatable: bool,
    ) -> Result<Response<Incoming>, Failure> {
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
