use super::*;
use crate::desired::{client::Labels, fixture::client};

fn http(text: &str) -> HttpMatch {
    serde_json::from_str(text).unwrap()
}

#[test]
fn gateways_of_an_entry_hide_its_source_from_http_but_not_from_tcp() {
    let text = r#"{"gateways": ["mesh"], "sourceLabels": {"app": "x"}, "sourceNamespace": "m"}"#;
    assert!(http_holds(&http(text), &client("n"), 80, "n"));
    assert!(!tcp_holds(
        &serde_json::from_str(text).unwrap(),
        &client("n"),
        80,
        "n"
    ));
    assert!(!tls_holds(
        &serde_json::from_str(text).unwrap(),
        &client("n"),
        80,
        "n"
    ));
    let other = r#"{"gateways": ["g"]}"#;
    assert!(!http_holds(&http(other), &client("n"), 80, "n"));
    assert!(!tcp_holds(
        &serde_json::from_str(other).unwrap(),
        &client("n"),
        80,
        "n"
    ));
}

#[test]
fn source_and_port_must_hold() {
    let labels = Labels::from([("app".to_owned(), "x".to_owned())]);
    let one = http(r#"{"sourceLabels": {"app": "x"}, "sourceNamespace": "n", "port": 80}"#);
    assert!(http_holds(&one, &Client::new(Some("n"), &labels), 80, "n"));
    assert!(!http_holds(&one, &Client::new(Some("n"), &labels), 81, "n"));
    assert!(!http_holds(&one, &Client::new(Some("m"), &labels), 80, "n"));
    assert!(!http_holds(&one, &client("n"), 80, "n"));
    assert!(!http_holds(&one, &Client::unknown(), 80, "n"));
}

#[test]
fn what_takes_everything() {
    for text in [
        "{}",
        r#"{"uri": {"prefix": "/"}}"#,
        r#"{"uri": {"regex": ".*"}}"#,
        r#"{"uri": {}}"#,
        r#"{"headers": {"uri": {"exact": "x"}}}"#,
        r#"{"sourceLabels": {"a": "b"}, "port": 80, "name": "x"}"#,
    ] {
        assert!(!needs_requests(&http(text)), "{text}");
    }
    for (text, fields) in [
        (r#"{"uri": {"prefix": "/a"}}"#, &["uri"][..]),
        (r#"{"uri": {"exact": "/"}}"#, &["uri"]),
        (
            r#"{"uri": {"prefix": "/"}, "method": {"exact": "GET"}, "headers": {"h": {}}}"#,
            &["method", "headers"],
        ),
        (
            r#"{"scheme": {"exact": "http"}, "authority": {"exact": "a"}}"#,
            &["scheme", "authority"],
        ),
        (
            r#"{"withoutHeaders": {"h": {}}, "queryParams": {"q": {}}}"#,
            &["withoutHeaders", "queryParams"],
        ),
    ] {
        assert_eq!(request_fields(&http(text)), fields, "{text}");
    }
}

#[test]
fn subnets_cover_all_addresses_or_some_or_none() {
    let addresses = ["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()];
    let of = |subnets: &[&str]| {
        let subnets: Vec<String> = subnets.iter().map(|subnet| (*subnet).to_owned()).collect();
        coverage(&subnets, &addresses)
    };
    assert_eq!(of(&[]), Coverage::All);
    assert_eq!(of(&["10.0.0.0/8"]), Coverage::Some);
    assert_eq!(of(&["10.0.0.0/8", "fd00::/8"]), Coverage::All);
    assert_eq!(of(&["11.0.0.0/8"]), Coverage::None);
}
