//! The node's own ports: who is told what, who decides the version of HTTP, and bytes as they came.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, ClientConnection, RootCertStore, crypto::ring};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};

use super::{
    super::{LoggedClient, Logs, Orders, Proxy, Told},
    ground::{Client, SOON, THREADS, nobody, server, whole},
    log::Log,
};
use crate::{
    access_log::Format,
    desired::{
        gateway::model::{Chain, Entrance, Inside, Site, Stream, VirtualHost},
        model::{Destination, Endpoint, RequestRule, Rule},
    },
    requests,
};

/// A proxy with a port of the node.
pub(super) struct Edge {
    _proxy: Proxy,
    port: u16,
}

impl Edge {
    pub(super) fn new(entrance: &Entrance) -> Self {
        Self::raise(entrance, |_| None)
    }

    /// With lines in a log.
    fn logging(entrance: &Entrance, log: &Log, format: &str) -> Self {
        let client = LoggedClient {
            logs: true,
            ..LoggedClient::default()
        };
        let logs = |port| Logs {
            format: Arc::new(Format::text(format).0),
            writer: log.writer.clone(),
            clients: BTreeMap::new(),
            gateways: BTreeMap::from([(port, Arc::new(client))]),
            servers: BTreeMap::new(),
            told: Told::default(),
            meter: None,
        };
        Self::raise(entrance, |port| Some(Arc::new(logs(port))))
    }

    fn raise(entrance: &Entrance, logs: impl FnOnce(u16) -> Option<Arc<Logs>>) -> Self {
        let free = std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let proxy = Proxy::start(Arc::new(|_| Ok(())), Box::new(|_| false), THREADS).unwrap();
        let pending = proxy.serve(Orders {
            edge: BTreeMap::from([(port, requests::Entrance::new(entrance).unwrap())]),
            logs: logs(port),
            ..Orders::default()
        });
        assert_eq!(pending.wait(SOON), Ok(()), "it does not listen");
        Self {
            _proxy: proxy,
            port,
        }
    }

    pub(super) async fn connect(&self) -> TcpStream {
        for _ in 0..200 {
            match TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await {
                Ok(stream) => return stream,
                Err(_) => sleep(Duration::from_millis(10)).await,
            }
        }
        panic!("port {} does not open", self.port);
    }
}

fn destination(at: SocketAddr, http2: bool) -> Destination {
    Destination {
        host: "catalog".to_owned(),
        port: 80,
        http2,
        subset: None,
        weight: 1,
        destination_rules: Vec::new(),
        endpoints: Arc::new([Endpoint {
            ip: at.ip(),
            port: at.port(),
            pod: None,
        }]),
    }
}

pub(super) fn host(pattern: &str, at: SocketAddr, http2: bool) -> VirtualHost {
    let written = json!({"route": [{"destination": {"host": "catalog"}}]});
    VirtualHost {
        name: format!("{pattern}:80"),
        host: pattern.to_owned(),
        rules: vec![RequestRule {
            rule: Rule::Service,
            written: Arc::new(serde_json::from_value(written).unwrap()),
            destinations: vec![destination(at, http2)],
            mirrors: Vec::new(),
        }],
    }
}

fn stream(at: SocketAddr) -> Stream {
    Stream {
        rule: Rule::Service,
        destinations: vec![destination(at, false)],
    }
}

pub(super) fn site(hosts: Vec<VirtualHost>) -> Entrance {
    let name = "http.80".to_owned();
    Entrance::Http(Site { name, hosts })
}

/// A server that says which version of HTTP it was asked with, and what it was told of the client.
async fn told() -> SocketAddr {
    server(|request: Request<Incoming>| async move {
        let header = |name: &str| {
            let value = request.headers().get(name);
            value
                .map_or("-", |value| value.to_str().unwrap())
                .to_owned()
        };
        let (forwarded, proto) = (header("x-forwarded-for"), header("x-forwarded-proto"));
        let internal = header("x-envoy-internal");
        whole(format!(
            "{:?} {forwarded} {proto} {internal}",
            request.version()
        ))
    })
    .await
}

#[tokio::test]
async fn the_host_chooses_and_the_endpoint_is_told_of_the_client() {
    let at = told().await;
    let edge = Edge::new(&site(vec![host("*.example", at, false)]));
    let mut client = Client(edge.connect().await);
    let request = "GET / HTTP/1.1\r\nHost: Shop.Example:30000\r\nx-forwarded-proto: https\r\n\r\n";
    let answer = client.ask(request).await;
    assert_eq!(answer.body, "HTTP/1.1 127.0.0.1 http true");
    // The next request of the connection is for somebody else.
    let answer = client.ask("GET / HTTP/1.1\r\nHost: example\r\n\r\n").await;
    assert_eq!((answer.status, answer.body.as_str()), (404, ""));
    let answer = client
        .ask("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
        .await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn the_endpoint_decides_the_version_of_http() {
    let at = told().await;
    let hosts = vec![
        host("one.example", at, false),
        host("two.example", at, true),
    ];
    let edge = Edge::new(&site(hosts));
    let (mut sender, connection) = http2::Builder::new(TokioExecutor::new())
        .handshake(TokioIo::new(edge.connect().await))
        .await
        .unwrap();
    tokio::spawn(connection);
    let mut client = Client(edge.connect().await);
    for (host, spoken) in [("one.example", "HTTP/1.1"), ("two.example", "HTTP/2.0")] {
        let request = Request::post(format!("http://{host}/"))
            .version(Version::HTTP_2)
            .body(Full::new(Bytes::from_static(b"body")))
            .unwrap();
        let response = timeout(SOON, sender.send_request(request)).await.unwrap();
        let body = response.unwrap().into_body().collect().await.unwrap();
        let text = String::from_utf8(body.to_bytes().to_vec()).unwrap();
        assert!(text.starts_with(spoken), "over HTTP/2, {host}: {text}");
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let answer = client.ask(&request).await;
        assert!(answer.body.starts_with(spoken), "{host}: {answer:?}");
    }
}

/// A server that says nothing before it has everything, and gives it back then.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut all = Vec::new();
                stream.read_to_end(&mut all).await.unwrap();
                stream.write_all(&all).await.unwrap();
            });
        }
    });
    at
}

