//! When a request is tried again.

use std::time::Duration;

use http::{Method, StatusCode};

use super::route::length;
use crate::source::istio::Retries;

/// How an attempt ended without an answer that can be handed on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// There was no connection: nothing was sent.
    Connect,
    /// The other side took nothing of it (HTTP/2 `REFUSED_STREAM`, or a connection that was closed before).
    Refused,
    /// The connection broke after something was sent.
    Reset,
    /// What came back is no answer.
    Protocol,
    /// The attempt took too long.
    Timeout,
    /// It was answered with this status.
    Status(StatusCode),
    /// It was answered with this status of gRPC's.
    Grpc(u32),
}

/// `retries`, made ready.
#[derive(Clone, Debug)]
pub struct RetryPolicy {
    attempts: u32,
    on: Vec<Condition>,
    /// How long one attempt may take.
    pub per_try: Option<Duration>,
    backoff: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Condition {
    ConnectFailure,
    RefusedStream,
    Reset,
    ServerErrors,
    GatewayErrors,
    Conflict,
    Status(StatusCode),
    Grpc(u32),
}

/// What Istio does where a rule says nothing.
const DEFAULT_ATTEMPTS: u32 = 2;
const DEFAULT_ON: &str =
    "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes,503";
/// How long to wait before the first retry; each further one waits twice as long, up to ten times.
const BACKOFF: Duration = Duration::from_millis(25);

impl RetryPolicy {
    pub(super) fn new(written: Option<&Retries>) -> Self {
        let attempts = written.map_or(DEFAULT_ATTEMPTS, |retries| {
            u32::try_from(retries.attempts).unwrap_or_default()
        });
        let on = written.and_then(|retries| retries.retry_on.as_deref());
        let on = on.filter(|on| !on.is_empty()).unwrap_or(DEFAULT_ON);
        Self {
            attempts,
            on: on.split(',').flat_map(conditions).collect(),
            per_try: written.and_then(|retries| length(retries.per_try_timeout)),
            backoff: written
                .and_then(|retries| length(retries.backoff))
                .unwrap_or(BACKOFF),
        }
    }

    /// How often, at most.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Whether a request that failed so is tried again after `done` retries. `replayable`: all of it is
    /// still here. Nothing that may have had an effect is sent twice.
    pub fn again(&self, failure: Failure, done: u32, method: &Method, replayable: bool) -> bool {
        let untouched = matches!(failure, Failure::Connect | Failure::Refused);
        done < self.attempts
            && replayable
            && (untouched || method.is_idempotent())
            && self.on.iter().any(|condition| condition.is_met(failure))
    }

    /// Whether `done` retries are all there may be.
    pub fn is_spent(&self, done: u32) -> bool {
        done > 0 && done >= self.attempts
    }

    /// How long to wait before retry number `done`, counted from 0.
    pub fn wait(&self, done: u32) -> Duration {
        let longest = self.backoff.saturating_mul(10);
        self.backoff.saturating_mul(1 << done.min(8)).min(longest)
    }
}

impl Condition {
    fn is_met(self, failure: Failure) -> bool {
        match (self, failure) {
            (Self::ConnectFailure, Failure::Connect)
            | (Self::RefusedStream, Failure::Refused)
            | (
                Self::Reset | Self::ServerErrors,
                Failure::Connect
                | Failure::Refused
                | Failure::Reset
                | Failure::Protocol
                | Failure::Timeout,
            )
            | (Self::GatewayErrors, Failure::Timeout) => true,
            (Self::ServerErrors, Failure::Status(status)) => status.is_server_error(),
            (Self::GatewayErrors, Failure::Status(status)) => {
                matches!(status.as_u16(), 502..=504)
            }
            (Self::Conflict, Failure::Status(status)) => status == StatusCode::CONFLICT,
            (Self::Status(wanted), Failure::Status(status)) => wanted == status,
            (Self::Grpc(wanted), Failure::Grpc(status)) => wanted == status,
            _ => false,
        }
    }
}

/// What a word of `retryOn` stands for. `reset-before-request` is met by what was refused untouched.
fn conditions(word: &str) -> Vec<Condition> {
    match word {
        "5xx" => vec![Condition::ServerErrors],
        "gateway-error" => vec![Condition::GatewayErrors],
        "reset" => vec![Condition::Reset],
        "connect-failure" => vec![Condition::ConnectFailure],
        "refused-stream" | "reset-before-request" => vec![Condition::RefusedStream],
        "retriable-4xx" => vec![Condition::Conflict],
        "cancelled" => vec![Condition::Grpc(1)],
        "deadline-exceeded" => vec![Condition::Grpc(4)],
        "resource-exhausted" => vec![Condition::Grpc(8)],
        "internal" => vec![Condition::Grpc(13)],
        "unavailable" => vec![Condition::Grpc(14)],
        other => {
            let status = other
                .parse()
                .ok()
                .and_then(|code| StatusCode::from_u16(code).ok());
            status.map(Condition::Status).into_iter().collect()
        }
    }
}
