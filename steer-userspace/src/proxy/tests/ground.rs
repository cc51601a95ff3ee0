//! A proxy with rules, servers behind it, and a client that sees every byte.

use std::{
    collections::{BTreeMap, VecDeque},
    convert::Infallible,
    net::SocketAddr,
    num::NonZeroUsize,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full, combinators::BoxBody};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use serde_json::Value;
use steer_common::{
    service::{REQUEST_PORT, ServiceKey, SplitId, request_address},
    tap::TapHead,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};

use super::super::{LoggedClient, Logs, Mirrored, Orders, Place, Proxy, Served, Tap, Told};
use crate::{
    access_log::{Format, Writer},
    desired::{
        MirrorHost,
        model::{Destination, Endpoint, Mirror, PodRef, RequestRule, Rule},
    },
    requests::Route,
    source::istio::HttpRoute,
};

/// Longer than anything here takes.
pub(super) const SOON: Duration = Duration::from_secs(20);

/// Connections of one client are on several threads.
pub(super) const THREADS: NonZeroUsize = NonZeroUsize::new(2).unwrap();

/// A route of its own: tests run side by side.
static NEXT: AtomicU32 = AtomicU32::new(0x3f_0000);

/// A proxy with one route.
pub(super) struct Ground {
    proxy: Proxy,
    split: SplitId,
    endpoints: BTreeMap<String, Vec<SocketAddr>>,
    logs: Option<Arc<Logs>>,
    /// What the tap hands over.
    pieces: Pieces,
    /// The host that copies name.
    mirror_host: MirrorHost,
}

type Pieces = Arc<Mutex<VecDeque<(TapHead, Vec<u8>)>>>;

impl Ground {
    /// Rules as written; subsets are names of servers.
    pub(super) async fn new(rules: Value, endpoints: &[(&str, &[SocketAddr])]) -> Self {
        let this = Self::silent(endpoints, THREADS);
        this.serve(rules);
        this.connect().await;
        this
    }

    /// The same, with an access log; by one thread, so that clients use the same connections to endpoints.
    pub(super) async fn logging(
        rules: Value,
        endpoints: &[(&str, &[SocketAddr])],
        format: &str,
        writer: &Writer,
    ) -> Self {
        let client = LoggedClient {
            pod: Arc::new(PodRef {
                namespace: "shop".to_owned(),
                name: "webapp".to_owned(),
            }),
            address: None,
            logs: true,
        };
        let logs = Logs {
            format: Arc::new(Format::text(format).0),
            writer: writer.clone(),
            clients: BTreeMap::from([(1, Arc::new(client))]),
            gateways: BTreeMap::new(),
            servers: BTreeMap::new(),
            told: Told::default(),
            meter: None,
        };
        let this = Self {
            logs: Some(Arc::new(logs)),
            ..Self::silent(endpoints, NonZeroUsize::MIN)
        };
        this.serve(rules);
        this.connect().await;
        this
    }

    /// The same, whose copies name the same host as requests do.
    pub(super) async fn same_host(rules: Value, endpoints: &[(&str, &[SocketAddr])]) -> Self {
        let this = Self {
            mirror_host: MirrorHost::Same,
            ..Self::silent(endpoints, THREADS)
        };
        this.serve(rules);
        this.connect().await;
        this
    }

    /// The same, where clients send directly, and the tap hands over what they send.
    pub(super) fn tapped(rules: Value, endpoints: &[(&str, &[SocketAddr])]) -> Self {
        let this = Self::silent(endpoints, THREADS);
        this.serve_as(ServiceKey::default(), rules, true);
        this
    }

    fn silent(endpoints: &[(&str, &[SocketAddr])], threads: NonZeroUsize) -> Self {
        let pieces = Pieces::default();
        let tap = Arc::clone(&pieces);
        let tap: Tap = Box::new(move |take| {
            let next = tap.lock().unwrap().pop_front();
            next.inspect(|(head, bytes)| take(*head, bytes)).is_some()
        });
        Self {
            logs: None,
            proxy: Proxy::start(Arc::new(|_| Ok(())), tap, threads).unwrap(),
            pieces,
            mirror_host: MirrorHost::default(),
            // Of other processes on this machine too.
            split: NEXT.fetch_add(1, Ordering::Relaxed) ^ (std::process::id() & 0xfff) << 4,
            endpoints: endpoints
                .iter()
                .map(|(name, at)| ((*name).to_owned(), at.to_vec()))
                .collect(),
        }
    }

