//! Requests that are made late, or fail on purpose.

use std::time::Duration;

use http::StatusCode;

use super::{route::length, share::Share};
use crate::source::istio::{Fault as Written, GRPC_STATUS, share};

/// `fault`, made ready.
#[derive(Clone, Debug, Default)]
pub struct Fault {
    delay: Option<(Share, Duration)>,
    abort: Option<(Share, Abort)>,
}

/// How a request fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Abort {
    /// With a status.
    Http(StatusCode),
    /// With a status of gRPC's.
    Grpc(u32),
}

impl Fault {
    pub(super) fn new(written: Option<&Written>) -> Self {
        let Some(written) = written else {
            return Self::default();
        };
        let delay = written.delay.as_ref().and_then(|delay| {
            let percent = delay.percent.map(f64::from);
            let share = Share::of_million(share(delay.percentage.as_ref(), percent));
            Some((share, length(delay.fixed_delay)?))
        });
        let abort = written.abort.as_ref().and_then(|abort| {
            let http = abort
                .http_status
                .and_then(|status| u16::try_from(status).ok())
                .and_then(|status| StatusCode::from_u16(status).ok());
            let grpc = abort.grpc_status.as_deref().and_then(grpc_number);
            let how = grpc.map(Abort::Grpc).or(http.map(Abort::Http))?;
            let share = Share::of_million(share(abort.percentage.as_ref(), None));
            Some((share, how))
        });
        Self { delay, abort }
    }

    /// How late the request with this ticket is.
    pub fn delay(&self, ticket: u64) -> Option<Duration> {
        of(self.delay.as_ref(), ticket)
    }

    /// How the request with this ticket fails.
    pub fn abort(&self, ticket: u64) -> Option<Abort> {
        of(self.abort.as_ref(), ticket)
    }

    /// Whether there is any.
    pub fn is_some(&self) -> bool {
        self.delay.is_some() || self.abort.is_some()
    }
}

fn of<T: Copy>(found: Option<&(Share, T)>, ticket: u64) -> Option<T> {
    let (share, value) = found?;
    let drawn = share.draw(ticket)?;
    (drawn.destination == 0).then_some(*value)
}

fn grpc_number(name: &str) -> Option<u32> {
    let known = (0..).zip(GRPC_STATUS).find(|(_, known)| *known == name);
    known
        .map(|(number, _)| number)
        .or_else(|| name.parse().ok())
}
