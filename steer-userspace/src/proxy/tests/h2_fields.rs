//! RFC 9113, 8: what a request of HTTP/2 must say, must not say, and how long it says its body is. An endpoint
//! sees only what is whole.

use std::sync::{Arc, Mutex};

use http_body_util::BodyExt as _;
use serde_json::json;

use super::{
    frames::{DATA, END_HEADERS, END_STREAM, GET, HEADERS, POST, WHOLE, block, frame, headers},
    ground::{Ground, server, whole},
    h2_frames::{Row, check},
};

/// Which of these is not said by the rules.
const WRONG: &str = "RST 1 PROTOCOL_ERROR | 400 1 | GOAWAY PROTOCOL_ERROR";

/// The fields of an ordinary request, and these.
fn with<'a>(more: &[(&'a str, &'a str)]) -> Vec<u8> {
    headers(1, WHOLE, &[&GET[..], more].concat())
}

/// A request that says its length, and a body in these pieces.
fn long(length: &str, pieces: &[&[u8]]) -> Vec<u8> {
    let fields = [&POST[..], &[("content-length", length)]].concat();
    let mut bytes = headers(1, END_HEADERS, &fields);
    for (n, piece) in pieces.iter().enumerate() {
        let last = n + 1 == pieces.len();
        bytes.extend(frame(DATA, u8::from(last), 1, piece));
    }
    bytes
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table")]
async fn fields() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&heard);
    let v1 = server(move |request| {
        let notes = Arc::clone(&notes);
        async move {
            let (parts, body) = request.into_parts();
            if body.collect().await.is_ok() {
                notes.lock().unwrap().push(parts.uri.path().to_owned());
            }
            whole("")
        }
    })
    .await;
    let rules = json!([{"route": [{"destination": {"host": "catalog", "subset": "v1"}}]}]);
    let ground = Ground::new(rules, &[("v1", &[v1])]).await;
    let without = |name: &str| -> Vec<u8> {
        let left: Vec<_> = GET
            .into_iter()
            .filter(|(found, _)| *found != name)
            .collect();
        headers(1, WHOLE, &left)
    };
    let instead = |name: &str, value: &'static str| -> Vec<u8> {
        let changed: Vec<_> = GET
            .into_iter()
            .map(|(found, was)| (found, if found == name { value } else { was }))
            .collect();
        headers(1, WHOLE, &changed)
    };
    let trailers = |flags: u8, fields: &[(&str, &str)]| {
        [headers(1, END_HEADERS, &POST), headers(1, flags, fields)].concat()
    };
    let wrong = vec![
        Row(
            "8.1 a second head that does not end it",
            trailers(END_HEADERS, &[("x", "1")]),
            WRONG,
        ),
        Row("8.2 a name in capitals", with(&[("X-A", "1")]), WRONG),
        Row("8.2.1 a name with a blank", with(&[("x a", "1")]), WRONG),
        Row("8.2.1 a name with a colon", with(&[("x:a", "1")]), WRONG),
        Row("8.2.1 no name", with(&[("", "1")]), WRONG),
        Row(
            "8.2.1 a new line in a value",
            with(&[("x", "1\r\ny: 2")]),
            WRONG,
        ),
        Row("8.2.1 a line feed in a value", with(&[("x", "1\n")]), WRONG),
        Row(
            "8.2.1 a carriage return in a value",
            with(&[("x", "1\r")]),
            WRONG,
        ),
        Row("8.2.1 NUL in a value", with(&[("x", "1\0")]), WRONG),
        Row("8.2.2 connection", with(&[("connection", "close")]), WRONG),
        Row("8.2.2 keep-alive", with(&[("keep-alive", "5")]), WRONG),
        Row(
            "8.2.2 proxy-connection",
            with(&[("proxy-connection", "close")]),
            WRONG,
        ),
        Row(
            "8.2.2 transfer-encoding",
            with(&[("transfer-encoding", "chunked")]),
            WRONG,
        ),
        Row("8.2.2 upgrade", with(&[("upgrade", "websocket")]), WRONG),
        Row(
            "8.2.2 te that is not trailers",
            with(&[("te", "gzip")]),
            WRONG,
        ),
        Row(
            "8.3 a pseudo-header that nobody knows",
            with(&[(":test", "1")]),
            WRONG,
        ),
        Row("8.3 one of answers", with(&[(":status", "200")]), WRONG),
        Row(
            "8.3 one after a field",
            headers(1, WHOLE, &[GET[0], GET[1], GET[2], ("x", "1"), GET[3]]),
            WRONG,
        ),
        Row("8.3.1 no method", without(":method"), WRONG),
        Row("8.3.1 no scheme", without(":scheme"), WRONG),
        Row("8.3.1 no path", without(":path"), WRONG),
        Row("8.3.1 an empty path", instead(":path", ""), WRONG),
        Row("8.3.1 two methods", with(&[(":method", "GET")]), WRONG),
        Row("8.3.1 two schemes", with(&[(":scheme", "http")]), WRONG),
        Row("8.3.1 two paths", with(&[(":path", "/x")]), WRONG),
        Row("8.3.1 two authorities", with(&[(":authority", "d")]), WRONG),
        Row(
            "8.3.1 a path with a blank",
            instead(":path", "/ HTTP/1.1"),
            WRONG,
        ),
        Row(
            "8.3.1 a path with a new line",
            instead(":path", "/\r\nx: 1"),
            WRONG,
        ),
        Row(
            "8.3.1 a method with a blank",
            instead(":method", "GET /x"),
            WRONG,
        ),
        Row(
            "8.3.1 a method with a new line",
            instead(":method", "GET\r\n"),
            WRONG,
        ),
        Row(
            "8.3.1 an authority with a new line",
            instead(":authority", "c\r\nx: 1"),
            WRONG,
        ),
        Row(
            "8.3.1 an authority with a blank",
            instead(":authority", "c d"),
            WRONG,
        ),
        Row(
            "8.3.1 an authority with a path",
            instead(":authority", "c/x"),
            WRONG,
        ),
        Row(
            "8.3.1 an authority with a user",
            instead(":authority", "me@c"),
            WRONG,
        ),
        Row(
            "8.1.1 a body that is too short",
            long("5", &[b"abc"]),
            WRONG,
        ),
        Row("8.1.1 a body that is too long", long("2", &[b"abc"]), WRONG),
        Row(
            "8.1.1 pieces that are too long",
            long("4", &[b"abc", b"de"]),
            WRONG,
        ),
        Row(
            "8.1.1 no body at all",
            headers(1, WHOLE, &[&POST[..], &[("content-length", "3")]].concat()),
            WRONG,
        ),
        Row(
            "8.1.1 two lengths",
            headers(
                1,
                WHOLE,
                &[
                    &POST[..],
                    &[("content-length", "0"), ("content-length", "3")],
                ]
                .concat(),
            ),
            WRONG,
        ),
        Row("8.1.1 a length that is none", long("+3", &[b"abc"]), WRONG),
        Row(
            "8.3.1 neither authority nor host",
            headers(1, WHOLE, &GET[..3]),
            WRONG,
        ),
        Row(
            "8.5 CONNECT",
            headers(1, WHOLE, &[(":method", "CONNECT"), (":authority", "c:80")]),
            "404 1",
        ),
    ];
    check(&ground, wrong).await;
    // The request of `check` itself.
    assert_eq!(*heard.lock().unwrap(), ["/"]);
    let fine = vec![
        // Left out by the library; the endpoint does not see it.
        Row(
            "8.1 a pseudo-header after the body",
            trailers(WHOLE, &[(":path", "/x")]),
            "200 1",
        ),
        Row("8.2.2 te: trailers", with(&[("te", "trailers")]), "200 1"),
        Row(
            "8.2.3 cookies one by one",
            with(&[("cookie", "a=1"), ("cookie", "b=2")]),
            "200 1",
        ),
        Row(
            "8.3.1 no authority, but a host",
            {
                let fields = [&GET[..3], &[("host", "c")]].concat();
                headers(1, WHOLE, &fields)
            },
            "200 1",
        ),
        Row(
            "8.1.1 pieces of the right length",
            long("5", &[b"abc", b"de"]),
            "200 1",
        ),
        Row(
            "8.1.1 empty pieces",
            long("3", &[b"", b"abc", b""]),
            "200 1",
        ),
        Row(
            "8.1 fields after the body",
            [
                headers(1, END_HEADERS, &POST),
                frame(DATA, 0, 1, b"abc"),
                headers(1, WHOLE, &[("x-sum", "1")]),
            ]
            .concat(),
            "200 1",
        ),
        Row(
            "RFC 7541 4.2 a table that is emptied",
            frame(
                HEADERS,
                END_STREAM | END_HEADERS,
                1,
                &[&[0x20][..], &block(&GET)].concat(),
            ),
            "200 1",
        ),
    ];
    check(&ground, fine).await;
}
