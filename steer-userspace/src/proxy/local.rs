//! Answers of the proxy's own, as Envoy gives them: gRPC has its status in a header.

use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
    header::{CONNECTION, CONTENT_TYPE},
};

use super::body::{self, Body};
use crate::requests::Abort;

/// An answer with a text; none for an empty one.
pub(super) fn answer(asked: &HeaderMap, status: StatusCode, text: &'static str) -> Response<Body> {
    answer_to(is_grpc(asked), status, text)
}

/// The same, where the request itself has gone on.
pub(super) fn answer_to(is_grpc: bool, status: StatusCode, text: &'static str) -> Response<Body> {
    if is_grpc {
        return grpc(grpc_status(status), text);
    }
    plain(status, text.as_bytes())
}

/// An answer whoever asks.
pub(super) fn plain(status: StatusCode, text: &[u8]) -> Response<Body> {
    let mut response = Response::new(if text.is_empty() {
        body::empty()
    } else {
        body::whole(text.to_vec())
    });
    *response.status_mut() = status;
    if !text.is_empty() {
        let kind = HeaderValue::from_static("text/plain");
        response.headers_mut().insert(CONTENT_TYPE, kind);
    }
    response
}

/// To a request that may be understood in two ways, or did not come whole: what follows it is none either.
pub(super) fn unclear() -> Response<Body> {
    let mut response = plain(StatusCode::BAD_REQUEST, b"");
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(CONNECTION, close);
    response
}

/// A request that fails on purpose.
pub(super) fn aborted(asked: &HeaderMap, how: Abort) -> Response<Body> {
    const TEXT: &str = "fault filter abort";
    match how {
        Abort::Http(status) => answer(asked, status, TEXT),
        Abort::Grpc(status) => grpc(status, TEXT),
    }
}

fn grpc(status: u32, text: &'static str) -> Response<Body> {
    let mut response = Response::new(body::empty());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(GRPC_STATUS, status.into());
    if !text.is_empty() {
        headers.insert(GRPC_MESSAGE, HeaderValue::from_static(text));
    }
    response
}

const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// Where gRPC has its status.
pub(super) const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// Whether a request is one of gRPC's.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    kind.and_then(|kind| kind.strip_prefix(b"application/grpc"))
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"+") || rest.starts_with(b";"))
}

/// As gRPC reads statuses of HTTP.
fn grpc_status(status: StatusCode) -> u32 {
    match status.as_u16() {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502..=504 => 14,
        _ => 2,
    }
}
