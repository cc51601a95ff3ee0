use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{Response, StatusCode};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    time::{sleep, timeout},
};

use super::ground::{Ground, SOON, named, nobody, server, whole};

const PLAIN: &str = "GET /items?q=1 HTTP/1.1\r\nHost: catalog:80\r\n\r\n";

fn to(subset: &str) -> serde_json::Value {
    json!({"destination": {"host": "catalog", "subset": subset}})
}

#[tokio::test]
async fn requests_of_one_connection_follow_their_headers() {
    let (v1, v2) = (named("v1").await, named("v2").await);
    let rules = json!([
        {"name": "internal", "match": [{"headers": {"x-istio-cohort": {"exact": "internal"}}}], "route": [to("v2")]},
        {"name": "items", "match": [{"uri": {"prefix": "/items"}}], "route": [to("v1")]},
    ]);
    let ground = Ground::new(rules, &[("v1", &[v1]), ("v2", &[v2])]).await;
    let mut client = ground.connect().await;
    let internal = "GET /any HTTP/1.1\r\nHost: catalog\r\nX-Istio-Cohort: internal\r\n\r\n";
    for _ in 0..3 {
        let answer = client.ask(PLAIN).await;
        assert_eq!(answer.body, "v1 GET /items?q=1 host=catalog:80 body=0");
        assert!(
            client
                .ask(internal)
                .await
                .body
                .starts_with("v2 GET /any host=catalog ")
        );
    }
    let none = client
        .ask("GET /other HTTP/1.1\r\nHost: catalog\r\n\r\n")
        .await;
    assert_eq!((none.status, none.body.as_str()), (404, ""));
    // The connection is none the worse for it.
    assert_eq!(client.ask(PLAIN).await.status, 200);
    assert_eq!(ground.taken(), [3, 4]);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let (v1, v2) = (named("v1").await, named("v2").await);
    let rules = json!([
        {"match": [{"uri": {"prefix": "/2"}}], "route": [to("v2")]},
        {"route": [to("v1")]},
    ]);
    let ground = Ground::new(rules, &[("v1", &[v1]), ("v2", &[v2])]).await;
    let mut client = ground.connect().await;
    let paths: Vec<String> = (0..20).map(|n| format!("/{}/{n}", 1 + n % 2)).collect();
    let all: String = paths
        .iter()
        .map(|path| format!("GET {path} HTTP/1.1\r\nHost: c\r\n\r\n"))
        .collect();
    client.send(&all).await;
    for (n, path) in paths.iter().enumerate() {
        let answer = timeout(SOON, client.answer()).await.unwrap();
        let version = format!("v{}", 1 + n % 2);
        assert!(
            answer.body.starts_with(&format!("{version} GET {path} ")),
            "{}",
            answer.body
        );
    }
}

#[tokio::test]
async fn a_split_is_exact_for_requests_and_outlives_changes() {
    let (v1, v2) = (named("v1").await, named("v2").await);
    let weighted = |subset: &str, weight: u32| json!({"destination": {"host": "catalog", "subset": subset}, "weight": weight});
    let rules = || json!([{"route": [weighted("v1", 90), weighted("v2", 10)]}]);
    let ground = Ground::new(rules(), &[("v1", &[v1]), ("v2", &[v2])]).await;
    let mut client = ground.connect().await;
    let mut tally = BTreeMap::new();
    for round in 0..200 {
        if round == 37 {
            ground.serve(rules());
        }
        let answer = client.ask(PLAIN).await;
        let version = answer.body.split(' ').next().unwrap().to_owned();
        *tally.entry(version).or_insert(0) += 1;
    }
    assert_eq!(
        tally,
        BTreeMap::from([("v1".into(), 180), ("v2".into(), 20)])
    );
}

