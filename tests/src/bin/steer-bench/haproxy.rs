//! A real HAProxy in a pod, where a sidecar would be.

use std::{fs, net::SocketAddr, process::Stdio};

use anyhow::Result;
use steer_tests::{need, pod::Pod};

/// Starts it with one thread: requests with a header go to one endpoint, the rest to another.
pub(crate) fn start(
    pod: &Pod,
    port: u16,
    (name, value): (&str, &str),
    to: SocketAddr,
    rest: SocketAddr,
) -> Result<()> {
    let text = format!(
        "global
    nbthread 1
    maxconn 8192
defaults
    mode http
    timeout connect 5s
    timeout client 1m
    timeout server 1m
frontend all
    bind 0.0.0.0:{port}
    acl chosen req.hdr({name}) -m str {value}
    use_backend to if chosen
    default_backend rest
backend to
    http-reuse always
    server to {to}
backend rest
    http-reuse always
    server rest {rest}
"
    );
    let path = pod.directory().join("haproxy.cfg");
    fs::write(&path, text)?;
    let mut command = pod.command(need::find("haproxy")?)?;
    command.arg("-db").arg("-f").arg(&path).stdin(Stdio::null());
    pod.start("haproxy", command)?;
    pod.wait_until_listening(port, "haproxy")
}
