//! One connection of a client: its requests are answered until it ends, or all of it does.

use std::convert::Infallible;

use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header::CONNECTION};
use hyper::{
    body::Incoming,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
};

use super::{gate::Gate, headers, note::Counted};

/// What a connection is made of.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for S {}

/// Answers what comes over `stream`.
pub(super) async fn serve<A>(stream: impl Stream, ends: &mut watch::Receiver<bool>, answer: A)
where
    A: Service<Request<Incoming>, Response = Response<Counted>, Error = Infallible>,
    A::Future: Send + 'static,
{
    let answer = service_fn(move |request| {
        let leaves = may_leave(&request);
        let answered = answer.call(request);
        async move {
            let mut response = answered.await?;
            if leaves && response.status() != StatusCode::SWITCHING_PROTOCOLS {
                // What comes next may be of either protocol: no more is read of it.
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(CONNECTION, close);
            }
            Ok::<_, Infallible>(response)
        }
    });
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().half_close(true);
    let connection = server.serve_connection_with_upgrades(TokioIo::new(Gate::new(stream)), answer);
    tokio::pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = ended(ends) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection of a client broke");
    }
}

/// Whether a client may go on with another protocol, if it is answered so.
fn may_leave(request: &Request<Incoming>) -> bool {
    let asks =
        || *request.method() == Method::CONNECT || headers::upgrade(request.headers()).is_some();
    request.version() != Version::HTTP_2 && asks()
}

/// Waits until all of it ends.
pub(super) async fn ended(ends: &mut watch::Receiver<bool>) {
    // If the sender is gone, so is the thread.
    let _gone = ends.wait_for(|ends| *ends).await;
}
