//! Headers that are about one connection only.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, TE, TRANSFER_ENCODING, UPGRADE},
};

/// Removes them. An upgrade that is asked for, or agreed to, is said again; returns whether there is one.
pub(super) fn hop(headers: &mut HeaderMap) -> bool {
    let upgrade = upgrade(headers);
    let trailers = words(headers, TE).any(|word| word.eq_ignore_ascii_case("trailers"));
    if headers.contains_key(TRANSFER_ENCODING) {
        // It says how long the body is, whatever the length says.
        headers.remove(CONTENT_LENGTH);
    }
    let own = words(headers, CONNECTION).filter_map(|word| word.parse().ok());
    let own: Vec<HeaderName> = own.filter(|name| !is_for_all(name)).collect();
    for name in own {
        headers.remove(name);
    }
    for name in [
        CONNECTION,
        TE,
        TRANSFER_ENCODING,
        UPGRADE,
        EXPECT,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
    ] {
        headers.remove(name);
    }
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    let Some(upgrade) = upgrade else { return false };
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, upgrade);
    true
}

/// The protocols that a connection may go on with. HTTP/2 is none of them: requests inside of a tunnel would
/// pass by the rules.
pub(super) fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    if !words(headers, CONNECTION).any(|word| word.eq_ignore_ascii_case("upgrade")) {
        return None;
    }
    let all = words(headers, UPGRADE).filter(|word| !word.eq_ignore_ascii_case("h2c"));
    let all: Vec<&str> = all.collect();
    (!all.is_empty()).then(|| HeaderValue::from_str(&all.join(", ")).ok())?
}

/// What a connection may not call its own: what others rely on, and what a proxy adds.
fn is_for_all(name: &HeaderName) -> bool {
    let added = ["x-forwarded-", "x-envoy-", "x-request-id"];
    [HOST, CONTENT_LENGTH].contains(name)
        || added.iter().any(|start| name.as_str().starts_with(start))
}

/// The words of a list, over all of its lines.
fn words(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(name).into_iter();
    let lines = lines.filter_map(|value| value.to_str().ok());
    let all = lines.flat_map(|line| line.split(','));
    all.map(str::trim).filter(|word| !word.is_empty())
}

/// HTTP/2 may send each cookie alone, HTTP/1 may not.
pub(super) fn join_cookies(headers: &mut HeaderMap) {
    let all: Vec<&[u8]> = headers
        .get_all(COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if all.len() < 2 {
        return;
    }
    if let Ok(joined) = HeaderValue::from_bytes(&all.join(&b"; "[..])) {
        headers.insert(COOKIE, joined);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(pairs: &[(&'static str, &'static str)]) -> (Vec<String>, bool) {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let upgrade = hop(&mut headers);
        let mut left: Vec<String> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        left.sort();
        (left, upgrade)
    }

    #[test]
    fn cookies_stand_in_one_line() {
        let mut headers = HeaderMap::new();
        for value in ["a=1", "b=2; c=3"] {
            headers.append(COOKIE, HeaderValue::from_static(value));
        }
        join_cookies(&mut headers);
        let joined: Vec<_> = headers.get_all(COOKIE).iter().collect();
        assert_eq!(joined, ["a=1; b=2; c=3"]);
    }

    #[test]
    fn what_is_about_one_connection_goes_no_further() {
        let pairs = [
            ("host", "a"),
            ("connection", "close, X-Own"),
            ("x-own", "1"),
            ("keep-alive", "5"),
            ("te", "gzip, trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("expect", "100-continue"),
        ];
        assert_eq!(
            after(&pairs),
            (vec!["host: a".into(), "te: trailers".into()], false)
        );
        let pairs = [("connection", "Upgrade"), ("upgrade", "h2c, websocket")];
        let kept = vec!["connection: upgrade".into(), "upgrade: websocket".into()];
        assert_eq!(after(&pairs), (kept, true));
    }

    #[test]
    fn what_others_rely_on_is_no_connections_own() {
        let pairs = [
            ("connection", "host, content-length, x-forwarded-for"),
            ("content-length", "3"),
            ("host", "a"),
            ("x-forwarded-for", "b"),
        ];
        let kept = ["content-length: 3", "host: a", "x-forwarded-for: b"];
        assert_eq!(after(&pairs), (kept.map(Into::into).to_vec(), false));
        let pairs = [("transfer-encoding", "chunked"), ("content-length", "3")];
        assert_eq!(after(&pairs), (Vec::new(), false));
    }
}