#[tokio::test]
async fn what_cannot_be_reached_is_503_and_what_is_late_504() {
    let slow = server(|_| async {
        sleep(SOON).await;
        whole("late")
    })
    .await;
    let rules = json!([
        {"match": [{"uri": {"prefix": "/dead"}}], "route": [to("dead")]},
        {"match": [{"uri": {"prefix": "/none"}}], "route": [to("none")]},
        {"match": [{"uri": {"prefix": "/try"}}], "route": [to("slow")],
         "retries": {"attempts": 1, "perTryTimeout": "50ms", "retryOn": "5xx"}},
        {"route": [to("slow")], "timeout": "0.1s"},
    ]);
    let servers: &[(&str, &[_])] = &[("dead", &[nobody()]), ("none", &[]), ("slow", &[slow])];
    let ground = Ground::new(rules, servers).await;
    for (path, status, text) in [
        ("/dead", 503, "connection failure"),
        ("/none", 503, "no healthy upstream"),
        ("/slow", 504, "upstream request timeout"),
        ("/try", 504, "upstream request timeout"),
    ] {
        let answer = ground
            .ask(&format!("GET {path} HTTP/1.1\r\nHost: c\r\n\r\n"))
            .await;
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.body.contains(text), "{}", answer.body);
    }
    let grpc = "POST /dead HTTP/1.1\r\nHost: c\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\n\r\n";
    let answer = ground.ask(grpc).await;
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("grpc-status: 14"), "{}", answer.head);
}

#[tokio::test]
async fn nothing_is_sent_twice_that_may_have_had_an_effect() {
    // Takes a request and closes without an answer; another endpoint is fine.
    let (asked, counted) = (Arc::new(AtomicUsize::new(0)), AtomicUsize::new(0));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let broken = listener.local_addr().unwrap();
    let count = Arc::clone(&asked);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut bytes = [0; 1024];
            let _read = stream.read(&mut bytes).await;
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    let fine = named("fine").await;
    let rules = json!([
        {"match": [{"uri": {"prefix": "/dead"}}], "route": [to("dead")]},
        {"route": [to("broken")], "retries": {"attempts": 3, "retryOn": "reset,connect-failure"}},
    ]);
    let servers: &[(&str, &[_])] = &[("dead", &[nobody(), fine]), ("broken", &[broken, fine])];
    let ground = Ground::new(rules, servers).await;
    let ask = |method: &str, path: &str| {
        format!("{method} {path} HTTP/1.1\r\nHost: c\r\nContent-Length: 3\r\n\r\nabc")
    };
    // Nothing was sent: whatever it is, another endpoint gets it, body and all.
    for _ in 0..4 {
        let answer = ground.ask(&ask("POST", "/dead")).await;
        assert_eq!(answer.body, "fine POST /dead host=c body=3");
    }
    // Sent, and not answered: a POST may have had its effect.
    let mut lost = 0;
    for _ in 0..4 {
        lost += usize::from(ground.ask(&ask("POST", "/")).await.status == 503);
        counted.fetch_add(1, Ordering::Relaxed);
    }
    assert_eq!((lost, asked.load(Ordering::Relaxed)), (2, 2));
    // A GET may be asked again.
    for _ in 0..4 {
        assert_eq!(ground.ask(PLAIN).await.status, 200);
    }
}

#[tokio::test]
async fn an_endpoint_that_closes_idle_connections_costs_no_request() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut bytes = [0; 1024];
                let _read = stream.read(&mut bytes).await;
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                stream.write_all(answer).await.unwrap();
                // Without having said so.
            });
        }
    });
    let ground = Ground::new(json!([{"route": [to("v1")]}]), &[("v1", &[at])]).await;
    let mut client = ground.connect().await;
    for _ in 0..50 {
        assert_eq!(client.ask(PLAIN).await.status, 200);
    }
}

