//! Answers scrapes: on a thread of its own, so many connections at a time, one request each.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, thread, time::Duration};

use http::{Method, Request, StatusCode};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};

use super::scrape::Scraper;
use crate::http_server::{self, Answer, plain, whole};

/// How many are answered at a time; others wait.
const CONNECTIONS_MAX: usize = 16;
/// How long one may take in all.
const TAKES_MAX: Duration = Duration::from_secs(10);
/// When to try again to listen.
const RETRY_EVERY: Duration = Duration::from_secs(5);

/// The text format that every Prometheus reads.
const TEXT: &str = prometheus_client::encoding::prometheus_text::CONTENT_TYPE;

/// Starts the thread. It ends with the process.
pub(super) fn start(address: SocketAddr, scraper: Scraper) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    thread::Builder::new()
        .name("steer-metrics".to_owned())
        .spawn(move || runtime.block_on(serve(address, Arc::new(scraper))))?;
    Ok(())
}

async fn serve(address: SocketAddr, scraper: Arc<Scraper>) {
    let listener = listen(address).await;
    http_server::serve(listener, CONNECTIONS_MAX, |stream| {
        let answered = answer(stream, Arc::clone(&scraper));
        async move {
            // Who is too slow gets no more.
            let _late = timeout(TAKES_MAX, answered).await;
        }
    })
    .await;
}

/// Traffic does not depend on metrics: what cannot be listened at now is tried again.
async fn listen(address: SocketAddr) -> TcpListener {
    let mut told = false;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => {
                tracing::info!(%address, "metrics can be scraped");
                return listener;
            }
            Err(error) if !told => {
                told = true;
                tracing::warn!(%address, %error, "metrics cannot be scraped; it is tried again");
            }
            Err(_) => {}
        }
        sleep(RETRY_EVERY).await;
    }
}

async fn answer(stream: TcpStream, scraper: Arc<Scraper>) -> Result<(), hyper::Error> {
    let service = service_fn(move |request: Request<Incoming>| {
        let response = respond(&scraper, request.method(), request.uri().path());
        async move { Ok::<_, Infallible>(response) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

fn respond(scraper: &Scraper, method: &Method, path: &str) -> Answer {
    if method != Method::GET && method != Method::HEAD {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
    }
    match path {
        "/metrics" => whole(StatusCode::OK, TEXT, scraper.text()),
        "/graph.json" => match scraper.graph() {
            Ok(text) => whole(StatusCode::OK, "application/json", text),
            Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n")),
        },
        "/healthz" => verdict(scraper.is_alive(), "the agent does not say that it lives\n"),
        "/ready" => verdict(scraper.is_ready(), "what is written is not in force\n"),
        _ => plain(
            StatusCode::NOT_FOUND,
            "there are /metrics, /graph.json, /healthz and /ready\n",
        ),
    }
}

fn verdict(holds: bool, otherwise: &str) -> Answer {
    if holds {
        plain(StatusCode::OK, "ok\n")
    } else {
        plain(StatusCode::SERVICE_UNAVAILABLE, otherwise)
    }
}
