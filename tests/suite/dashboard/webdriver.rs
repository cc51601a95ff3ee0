//! A few words of `WebDriver` (W3C), over HTTP: enough to drive one browser.

use anyhow::{Context as _, Result, bail};
use http::{Method, Request, header::HOST};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{net::TcpStream, runtime::Builder};

/// Asks the driver at a port of this network, and gives the value of its answer.
pub(crate) fn ask(port: u16, method: Method, path: &str, body: &Value) -> Result<Value> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let what = format!("{method} {path}");
    let text = runtime.block_on(exchange(port, method, path, body));
    let text = text.with_context(|| what.clone())?;
    let mut answer: Value = serde_json::from_slice(&text).with_context(|| what.clone())?;
    let value = answer["value"].take();
    if let Some(error) = value.get("error").and_then(Value::as_str) {
        bail!("{what}: {error}: {}", value["message"]);
    }
    Ok(value)
}

async fn exchange(port: u16, method: Method, path: &str, body: &Value) -> Result<Bytes> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let (mut send, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let driven = tokio::spawn(connection);
    let text = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, format!("127.0.0.1:{port}"))
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(text)))?;
    let answer = send.send_request(request).await?;
    let text = answer.into_body().collect().await?.to_bytes();
    driven.abort();
    Ok(text)
}
