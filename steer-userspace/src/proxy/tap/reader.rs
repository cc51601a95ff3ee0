//! The requests of one connection: read as a server would, and copied.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use http::{
    Method, Request, Response,
    header::{CONNECTION, UPGRADE},
};
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use steer_common::service::SplitId;
use tokio::sync::{mpsc::Receiver, watch};

use super::heard::{Piece, Waiting};
use crate::{
    proxy::{
        headers,
        mirror::{Lost, Mirrors},
        table::Table,
        upstream::Upstreams,
    },
    requests::Action,
};

/// The longest body that is copied.
const BODY_MAX: usize = 64 * 1024;

/// Reads the requests of one connection.
pub(super) struct Reader {
    pub(super) split: SplitId,
    pub(super) upstreams: Arc<Upstreams>,
    pub(super) table: watch::Receiver<Arc<Table>>,
    pub(super) mirrors: Arc<Mirrors>,
}

impl Reader {
    pub(super) async fn read(self, pieces: Receiver<Waiting>) {
        let stream = TokioIo::new(Piece::new(pieces));
        let copied = service_fn(|request| self.copied(request));
        let connection = http1::Builder::new().serve_connection(stream, copied);
        if let Err(error) = connection.await {
            // Its body has been counted, if it had come that far.
            tracing::trace!(%error, "what was tapped is no request");
        }
    }

    /// What is answered goes nowhere; a connection that is closed by it is not read any further.
    async fn copied(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Empty<Bytes>>, Infallible> {
        let mut answer = Response::new(Empty::new());
        if !self.copy(request).await {
            let close = http::HeaderValue::from_static("close");
            answer.headers_mut().insert(CONNECTION, close);
        }
        Ok(answer)
    }

    /// Copies a request; false if nothing that follows can be copied.
    async fn copy(&self, request: Request<Incoming>) -> bool {
        let (mut parts, body) = request.into_parts();
        // What becomes of another protocol cannot be copied.
        let leaves = parts.headers.contains_key(UPGRADE);
        if headers::hop(&mut parts.headers) || leaves || parts.method == Method::CONNECT {
            self.mirrors.lose(Lost::OtherProtocol);
            return false;
        }
        let body = match Limited::new(body, BODY_MAX).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                self.mirrors.lose(Lost::TooLong);
                return false;
            }
            Err(_) => {
                self.mirrors.lose(Lost::Cut);
                return false;
            }
        };
        let known = self.table.borrow().route(self.split);
        let Some(known) = known else { return false };
        for (rule, tickets) in known.ready.rules() {
            if let Action::Forward(forward) = &rule.action {
                let copies = forward.mirrored(tickets.mirror());
                let template = Request::from_parts(parts, ());
                self.mirrors
                    .repeat(&self.upstreams, &template, copies, &body);
                break;
            }
        }
        true
    }
}
