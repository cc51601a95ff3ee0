//! Serves the page: GET alone, to so many at a time.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Method, Request, StatusCode, Uri,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
        X_FRAME_OPTIONS,
    },
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};

use super::{board::Board, page};
use crate::http_server::{self, Answer, plain, whole};

/// How many connections are served at a time; others wait.
const CONNECTIONS_MAX: usize = 32;
/// How long a connection may be without a request.
const IDLE_MAX: Duration = Duration::from_secs(10);

/// What a page may load and do: its own files, and nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 5] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
    (CACHE_CONTROL, "no-store"),
];

pub(super) async fn serve(listener: TcpListener, address: SocketAddr, board: Board) {
    let board = Arc::new(board);
    http_server::serve(listener, CONNECTIONS_MAX, |stream| {
        let answered = answer(stream, address, Arc::clone(&board));
        async move {
            // A browser that goes away is no failure.
            let _gone = answered.await;
        }
    })
    .await;
}

async fn answer(
    stream: TcpStream,
    address: SocketAddr,
    board: Arc<Board>,
) -> Result<(), hyper::Error> {
    let service = service_fn(move |request: Request<Incoming>| {
        let board = Arc::clone(&board);
        async move { Ok::<_, Infallible>(guarded(respond(&request, address, &board).await)) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

async fn respond(request: &Request<Incoming>, address: SocketAddr, board: &Board) -> Answer {
    if request.method() != Method::GET {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
    }
    let host = request.headers().get(HOST);
    if address.ip().is_loopback() && !host.is_some_and(is_near) {
        return plain(
            StatusCode::MISDIRECTED_REQUEST,
            "this page is served to this machine, under its address or as localhost\n",
        );
    }
    let path = request.uri().path();
    if path == "/live.json" {
        return match board.look().await {
            Ok(text) => whole(StatusCode::OK, "application/json", text),
            Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n")),
        };
    }
    match page::file(path) {
        Some(file) => whole(
            StatusCode::OK,
            file.kind,
            Bytes::from_static(file.text.as_bytes()),
        ),
        None => plain(StatusCode::NOT_FOUND, "there is only the page\n"),
    }
}

/// Whether a browser asks for this machine. A name that leads here is another site's, which may not read
/// what only this machine may.
fn is_near(host: &HeaderValue) -> bool {
    let found = host.to_str().ok().and_then(|text| text.parse::<Uri>().ok());
    let Some(name) = found.as_ref().and_then(Uri::host) else {
        return false;
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || bare.parse::<std::net::IpAddr>().is_ok()
}

/// With what tells browsers how little the page may do.
fn guarded(mut response: Answer) -> Answer {
    for (name, value) in HEADERS {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}

#[cfg(test)]
mod tests;
