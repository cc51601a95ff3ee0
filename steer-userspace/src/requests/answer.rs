//! Answers that need no server.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::StatusCode;

use super::{
    matching::{Match, Seen},
    path::replace,
};
use crate::source::istio::{DirectResponse, Redirect as Written};

/// `directResponse`, made ready.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    pub(super) fn new(written: &DirectResponse) -> Self {
        let status = u16::try_from(written.status).ok();
        let status = status.and_then(|status| StatusCode::from_u16(status).ok());
        let body = written.body.as_ref().map(|body| {
            let bytes = body.bytes.as_ref();
            let bytes = bytes.map(|text| STANDARD.decode(text).unwrap_or_default());
            bytes.unwrap_or_else(|| body.string.clone().unwrap_or_default().into_bytes())
        });
        Self {
            status: status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            body: body.unwrap_or_default(),
        }
    }
}

/// `redirect`, made ready.
#[derive(Clone, Debug)]
pub struct Redirect {
    written: Written,
    /// The status.
    pub status: StatusCode,
}

impl Redirect {
    pub(super) fn new(written: &Written) -> Self {
        let code = written.redirect_code.filter(|&code| code != 0);
        let status = u16::try_from(code.unwrap_or(301)).ok();
        let status = status.and_then(|status| StatusCode::from_u16(status).ok());
        Self {
            written: written.clone(),
            status: status.unwrap_or(StatusCode::MOVED_PERMANENTLY),
        }
    }

    /// Where a request is sent.
    pub(super) fn location(&self, matched: Option<&Match>, seen: &Seen<'_>) -> String {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let scheme = given(&self.written.scheme).unwrap_or_else(|| seen.scheme.to_owned());
        let authority = given(&self.written.authority);
        let authority = authority.as_deref().unwrap_or(seen.authority);
        let (host, own_port) = parts(authority);
        let changed = scheme != seen.scheme;
        let default = |port: &str| matches!((seen.scheme, port), ("http", "80") | ("https", "443"));
        let port = match (self.written.port, self.written.derive_port.as_deref()) {
            (Some(port), _) if port != 0 => Some(port.to_string()),
            (_, Some("FROM_PROTOCOL_DEFAULT")) => None,
            (_, Some("FROM_REQUEST_PORT")) => parts(seen.authority).1.map(ToOwned::to_owned),
            _ => own_port
                .filter(|port| !(changed && default(port)))
                .map(ToOwned::to_owned),
        };
        let port = port.map_or_else(String::new, |port| format!(":{port}"));
        format!("{scheme}://{host}{port}{}", self.path(matched, seen))
    }

    fn path(&self, matched: Option<&Match>, seen: &Seen<'_>) -> String {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let path = match (
            given(&self.written.uri),
            given(&self.written.prefix_rewrite),
        ) {
            (Some(uri), _) => uri,
            (None, Some(prefix)) => replace(matched, seen.path, &prefix),
            (None, None) => seen.path.to_owned(),
        };
        match seen.query {
            Some(query) if !path.contains('?') => format!("{path}?{query}"),
            _ => path,
        }
    }
}

/// Host and port of an authority; an IPv6 address keeps its brackets.
fn parts(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    }
}
