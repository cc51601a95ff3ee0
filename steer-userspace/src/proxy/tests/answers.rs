//! Answers of endpoints that two readers could understand in two ways, or that are cut: what the client gets.

use std::net::SocketAddr;

use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    time::timeout,
};

use super::ground::{Ground, SOON};

/// What the endpoint answers before it closes, and what the client gets: status, length or chunks, the body as
/// it came, and whether it ended as it should.
struct Row(&'static str, &'static str, &'static str);

/// A server that answers so, whatever it is asked.
async fn says(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut bytes = [0; 1024];
            let _read = stream.read(&mut bytes).await;
            // The proxy may have had enough of it.
            let _gone = stream.write_all(answer.as_bytes()).await;
        }
    });
    at
}

/// All that comes until the end, in short.
async fn got(ground: &Ground, method: &str) -> String {
    let mut client = ground.connect().await;
    client
        .send(&format!(
            "{method} / HTTP/1.1\r\nHost: c\r\nConnection: close\r\n\r\n"
        ))
        .await;
    let mut bytes = Vec::new();
    let whole = timeout(SOON, client.0.read_to_end(&mut bytes))
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let mut said = head.split(' ').nth(1).unwrap_or("nothing").to_owned();
    for line in head.to_ascii_lowercase().lines() {
        let shown = ["content-length", "transfer-encoding", "x-"];
        if shown.iter().any(|name| line.starts_with(name)) {
            said.push_str(&format!(" {line}"));
        }
    }
    if !body.is_empty() {
        let body = body.replace("\r\n", "|");
        said.push_str(&format!(" [{body}]"));
    }
    if whole.is_err() {
        said.push_str(" reset");
    }
    said
}

/// The proxy's own answer.
const BROKEN: &str = "502 content-length: 87 [upstream connect error or disconnect/reset before headers. reset reason: protocol error]";

#[tokio::test]
async fn what_is_not_clear_is_not_handed_on() {
    let rows = [
        Row(
            "an answer",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            "200 content-length: 2 [ok]",
        ),
        Row(
            "chunks",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nok\r\n0\r\n\r\n",
            "200 transfer-encoding: chunked [2|ok|0||]",
        ),
        Row(
            "until the end",
            "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok",
            "200 transfer-encoding: chunked [2|ok|0||]",
        ),
        Row(
            "HTTP/1.0",
            "HTTP/1.0 200 OK\r\n\r\nok",
            "200 transfer-encoding: chunked [2|ok|0||]",
        ),
        Row(
            "a length and chunks",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            "200 transfer-encoding: chunked [2|ok|0||]",
        ),
        Row(
            "two lengths",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
            BROKEN,
        ),
        Row(
            "a length that is none",
            "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
            BROKEN,
        ),
        Row(
            "a second answer in one body",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nX-Smuggled: 1\r\n\r\n",
            "200 content-length: 2 [ok]",
        ),
        Row(
            "a blank before the colon",
            "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok",
            BROKEN,
        ),
        Row(
            "a folded line",
            "HTTP/1.1 200 OK\r\nX-A: 1\r\n 2\r\nContent-Length: 2\r\n\r\nok",
            BROKEN,
        ),
        Row(
            "a bare carriage return",
            "HTTP/1.1 200 OK\r\nX-A: 1\rX-B: 2\r\nContent-Length: 2\r\n\r\nok",
            BROKEN,
        ),
        Row(
            "NUL",
            "HTTP/1.1 200 OK\r\nX-A: 1\0\r\nContent-Length: 2\r\n\r\nok",
            BROKEN,
        ),
        Row("no answer of HTTP", "SSH-2.0-OpenSSH\r\n", BROKEN),
        Row(
            "an interim answer first",
            "HTTP/1.1 103 Early Hints\r\nX-A: 1\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            "200 content-length: 2 [ok]",
        ),
        Row(
            "a switch that nobody asked for",
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: a\r\n\r\n",
            "502 content-length: 0",
        ),
        Row("no body allowed", "HTTP/1.1 204 No Content\r\n\r\n", "204"),
        Row(
            "a body that is cut",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok",
            "200 content-length: 5 [ok]",
        ),
        Row(
            "chunks that are cut",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
            "200 transfer-encoding: chunked [2|ok|]",
        ),
        Row(
            "a chunk's size that is none",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nxx\r\n",
            "200 transfer-encoding: chunked [2|ok|]",
        ),
    ];
    let mut wrong = Vec::new();
    for Row(what, answer, expected) in rows {
        let rules = json!([{"route": [{"destination": {"host": "catalog", "subset": "v1"}}], "retries": {"attempts": 0}}]);
        let ground = Ground::new(rules, &[("v1", &[says(answer).await])]).await;
        let seen = got(&ground, "GET").await;
        if seen != expected {
            wrong.push(format!("{what}: {seen}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn an_answer_to_head_has_a_length_and_no_body() {
    let rules = json!([{"route": [{"destination": {"host": "catalog", "subset": "v1"}}]}]);
    let v1 = says("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n").await;
    let ground = Ground::new(rules, &[("v1", &[v1])]).await;
    assert_eq!(got(&ground, "HEAD").await, "200 content-length: 5");
}
