use bytes::Bytes;
use http::{HeaderMap, Request, Response, Version};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::{body::Frame, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tokio::time::timeout;

use super::ground::{Ground, SOON, nobody, server};

/// Answers as gRPC does: the server's name, and a status after it.
async fn grpc(name: &'static str) -> std::net::SocketAddr {
    server(move |request| async move {
        assert_eq!(request.version(), Version::HTTP_2);
        assert_eq!(request.headers().get("te").unwrap(), "trailers");
        let authority = request.uri().authority().unwrap().to_string();
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        let frames = [
            Ok::<_, hyper::Error>(Frame::data(
                format!("{name} {authority} {}", body.len()).into(),
            )),
            Ok(Frame::trailers(trailers)),
        ];
        Response::new(StreamBody::new(futures::stream::iter(frames)).boxed())
    })
    .await
}

fn request(path: &str, cohort: &str) -> Request<Full<Bytes>> {
    Request::post(format!("http://catalog.shop:80{path}"))
        .version(Version::HTTP_2)
        .header("te", "trailers")
        .header("content-type", "application/grpc")
        .header("x-cohort", cohort)
        .body(Full::new(Bytes::from(vec![0; 300_000])))
        .unwrap()
}

#[tokio::test]
async fn streams_of_one_connection_follow_their_headers() {
    let (v1, v2) = (grpc("v1").await, grpc("v2").await);
    let to = |subset: &str| json!({"destination": {"host": "catalog", "subset": subset}});
    let rules = json!([
        {"match": [{"headers": {"x-cohort": {"exact": "internal"}}}], "route": [to("v2")]},
        {"match": [{"uri": {"prefix": "/shop."}}], "route": [to("v1")]},
        {"match": [{"uri": {"prefix": "/dead"}}], "route": [to("dead")]},
    ]);
    let servers: &[(&str, &[_])] = &[("v1", &[v1]), ("v2", &[v2]), ("dead", &[nobody()])];
    let ground = Ground::new(rules, servers).await;
    let stream = ground.connect().await.0;
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let asked = (0..40).map(|n| {
        let mut sender = sender.clone();
        async move {
            let cohort = if n % 2 == 0 { "internal" } else { "public" };
            let response = sender.send_request(request("/shop.Catalog/List", cohort));
            let body = response.await.unwrap().into_body().collect().await.unwrap();
            assert_eq!(body.trailers().unwrap()["grpc-status"], "0");
            let version = if n % 2 == 0 { "v2" } else { "v1" };
            let expected = format!("{version} catalog.shop:80 300000");
            assert_eq!(body.to_bytes(), expected.as_bytes());
        }
    });
    timeout(SOON, futures::future::join_all(asked))
        .await
        .unwrap();
    for (path, status) in [("/dead", "14"), ("/other", "12")] {
        let response = sender
            .clone()
            .send_request(request(path, "public"))
            .await
            .unwrap();
        assert_eq!(response.headers()["grpc-status"], status, "{path}");
    }
}
