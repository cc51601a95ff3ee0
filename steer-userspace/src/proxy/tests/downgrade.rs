//! Requests of HTTP/2 from outside that go on in HTTP/1.1: nothing in them becomes a line of its own.

use super::{
    edge::{Edge, host, site},
    frames::{DATA, END_HEADERS, END_STREAM, Frames, POST, frame, headers},
    smuggling::noting,
};

#[tokio::test]
async fn a_request_stays_one_request() {
    let (at, heard) = noting().await;
    let edge = Edge::new(&site(vec![host("c", at, false)]));
    let body = b"GET /smuggled HTTP/1.1\r\nHost: c\r\n\r\n";
    let length = body.len().to_string();
    // What is said of a request, and what the endpoint hears of it.
    let rows: &[(&[(&str, &str)], &str)] = &[
        (&[], "transfer-encoding=chunked"),
        (&[("content-length", length.as_str())], "content-length=35"),
        (&[("x", "a: b")], "transfer-encoding=chunked x=a: b"),
        (&[("host", "other")], "transfer-encoding=chunked"),
        (&[("x", "1\r\ny: 2")], ""),
        (&[("x", "1\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: c")], ""),
        (&[("x\r\ny", "1")], ""),
        (&[("x: 1\r\ny", "1")], ""),
        (&[("transfer-encoding", "chunked")], ""),
        (&[("connection", "transfer-encoding")], ""),
        (&[("content-length", "0")], ""),
        (&[("content-length", "5"), ("content-length", "35")], ""),
        (&[("upgrade", "websocket")], ""),
    ];
    for (fields, expected) in rows {
        let mut client = Frames::hello(edge.connect().await).await;
        let fields = [&POST[..], fields].concat();
        let request = [
            headers(1, END_HEADERS, &fields),
            frame(DATA, END_STREAM, 1, body),
        ];
        client.send(&request.concat()).await;
        let seen = client.next().await;
        let all = std::mem::take(&mut *heard.lock().unwrap());
        if expected.is_empty() {
            assert_ne!(seen, "200 1", "{fields:?}");
            assert!(all.is_empty(), "{fields:?}: {all:?}");
            continue;
        }
        assert_eq!(seen, "200 1", "{fields:?}");
        let text = String::from_utf8_lossy(body);
        assert_eq!(
            all,
            [format!("POST / host=c {expected} [{text}]")],
            "{fields:?}"
        );
    }
}

#[tokio::test]
async fn what_is_no_path_or_method_goes_nowhere() {
    let (at, heard) = noting().await;
    let edge = Edge::new(&site(vec![host("*", at, false)]));
    for (name, value) in [
        (":path", "/ HTTP/1.1\r\nx: 1"),
        (":path", "/a b"),
        (":path", "a"),
        (":path", "http://d/"),
        (":method", "GET / HTTP/1.1\r\n"),
        (":method", "GET /x"),
        (":authority", "c\r\nx: 1"),
        (":authority", "c d"),
        (":scheme", "http://d/ HTTP/1.1"),
    ] {
        let fields: Vec<_> = POST
            .into_iter()
            .map(|(known, was)| (known, if known == name { value } else { was }))
            .collect();
        let mut client = Frames::hello(edge.connect().await).await;
        client
            .send(&headers(1, END_HEADERS | END_STREAM, &fields))
            .await;
        let seen = client.next().await;
        assert_ne!(seen, "200 1", "{name} {value:?}");
        assert!(heard.lock().unwrap().is_empty(), "{name} {value:?}");
    }
}
