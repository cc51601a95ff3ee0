use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::Request;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    time::sleep,
};

use super::{
    faults::endpoint::{How, Phase, Version, endpoint},
    ground::{Ground, named, nobody, server, whole},
};
use crate::proxy::Mirrored;

const PLAIN: &str = "GET /items HTTP/1.1\r\nHost: catalog.shop:80\r\n\r\n";

type Heard = Arc<Mutex<Vec<String>>>;

/// A server that notes what it is asked.
pub(super) async fn listener() -> (SocketAddr, Heard) {
    let heard = Heard::default();
    let notes = Arc::clone(&heard);
    let at = server(move |request: Request<Incoming>| {
        let notes = Arc::clone(&notes);
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await;
            let length = body.map_or(-1, |body| {
                i64::try_from(body.to_bytes().len()).unwrap_or(-1)
            });
            let host = parts.headers["host"].to_str().unwrap().to_owned();
            let note = format!("{} {host} {} {length}", parts.method, parts.uri);
            notes.lock().unwrap().push(note);
            whole("from the mirror")
        }
    })
    .await;
    (at, heard)
}

pub(super) async fn until(what: impl Fn() -> bool) {
    for _ in 0..2_000 {
        if what() {
            return;
        }
        sleep(Duration::from_millis(5)).await;
    }
    panic!("it does not come");
}

pub(super) fn mirrored(percentage: f64) -> serde_json::Value {
    json!([{
        "route": [{"destination": {"host": "catalog", "subset": "v1"}}],
        "mirror": {"host": "catalog", "subset": "v2"},
        "mirrorPercentage": {"value": percentage},
    }])
}

/// A server that answers late, and how many connections it has accepted.
async fn late() -> (SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (at, accepted) = (listener.local_addr().unwrap(), Arc::new(AtomicU64::new(0)));
    let count = Arc::clone(&accepted);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            count.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while let Ok(byte) = stream.read_u8().await {
                    head.push(byte);
                    if head.ends_with(b"\r\n\r\n") {
                        head.clear();
                        sleep(Duration::from_millis(300)).await;
                        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                        stream.write_all(answer).await.unwrap();
                    }
                }
            });
        }
    });
    (at, accepted)
}

/// Else the ports of the pod run out, and whoever connects looks through all of them.
#[tokio::test]
async fn connections_of_a_burst_of_copies_are_used_again() {
    let (v1, (v2, accepted)) = (named("v1").await, late().await);
    let ground = Ground::new(mirrored(100.0), &[("v1", &[v1]), ("v2", &[v2])]).await;
    let mut most = 0;
    for burst in 1..=4 {
        for _ in 0..200 {
            ground.connect().await.ask(PLAIN).await;
        }
        until(|| ground.mirrored().answered == 200 * burst).await;
        let accepted = accepted.load(Ordering::Relaxed);
        assert!(
            burst < 3 || accepted < most + 100,
            "{accepted} after {most}"
        );
        most = accepted;
    }
}

#[tokio::test]
async fn copies_go_to_the_mirror_and_answers_do_not_come_back() {
    let (v1, (v2, heard)) = (named("v1").await, listener().await);
    let ground = Ground::new(mirrored(100.0), &[("v1", &[v1]), ("v2", &[v2])]).await;
    let mut client = ground.connect().await;
    assert!(client.ask(PLAIN).await.body.starts_with("v1 GET /items"));
    let body = "x".repeat(100_000);
    let post = format!(
        "POST /items HTTP/1.1\r\nHost: catalog\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    assert!(client.ask(&post).await.body.ends_with("body=100000"));
    until(|| ground.mirrored().answered == 2).await;
    let mut heard = heard.lock().unwrap().clone();
    heard.sort();
    assert_eq!(
        heard,
        [
            "GET catalog.shop-shadow:80 /items 0",
            "POST catalog-shadow /items 100000"
        ]
    );
}

#[tokio::test]
async fn copies_may_name_the_same_host() {
    let (v1, (v2, heard)) = (named("v1").await, listener().await);
    let ground = Ground::same_host(mirrored(100.0), &[("v1", &[v1]), ("v2", &[v2])]).await;
    ground.ask(PLAIN).await;
    until(|| ground.mirrored().answered == 1).await;
    assert_eq!(*heard.lock().unwrap(), ["GET catalog.shop:80 /items 0"]);
}

/// The live request is not held up, and what is kept for a copy that is slow is bounded.
#[tokio::test]
async fn a_mirror_that_dies_is_in_nobodys_way() {
    let v1 = named("v1").await;
    for phase in Phase::ALL {
        let v2 = endpoint(Version::H1, phase, How::Dies).await;
        let ground = Ground::new(mirrored(100.0), &[("v1", &[v1]), ("v2", &[v2])]).await;
        let post = "POST /items HTTP/1.1\r\nHost: catalog\r\nContent-Length: 10\r\n\r\n0123456789";
        assert!(
            ground.ask(post).await.body.ends_with("body=10"),
            "{phase:?}"
        );
        until(|| {
            let Mirrored {
                answered, failed, ..
            } = ground.mirrored();
            answered + failed == 1
        })
        .await;
    }
}

#[tokio::test]
async fn the_share_of_copies_is_exact() {
    let (v1, (v2, heard)) = (named("v1").await, listener().await);
    let ground = Ground::new(mirrored(12.5), &[("v1", &[v1]), ("v2", &[v2])]).await;
    let mut client = ground.connect().await;
    for _ in 0..80 {
        client.ask(PLAIN).await;
    }
    until(|| ground.mirrored().answered == 10).await;
    assert_eq!(heard.lock().unwrap().len(), 10);
}

/// Nobody listens, nobody answers, nobody reads: the client notices nothing.
#[tokio::test]
async fn a_mirror_that_fails_is_in_nobodys_way() {
    let v1 = named("v1").await;
    // Accepts, and never reads.
    let deaf = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rules = json!([{
        "route": [{"destination": {"host": "catalog", "subset": "v1"}}],
        "mirrors": [
            {"destination": {"host": "catalog", "subset": "nobody"}},
            {"destination": {"host": "catalog", "subset": "none"}},
            {"destination": {"host": "catalog", "subset": "deaf"}},
        ],
    }]);
    let endpoints: [(&str, &[SocketAddr]); 4] = [
        ("v1", &[v1]),
        ("nobody", &[nobody()]),
        ("none", &[]),
        ("deaf", &[deaf.local_addr().unwrap()]),
    ];
    let ground = Ground::new(rules, &endpoints).await;
    // Larger than what the deaf one's socket takes, and what a copy may be behind.
    let body = "x".repeat(32 << 20);
    let post = format!(
        "POST / HTTP/1.1\r\nHost: catalog\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = ground.ask(&post).await;
    assert!(answer.body.ends_with(&format!("body={}", body.len())));
    until(|| {
        let Mirrored {
            answered,
            failed,
            slow,
            busy,
            ..
        } = ground.mirrored();
        (answered, busy) == (0, 0) && slow >= 1 && failed >= 2
    })
    .await;
}
