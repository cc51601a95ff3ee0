//! Bodies of requests that a client breaks off: what fails then is not the endpoint's doing.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Frame, SizeHint};

use super::body::{Body, Broken};
use crate::access_log::Flag;

/// Nothing is wrong with it.
const WHOLE: u8 = 0;
/// The client has gone.
const GONE: u8 = 1;
/// What it sent is no such body.
const WRONG: u8 = 2;

/// Whether the client broke its request off, and how.
#[derive(Default)]
pub(super) struct Cut(Option<Arc<AtomicU8>>);

impl Cut {
    /// The same body, whose end is noticed.
    pub(super) fn noticed(&mut self, body: Body) -> Body {
        if body.is_end_stream() {
            return body;
        }
        let how = Arc::new(AtomicU8::new(WHOLE));
        self.0 = Some(Arc::clone(&how));
        Noticed { body, how }.boxed_unsync()
    }

    /// Why the request is not whole; `None` if nothing of the kind was noticed.
    pub(super) fn flag(&self) -> Option<Flag> {
        match self.0.as_ref()?.load(Ordering::Relaxed) {
            GONE => Some(Flag::DownstreamConnectionTermination),
            WRONG => Some(Flag::DownstreamProtocolError),
            _ => None,
        }
    }
}

struct Noticed {
    body: Body,
    how: Arc<AtomicU8>,
}

impl hyper::body::Body for Noticed {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let next = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Err(error)) = &next {
            let how = if is_wrong(&**error) { WRONG } else { GONE };
            self.how.store(how, Ordering::Relaxed);
        }
        Poll::Ready(next)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Whether it is bytes that are wrong, and not their end that came early.
fn is_wrong(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut causes = std::iter::successors(Some(error), |error| error.source());
    causes.any(|cause| {
        let io = cause.downcast_ref::<io::Error>();
        io.is_some_and(|io| io.kind() == io::ErrorKind::InvalidData)
    })
}
