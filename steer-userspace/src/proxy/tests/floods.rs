//! Clients of HTTP/2 that ask for more work than they do themselves: they are told to be calm, and endpoints
//! and other clients notice little of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use tokio::{
    io::AsyncWriteExt as _,
    time::{sleep, timeout},
};

use super::{
    frames::{
        CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, GET, HEADERS, PING, POST, RST_STREAM,
        SETTINGS, WHOLE, WINDOW_UPDATE, block, frame, headers,
    },
    ground::{Ground, SOON, server, whole},
};

/// How many requests the endpoint has at the same time at most, and a proxy before it.
async fn slow() -> (Ground, Arc<AtomicUsize>) {
    let most = Arc::new(AtomicUsize::new(0));
    let (now, seen) = (Arc::new(AtomicUsize::new(0)), Arc::clone(&most));
    let v1 = server(move |request| {
        let (now, seen) = (Arc::clone(&now), Arc::clone(&seen));
        async move {
            if request.uri().path() == "/quick" {
                return whole("");
            }
            let _under_way = UnderWay::begin(&now, &seen);
            sleep(SOON).await;
            whole("")
        }
    })
    .await;
    let rules = json!([{"route": [{"destination": {"host": "catalog", "subset": "v1"}}]}]);
    (Ground::new(rules, &[("v1", &[v1])]).await, most)
}

struct UnderWay(Arc<AtomicUsize>);

impl UnderWay {
    fn begin(now: &Arc<AtomicUsize>, most: &AtomicUsize) -> Self {
        let count = now.fetch_add(1, Ordering::Relaxed) + 1;
        most.fetch_max(count, Ordering::Relaxed);
        Self(Arc::clone(now))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Until the connection is ended, what the other side says last.
async fn told(client: &mut Frames) -> String {
    loop {
        let next = client.next().await;
        if next.starts_with("GOAWAY") || next == "closed" {
            return next;
        }
    }
}

async fn is_served(ground: &Ground) {
    let quick = "GET /quick HTTP/1.1\r\nHost: c\r\n\r\n";
    assert_eq!(ground.ask(quick).await.status, 200);
}

/// CVE-2023-44487: streams that are begun and given up at once.
#[tokio::test]
async fn streams_that_are_given_up_at_once_end_the_connection() {
    let (ground, most) = slow().await;
    let mut client = Frames::hello(ground.connect().await.0).await;
    let all: Vec<u8> = (0..20_000)
        .flat_map(|n| {
            let stream = 2 * n + 1;
            [
                headers(stream, WHOLE, &GET),
                frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]),
            ]
            .concat()
        })
        .collect();
    client.send(&all).await;
    assert_eq!(told(&mut client).await, "GOAWAY ENHANCE_YOUR_CALM");
    let most = most.load(Ordering::Relaxed);
    assert!(most <= 200, "{most} requests at the same time");
    is_served(&ground).await;
}

/// CVE-2025-8671: the server is made to give up streams itself, by frames that are wrong for them.
#[tokio::test]
async fn streams_that_have_to_be_given_up_end_the_connection() {
    let (ground, _) = slow().await;
    let mut client = Frames::hello(ground.connect().await.0).await;
    let all: Vec<u8> = (0..20_000)
        .flat_map(|n| {
            let stream = 2 * n + 1;
            [
                headers(stream, END_HEADERS, &POST),
                frame(WINDOW_UPDATE, 0, stream, &[0x7f, 255, 255, 255]),
            ]
            .concat()
        })
        .collect();
    client.send(&all).await;
    assert_eq!(told(&mut client).await, "GOAWAY ENHANCE_YOUR_CALM");
    is_served(&ground).await;
}

/// More streams at once than were offered are refused one by one.
#[tokio::test]
async fn streams_beyond_the_offered_number_are_refused() {
    let (ground, most) = slow().await;
    let mut client = Frames::hello(ground.connect().await.0).await;
    // The settings are known.
    client.send(&frame(PING, 0, 0, &[0; 8])).await;
    assert_eq!(client.next().await, "PONG");
    let all: Vec<u8> = (0..210)
        .flat_map(|n| headers(2 * n + 1, WHOLE, &GET))
        .collect();
    client.send(&all).await;
    for n in 200..210 {
        assert_eq!(
            client.next().await,
            format!("RST {} REFUSED_STREAM", 2 * n + 1)
        );
    }
    is_served(&ground).await;
    assert!(most.load(Ordering::Relaxed) <= 200);
}

/// CVE-2024-27316: a head that never ends.
#[tokio::test]
async fn a_head_without_end_ends_the_connection() {
    let (ground, _) = slow().await;
    for piece in [vec![], block(&[("x", &"y".repeat(1000))])] {
        let mut client = Frames::hello(ground.connect().await.0).await;
        let mut all = frame(HEADERS, END_STREAM, 1, &block(&GET));
        for _ in 0..20_000 {
            all.extend(frame(CONTINUATION, 0, 1, &piece));
        }
        client.send(&all).await;
        assert_eq!(told(&mut client).await, "GOAWAY ENHANCE_YOUR_CALM");
    }
    is_served(&ground).await;
}

/// A head that is too long for the proxy is answered so; the connection goes on.
#[tokio::test]
async fn a_head_that_is_too_long_is_not_served() {
    let (ground, most) = slow().await;
    let mut client = Frames::hello(ground.connect().await.0).await;
    let long = "y".repeat(10_000);
    let fields = block(&[&GET[..], &[("a", long.as_str()), ("b", long.as_str())]].concat());
    let (first, rest) = fields.split_at(16_000);
    client
        .send(
            &[
                frame(HEADERS, END_STREAM, 1, first),
                frame(CONTINUATION, END_HEADERS, 1, rest),
            ]
            .concat(),
        )
        .await;
    let seen = client.next().await;
    assert!(
        ["431 1", "RST 1 PROTOCOL_ERROR"].contains(&seen.as_str()),
        "{seen}"
    );
    assert_eq!(most.load(Ordering::Relaxed), 0);
    is_served(&ground).await;
}

/// Frames that cost their sender nothing: none of them makes the proxy keep more than a bounded number of
/// answers, whether their sender reads or not.
#[tokio::test]
async fn cheap_frames_without_end_hold_up_only_their_sender() {
    let (ground, _) = slow().await;
    let empty = frame(DATA, 0, 1, &[]);
    for (begin, piece) in [
        (vec![], frame(PING, 0, 0, &[0; 8])),
        (vec![], frame(SETTINGS, 0, 0, &[])),
        (headers(1, END_HEADERS, &POST), empty),
    ] {
        let mut client = Frames::hello(ground.connect().await.0).await;
        client.send(&begin).await;
        let many = piece.repeat(2_000);
        // Whoever never reads is not read from for ever: it stands still, or the connection ends.
        let sending = async { while client.0.write_all(&many).await.is_ok() {} };
        let _stands_still = timeout(Duration::from_secs(1), sending).await;
        is_served(&ground).await;
    }
}