    /// A client sends this on a connection, from the byte of this number on.
    pub(super) fn sends(&self, socket: u64, seq: u32, bytes: &[u8]) {
        let head = TapHead {
            socket,
            client: 1,
            split: self.split,
            seq,
            len: 0,
            pad: 0,
        };
        self.pieces
            .lock()
            .unwrap()
            .push_back((head, bytes.to_vec()));
    }

    /// Other rules.
    pub(super) fn serve(&self, rules: Value) {
        self.serve_as(ServiceKey::default(), rules, false);
    }

    /// Those of another service, whose route has the same number.
    pub(super) fn serve_other(&self, rules: Value) {
        let class = 1;
        self.serve_as(
            ServiceKey {
                class,
                ..ServiceKey::default()
            },
            rules,
            false,
        );
    }

    /// Ends the proxy.
    pub(super) fn end(&self) {
        self.proxy.end();
    }

    fn serve_as(&self, key: ServiceKey, rules: Value, tapped: bool) {
        let rules: Vec<HttpRoute> = serde_json::from_value(rules).unwrap();
        let rules: Vec<RequestRule> = rules.into_iter().map(|rule| self.rule(rule)).collect();
        let served = Served {
            key,
            host: "catalog.shop.svc.cluster.local".to_owned(),
            route: Arc::new(Route::new(&rules).unwrap()),
            tapped,
        };
        let listens = (!tapped).then_some(self.split);
        let pending = self.proxy.serve(Orders {
            routes: BTreeMap::from([(self.split, served)]),
            pods: vec![Place {
                cookie: 1,
                namespace: None,
                splits: listens.into_iter().collect(),
            }],
            logs: self.logs.clone(),
            edge: BTreeMap::new(),
        });
        assert_eq!(pending.wait(SOON), Ok(()), "it does not listen");
    }

    fn rule(&self, written: HttpRoute) -> RequestRule {
        let to = written.route.iter().map(|to| {
            let weight = u32::try_from(to.weight).unwrap();
            let weight = weight.max(u32::from(written.route.len() == 1));
            self.destination(to.destination.subset.as_deref(), weight)
        });
        RequestRule {
            rule: Rule::Setting {
                name: written.name.clone().unwrap_or_default(),
            },
            destinations: to.collect(),
            mirrors: written
                .copies()
                .into_iter()
                .map(|copies| Mirror {
                    to: self.destination(copies.to.subset.as_deref(), 1),
                    millionths: copies.millionths,
                    host: self.mirror_host,
                })
                .collect(),
            written: Arc::new(written),
        }
    }

    fn destination(&self, subset: Option<&str>, weight: u32) -> Destination {
        Destination {
            host: "catalog".to_owned(),
            port: 80,
            http2: false,
            subset: subset.map(str::to_owned),
            weight,
            destination_rules: Vec::new(),
            endpoints: self.endpoints[subset.unwrap()]
                .iter()
                .map(|at| Endpoint {
                    ip: at.ip(),
                    port: at.port(),
                    pod: None,
                })
                .collect(),
        }
    }

    /// What became of copies.
    pub(super) fn mirrored(&self) -> Mirrored {
        self.proxy.mirrored()
    }

    /// How many requests each rule has taken.
    pub(super) fn taken(&self) -> Vec<u64> {
        self.proxy.taken()[&self.split].clone()
    }

    pub(super) fn address(&self) -> SocketAddr {
        SocketAddr::from((request_address(self.split).unwrap(), REQUEST_PORT))
    }

    /// A connection of a client; the listener may just be opening.
    pub(super) async fn connect(&self) -> Client {
        let mut tries = 0;
        loop {
            match TcpStream::connect(self.address()).await {
                Ok(stream) => return Client(stream),
                Err(error) if tries > 200 => panic!("{error}"),
                Err(_) => sleep(Duration::from_millis(10)).await,
            }
            tries += 1;
        }
    }

