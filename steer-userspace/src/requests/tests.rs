use std::{collections::BTreeMap, net::Ipv4Addr, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    desired::model::{Destination, Endpoint, RequestRule, Rule as Origin},
    source::istio::HttpRoute,
};

/// A rule as written; its destinations are named by their subsets, with one endpoint each.
fn rule(value: &Value) -> RequestRule {
    let written: HttpRoute = serde_json::from_value(value.clone()).unwrap();
    let destinations = written.route.iter().map(|to| Destination {
        host: to.destination.host.clone(),
        port: 80,
        http2: false,
        subset: to.destination.subset.clone(),
        weight: u32::try_from(to.weight)
            .unwrap()
            .max(u32::from(written.route.len() == 1)),
        destination_rules: Vec::new(),
        endpoints: Arc::new([Endpoint {
            ip: Ipv4Addr::LOCALHOST.into(),
            port: 1,
            pod: None,
        }]),
    });
    RequestRule {
        rule: Origin::Setting {
            name: written.name.clone().unwrap_or_default(),
        },
        destinations: destinations.collect(),
        mirrors: Vec::new(),
        written: Arc::new(written),
    }
}

fn route(rules: &Value) -> Route {
    let rules: Vec<RequestRule> = rules.as_array().unwrap().iter().map(rule).collect();
    Route::new(&rules).unwrap()
}

/// A request: `GET http://host/path?query`, and its headers.
#[derive(Clone, Debug)]
struct Asked {
    method: Method,
    target: String,
    authority: String,
    headers: HeaderMap,
}

impl Asked {
    fn new(target: &str, headers: &[(&'static str, &'static str)]) -> Self {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        Self {
            method: Method::GET,
            target: target.to_owned(),
            authority: "catalog:80".to_owned(),
            headers: map,
        }
    }

    fn seen(&self) -> Seen<'_> {
        let (path, query) = match self.target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (self.target.as_str(), None),
        };
        Seen {
            method: &self.method,
            path,
            query,
            scheme: "http",
            authority: &self.authority,
            headers: &self.headers,
        }
    }
}

/// The name of the rule that takes a request.
fn taken(route: &Route, asked: &Asked) -> Option<String> {
    let found = route.find(&asked.seen())?;
    let Origin::Setting { name } = &found.rule.origin else {
        panic!("{:?}", found.rule.origin)
    };
    Some(name.clone())
}

/// Whether a match takes a request.
fn takes(one: &Value, asked: &Asked) -> bool {
    let route = route(&json!([{"name": "a", "match": [one], "directResponse": {"status": 200}}]));
    taken(&route, asked).is_some()
}

#[test]
fn strings_are_compared_as_written() {
    let at = |target| Asked::new(target, &[]);
    for (uri, yes, no) in [
        (json!({"exact": "/a"}), "/a?x=1", "/a/"),
        (json!({"prefix": "/a"}), "/ab", "/A"),
        (json!({"prefix": ""}), "/", "never"),
        (json!({"regex": "/a|/b"}), "/b", "/ab"),
        (json!({"regex": "/v[0-9]+/.*"}), "/v12/x", "/v/x"),
        (json!({"regex": "*"}), "/", "never"),
        (json!({}), "/", "never"),
    ] {
        assert!(takes(&json!({"uri": uri}), &at(yes)), "{uri} {yes}");
        if no != "never" {
            assert!(!takes(&json!({"uri": uri}), &at(no)), "{uri} {no}");
        }
    }
    let any_case = |uri: Value| json!({"uri": uri, "ignoreUriCase": true});
    assert!(takes(&any_case(json!({"exact": "/Ab"})), &at("/aB")));
    assert!(takes(&any_case(json!({"prefix": "/Ab"})), &at("/aBc")));
    // Regular expressions say themselves what they do.
    assert!(!takes(&any_case(json!({"regex": "/A"})), &at("/a")));
}

