//! Lines of the access log: what was answered, why, how many bytes passed, and that each request has one.

use std::{convert::Infallible, fs, path::Path, time::Duration};

use bytes::Bytes;
use futures::stream;
use http::{Request, Response};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::ground::{Ground, Sent, named, nobody, server, whole};
use crate::access_log::{Target, Writer};

fn to(subset: &str) -> Value {
    json!({"destination": {"host": "catalog", "subset": subset}})
}

/// A log in a folder.
pub(super) struct Log {
    pub(super) writer: Writer,
    folder: tempfile::TempDir,
}

impl Log {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let writer = Writer::start().unwrap();
        writer.aim(Target::File(folder.path().join("log")));
        Self { writer, folder }
    }

    /// So many lines, once they are there.
    pub(super) async fn lines(&self, count: usize) -> Vec<String> {
        let path = self.folder.path().join("log");
        let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
        for _ in 0..1_000 {
            let text = read(&path);
            if text.lines().count() >= count {
                assert_eq!(text.lines().count(), count, "{text}");
                return text.lines().map(ToOwned::to_owned).collect();
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("{count} lines expected: {}", read(&path));
    }
}

const FORMAT: &str = "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %REQ(:PATH)% %RESPONSE_CODE% \
                      %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %BYTES_RECEIVED% %BYTES_SENT% %ROUTE_NAME%";

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: catalog\r\n\r\n")
}

#[tokio::test]
async fn each_request_has_a_line_that_says_why() {
    let slow = server(|_| async {
        sleep(Duration::from_secs(5)).await;
        whole("late")
    })
    .await;
    let busy = server(|_| async {
        let mut answer = whole("busy");
        *answer.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
        answer
    })
    .await;
    let v1 = named("v1").await;
    let match_on = |path: &str| json!([{"uri": {"prefix": path}}]);
    let rules = json!([
        {"name": "dead", "match": match_on("/dead"), "route": [to("dead")],
         "retries": {"attempts": 0}},
        {"name": "none", "match": match_on("/none"), "route": [to("none")]},
        {"name": "slow", "match": match_on("/slow"), "route": [to("slow")], "timeout": "0.1s"},
        {"name": "busy", "match": match_on("/busy"), "route": [to("busy")],
         "retries": {"attempts": 1, "retryOn": "5xx"}},
        {"name": "late", "match": match_on("/late"), "route": [to("v1")],
         "fault": {"delay": {"fixedDelay": "1ms", "percentage": {"value": 100}}}},
        {"name": "old", "match": [{"uri": {"prefix": "/old"}, "name": "way"}],
         "rewrite": {"uri": "/new"}, "route": [to("v1")]},
        {"match": match_on("/items"), "route": [to("v1")]},
    ]);
    let servers: &[(&str, &[_])] = &[
        ("dead", &[nobody()]),
        ("none", &[]),
        ("slow", &[slow]),
        ("busy", &[busy]),
        ("v1", &[v1]),
    ];
    let log = Log::new();
    let ground = Ground::logging(rules, servers, FORMAT, &log.writer).await;
    let post = "POST /items HTTP/1.1\r\nHost: catalog\r\nContent-Length: 5\r\n\r\n12345";
    let reset = "upstream_reset_before_response_started{connection_failure}";
    let timeout = "response_timeout";
    let cases = [
        (
            get("/dead"),
            format!("GET /dead /dead 503 UF {reset} 0 91 dead"),
        ),
        (
            get("/none"),
            "GET /none /none 503 UH no_healthy_upstream 0 19 none".to_owned(),
        ),
        (
            get("/slow"),
            format!("GET /slow /slow 504 UT {timeout} 0 24 slow"),
        ),
        (
            get("/busy"),
            "GET /busy /busy 503 URX via_upstream 0 4 busy".to_owned(),
        ),
        (
            get("/late"),
            "GET /late /late 200 DI via_upstream 0 32 late".to_owned(),
        ),
        (
            get("/old?a=1"),
            "GET /old?a=1 /new?a=1 200 - via_upstream 0 35 old.way".to_owned(),
        ),
        (
            get("/else"),
            "GET /else /else 404 NR route_not_found 0 0 -".to_owned(),
        ),
        (
            post.to_owned(),
            "POST /items /items 200 - via_upstream 5 34 -".to_owned(),
        ),
        (
            get("/items").replace("GET", "HEAD"),
            "HEAD /items /items 200 - via_upstream 0 0 -".to_owned(),
        ),
    ];
    for (index, (request, expected)) in cases.iter().enumerate() {
        let mut client = ground.connect().await;
        if request.starts_with("HEAD") {
            client.send(request).await;
        } else {
            client.ask(request).await;
        }
        let found = log.lines(index + 1).await;
        assert_eq!(&found[index], expected);
    }
}

/// A body without an end.
fn endless() -> Sent {
    let pieces = stream::unfold((), |()| async {
        sleep(Duration::from_millis(5)).await;
        let piece = Frame::data(Bytes::from_static(b"12345678"));
        Some((Ok::<_, Infallible>(piece), ()))
    });
    let body = StreamBody::new(pieces).map_err(|never| match never {});
    Response::new(body.boxed())
}

#[tokio::test]
async fn a_client_that_goes_in_the_middle_of_an_answer_is_noticed() {
    let endless = server(|_: Request<Incoming>| async { endless() }).await;
    let log = Log::new();
    let rules = json!([{"route": [to("endless")]}]);
    let servers: &[(&str, &[_])] = &[("endless", &[endless])];
    let ground = Ground::logging(rules, servers, FORMAT, &log.writer).await;
    let mut client = ground.connect().await;
    client.send(&get("/endless")).await;
    sleep(Duration::from_millis(100)).await;
    drop(client);
    let found = log.lines(1).await;
    let gone = "GET /endless /endless 200 DC downstream_remote_disconnect 0 ";
    assert!(found[0].starts_with(gone), "{found:?}");
}