    /// The answer to one request on a connection of its own.
    pub(super) async fn ask(&self, request: &str) -> Answer {
        self.connect().await.ask(request).await
    }
}

/// A connection, byte by byte.
pub(super) struct Client(pub(super) TcpStream);

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Client {
    pub(super) async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// Sends a request and reads the answer to its end.
    pub(super) async fn ask(&mut self, request: &str) -> Answer {
        self.send(request).await;
        timeout(SOON, self.answer()).await.unwrap()
    }

    /// The next answer; interim ones are left out.
    pub(super) async fn answer(&mut self) -> Answer {
        loop {
            let head = self.head().await;
            let status = head.split(' ').nth(1).unwrap().parse().unwrap();
            if status == 100 {
                continue;
            }
            let lower = head.to_ascii_lowercase();
            let field = |name: &str| {
                let start = lower.find(&format!("\r\n{name}:"))?;
                let rest = &lower[start + name.len() + 3..];
                Some(rest.split("\r\n").next().unwrap().trim().to_owned())
            };
            let body = if field("transfer-encoding").is_some() {
                self.chunks().await
            } else {
                let length = field("content-length").map_or(0, |text| text.parse().unwrap());
                let mut body = vec![0; length];
                self.0.read_exact(&mut body).await.unwrap();
                String::from_utf8(body).unwrap()
            };
            return Answer { status, head, body };
        }
    }

    async fn head(&mut self) -> String {
        self.until("\r\n\r\n").await
    }

    /// Chunks and trailers, as they came.
    async fn chunks(&mut self) -> String {
        let mut body = String::new();
        loop {
            let line = self.until("\r\n").await;
            let length = usize::from_str_radix(line.trim(), 16).unwrap();
            if length == 0 {
                loop {
                    let line = self.until("\r\n").await;
                    if line == "\r\n" {
                        return body;
                    }
                    body.push_str(&format!("<{}>", line.trim()));
                }
            }
            let mut chunk = vec![0; length + 2];
            self.0.read_exact(&mut chunk).await.unwrap();
            chunk.truncate(length);
            body.push_str(&String::from_utf8(chunk).unwrap());
        }
    }

    async fn until(&mut self, end: &str) -> String {
        let mut text = Vec::new();
        while !text.ends_with(end.as_bytes()) {
            text.push(self.0.read_u8().await.unwrap());
        }
        String::from_utf8(text).unwrap()
    }

    /// Whether nothing more comes.
    pub(super) async fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        let read = timeout(SOON, self.0.read_to_end(&mut rest)).await;
        read.is_ok() && rest.is_empty()
    }
}

pub(super) type Sent = Response<BoxBody<Bytes, hyper::Error>>;

/// A server that answers as `answer` says.
pub(super) async fn server<F, A>(answer: F) -> SocketAddr
where
    F: Fn(Request<Incoming>) -> A + Clone + Send + 'static,
    A: Future<Output = Sent> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let answer = answer.clone();
            let service = service_fn(move |request| {
                let answer = answer(request);
                async move { Ok::<_, Infallible>(answer.await) }
            });
            tokio::spawn(async move {
                let builder = auto::Builder::new(TokioExecutor::new());
                let io = TokioIo::new(stream);
                // A client may go away.
                let _gone = builder.serve_connection_with_upgrades(io, service).await;
            });
        }
    });
    at
}

/// A server that says its name, and what it was asked.
pub(super) async fn named(name: &'static str) -> SocketAddr {
    server(move |request: Request<Incoming>| async move {
        let (parts, body) = request.into_parts();
        let body = body
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes);
        let host = parts.headers.get("host").map(HeaderValue::as_bytes);
        let host = String::from_utf8_lossy(host.unwrap_or_default()).into_owned();
        let text = format!(
            "{name} {} {} host={host} body={}",
            parts.method,
            parts.uri,
            body.map_or(usize::MAX, |body| body.len())
        );
        whole(text)
    })
    .await
}

pub(super) fn whole(text: impl Into<Bytes>) -> Sent {
    Response::new(
        Full::new(text.into())
            .map_err(|never| match never {})
            .boxed(),
    )
}

/// An address at which nobody listens.
pub(super) fn nobody() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}
