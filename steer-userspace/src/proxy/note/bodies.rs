//! Bodies, counted as they pass.

use std::{
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Frame, SizeHint};

use super::{Noted, Passed};
use crate::{
    access_log::Flag,
    proxy::{
        body::{Body, Broken},
        messages::Messages,
    },
    telemetry::Protocol,
};

/// A request's body.
struct Received {
    body: Body,
    messages: Messages,
    noted: Arc<Noted>,
}

/// An answer's body, as the client gets it.
pub(in crate::proxy) struct Sent {
    body: Body,
    /// None, if nobody notes anything.
    counting: Option<Counting>,
}

/// What an answer is counted by.
struct Counting {
    /// Whether it has no body, whatever its headers say.
    is_bare: bool,
    messages: Messages,
    noted: Arc<Noted>,
}

/// A request's body, counted.
pub(super) fn received(body: Body, noted: &Arc<Noted>) -> Body {
    let counted = Received {
        body,
        messages: Messages::default(),
        noted: Arc::clone(noted),
    };
    counted.boxed_unsync()
}

impl Sent {
    /// One that nobody counts.
    pub(super) fn uncounted(body: Body) -> Self {
        Self {
            body,
            counting: None,
        }
    }

    /// One that is counted. `is_bare` says that nothing of it is sent.
    pub(super) fn counted(body: Body, is_bare: bool, noted: Arc<Noted>) -> Self {
        let counting = Counting {
            is_bare,
            messages: Messages::default(),
            noted,
        };
        Self {
            body,
            counting: Some(counting),
        }
    }
}

impl hyper::body::Body for Received {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        let next = Pin::new(&mut this.body).poll_frame(context);
        let noted = &this.noted;
        count(&next, noted.protocol, &mut this.messages, &noted.received);
        next
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl hyper::body::Body for Sent {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        let next = Pin::new(&mut this.body).poll_frame(context);
        if let Some(counting) = &mut this.counting {
            counting.passed(&next);
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
    fn passed(&mut self, next: &Poll<Option<Result<Frame<Bytes>, Broken>>>) {
        let noted = &self.noted;
        count(next, noted.protocol, &mut self.messages, &noted.sent);
        match next {
            Poll::Ready(None) => noted.found().ended = true,
            Poll::Ready(Some(Err(error))) => {
                let flag = if error.is::<hyper::Error>() {
                    Flag::UpstreamConnectionTermination
                } else {
                    Flag::UpstreamRequestTimeout
                };
                noted.found().flags.insert(flag);
            }
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(trailers) = frame.trailers_ref() {
                    noted.trailers(trailers);
                }
            }
            Poll::Pending => {}
        }
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        // A body whose end is known beforehand is not asked for more.
        if let Some(counting) = &self.counting
            && (counting.is_bare || self.body.is_end_stream())
        {
            counting.noted.found().ended = true;
        }
    }
}

fn count(
    next: &Poll<Option<Result<Frame<Bytes>, Broken>>>,
    protocol: Protocol,
    messages: &mut Messages,
    to: &Passed,
) {
    if let Poll::Ready(Some(Ok(frame))) = next
        && let Some(data) = frame.data_ref()
    {
        let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
        to.bytes.fetch_add(length, Ordering::Relaxed);
        if protocol == Protocol::Grpc {
            let begun = messages.take(data);
            to.messages.fetch_add(begun, Ordering::Relaxed);
        }
    }
}
