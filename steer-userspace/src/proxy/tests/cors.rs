use serde_json::json;

use super::ground::{Ground, named, server, whole};

/// Headers of an answer that a browser looks at.
fn said(head: &str) -> Vec<String> {
    let lines = head.to_ascii_lowercase();
    let lines = lines
        .lines()
        .filter(|line| line.starts_with("access-control-"));
    lines.map(ToOwned::to_owned).collect()
}

#[tokio::test]
async fn pages_of_others_ask_as_the_rule_says() {
    let own = server(|_| async {
        let mut response = whole("own");
        let headers = response.headers_mut();
        headers.insert(
            "access-control-allow-origin",
            "https://old".parse().unwrap(),
        );
        response
    })
    .await;
    let cors = json!({"allowOrigins": [{"exact": "https://a"}], "allowMethods": ["PUT"], "exposeHeaders": ["x-c"]});
    let to = |subset: &str| json!([{"destination": {"host": "catalog", "subset": subset}}]);
    let rules = json!([
        {"match": [{"uri": {"prefix": "/own"}}], "corsPolicy": cors, "route": to("own")},
        {"match": [{"uri": {"prefix": "/fault"}}], "corsPolicy": cors, "route": to("v1"),
         "fault": {"abort": {"httpStatus": 555}}},
        {"match": [{"uri": {"prefix": "/tea"}}], "corsPolicy": cors, "directResponse": {"status": 418}},
        {"corsPolicy": cors, "route": to("v1")},
    ]);
    let ground = Ground::new(rules, &[("v1", &[named("v1").await]), ("own", &[own])]).await;
    let mut client = ground.connect().await;
    let allowed = "access-control-allow-origin: https://a";
    let plain = [allowed, "access-control-expose-headers: x-c"].map(ToOwned::to_owned);
    let preflight = [allowed, "access-control-allow-methods: put"].map(ToOwned::to_owned);
    let asks = "Access-Control-Request-Method: PUT\r\n";
    for (line, fields, status, expected) in [
        ("GET /", "Origin: https://a\r\n", 200, &plain[..]),
        ("GET /", "Origin: https://b\r\n", 200, &[]),
        ("GET /own", "Origin: https://a\r\n", 200, &plain[..]),
        (
            "GET /own",
            "",
            200,
            &["access-control-allow-origin: https://old".to_owned()],
        ),
        ("GET /tea", "Origin: https://a\r\n", 418, &plain[..]),
        // What fails on purpose fails before.
        ("GET /fault", "Origin: https://a\r\n", 555, &[]),
        (
            "OPTIONS /",
            &format!("Origin: https://a\r\n{asks}"),
            200,
            &preflight[..],
        ),
        (
            "OPTIONS /",
            &format!("Origin: https://b\r\n{asks}"),
            200,
            &[],
        ),
    ] {
        let answer = client
            .ask(&format!("{line} HTTP/1.1\r\nHost: c\r\n{fields}\r\n"))
            .await;
        assert_eq!(answer.status, status, "{line} {fields}");
        let mut said = said(&answer.head);
        said.sort();
        let mut expected = expected.to_vec();
        expected.sort();
        assert_eq!(said, expected, "{line} {fields}");
        // The proxy answers the preflight of an origin that is allowed, nobody else does.
        let is_own = line.starts_with("OPTIONS") && fields.contains("https://a");
        assert_eq!(
            answer.body.starts_with("v1 OPTIONS"),
            line.starts_with("OPTIONS") && !is_own
        );
    }
}
