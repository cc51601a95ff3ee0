//! Headers that are about one connection only.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONNECTION, COOKIE, EXPECT, TE, TRANSFER_ENCODING, UPGRADE},
};

/// Removes them. An upgrade that is asked for, or agreed to, is said again; returns whether there is one.
pub(super) fn hop(headers: &mut HeaderMap) -> bool {
    let words: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|word| word.trim().parse().ok())
        .collect();
    let upgrade = headers
        .get(UPGRADE)
        .cloned()
        .filter(|_| words.contains(&UPGRADE));
    let trailers = headers.get_all(TE).iter().any(takes_trailers);
    for name in words {
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

fn takes_trailers(value: &HeaderValue) -> bool {
    let text = value.to_str().unwrap_or_default();
    let mut words = text.split(',');
    words.any(|word| word.trim().eq_ignore_ascii_case("trailers"))
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
        let pairs = [("connection", "Upgrade"), ("upgrade", "websocket")];
        let kept = vec!["connection: upgrade".into(), "upgrade: websocket".into()];
        assert_eq!(after(&pairs), (kept, true));
    }
}
