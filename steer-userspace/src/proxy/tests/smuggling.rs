//! Bytes of HTTP/1 that two readers could understand in two ways: what the client is told, and what the
//! endpoint hears. Each is followed by a request that is all right, and the end.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use super::{
    ground::{Ground, SOON, server, whole},
    mirror::until,
};

pub(super) type Heard = Arc<Mutex<Vec<String>>>;

/// What is sent, what the client is told, and what the endpoint hears.
struct Row(
    &'static str,
    &'static [u8],
    &'static [u16],
    &'static [&'static str],
);

const NEXT: &[u8] = b"GET /next HTTP/1.1\r\nHost: c\r\n\r\n";
const NEXT_HEARD: &str = "GET /next host=c";

/// A server that notes whole requests as it understands them: with what says how long they are, and what came.
pub(super) async fn noting() -> (SocketAddr, Heard) {
    let heard = Heard::default();
    let notes = Arc::clone(&heard);
    let at = server(move |request: http::Request<Incoming>| {
        let notes = Arc::clone(&notes);
        async move {
            let (parts, body) = request.into_parts();
            let mut note = format!("{} {}", parts.method, parts.uri);
            for name in [
                "host",
                "content-length",
                "transfer-encoding",
                "upgrade",
                "x",
                "x-t",
            ] {
                for value in parts.headers.get_all(name) {
                    note.push_str(&format!(
                        " {name}={}",
                        String::from_utf8_lossy(value.as_bytes())
                    ));
                }
            }
            let Ok(body) = body.collect().await else {
                return whole("");
            };
            if let Some(trailers) = body.trailers() {
                note.push_str(&format!(" {} trailers", trailers.len()));
            }
            let bytes = body.to_bytes();
            if !bytes.is_empty() {
                note.push_str(&format!(" [{}]", String::from_utf8_lossy(&bytes)));
            }
            notes.lock().unwrap().push(note);
            whole("")
        }
    })
    .await;
    (at, heard)
}

/// All statuses that come back until the end.
async fn statuses(ground: &Ground, sent: &[u8]) -> Vec<u16> {
    let mut stream = ground.connect().await.0;
    stream.write_all(sent).await.unwrap();
    // It may be closed already.
    let _closed = stream.shutdown().await;
    let mut answers = Vec::new();
    // What was sent for nothing is answered with a reset.
    let _reset = timeout(SOON, stream.read_to_end(&mut answers))
        .await
        .unwrap();
    let answers = String::from_utf8_lossy(&answers).into_owned();
    let heads = answers.split("HTTP/1.1 ").skip(1);
    heads.map(|head| head[..3].parse().unwrap()).collect()
}

