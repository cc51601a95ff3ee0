//! A request as its endpoint gets it.

use http::{HeaderValue, Request, Uri, Version, header::HOST, request::Parts, uri::PathAndQuery};

use crate::{
    proxy::headers,
    requests::{Forward, Matched, To},
};

/// A request that is sent on.
pub(super) struct Asked<'a> {
    pub(super) parts: Parts,
    pub(super) authority: String,
    pub(super) matched: Matched<'a>,
    pub(super) forward: &'a Forward,
}

impl Asked<'_> {
    /// The request as the endpoint gets it, and whether it asks for an upgrade. `None` if a rewrite
    /// makes it none.
    pub(super) fn template(mut self, to: &To, http2: bool) -> Option<(Request<()>, bool)> {
        let rule = self.matched.rule;
        let headers = &mut self.parts.headers;
        let upgrade = headers::hop(headers);
        to.request.apply(headers);
        rule.request.apply(headers);
        let authority = self.forward.authority(rule, to).unwrap_or(&self.authority);
        let path = self.matched.path(self.forward, self.parts.uri.path());
        let target = target(&self.parts.uri, path)?;
        let mut request = Request::new(());
        *request.method_mut() = self.parts.method;
        if http2 {
            *request.version_mut() = Version::HTTP_2;
            headers.remove(HOST);
            let uri = Uri::builder().scheme("http").authority(authority);
            *request.uri_mut() = uri.path_and_query(target).build().ok()?;
        } else {
            if self.parts.version == Version::HTTP_2 {
                headers::join_cookies(headers);
            }
            headers.insert(HOST, HeaderValue::from_str(authority).ok()?);
            *request.uri_mut() = Uri::from(target);
        }
        *request.headers_mut() = self.parts.headers;
        Some((request, upgrade))
    }
}

fn target(uri: &Uri, path: Option<String>) -> Option<PathAndQuery> {
    let Some(path) = path else {
        let same = uri.path_and_query().cloned();
        return Some(same.unwrap_or_else(|| PathAndQuery::from_static("/")));
    };
    let query = uri.query().map(|query| format!("?{query}"));
    let text = format!("{path}{}", query.unwrap_or_default());
    let text = if text.starts_with('/') {
        text
    } else {
        format!("/{text}")
    };
    text.parse().ok()
}