#[tokio::test]
async fn requests_are_changed_as_the_rule_says() {
    let echo = server(|request| async move {
        let mut lines: Vec<String> = request
            .headers()
            .iter()
            .map(|(name, value)| format!("{name}={}", value.to_str().unwrap()))
            .collect();
        lines.sort();
        let mut response = whole(format!("{} {}", request.uri(), lines.join(" ")));
        response
            .headers_mut()
            .insert("x-server", "secret".parse().unwrap());
        response
    })
    .await;
    let rules = json!([
        {"match": [{"uri": {"prefix": "/old"}}], "rewrite": {"uri": "/new", "authority": "other"},
         "headers": {"request": {"set": {"x-a": "1"}, "remove": ["x-gone"]},
                     "response": {"add": {"x-rule": "yes"}, "remove": ["x-server"]}},
         "route": [to("echo")]},
        {"match": [{"uri": {"exact": "/away"}}], "redirect": {"uri": "/there", "redirectCode": 307}},
        {"match": [{"uri": {"exact": "/tea"}}], "directResponse": {"status": 418, "body": {"string": "short"}}},
        {"match": [{"uri": {"exact": "/fault"}}], "fault": {"abort": {"httpStatus": 555}}, "route": [to("echo")]},
    ]);
    let ground = Ground::new(rules, &[("echo", &[echo])]).await;
    let mut client = ground.connect().await;
    let asked = "GET /old/x?y HTTP/1.1\r\nHost: c\r\nX-Gone: 1\r\nConnection: keep-alive, x-hop\r\nX-Hop: 1\r\n\r\n";
    let answer = client.ask(asked).await;
    assert_eq!(answer.body, "/new/x?y host=other x-a=1");
    assert!(answer.head.contains("x-rule: yes") && !answer.head.contains("x-server"));
    let answer = client.ask("GET /away HTTP/1.1\r\nHost: c:80\r\n\r\n").await;
    assert_eq!(answer.status, 307);
    assert!(
        answer.head.contains("location: http://c:80/there\r\n"),
        "{}",
        answer.head
    );
    let answer = client.ask("GET /tea HTTP/1.1\r\nHost: c\r\n\r\n").await;
    assert_eq!((answer.status, answer.body.as_str()), (418, "short"));
    let answer = client.ask("GET /fault HTTP/1.1\r\nHost: c\r\n\r\n").await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (555, "fault filter abort")
    );
}