#[test]
fn headers_by_name_presence_and_value() {
    let with = |headers| Asked::new("/", headers);
    let one = |value: Value| json!({"headers": {"X-Cohort": value}});
    let internal = with(&[("x-cohort", "internal")]);
    assert!(takes(&one(json!({"exact": "internal"})), &internal));
    assert!(!takes(&one(json!({"exact": "Internal"})), &internal));
    assert!(takes(&one(json!({"prefix": "int"})), &internal));
    assert!(!takes(&one(json!({"regex": "int"})), &internal));
    assert!(takes(&one(json!({})), &internal));
    assert!(takes(&one(json!({"regex": "*"})), &internal));
    for value in [json!({}), json!({"exact": ""}), json!({"regex": ".*"})] {
        assert!(!takes(&one(value), &with(&[])));
    }
    let twice = with(&[("x-cohort", "a"), ("x-cohort", "b")]);
    assert!(takes(&one(json!({"exact": "a,b"})), &twice));
    // Those have fields of their own.
    assert!(takes(
        &json!({"headers": {"uri": {"exact": "/x"}}}),
        &internal
    ));
}

#[test]
fn headers_that_must_not_be_there() {
    let with = |headers| Asked::new("/", headers);
    let one = |value: Value| json!({"withoutHeaders": {"x": value}});
    assert!(takes(&one(json!({"exact": "a"})), &with(&[])));
    assert!(takes(&one(json!({"exact": "a"})), &with(&[("x", "b")])));
    assert!(!takes(&one(json!({"exact": "a"})), &with(&[("x", "a")])));
    assert!(!takes(&one(json!({})), &with(&[("x", "a")])));
    assert!(takes(&one(json!({})), &with(&[])));
    // What is not there is empty.
    assert!(!takes(&one(json!({"regex": ".*"})), &with(&[])));
}

#[test]
fn the_rest_of_a_request() {
    let mut asked = Asked::new("/a?k=v&k=w&empty&x=", &[]);
    assert!(takes(&json!({"method": {"exact": "GET"}}), &asked));
    assert!(takes(
        &json!({"authority": {"exact": "catalog:80"}}),
        &asked
    ));
    assert!(!takes(&json!({"authority": {"exact": "catalog"}}), &asked));
    assert!(takes(&json!({"scheme": {"exact": "http"}}), &asked));
    for (query, expected) in [
        (json!({"k": {"exact": "v"}}), true),
        (json!({"k": {"exact": "w"}}), false),
        (json!({"empty": {}}), true),
        (json!({"x": {"exact": ""}}), true),
        (json!({"missing": {}}), false),
        (json!({"k": {"prefix": "v"}, "x": {"regex": "a*"}}), true),
    ] {
        assert_eq!(
            takes(&json!({"queryParams": query}), &asked),
            expected,
            "{query}"
        );
    }
    asked.method = Method::POST;
    assert!(!takes(&json!({"method": {"prefix": "G"}}), &asked));
}

#[test]
fn the_first_rule_that_fits_decides_and_none_is_none() {
    let route = route(&json!([
        {"name": "internal", "match": [{"headers": {"x-cohort": {"exact": "internal"}}}], "directResponse": {"status": 200}},
        {"name": "either", "match": [{"uri": {"exact": "/a"}}, {"uri": {"exact": "/b"}}], "directResponse": {"status": 200}},
    ]));
    let internal = Asked::new("/a", &[("x-cohort", "internal")]);
    assert_eq!(taken(&route, &internal).as_deref(), Some("internal"));
    for target in ["/a", "/b"] {
        assert_eq!(
            taken(&route, &Asked::new(target, &[])).as_deref(),
            Some("either")
        );
    }
    assert_eq!(taken(&route, &Asked::new("/c", &[])), None);
}

/// The path that a request is sent on with.
fn sent(uri: Option<Value>, rewrite: &Value, target: &str) -> Option<String> {
    let matches: Vec<Value> = uri.into_iter().map(|uri| json!({"uri": uri})).collect();
    let route = route(&json!([
        {"match": matches, "rewrite": rewrite, "route": [{"destination": {"host": "a"}}]}
    ]));
    let asked = Asked::new(target, &[]);
    let found = route.find(&asked.seen()).unwrap();
    let Action::Forward(forward) = &found.rule.action else {
        panic!("{:?}", found.rule.action)
    };
    found.path(forward, asked.seen().path)
}

#[test]
fn paths_are_rewritten() {
    let to = json!({"uri": "/new"});
    let path = |uri, target| sent(uri, &to, target).unwrap();
    assert_eq!(path(Some(json!({"prefix": "/old"})), "/old/x"), "/new/x");
    assert_eq!(path(Some(json!({"exact": "/old"})), "/old"), "/new");
    assert_eq!(path(Some(json!({"regex": "/o.*"})), "/old/x"), "/new");
    assert_eq!(path(None, "/x"), "/newx");
    let by_regex =
        json!({"uriRegexRewrite": {"match": "/([a-z]+)/(\\d+)", "rewrite": "/$\\2/\\1"}});
    let path = sent(None, &by_regex, "/items/12/x");
    assert_eq!(path.as_deref(), Some("/$12/items/x"));
    assert_eq!(sent(None, &json!({"authority": "a"}), "/x"), None);
}