async fn check(rows: &[Row]) {
    let (v1, heard) = noting().await;
    let rules = json!([
        {"match": [{"uri": {"prefix": "/none"}}], "directResponse": {"status": 418}},
        {"route": [{"destination": {"host": "catalog", "subset": "v1"}}]},
    ]);
    let ground = Ground::new(rules, &[("v1", &[v1])]).await;
    let mut wrong = Vec::new();
    for Row(what, sent, told, expected) in rows {
        let seen = statuses(&ground, &[sent, NEXT].concat()).await;
        if heard.lock().unwrap().len() < expected.len() {
            until(|| heard.lock().unwrap().len() >= expected.len()).await;
        }
        let heard = std::mem::take(&mut *heard.lock().unwrap());
        if seen != *told || heard != *expected {
            wrong.push(format!("{what}: {seen:?}, {heard:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

const REFUSED: &[u16] = &[400];

#[tokio::test]
async fn lengths() {
    check(&[
        Row("a length and chunks", b"POST / HTTP/1.1\r\nHost: c\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", REFUSED, &[]),
        Row("chunks and a length", b"POST / HTTP/1.1\r\nHost: c\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n", REFUSED, &[]),
        Row("the same length twice", b"POST / HTTP/1.1\r\nHost: c\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nabcd", REFUSED, &[]),
        Row("two lengths", b"POST / HTTP/1.1\r\nHost: c\r\nContent-Length: 0\r\nContent-Length: 44\r\n\r\nabcd", REFUSED, &[]),
        Row("two lengths in one line", b"POST / HTTP/1.1\r\nHost: c\r\nContent-Length: 4, 4\r\n\r\nabcd", REFUSED, &[]),
        Row("a length with a sign", b"POST / HTTP/1.1\r\nHost: c\r\nContent-Length: +4\r\n\r\nabcd", REFUSED, &[]),
        Row("a length below nothing", b"POST / HTTP/1.1\r\nHost: c\r\nContent-Length: -1\r\n\r\n", REFUSED, &[]),
        Row("a length in hex", b"POST / HTTP/1.1\r\nHost: c\r\nContent-Length: 0x4\r\n\r\nabcd", REFUSED, &[]),
        Row("no length after its name", b"POST / HTTP/1.1\r\nHost: c\r\nContent-Length:\r\n\r\nabcd", REFUSED, &[]),
        Row("a length beyond 64 bits", b"POST / HTTP/1.1\r\nHost: c\r\nContent-Length: 18446744073709551617\r\n\r\na", REFUSED, &[]),
        Row("a length with a blank inside", b"POST / HTTP/1.1\r\nHost: c\r\nContent-Length: 1 1\r\n\r\nabcd", REFUSED, &[]),
        Row("a length with other blanks", b"POST / HTTP/1.1\r\nHost: c\r\nContent-Length: \x0b4\r\n\r\nabcd", REFUSED, &[]),
        Row("a length with zeros before it", b"POST / HTTP/1.1\r\nHost: c\r\nContent-Length: 0004\r\n\r\nabcd", &[200, 200], &["POST / host=c content-length=0004 [abcd]", NEXT_HEARD]),
        Row("chunks in two lines", b"POST / HTTP/1.1\r\nHost: c\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", REFUSED, &[]),
        Row("chunks, then identity", b"POST / HTTP/1.1\r\nHost: c\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", REFUSED, &[]),
        Row("identity, then chunks", b"POST / HTTP/1.1\r\nHost: c\r\nTransfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", REFUSED, &[]),
        Row("chunks and more in one line", b"POST / HTTP/1.1\r\nHost: c\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", REFUSED, &[]),
        Row("another coding", b"POST / HTTP/1.1\r\nHost: c\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", REFUSED, &[]),
        Row("a coding in quotes", b"POST / HTTP/1.1\r\nHost: c\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", REFUSED, &[]),
        Row("a coding after other blanks", b"POST / HTTP/1.1\r\nHost: c\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", REFUSED, &[]),
        Row("a coding before NUL", b"POST / HTTP/1.1\r\nHost: c\r\nTransfer-Encoding: chunked\0\r\n\r\n0\r\n\r\n", REFUSED, &[]),
        Row("a blank before the colon", b"POST / HTTP/1.1\r\nHost: c\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", REFUSED, &[]),
        Row("a tab before the colon", b"POST / HTTP/1.1\r\nHost: c\r\nContent-Length\t: 4\r\n\r\nabcd", REFUSED, &[]),
        Row("a coding on a folded line", b"POST / HTTP/1.1\r\nHost: c\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", REFUSED, &[]),
        Row("a coding in any case", b"POST / HTTP/1.1\r\nHost: c\r\ntransfer-ENCODING: ChunKed\r\n\r\n0\r\n\r\n", &[200, 200], &["POST / host=c transfer-encoding=chunked", NEXT_HEARD]),
        Row("chunks of HTTP/1.0", b"POST / HTTP/1.0\r\nHost: c\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", REFUSED, &[]),
        Row("a body of GET", b"GET / HTTP/1.1\r\nHost: c\r\nContent-Length: 3\r\n\r\nGET", &[200, 200], &["GET / host=c content-length=3 [GET]", NEXT_HEARD]),
        Row("a request in a body", b"POST / HTTP/1.1\r\nHost: c\r\nContent-Length: 23\r\n\r\nGET /smuggled HTTP/1.1\r\n", &[200, 200], &["POST / host=c content-length=23 [GET /smuggled HTTP/1.1\r]", "GET /next host=c"]),
    ])
    .await;
}

#[tokio::test]
async fn chunks() {
    check(&[
        Row("chunks", b"POST / HTTP/1.1\r\nHost: c\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n00A;x=y\r\n0123456789\r\n000\r\n\r\n", &[200, 200], &["POST / host=c transfer-encoding=chunked [abc0123456789]", NEXT_HEARD]),
        Row("a size beyond 64 bits", b"POST / HTTP/1.1\r\nHost: c\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000003\r\nabc\r\n0\r\n\r\n", REFUSED, &[]),
        Row("a size with a prefix", b"POST / HTTP/1.1\r\nHost: c\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n", REFUSED, &[]),
        Row("a size with a sign", b"POST / HTTP/1.1\r\nHost: c\r\nTransfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n0\r\n\r\n", REFUSED, &[]),
        Row("no size", b"POST / HTTP/1.1\r\nHost: c\r\nTransfer-Encoding: chunked\r\n\r\n\r\nabc\r\n0\r\n\r\n", REFUSED, &[]),
        Row("a size and a blank", b"POST / HTTP/1.1\r\nHost: c\r\nTransfer-Encoding: chunked\r\n\r\n3 \r\nabc\r\n0\r\n\r\n", REFUSED, &[]),
        Row("a size after a blank", b"POST / HTTP/1.1\r\nHost: c\r\nTransfer-Encoding: chunked\r\n\r\n 3\r\nabc\r\n0\r\n\r\n", REFUSED, &[]),
        Row("a bare line feed after the size", b"POST / HTTP/1.1\r\nHost: c\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n", REFUSED, &[]),
        Row("a bare carriage return after the size", b"POST / HTTP/1.1\r\nHost: c\r\nTransfer-Encoding: chunked\r\n\r\n3\rabc\r\n0\r\n\r\n", REFUSED, &[]),
        Row("a bare line feed in an extension", b"POST / HTTP/1.1\r\nHost: c\r\nTransfer-Encoding: chunked\r\n\r\n3;a\nbc\r\nabc\r\n0\r\n\r\n", REFUSED, &[]),
        Row("a bare carriage return in an extension", b"POST / HTTP/1.1\r\nHost: c\r\nTransfer-Encoding: chunked\r\n\r\n3;a\rb\r\nabc\r\n0\r\n\r\n", REFUSED, &[]),
        Row("NUL in an extension", b"POST / HTTP/1.1\r\nHost: c\r\nTransfer-Encoding: chunked\r\n\r\n3;a\0b\r\nabc\r\n0\r\n\r\n", REFUSED, &[]),
        Row("a chunk longer than its size", b"POST / HTTP/1.1\r\nHost: c\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n", REFUSED, &[]),
        Row("a chunk that ends in a bare line feed", b"POST / HTTP/1.1\r\nHost: c\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\n0\r\n\r\n", REFUSED, &[]),
        Row("a bare line feed after the last chunk", b"POST / HTTP/1.1\r\nHost: c\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\n\n", REFUSED, &[]),
        Row("a length after the chunks", b"POST / HTTP/1.1\r\nHost: c\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\n", REFUSED, &[]),
        Row("a coding after the chunks", b"POST / HTTP/1.1\r\nHost: c\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n", REFUSED, &[]),
        Row("a folded line after the chunks", b"POST / HTTP/1.1\r\nHost: c\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-T: 1\r\n 2\r\n\r\n", REFUSED, &[]),
        Row("a bare carriage return after the chunks", b"POST / HTTP/1.1\r\nHost: c\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-T: 1\r2\r\n\r\n", REFUSED, &[]),
        Row("a request instead of the end", b"POST / HTTP/1.1\r\nHost: c\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nGET /smuggled HTTP/1.1\r\n\r\n", REFUSED, &[]),
        Row("fields after the chunks", b"POST / HTTP/1.1\r\nHost: c\r\nTE: trailers\r\nTrailer: x-t\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-T: 1\r\n\r\n", &[200, 200], &["POST / host=c transfer-encoding=chunked 1 trailers", NEXT_HEARD]),
    ])
    .await;
}

#[tokio::test]
async fn heads() {
    check(&[
        Row("bare line feeds", b"GET / HTTP/1.1\nHost: c\n\n", REFUSED, &[]),
        Row("one bare line feed", b"GET / HTTP/1.1\r\nHost: c\nX: 1\r\n\r\n", REFUSED, &[]),
        Row("a head that ends in a bare line feed", b"GET / HTTP/1.1\r\nHost: c\r\n\n", REFUSED, &[]),
        Row("a bare carriage return in a value", b"GET / HTTP/1.1\r\nHost: c\r\nX: 1\rY: 2\r\n\r\n", REFUSED, &[]),
        Row("a bare carriage return in the first line", b"GET /\rX HTTP/1.1\r\nHost: c\r\n\r\n", REFUSED, &[]),
        Row("a folded line", b"GET / HTTP/1.1\r\nHost: c\r\nX: 1\r\n 2\r\n\r\n", REFUSED, &[]),
        Row("a folded first field", b"GET / HTTP/1.1\r\n Host: c\r\n\r\n", REFUSED, &[]),
        Row("NUL in a value", b"GET / HTTP/1.1\r\nHost: c\r\nX: 1\x002\r\n\r\n", REFUSED, &[]),
        Row("NUL in a name", b"GET / HTTP/1.1\r\nHost: c\r\nX\0: 1\r\n\r\n", REFUSED, &[]),
        Row("NUL in the path", b"GET /\0 HTTP/1.1\r\nHost: c\r\n\r\n", REFUSED, &[]),
        Row("no colon", b"GET / HTTP/1.1\r\nHost: c\r\nX\r\n\r\n", REFUSED, &[]),
        Row("no name", b"GET / HTTP/1.1\r\nHost: c\r\n: 1\r\n\r\n", REFUSED, &[]),
        Row("a name that is none", b"GET / HTTP/1.1\r\nHost: c\r\nX(a): 1\r\n\r\n", REFUSED, &[]),
        Row("two hosts", b"GET / HTTP/1.1\r\nHost: c\r\nHost: d\r\n\r\n", REFUSED, &[]),
        Row("the same host twice", b"GET / HTTP/1.1\r\nHost: c\r\nHost: c\r\n\r\n", REFUSED, &[]),
        Row("no host", b"GET / HTTP/1.1\r\n\r\n", REFUSED, &[]),
        Row("a host with a blank", b"GET / HTTP/1.1\r\nHost: c d\r\n\r\n", REFUSED, &[]),
        Row("a host with a path", b"GET / HTTP/1.1\r\nHost: c/d\r\n\r\n", REFUSED, &[]),
        Row("a host with a user", b"GET / HTTP/1.1\r\nHost: me@c\r\n\r\n", REFUSED, &[]),
        Row("a host with a comma", b"GET / HTTP/1.1\r\nHost: c, d\r\n\r\n", REFUSED, &[]),
        Row("an absolute form and another host", b"GET http://d/x HTTP/1.1\r\nHost: c\r\n\r\n", &[200, 200], &["GET /x host=d", NEXT_HEARD]),
        Row("an absolute form and two hosts", b"GET http://d/x HTTP/1.1\r\nHost: c\r\nHost: e\r\n\r\n", REFUSED, &[]),
        Row("an absolute form without a host", b"GET http://d/x HTTP/1.1\r\n\r\n", REFUSED, &[]),
        Row("an absolute form with a user", b"GET http://me@d/x HTTP/1.1\r\nHost: d\r\n\r\n", REFUSED, &[]),
        Row("an asterisk", b"OPTIONS * HTTP/1.1\r\nHost: c\r\n\r\n", &[200, 200], &["OPTIONS * host=c", NEXT_HEARD]),
        Row("blanks in the path", b"GET /a HTTP/1.1 /b HTTP/1.1\r\nHost: c\r\n\r\n", REFUSED, &[]),
        Row("two blanks after the method", b"GET  / HTTP/1.1\r\nHost: c\r\n\r\n", REFUSED, &[]),
        Row("a tab after the method", b"GET\t/ HTTP/1.1\r\nHost: c\r\n\r\n", REFUSED, &[]),
        Row("no version", b"GET /\r\nHost: c\r\n\r\n", REFUSED, &[]),
        Row("a version that is none", b"GET / HTTP/1.2\r\nHost: c\r\n\r\n", REFUSED, &[]),
        Row("a version of HTTP/2", b"GET / HTTP/2.0\r\nHost: c\r\n\r\n", REFUSED, &[]),
        Row("a preface that is cut", b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", REFUSED, &[]),
        Row("a preface after a request", b"GET / HTTP/1.1\r\nHost: c\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &[200], &["GET / host=c"]),
        Row("no request", b"GARBAGE\r\n\r\n", REFUSED, &[]),
        Row("empty lines before a request", b"\r\n\r\nGET / HTTP/1.1\r\nHost: c\r\n\r\n", &[200, 200], &["GET / host=c", NEXT_HEARD]),
        Row("CONNECT", b"CONNECT c:80 HTTP/1.1\r\nHost: c:80\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: c\r\n\r\n", &[404], &[]),
        Row("an upgrade to HTTP/2", b"GET / HTTP/1.1\r\nHost: c\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", &[200, 200], &["GET / host=c", NEXT_HEARD]),
        Row("an upgrade to HTTP/2 or something else", b"GET / HTTP/1.1\r\nHost: c\r\nConnection: Upgrade\r\nUpgrade: h2c, a\r\n\r\n", &[200], &["GET / host=c upgrade=a"]),
        Row("an upgrade that is declined", b"GET / HTTP/1.1\r\nHost: c\r\nConnection: Upgrade\r\nUpgrade: a\r\n\r\nGET /smuggled HTTP/1.1\nHost: c\n\n", &[200], &["GET / host=c upgrade=a"]),
        Row("an upgrade that is answered here", b"GET /none HTTP/1.1\r\nHost: c\r\nConnection: Upgrade\r\nUpgrade: a\r\n\r\nGET /smuggled HTTP/1.1\nHost: c\n\n", &[418], &[]),
        Row("a connection's own name of a field", b"GET / HTTP/1.1\r\nHost: c\r\nConnection: x, host, content-length\r\nX: 1\r\nContent-Length: 3\r\n\r\nabc", &[200, 200], &["GET / host=c content-length=3 [abc]", NEXT_HEARD]),
    ])
    .await;
}

#[tokio::test]
async fn heads_that_are_too_long() {
    let (v1, heard) = noting().await;
    let rules = json!([{"route": [{"destination": {"host": "catalog", "subset": "v1"}}]}]);
    let ground = Ground::new(rules, &[("v1", &[v1])]).await;
    let start = "GET / HTTP/1.1\r\nHost: c\r\n";
    let one = format!("{start}x-long: {}\r\n\r\n", "a".repeat(70_000));
    let many = format!("{start}{}\r\n", "a: 1\r\n".repeat(200));
    let endless = format!("{start}x-long: {}", "a".repeat(200_000));
    let path = format!("GET /{} HTTP/1.1\r\nHost: c\r\n\r\n", "a".repeat(70_000));
    for sent in [one, many, endless, path] {
        let seen = statuses(&ground, sent.as_bytes()).await;
        assert_eq!(seen, [431], "{} bytes", sent.len());
    }
    let fits = format!("{start}x-long: {}\r\n\r\n", "a".repeat(60_000));
    assert_eq!(statuses(&ground, fits.as_bytes()).await, [200]);
    assert_eq!(heard.lock().unwrap().len(), 1);
}
