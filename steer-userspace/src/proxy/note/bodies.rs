//! Bodies, counted as they pass.

use std::{
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::body::{Body as _, Frame, SizeHint};

use super::Noted;
use crate::{
    access_log::Flag,
    proxy::{
        body::{Body, Broken},
        messages::Messages,
    },
    telemetry::Protocol,
};

/// A body whose bytes are counted as they pass.
pub(in crate::proxy) struct Counted {
    body: Body,
    /// None, if nobody notes anything.
    counting: Option<Counting>,
}

struct Counting {
    way: Way,
    messages: Messages,
    noted: Arc<Noted>,
}

/// Whose body it is.
#[derive(Clone, Copy)]
enum Way {
    /// A client's.
    Received,
    /// The client gets it; bare, it has none, whatever its headers say.
    Sent { is_bare: bool },
}

impl Counted {
    /// One that nobody counts.
    pub(super) fn uncounted(body: Body) -> Self {
        Self {
            body,
            counting: None,
        }
    }

    /// A request's.
    pub(super) fn received(body: Body, noted: Arc<Noted>) -> Self {
        Self::by(body, Way::Received, noted)
    }

    /// An answer's. `is_bare` says that nothing of it is sent.
    pub(super) fn sent(body: Body, is_bare: bool, noted: Arc<Noted>) -> Self {
        Self::by(body, Way::Sent { is_bare }, noted)
    }

    fn by(body: Body, way: Way, noted: Arc<Noted>) -> Self {
        let counting = Counting {
            way,
            messages: Messages::default(),
            noted,
        };
        Self {
            body,
            counting: Some(counting),
        }
    }
}

impl hyper::body::Body for Counted {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        let next = Pin::new(&mut this.body).poll_frame(context);
        if let (Some(counting), Poll::Ready(next)) = (&mut this.counting, &next) {
            counting.passed(next.as_ref());
        }
        next
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Counting {
    fn passed(&mut self, next: Option<&Result<Frame<Bytes>, Broken>>) {
        if let Some(Ok(frame)) = next
            && let Some(data) = frame.data_ref()
        {
            self.count(data);
        }
        match self.way {
            Way::Received => {}
            Way::Sent { .. } => self.goes_on(next),
        }
    }

    fn count(&mut self, data: &[u8]) {
        let to = match self.way {
            Way::Received => &self.noted.received,
            Way::Sent { .. } => &self.noted.sent,
        };
        let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
        to.bytes.fetch_add(length, Ordering::Relaxed);
        if self.noted.protocol == Protocol::Grpc {
            let begun = self.messages.take(data);
            to.messages.fetch_add(begun, Ordering::Relaxed);
        }
    }

    /// How an answer went on.
    fn goes_on(&self, next: Option<&Result<Frame<Bytes>, Broken>>) {
        let noted = &self.noted;
        match next {
            None => noted.found().ended = true,
            Some(Err(error)) => {
                let flag = if error.is::<hyper::Error>() {
                    Flag::UpstreamConnectionTermination
                } else {
                    Flag::UpstreamRequestTimeout
                };
                noted.found().flags.insert(flag);
            }
            Some(Ok(frame)) => {
                if let Some(trailers) = frame.trailers_ref() {
                    noted.trailers(trailers);
                }
            }
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        // A body whose end is known beforehand is not asked for more.
        if let Some(counting) = &self.counting
            && let Way::Sent { is_bare } = counting.way
            && (is_bare || self.body.is_end_stream())
        {
            counting.noted.found().ended = true;
        }
    }
}
