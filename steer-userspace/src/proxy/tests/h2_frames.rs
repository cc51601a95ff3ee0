//! RFC 9113 frame by frame: what a connection or a stream that breaks a rule comes to, with the rule's section.
//! Whatever a client does to its own connection, the next one is served.
//!
//! The library that reads frames ends a connection with `PROTOCOL_ERROR` in some places where a rule has a code
//! of its own: those rows name both. It takes a connection that begins with another frame than SETTINGS.

use serde_json::json;

use super::{
    frames::{
        ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, GET, GOAWAY, HEADERS, PADDED,
        PING, POST, PRIORITY, PUSH_PROMISE, RST_STREAM, SETTINGS, WHOLE, WINDOW_UPDATE,
        WITH_PRIORITY, block, frame, headers, setting,
    },
    ground::{Ground, named},
};

/// The rule's section, what is sent after the preface, and what comes back: of ways that a rule leaves
/// open, with a bar in between, one.
pub(super) struct Row(
    pub(super) &'static str,
    pub(super) Vec<u8>,
    pub(super) &'static str,
);

/// Sends each row on a connection of its own.
pub(super) async fn check(ground: &Ground, rows: Vec<Row>) {
    let mut wrong = Vec::new();
    for Row(what, sent, expected) in rows {
        let mut client = Frames::hello(ground.connect().await.0).await;
        client.send(&sent).await;
        let mut seen = client.next().await;
        // A connection that is not ended goes on.
        if !seen.starts_with("GOAWAY") && seen != "closed" {
            while !seen.starts_with("GOAWAY") && !expected.split(" | ").any(|one| one == seen) {
                let next = client.next().await;
                if next == "closed" || next == "nothing" {
                    break;
                }
                seen = format!("{seen}, {next}");
            }
            client.send(&frame(PING, 0, 0, b"are-you?")).await;
            let mut next = client.next().await;
            while next.starts_with("END") {
                next = client.next().await;
            }
            if next != "PONG" {
                seen = format!("{seen}, {next}");
            }
        }
        if !expected.split(" | ").any(|one| one == seen) {
            wrong.push(format!("{what}: {seen}, not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let mut client = Frames::hello(ground.connect().await.0).await;
    client.send(&headers(1, WHOLE, &GET)).await;
    assert_eq!(client.next().await, "200 1");
}

pub(super) async fn ground() -> Ground {
    let v1 = named("v1").await;
    let rules = json!([{"route": [{"destination": {"host": "catalog", "subset": "v1"}}]}]);
    Ground::new(rules, &[("v1", &[v1])]).await
}

fn get(stream: u32) -> Vec<u8> {
    headers(stream, WHOLE, &GET)
}

/// The head of a request whose body is still to come.
fn post(stream: u32) -> Vec<u8> {
    headers(stream, END_HEADERS, &POST)
}

const PROTOCOL: &str = "GOAWAY PROTOCOL_ERROR";
const SIZE: &str = "GOAWAY FRAME_SIZE_ERROR | GOAWAY PROTOCOL_ERROR";
const COMPRESSION: &str = "GOAWAY COMPRESSION_ERROR | GOAWAY PROTOCOL_ERROR";
const FLOW: &str = "GOAWAY FLOW_CONTROL_ERROR | GOAWAY PROTOCOL_ERROR";
const CLOSED: &str = "RST 1 STREAM_CLOSED | GOAWAY STREAM_CLOSED | GOAWAY PROTOCOL_ERROR";

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table")]
async fn frames_and_connections() {
    let large = vec![0; 16_385];
    let rows = vec![
        Row(
            "4.1 a kind that nobody knows",
            [frame(0x16, 0, 0, b"any"), get(1)].concat(),
            "200 1",
        ),
        Row(
            "4.1 flags that nobody knows",
            frame(PING, 0x16, 0, &[0; 8]),
            "PONG",
        ),
        Row(
            "4.1 the reserved bit of a stream",
            frame(PING, 0, 1 << 31, &[0; 8]),
            "PONG",
        ),
        Row(
            "4.2 DATA that is too large",
            [post(1), frame(DATA, END_STREAM, 1, &large)].concat(),
            SIZE,
        ),
        Row(
            "4.2 HEADERS that are too large",
            frame(HEADERS, WHOLE, 1, &large),
            SIZE,
        ),
        Row(
            "4.3 an index that is none",
            frame(HEADERS, WHOLE, 1, &[0x80]),
            COMPRESSION,
        ),
        Row(
            "4.3 an index beyond the table",
            frame(HEADERS, WHOLE, 1, &[0xff, 0xff, 0x0f]),
            COMPRESSION,
        ),
        Row(
            "4.3 a string that is cut",
            frame(HEADERS, WHOLE, 1, &[0, 9, b'a']),
            COMPRESSION,
        ),
        Row(
            "4.3 a code that is none",
            frame(HEADERS, WHOLE, 1, &[0, 0x84, 255, 255, 255, 255]),
            COMPRESSION,
        ),
        Row(
            "RFC 7541 6.3 a table larger than allowed",
            frame(HEADERS, WHOLE, 1, &[0x3f, 0xff, 0xff, 0x7f]),
            COMPRESSION,
        ),
        Row(
            "4.3 a PING inside of a block",
            [
                frame(HEADERS, END_STREAM, 1, &block(&GET)),
                frame(PING, 0, 0, &[0; 8]),
            ]
            .concat(),
            PROTOCOL,
        ),
        Row(
            "4.3 another stream inside of a block",
            [frame(HEADERS, END_STREAM, 1, &block(&GET)), get(3)].concat(),
            PROTOCOL,
        ),
        Row(
            "6.5 SETTINGS of a stream",
            frame(SETTINGS, 0, 1, &[]),
            PROTOCOL,
        ),
        Row(
            "6.5 an acknowledgement that says more",
            frame(SETTINGS, ACK, 0, &[0; 6]),
            SIZE,
        ),
        Row("6.5 half a setting", frame(SETTINGS, 0, 0, &[0; 3]), SIZE),
        Row("6.5.2 ENABLE_PUSH 2", setting(2, 2), PROTOCOL),
        Row("6.5.2 a window beyond 2^31-1", setting(4, 1 << 31), FLOW),
        Row("6.5.2 frames below 2^14", setting(5, 16_383), PROTOCOL),
        Row("6.5.2 frames beyond 2^24-1", setting(5, 1 << 24), PROTOCOL),
        Row(
            "6.5.2 a setting that nobody knows",
            [setting(0xff, 1), get(1)].concat(),
            "200 1",
        ),
        Row("6.7 a PING", frame(PING, 0, 0, &[7; 8]), "PONG"),
        Row(
            "6.7 an answer to no PING",
            [frame(PING, ACK, 0, &[7; 8]), get(1)].concat(),
            "200 1",
        ),
        Row(
            "6.7 a PING of a stream",
            frame(PING, 0, 1, &[7; 8]),
            PROTOCOL,
        ),
        Row(
            "6.7 a PING that is too short",
            frame(PING, 0, 0, &[7; 6]),
            SIZE,
        ),
        Row(
            "6.8 GOAWAY of a stream",
            frame(GOAWAY, 0, 1, &[0; 8]),
            PROTOCOL,
        ),
        Row(
            "6.9 a window on by nothing",
            frame(WINDOW_UPDATE, 0, 0, &[0; 4]),
            PROTOCOL,
        ),
        Row(
            "6.9 a window's frame that is too short",
            frame(WINDOW_UPDATE, 0, 0, &[0, 0, 1]),
            SIZE,
        ),
        Row(
            "6.9.1 a window beyond 2^31-1",
            frame(WINDOW_UPDATE, 0, 0, &[0x7f, 255, 255, 255]),
            FLOW,
        ),
        Row(
            "8.4 a client that pushes",
            [post(1), frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2])].concat(),
            PROTOCOL,
        ),
    ];
    check(&ground().await, rows).await;
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table")]
async fn streams() {
    let rst = |stream| frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]);
    let rows = vec![
        Row(
            "5.1 DATA before HEADERS",
            frame(DATA, END_STREAM, 1, b"x"),
            PROTOCOL,
        ),
        Row("5.1 RST_STREAM before HEADERS", rst(1), PROTOCOL),
        Row(
            "5.1 WINDOW_UPDATE before HEADERS",
            frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]),
            PROTOCOL,
        ),
        Row(
            "5.1 CONTINUATION before HEADERS",
            frame(CONTINUATION, END_HEADERS, 1, &block(&GET)),
            PROTOCOL,
        ),
        Row(
            "5.1 DATA after the end",
            [get(1), frame(DATA, END_STREAM, 1, b"x")].concat(),
            CLOSED,
        ),
        Row(
            "5.1 HEADERS after the end",
            [get(1), get(1)].concat(),
            CLOSED,
        ),
        Row(
            "5.1 CONTINUATION after the end",
            [get(1), frame(CONTINUATION, END_HEADERS, 1, &[])].concat(),
            PROTOCOL,
        ),
        Row(
            "5.1 DATA after RST_STREAM",
            [post(1), rst(1), frame(DATA, END_STREAM, 1, b"x")].concat(),
            CLOSED,
        ),
        Row(
            "5.1 HEADERS after RST_STREAM",
            [post(1), rst(1), get(1)].concat(),
            CLOSED,
        ),
        Row("5.1.1 a stream of an even number", get(2), PROTOCOL),
        Row(
            "5.1.1 a number below one that was used",
            [get(5), get(3)].concat(),
            "GOAWAY PROTOCOL_ERROR | GOAWAY STREAM_CLOSED",
        ),
        Row(
            "5.3.1 a stream that depends on itself",
            frame(
                HEADERS,
                WHOLE | WITH_PRIORITY,
                1,
                &[&[0, 0, 0, 1, 16][..], &block(&GET)].concat(),
            ),
            "RST 1 PROTOCOL_ERROR | GOAWAY PROTOCOL_ERROR",
        ),
        Row("6.1 DATA of no stream", frame(DATA, 0, 0, b"x"), PROTOCOL),
        Row(
            "6.1 DATA padded with more than it has",
            [post(1), frame(DATA, END_STREAM | PADDED, 1, &[9, 1])].concat(),
            PROTOCOL,
        ),
        Row("6.2 HEADERS of no stream", get(0), PROTOCOL),
        Row(
            "6.2 HEADERS padded with more than they have",
            frame(HEADERS, WHOLE | PADDED, 1, &[200, 1]),
            PROTOCOL,
        ),
        Row(
            "6.2 HEADERS with padding and priority",
            frame(
                HEADERS,
                WHOLE | PADDED | WITH_PRIORITY,
                1,
                &[&[2, 0, 0, 0, 0, 16][..], &block(&GET), &[0, 0]].concat(),
            ),
            "200 1",
        ),
        Row(
            "6.3 PRIORITY of no stream",
            frame(PRIORITY, 0, 0, &[0; 5]),
            PROTOCOL,
        ),
        Row(
            "6.3 PRIORITY that is too short",
            [post(1), frame(PRIORITY, 0, 1, &[0; 4])].concat(),
            "RST 1 FRAME_SIZE_ERROR | GOAWAY FRAME_SIZE_ERROR | GOAWAY PROTOCOL_ERROR",
        ),
        Row("6.4 RST_STREAM of no stream", rst(0), PROTOCOL),
        Row(
            "6.4 RST_STREAM that is too short",
            [post(1), frame(RST_STREAM, 0, 1, &[0; 3])].concat(),
            SIZE,
        ),
        Row(
            "6.9 a stream's window on by nothing",
            [post(1), frame(WINDOW_UPDATE, 0, 1, &[0; 4])].concat(),
            "RST 1 PROTOCOL_ERROR | GOAWAY PROTOCOL_ERROR",
        ),
        Row(
            "6.9.1 a stream's window beyond 2^31-1",
            [post(1), frame(WINDOW_UPDATE, 0, 1, &[0x7f, 255, 255, 255])].concat(),
            "RST 1 FLOW_CONTROL_ERROR",
        ),
        Row(
            "6.10 a block in pieces",
            [
                frame(HEADERS, END_STREAM, 1, &block(&GET[..2])),
                frame(CONTINUATION, 0, 1, &[]),
                frame(CONTINUATION, 0, 1, &block(&GET[2..3])),
                frame(CONTINUATION, END_HEADERS, 1, &block(&GET[3..])),
            ]
            .concat(),
            "200 1",
        ),
        Row(
            "6.10 CONTINUATION of no stream",
            [
                frame(HEADERS, END_STREAM, 1, &block(&GET)),
                frame(CONTINUATION, END_HEADERS, 0, &[]),
            ]
            .concat(),
            PROTOCOL,
        ),
        Row(
            "6.10 CONTINUATION after the block's end",
            [post(1), frame(CONTINUATION, END_HEADERS, 1, &[])].concat(),
            PROTOCOL,
        ),
        Row(
            "6.10 DATA inside of a block",
            [
                frame(HEADERS, 0, 1, &block(&POST)),
                frame(DATA, END_STREAM, 1, b"x"),
            ]
            .concat(),
            PROTOCOL,
        ),
        Row(
            "6.8 a request before the client's GOAWAY",
            [get(1), frame(GOAWAY, 0, 0, &[0; 8])].concat(),
            "200 1, END 1, GOAWAY NO_ERROR, closed",
        ),
    ];
    check(&ground().await, rows).await;
}

/// What may not be sent yet is held back: an answer's body waits for the client's window.
#[tokio::test]
async fn windows_hold_answers_back() {
    let ground = ground().await;
    let mut client = Frames::hello(ground.connect().await.0).await;
    client
        .send(&[setting(4, 0), get(1), frame(PING, 0, 0, &[0; 8])].concat())
        .await;
    let mut seen = vec![client.next().await, client.next().await];
    seen.sort();
    assert_eq!(seen, ["200 1", "PONG"]);
    client.send(&frame(PING, 0, 0, &[0; 8])).await;
    assert_eq!(client.next().await, "PONG");
    // A window that grows by a setting counts for streams that are there.
    client.send(&setting(4, 1000)).await;
    assert_eq!(client.next().await, "END 1");
}