#[test]
fn redirects_say_where_to() {
    let location = |uri: Value, redirect: Value, target: &str| {
        let route = route(&json!([{"match": [{"uri": uri}], "redirect": redirect}]));
        let asked = Asked::new(target, &[]);
        let found = route.find(&asked.seen()).unwrap();
        let Action::Redirect(redirect) = &found.rule.action else {
            panic!("{:?}", found.rule.action)
        };
        (
            redirect.status.as_u16(),
            found.location(redirect, &asked.seen()),
        )
    };
    let any = || json!({"prefix": "/a"});
    for (redirect, code, expected) in [
        (json!({"uri": "/b"}), 301, "http://catalog:80/b?q=1"),
        (
            json!({"uri": "/b", "redirectCode": 302}),
            302,
            "http://catalog:80/b?q=1",
        ),
        (
            json!({"prefixRewrite": "/b"}),
            301,
            "http://catalog:80/b/x?q=1",
        ),
        (json!({"authority": "other"}), 301, "http://other/a/x?q=1"),
        (json!({"scheme": "https"}), 301, "https://catalog/a/x?q=1"),
        (
            json!({"port": 8443, "scheme": "https"}),
            301,
            "https://catalog:8443/a/x?q=1",
        ),
        (
            json!({"derivePort": "FROM_PROTOCOL_DEFAULT"}),
            301,
            "http://catalog/a/x?q=1",
        ),
        (json!({"uri": "/b?own"}), 301, "http://catalog:80/b?own"),
    ] {
        let found = location(any(), redirect.clone(), "/a/x?q=1");
        assert_eq!(found, (code, expected.to_owned()), "{redirect}");
    }
}