/// Sends all of it in pieces, says that there is no more, and reads what comes.
async fn exchange(mut stream: TcpStream, bytes: &[u8], piece: usize) -> Vec<u8> {
    for piece in bytes.chunks(piece) {
        stream.write_all(piece).await.unwrap();
        stream.flush().await.unwrap();
        tokio::task::yield_now().await;
    }
    stream.shutdown().await.unwrap();
    let mut back = Vec::new();
    // What is refused may be reset.
    let _reset = timeout(SOON, stream.read_to_end(&mut back)).await.unwrap();
    back
}

#[tokio::test]
async fn who_has_said_everything_may_still_listen() {
    let edge = Edge::new(&Entrance::Tcp(Some(stream(echo().await))));
    let bytes = vec![7; 3_000_000];
    let back = exchange(edge.connect().await, &bytes, 64 * 1024).await;
    assert!(back == bytes, "{} bytes came back", back.len());
}

/// What a client says first, and some bytes more.
fn hello(name: &str) -> Vec<u8> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let name = name.to_owned().try_into().unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes.extend_from_slice(b"and what follows");
    bytes
}

#[tokio::test]
async fn tls_goes_on_as_it_came_whatever_its_pieces() {
    let chain = Chain {
        names: vec!["*.vault.example".to_owned()],
        inside: Inside::Passed(stream(echo().await)),
    };
    let edge = Edge::new(&Entrance::Tls(vec![chain]));
    let bytes = hello("a.vault.example");
    for piece in [1, 7, 100, bytes.len()] {
        let back = exchange(edge.connect().await, &bytes, piece).await;
        assert!(
            back == bytes,
            "in pieces of {piece}: {} came back",
            back.len()
        );
    }
    // Nobody has this name, and this is no TLS.
    for refused in [
        hello("vault.example"),
        vec![b'x'; 100],
        b"\x16\x03\x01\xff\xff".to_vec(),
    ] {
        let back = exchange(edge.connect().await, &refused, 100).await;
        assert_eq!(back, b"");
    }
}

#[tokio::test]
async fn a_connection_has_a_line_that_says_why() {
    let chain = |name: &str, stream: Stream| Chain {
        names: vec![name.to_owned()],
        inside: Inside::Passed(stream),
    };
    let (at, dead) = (echo().await, nobody());
    let mut none = stream(at);
    none.destinations[0].endpoints = Arc::new([]);
    let chains = vec![
        chain("a.example", stream(at)),
        chain("dead.example", stream(dead)),
        chain("none.example", none),
    ];
    let log = Log::new();
    let format = "%REQUESTED_SERVER_NAME% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %BYTES_RECEIVED% \
                  %BYTES_SENT% %UPSTREAM_HOST% %UPSTREAM_CLUSTER_RAW% %REQ(:METHOD)%";
    let edge = Edge::logging(&Entrance::Tls(chains), &log, format);
    let cluster = "outbound|80||catalog";
    let length = hello("a.example").len();
    let cases = [
        (
            "a.example",
            format!("a.example - - {length} {length} {at} {cluster} -"),
        ),
        (
            "dead.example",
            format!("dead.example UF,URX - 0 0 {dead} {cluster} -"),
        ),
        (
            "none.example",
            format!("none.example UH - 0 0 - {cluster} -"),
        ),
        (
            "nobody.example",
            "nobody.example NR filter_chain_not_found 0 0 - - -".to_owned(),
        ),
    ];
    for (number, (name, line)) in (1..).zip(&cases) {
        exchange(edge.connect().await, &hello(name), 1_000).await;
        assert_eq!(log.lines(number).await.last().unwrap(), line);
    }
}

/// A connection that is broken off has a line of what passed until then.
#[tokio::test]
async fn bytes_of_a_broken_connection_are_told() {
    let log = Log::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let entrance = Entrance::Tcp(Some(stream(listener.local_addr().unwrap())));
    let edge = Edge::logging(&entrance, &log, "%BYTES_RECEIVED% %BYTES_SENT%");
    let mut client = edge.connect().await;
    client.write_all(b"12345").await.unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    server.read_exact(&mut [0; 5]).await.unwrap();
    server.write_all(b"123").await.unwrap();
    client.read_exact(&mut [0; 3]).await.unwrap();
    // With a reset.
    client.set_zero_linger().unwrap();
    drop(client);
    assert_eq!(log.lines(1).await, ["5 3"]);
}
