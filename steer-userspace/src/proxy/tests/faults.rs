//! Endpoints that die or hang in each phase of a request: what the client sees, and what the access log says of
//! it. The table is the page of the reference; `BLESS=1` writes it anew.

pub(super) mod endpoint;
mod page;

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::Notify,
    time::timeout,
};

use super::{
    frames::{DATA, END_HEADERS, Frames, GET, POST, WHOLE, frame, headers},
    ground::{Ground, SOON, named, nobody},
    log::Log,
};
use endpoint::{How, Phase, Version, endpoint};

/// Methods that are asked with: one that may be tried again, and one that may not.
const METHODS: [&str; 2] = ["GET", "POST"];

fn rules(timeout: &str) -> Value {
    json!([{"route": [{"destination": {"host": "catalog", "subset": "v1"}}], "timeout": timeout}])
}

/// What a client of HTTP/1 gets: the status and how the body ended.
async fn ask_h1(ground: &Ground, method: &str, half: bool) -> String {
    let mut client = ground.connect().await;
    let body = match (method, half) {
        ("GET", _) => "Connection: close\r\n\r\n".to_owned(),
        (_, false) => "Connection: close\r\nContent-Length: 10\r\n\r\n0123456789".to_owned(),
        (_, true) => "Connection: close\r\nContent-Length: 10\r\n\r\n01234".to_owned(),
    };
    client
        .send(&format!("{method} / HTTP/1.1\r\nHost: c\r\n{body}"))
        .await;
    let mut bytes = Vec::new();
    let _reset = timeout(SOON, client.0.read_to_end(&mut bytes))
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).unwrap_or("closed").to_owned();
    match body {
        "hello" => format!("{status}, body cut"),
        _ => status,
    }
}

/// What a client of HTTP/2 gets, in the same words.
async fn ask_h2(ground: &Ground, method: &str, half: bool) -> String {
    let mut client = Frames::hello(ground.connect().await.0).await;
    let body = if half { &b"01234"[..] } else { b"0123456789" };
    let request = match method {
        "GET" => headers(1, WHOLE, &GET),
        _ => [
            headers(1, END_HEADERS, &POST),
            frame(DATA, u8::from(!half), 1, body),
        ]
        .concat(),
    };
    client.send(&request).await;
    let first = client.next().await;
    let next = client.next().await;
    // A head that is not sent yet is not sent any more, once its stream is reset.
    if [&first, &next].iter().any(|one| one.starts_with("RST")) {
        return "reset".to_owned();
    }
    first.trim_end_matches(" 1").to_owned()
}

async fn ask(ground: &Ground, version: Version, method: &str, half: bool) -> String {
    match version {
        Version::H1 => ask_h1(ground, method, half).await,
        Version::H2 => ask_h2(ground, method, half).await,
    }
}

/// A row: what the client sees, and the flags.
async fn run(version: Version, phase: Phase, how: How, method: &str) -> String {
    let log = Log::new();
    let at = match phase {
        Phase::Connect => nobody(),
        _ => endpoint(version, phase, how).await,
    };
    let rules = rules("0.3s");
    let format = "%RESPONSE_CODE% %RESPONSE_FLAGS%";
    let ground = Ground::logging(rules, &[("v1", &[at])], format, &log.writer).await;
    let half = phase == Phase::RequestBody;
    let mut lines = 1;
    if phase == Phase::Idle {
        assert_eq!(ask(&ground, version, method, false).await, "200");
        lines += 1;
    }
    let seen = ask(&ground, version, method, half).await;
    let lines = log.lines(lines).await;
    let mut flags = lines.last().unwrap().split_once(' ').unwrap().1;
    if (version, phase, flags) == (Version::H2, Phase::Accept, "UC,URX") {
        // Whether anything was sent depends on who is faster.
        flags = "UC";
    }
    format!("{seen} `{flags}`")
}

#[tokio::test]
async fn what_clients_see_is_as_the_page_says() {
    let mut rows = Vec::new();
    for phase in Phase::ALL {
        for how in [How::Dies, How::Hangs] {
            if phase == Phase::Connect && matches!(how, How::Hangs) {
                continue;
            }
            let mut cells = Vec::new();
            for method in METHODS {
                for version in [Version::H1, Version::H2] {
                    let none = phase == Phase::RequestBody && method == "GET";
                    cells.push(if none {
                        "-".to_owned()
                    } else {
                        run(version, phase, how.clone(), method).await
                    });
                }
            }
            rows.push((phase, how.clone(), cells));
        }
    }
    page::check(&rows);
}

/// Without a `timeout` it is waited for, in each phase: the client has nothing until the endpoint goes on.
#[tokio::test]
async fn without_a_timeout_a_request_waits() {
    for phase in [
        Phase::Accept,
        Phase::RequestHead,
        Phase::RequestBody,
        Phase::Answer,
        Phase::ResponseHead,
    ] {
        for version in [Version::H1, Version::H2] {
            let goes_on = Arc::new(Notify::new());
            let at = endpoint(version, phase, How::Waits(Arc::clone(&goes_on))).await;
            let ground = Ground::new(rules("0s"), &[("v1", &[at])]).await;
            let half = phase == Phase::RequestBody;
            let asked = ask(&ground, version, "POST", half);
            tokio::pin!(asked);
            let early = timeout(Duration::from_millis(100), &mut asked).await;
            assert!(early.is_err(), "{phase:?} {version:?}: {early:?}");
            goes_on.notify_one();
            assert_eq!(asked.await, "503", "{phase:?} {version:?}");
        }
    }
}

/// Another endpoint is tried where nothing was sent, or the endpoint says that it began nothing.
#[tokio::test]
async fn streams_that_are_refused_are_tried_again() {
    for (phase, method, expected) in [
        (Phase::Refused, "GET", "200"),
        (Phase::Refused, "POST", "503"),
        (Phase::Goes, "GET", "200"),
        (Phase::Reset, "GET", "503"),
    ] {
        let at = endpoint(Version::H2, phase, How::Dies).await;
        let ground = Ground::new(rules("0s"), &[("v1", &[at, named("v1").await])]).await;
        let seen = ask_h2(&ground, method, false).await;
        assert_eq!(seen, expected, "{phase:?} {method}");
    }
}

/// Bytes that the proxy keeps for an endpoint that never reads are bounded: the client is held back.
#[tokio::test]
async fn an_endpoint_that_never_reads_holds_the_client_back() {
    let at = endpoint(Version::H1, Phase::Accept, How::Hangs).await;
    let ground = Ground::new(rules("0s"), &[("v1", &[at])]).await;
    let mut client = ground.connect().await;
    let head = "POST / HTTP/1.1\r\nHost: c\r\nContent-Length: 1000000000\r\n\r\n";
    client.send(head).await;
    let piece = vec![0; 64 * 1024];
    let mut sent = 0;
    while let Ok(written) = timeout(Duration::from_millis(500), client.0.write(&piece)).await {
        sent += written.unwrap();
        assert!(sent < 64 << 20, "{sent} bytes are in between");
    }
    let mut none = [0; 1];
    let answered = timeout(Duration::from_millis(10), client.0.read(&mut none)).await;
    assert!(answered.is_err());
}