#[test]
fn headers_are_removed_then_set_then_added() {
    let route = route(&json!([{
        "headers": {"request": {
            "set": {"x-set": "new", "Host": "other"}, "add": {"x-add": "2"}, "remove": ["x-gone", "x-add"],
        }},
        "route": [{"destination": {"host": "a"}}],
    }]));
    let rule = &route.rules[0];
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("x-set", "old"),
        ("x-set", "older"),
        ("x-add", "1"),
        ("x-gone", "1"),
    ] {
        headers.append(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    rule.request.apply(&mut headers);
    let mut left: Vec<_> = headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    left.sort();
    assert_eq!(left, ["x-add: 2", "x-set: new"]);
    let Action::Forward(forward) = &rule.action else {
        panic!()
    };
    assert_eq!(
        forward.authority(rule, &forward.destinations()[0]),
        Some("other")
    );
}

#[test]
fn answers_carry_their_bodies() {
    let answer = |value: Value| {
        let route = route(&json!([{"directResponse": value}]));
        match route.rules[0].action.clone() {
            Action::Answer(answer) => answer,
            other => panic!("{other:?}"),
        }
    };
    let found = answer(json!({"status": 418, "body": {"string": "tea"}}));
    assert_eq!(
        (found.status, found.body),
        (StatusCode::IM_A_TEAPOT, b"tea".to_vec())
    );
    assert_eq!(
        answer(json!({"status": 200, "body": {"bytes": "dGVh"}})).body,
        b"tea"
    );
    assert!(answer(json!({"status": 204})).body.is_empty());
}

fn retries(value: &Value) -> RetryPolicy {
    let route = route(&json!([{"retries": value, "route": [{"destination": {"host": "a"}}]}]));
    route.rules[0].retries.clone()
}

#[test]
fn what_is_safe_is_tried_again_as_often_as_is_said() {
    let default = retries(&Value::Null);
    let (get, post) = (&Method::GET, &Method::POST);
    let unavailable = Failure::Status(StatusCode::SERVICE_UNAVAILABLE);
    assert!(default.again(Failure::Connect, 0, post, true));
    assert!(default.again(Failure::Refused, 1, post, true));
    assert!(!default.again(Failure::Connect, 2, get, true));
    assert!(default.again(unavailable, 0, get, true));
    assert!(default.again(Failure::Grpc(14), 0, get, true));
    // Something was sent, and may have had an effect; or it is not here any more.
    assert!(!default.again(unavailable, 0, post, true));
    assert!(!default.again(Failure::Connect, 0, get, false));
    assert!(!default.again(Failure::Reset, 0, get, true));
    assert!(!default.again(Failure::Status(StatusCode::BAD_GATEWAY), 0, get, true));
    let off = retries(&json!({"attempts": 0}));
    assert!(!off.again(Failure::Connect, 0, get, true));
    let own = retries(&json!({"attempts": 1, "retryOn": "5xx,429,reset", "perTryTimeout": "2s"}));
    for failure in [
        Failure::Reset,
        Failure::Timeout,
        Failure::Status(StatusCode::BAD_GATEWAY),
        Failure::Status(StatusCode::TOO_MANY_REQUESTS),
    ] {
        assert!(own.again(failure, 0, get, true), "{failure:?}");
        assert!(!own.again(failure, 1, get, true), "{failure:?}");
    }
    assert_eq!(own.per_try, Some(Duration::from_secs(2)));
    let waits: Vec<u128> = (0..6).map(|done| own.wait(done).as_millis()).collect();
    assert_eq!(waits, [25, 50, 100, 200, 250, 250]);
}

#[test]
fn faults_come_as_often_as_is_said() {
    let fault = |value: Value| {
        let route = route(&json!([{"fault": value, "route": [{"destination": {"host": "a"}}]}]));
        route.rules[0].fault.clone()
    };
    let some = fault(json!({
        "abort": {"percentage": {"value": 12.5}, "httpStatus": 503},
        "delay": {"fixedDelay": "5s"},
    }));
    for start in [0, 3, 4_000_000_007] {
        let aborted = (start..start + 800).filter(|&ticket| some.abort(ticket).is_some());
        assert_eq!(aborted.count(), 100);
    }
    assert_eq!(some.delay(0), Some(Duration::from_secs(5)));
    let grpc = fault(json!({"abort": {"grpcStatus": "UNAVAILABLE"}}));
    assert_eq!(grpc.abort(7), Some(Abort::Grpc(14)));
    assert!(!fault(json!({})).is_some());
}

proptest! {
    /// Whatever the weights: over a period each destination gets its own, wherever it begins.
    #[test]
    fn shares_are_exact(weights in prop::collection::vec(0_u32..50, 2..8), start in 0_u64..1_000_000) {
        prop_assume!(weights.iter().any(|&weight| weight > 0));
        let to: Vec<Value> = weights
            .iter()
            .enumerate()
            .map(|(index, weight)| json!({"destination": {"host": "a", "subset": index.to_string()}, "weight": weight}))
            .collect();
        let route = route(&json!([{"route": to}]));
        let Action::Forward(forward) = &route.rules[0].action else { panic!() };
        let sum: u64 = weights.iter().map(|&weight| u64::from(weight)).sum();
        let mut drawn = BTreeMap::new();
        for ticket in start..start + sum {
            let (to, _) = forward.draw(ticket).unwrap();
            *drawn.entry(to.cluster.clone()).or_insert(0) += 1;
        }
        for (index, &weight) in weights.iter().enumerate() {
            let cluster = format!("outbound|80|{index}|a");
            prop_assert_eq!(drawn.get(cluster.as_str()).copied().unwrap_or(0), weight);
        }
    }

    /// Rules are asked in order, matches are alternatives, conditions within one hold together.
    #[test]
    fn order_or_and(
        rules in prop::collection::vec(prop::collection::vec((0..3_usize, 0..3_usize), 0..3), 1..5),
        path in 0..3_usize,
        header in 0..3_usize,
    ) {
        let texts = ["a", "b", "c"];
        let written: Vec<Value> = rules
            .iter()
            .enumerate()
            .map(|(index, matches)| {
                let matches: Vec<Value> = matches
                    .iter()
                    .map(|&(path, header)| json!({
                        "uri": {"exact": format!("/{}", texts[path])},
                        "headers": {"x": {"exact": texts[header]}},
                    }))
                    .collect();
                json!({"name": index.to_string(), "match": matches, "directResponse": {"status": 200}})
            })
            .collect();
        let expected = rules
            .iter()
            .position(|matches| matches.is_empty() || matches.contains(&(path, header)))
            .map(|index| index.to_string());
        let asked = Asked::new(&format!("/{}", texts[path]), &[("x", texts[header])]);
        prop_assert_eq!(taken(&route(&Value::Array(written)), &asked), expected);
    }
}
