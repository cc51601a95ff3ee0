//! A real Envoy in a pod.

use std::{env, fs, net::SocketAddr, path::PathBuf, process::Stdio};

use anyhow::{Context as _, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use steer_tests::pod::Pod;

/// Where Envoy's program is: `cargo xtask bench` says so.
fn program() -> Result<PathBuf> {
    match env::var_os("STEER_ENVOY") {
        Some(path) => Ok(path.into()),
        None => {
            bail!("STEER_ENVOY does not say where Envoy is; start the bench by `cargo xtask bench`")
        }
    }
}

/// A running Envoy.
pub(crate) struct Envoy {
    pid: u32,
}

impl Envoy {
    /// Starts it with one worker.
    pub(crate) fn start(pod: &Pod, config: &Value) -> Result<Self> {
        let path = pod.directory().join("envoy.json");
        fs::write(&path, serde_json::to_string_pretty(config)?)?;
        let mut command = pod.command(program()?)?;
        command.arg("-c").arg(&path).args([
            "--concurrency",
            "1",
            "--disable-hot-restart",
            "-l",
            "error",
        ]);
        command.stdin(Stdio::null());
        let pid = pod.start("envoy", command).context("start Envoy")?;
        pod.wait_until_listening(10_000, "envoy")?;
        Ok(Self { pid })
    }

    /// Ends it.
    pub(crate) fn stop(self) -> Result<()> {
        Ok(kill(
            Pid::from_raw(i32::try_from(self.pid)?),
            Signal::SIGTERM,
        )?)
    }
}

/// A TCP listener that splits over endpoints by weight.
pub(crate) fn tcp(port: u16, to: &[(u32, SocketAddr)]) -> Value {
    let weighted: Vec<Value> =
        (0..).zip(to).map(|(index, (weight, _)): (usize, _)| json!({"name": format!("c{index}"), "weight": weight})).collect();
    let filter = json!({
        "name": "envoy.filters.network.tcp_proxy",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
            "stat_prefix": "tcp",
            "weighted_clusters": {"clusters": weighted},
        },
    });
    config(port, &filter, to)
}

/// An HTTP listener in front of one endpoint.
pub(crate) fn http(port: u16, to: SocketAddr) -> Value {
    let filter = json!({
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "http",
            "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
                {"match": {"prefix": "/"}, "route": {"cluster": "c0"}}]}]},
            "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}],
        },
    });
    config(port, &filter, &[(1, to)])
}

fn config(port: u16, filter: &Value, to: &[(u32, SocketAddr)]) -> Value {
    let address = |found: SocketAddr| json!({"socket_address": {"address": found.ip().to_string(), "port_value": found.port()}});
    let cluster = |(index, (_, found)): (usize, &(u32, SocketAddr))| {
        json!({
            "name": format!("c{index}"),
            "type": "STATIC",
            "connect_timeout": "5s",
            "load_assignment": {"cluster_name": format!("c{index}"), "endpoints": [{"lb_endpoints": [
                {"endpoint": {"address": address(*found)}}]}]},
        })
    };
    json!({"static_resources": {
        "listeners": [{"name": "in", "address": address(SocketAddr::from(([0, 0, 0, 0], port))),
                       "filter_chains": [{"filters": [filter]}]}],
        "clusters": to.iter().enumerate().map(cluster).collect::<Vec<_>>(),
    }})
}
