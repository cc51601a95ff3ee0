use http::Uri;
use serde_json::{Value, json};

use super::*;

/// What becomes of a request with these headers, in one line.
fn answer(policy: &Value, method: &Method, headers: &[(&'static str, &'static str)]) -> String {
    let policy: CorsPolicy = serde_json::from_value(policy.clone()).unwrap();
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, HeaderValue::from_static(value));
    }
    let uri = Uri::from_static("/items");
    let seen = Seen {
        method,
        path: uri.path(),
        query: None,
        scheme: "http",
        authority: "catalog",
        headers: &map,
    };
    let said = |headers: HeaderMap| {
        let lines = headers.iter().map(|(name, value)| {
            let name = name.as_str().trim_start_matches("access-control-");
            format!("{name}={}", value.to_str().unwrap())
        });
        lines.collect::<Vec<_>>().join(" ")
    };
    match Cors::new(&policy).unwrap().answer(&seen) {
        CorsAnswer::Preflight(headers) => format!("preflight {}", said(headers)),
        CorsAnswer::Headers(headers) => said(headers),
        CorsAnswer::Nothing => "-".to_owned(),
    }
}

/// The preflight of a page.
fn preflight(policy: &Value, origin: &'static str) -> String {
    let headers = [("origin", origin), ("access-control-request-method", "PUT")];
    answer(policy, &Method::OPTIONS, &headers)
}

#[test]
fn origins_are_compared_as_written() {
    let policy = json!({"allowOrigins": [
        {"exact": "https://a.example"}, {"prefix": "https://b."}, {"regex": "https://.*\\.c\\.example"},
    ]});
    for (origin, expected) in [
        ("https://a.example", "allow-origin=https://a.example"),
        ("https://A.example", "-"),
        ("https://a.example:8443", "-"),
        (
            "https://b.example:8443",
            "allow-origin=https://b.example:8443",
        ),
        ("http://b.example", "-"),
        ("https://x.c.example", "allow-origin=https://x.c.example"),
        ("https://x.c.example.evil", "-"),
        ("null", "-"),
    ] {
        let got = answer(&policy, &Method::GET, &[("origin", origin)]);
        assert_eq!(got, expected, "{origin}");
    }
}

/// As in Envoy, whatever takes a star takes every origin; each is told its own name.
#[test]
fn a_star_is_every_origin() {
    for origins in [
        json!({"allowOrigins": [{"exact": "*"}]}),
        json!({"allowOrigins": [{"regex": ".*"}]}),
        json!({"allowOrigin": ["*"]}),
    ] {
        let got = answer(&origins, &Method::GET, &[("origin", "https://any")]);
        assert_eq!(got, "allow-origin=https://any", "{origins}");
    }
    let newer = json!({"allowOrigin": ["*"], "allowOrigins": [{"exact": "https://a"}]});
    assert_eq!(
        answer(&newer, &Method::GET, &[("origin", "https://b")]),
        "-"
    );
}

#[test]
fn a_preflight_is_answered_with_all_of_it() {
    let policy = json!({
        "allowOrigins": [{"exact": "https://a"}], "allowMethods": ["GET", "PUT"],
        "allowHeaders": ["x-a", "x-b"], "exposeHeaders": ["x-c"], "maxAge": "24h", "allowCredentials": true,
    });
    assert_eq!(
        preflight(&policy, "https://a"),
        "preflight allow-origin=https://a allow-credentials=true allow-methods=GET,PUT \
         allow-headers=x-a,x-b max-age=86400"
    );
    let plain = "allow-origin=https://a allow-credentials=true expose-headers=x-c";
    let origin = ("origin", "https://a");
    assert_eq!(answer(&policy, &Method::PUT, &[origin]), plain);
    // Any OPTIONS is no preflight.
    assert_eq!(answer(&policy, &Method::OPTIONS, &[origin]), plain);
    let empty = ("access-control-request-method", "");
    assert_eq!(answer(&policy, &Method::OPTIONS, &[origin, empty]), plain);
    assert_eq!(answer(&policy, &Method::GET, &[]), "-");
    assert_eq!(answer(&policy, &Method::GET, &[("origin", "")]), "-");
}

#[test]
fn preflights_of_others_go_on_unless_told_otherwise() {
    for (said, expected) in [
        (json!(null), "-"),
        (json!("UNSPECIFIED"), "-"),
        (json!("FORWARD"), "-"),
        (json!("IGNORE"), "preflight "),
    ] {
        let policy = json!({"allowOrigins": [{"exact": "https://a"}], "unmatchedPreflights": said});
        assert_eq!(preflight(&policy, "https://b"), expected, "{said}");
        let get = answer(&policy, &Method::GET, &[("origin", "https://b")]);
        assert_eq!(get, "-");
    }
}