#[tokio::test]
async fn an_upgrade_is_a_tunnel() {
    let at = server(|mut request| async move {
        assert_eq!(request.headers()["upgrade"], "websocket");
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut stream = TokioIo::new(upgrade.await.unwrap());
            let mut bytes = [0; 5];
            stream.read_exact(&mut bytes).await.unwrap();
            bytes.reverse();
            stream.write_all(&bytes).await.unwrap();
        });
        let mut response = whole("");
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        response
            .headers_mut()
            .insert("upgrade", "websocket".parse().unwrap());
        response
            .headers_mut()
            .insert("connection", "upgrade".parse().unwrap());
        response
    })
    .await;
    let ground = Ground::new(json!([{"route": [to("v1")]}]), &[("v1", &[at])]).await;
    let mut client = ground.connect().await;
    client
        .send("GET /ws HTTP/1.1\r\nHost: c\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        .await;
    let answer = timeout(SOON, client.answer()).await.unwrap();
    assert_eq!(answer.status, 101);
    assert!(
        answer
            .head
            .to_ascii_lowercase()
            .contains("upgrade: websocket")
    );
    client.send("a\nb\r\n").await;
    let mut bytes = [0; 5];
    timeout(SOON, client.0.read_exact(&mut bytes))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&bytes, b"\n\rb\na");
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn bodies_pass_in_chunks_with_what_follows_them() {
    let at = server(|request| async move {
        let body = request.into_body().collect().await.unwrap();
        let trailer = body.trailers().and_then(|all| all.get("x-sum").cloned());
        let text = format!("{} {trailer:?}", body.to_bytes().len());
        let mut trailers = http::HeaderMap::new();
        trailers.insert("x-after", "1".parse().unwrap());
        let frames = [
            Ok::<_, hyper::Error>(Frame::data(text.into())),
            Ok(Frame::trailers(trailers)),
        ];
        let mut response = Response::new(StreamBody::new(futures::stream::iter(frames)).boxed());
        response
            .headers_mut()
            .insert("trailer", "x-after".parse().unwrap());
        response
    })
    .await;
    let ground = Ground::new(json!([{"route": [to("v1")]}]), &[("v1", &[at])]).await;
    let mut client = ground.connect().await;
    client
        .send("POST / HTTP/1.1\r\nHost: c\r\nTE: trailers\r\nTrailer: x-sum\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    let piece = "x".repeat(100_000);
    for _ in 0..20 {
        client
            .send(&format!("{:x}\r\n{piece}\r\n", piece.len()))
            .await;
    }
    let answer = client.ask("0\r\nx-sum: 7\r\n\r\n").await;
    assert_eq!(answer.body, "2000000 Some(\"7\")<x-after: 1>");
}

#[tokio::test]
async fn a_client_that_waits_to_be_told_is_told() {
    let v1 = named("v1").await;
    let ground = Ground::new(json!([{"route": [to("v1")]}]), &[("v1", &[v1])]).await;
    let mut client = ground.connect().await;
    client
        .send("POST / HTTP/1.1\r\nHost: c\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        .await;
    let mut told = vec![0; 25];
    timeout(SOON, client.0.read_exact(&mut told))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(told, b"HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(client.ask("abc").await.body, "v1 POST / host=c body=3");
}

#[tokio::test]
async fn a_client_that_never_reads_holds_the_server_back() {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut bytes = [0; 1024];
        let _read = stream.read(&mut bytes).await.unwrap();
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        let piece = vec![0; 64 * 1024];
        while stream.write_all(&piece).await.is_ok() {
            count.fetch_add(piece.len(), Ordering::Relaxed);
        }
    });
    let ground = Ground::new(json!([{"route": [to("v1")]}]), &[("v1", &[at])]).await;
    let mut client = ground.connect().await;
    client.send(PLAIN).await;
    // Until it stands still.
    let mut before = usize::MAX;
    while before != sent.load(Ordering::Relaxed) || before == 0 {
        before = sent.load(Ordering::Relaxed);
        sleep(Duration::from_millis(300)).await;
    }
    assert!(before < 64 * 1024 * 1024, "{before} bytes are in between");
}

#[tokio::test]
async fn a_connection_is_never_led_by_the_rules_of_another_route() {
    let (v1, v2) = (named("v1").await, named("v2").await);
    let servers: &[(&str, &[_])] = &[("v1", &[v1]), ("v2", &[v2])];
    let ground = Ground::new(json!([{"route": [to("v1")]}]), servers).await;
    let mut client = ground.connect().await;
    assert!(client.ask(PLAIN).await.body.starts_with("v1 "));
    // Other rules of the same route hold at once.
    ground.serve(json!([{"route": [to("v2")]}]));
    assert!(client.ask(PLAIN).await.body.starts_with("v2 "));
    // The route is gone, and another one has its number.
    ground.serve_other(json!([{"route": [to("v1")]}]));
    let answer = client.ask(PLAIN).await;
    assert!(answer.body.starts_with("v2 ") && answer.head.contains("connection: close"));
    assert!(client.is_closed().await);
    assert!(ground.ask(PLAIN).await.body.starts_with("v1 "));
}

#[tokio::test]
async fn requests_under_way_are_answered_when_it_ends() {
    let slow = server(|_| async {
        sleep(Duration::from_millis(300)).await;
        whole("slow")
    })
    .await;
    let ground = Arc::new(Ground::new(json!([{"route": [to("v1")]}]), &[("v1", &[slow])]).await);
    let (mut idle, mut busy) = (ground.connect().await, ground.connect().await);
    assert_eq!(idle.ask(PLAIN).await.body, "slow");
    busy.send(PLAIN).await;
    sleep(Duration::from_millis(50)).await;
    let ending = Arc::clone(&ground);
    let ended = tokio::task::spawn_blocking(move || ending.end());
    assert_eq!(busy.answer().await.body, "slow");
    assert!(busy.is_closed().await && idle.is_closed().await);
    timeout(SOON, ended).await.unwrap().unwrap();
    assert!(
        tokio::net::TcpStream::connect(ground.address())
            .await
            .is_err()
    );
}
