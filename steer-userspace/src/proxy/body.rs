//! Bodies: handed on piece by piece, as fast as the other side takes them.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Full, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

/// Why a body ends early.
pub(super) type Broken = Box<dyn std::error::Error + Send + Sync>;
/// A body of any origin.
pub(super) type Body = UnsyncBoxBody<Bytes, Broken>;

/// No body.
pub(super) fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// A body that is here.
pub(super) fn whole(bytes: impl Into<Bytes>) -> Body {
    let body = Full::new(bytes.into());
    body.map_err(|never| match never {}).boxed_unsync()
}

/// A body that is still coming.
pub(super) fn handed_on(body: Incoming) -> Body {
    body.map_err(Into::into).boxed_unsync()
}

/// A body that is still coming, and breaks off if it is not here by then.
pub(super) fn until(body: Incoming, deadline: Option<Instant>) -> Body {
    match deadline {
        None => handed_on(body),
        Some(deadline) => Timed {
            body,
            late: Box::pin(sleep_until(deadline)),
        }
        .boxed_unsync(),
    }
}

struct Timed {
    body: Incoming,
    late: Pin<Box<Sleep>>,
}

impl hyper::body::Body for Timed {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if let Poll::Ready(next) = Pin::new(&mut self.body).poll_frame(context) {
            return Poll::Ready(next.map(|next| next.map_err(Into::into)));
        }
        match self.late.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Some(Err("the rule's timeout is over".into()))),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
