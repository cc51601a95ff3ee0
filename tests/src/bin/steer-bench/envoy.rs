//! A real Envoy in a pod, where a sidecar would be.

use std::{
    env, fs,
    net::SocketAddr,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use steer_tests::pod::Pod;

/// Names Envoy's program: `cargo xtask bench` sets it.
const PROGRAM: &str = "STEER_ENVOY";

fn program() -> Result<PathBuf> {
    let path = env::var_os(PROGRAM);
    let path = path.with_context(|| {
        format!("{PROGRAM} does not name Envoy; start benches by `cargo xtask bench`")
    })?;
    Ok(path.into())
}

/// As Envoy says it, shortened.
pub(crate) fn version() -> Result<String> {
    let output = Command::new(program()?).arg("--version").output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    // "PATH  version: COMMIT/1.40.0/Clean/RELEASE/BoringSSL"
    let version = text.split_once("version: ").map(|(_, build)| build);
    let version = version.and_then(|build| build.split('/').nth(1));
    let version = version.unwrap_or("of unknown version");
    Ok(format!("Envoy {version}"))
}

/// What Envoy listens for.
pub(crate) enum Listener {
    /// Connections, which it splits over endpoints by weight.
    Tcp {
        port: u16,
        to: Vec<(u32, SocketAddr)>,
    },
    /// Requests, for one endpoint.
    Http { port: u16, to: SocketAddr },
    /// Requests: those with a header for one endpoint, the rest for another.
    Cohorts {
        port: u16,
        header: (&'static str, &'static str),
        to: SocketAddr,
        rest: SocketAddr,
    },
}

/// A running Envoy.
pub(crate) struct Envoy {
    pid: u32,
}

impl Envoy {
    /// Starts it with one worker.
    pub(crate) fn start(pod: &Pod, listeners: &[Listener]) -> Result<Self> {
        let path = pod.directory().join("envoy.json");
        fs::write(&path, serde_json::to_string_pretty(&config(listeners))?)?;
        let mut command = pod.command(program()?)?;
        command.arg("-c").arg(&path);
        command.args(["--concurrency", "1", "--disable-hot-restart", "-l", "error"]);
        command.stdin(Stdio::null());
        let pid = pod.start("envoy", command)?;
        for listener in listeners {
            pod.wait_until_listening(listener.port(), "envoy")?;
        }
        Ok(Self { pid })
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Ends it.
    pub(crate) fn stop(self) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.pid)?);
        Ok(kill(pid, Signal::SIGTERM)?)
    }
}

impl Listener {
    fn port(&self) -> u16 {
        match self {
            Self::Tcp { port, .. } | Self::Http { port, .. } | Self::Cohorts { port, .. } => *port,
        }
    }

    /// Its endpoints that may be chosen: Envoy refuses a TCP weight of 0.
    fn endpoints(&self) -> Vec<(u32, SocketAddr)> {
        match self {
            Self::Tcp { to, .. } => to
                .iter()
                .copied()
                .filter(|(weight, _)| *weight > 0)
                .collect(),
            Self::Http { to, .. } => vec![(1, *to)],
            Self::Cohorts { to, rest, .. } => vec![(1, *to), (1, *rest)],
        }
    }

    fn cluster(&self, index: usize) -> String {
        format!("{}-{index}", self.port())
    }

    fn clusters(&self) -> Vec<Value> {
        let cluster = |(index, (_, endpoint))| {
            let name = self.cluster(index);
            let endpoints = json!([{"endpoint": {"address": address(endpoint)}}]);
            json!({
                "name": name,
                "type": "STATIC",
                "connect_timeout": "5s",
                "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]},
            })
        };
        self.endpoints()
            .into_iter()
            .enumerate()
            .map(cluster)
            .collect()
    }

    fn filter(&self) -> Value {
        let weighted =
            |(index, (weight, _))| json!({"name": self.cluster(index), "weight": weight});
        match self {
            Self::Tcp { .. } => {
                let clusters: Vec<Value> = self
                    .endpoints()
                    .into_iter()
                    .enumerate()
                    .map(weighted)
                    .collect();
                filter(
                    "tcp_proxy",
                    "tcp_proxy.v3.TcpProxy",
                    &json!({"stat_prefix": "tcp", "weighted_clusters": {"clusters": clusters}}),
                )
            }
            Self::Http { .. } => requests(&json!([
                {"match": {"prefix": "/"}, "route": {"cluster": self.cluster(0)}},
            ])),
            Self::Cohorts {
                header: (name, value),
                ..
            } => {
                let header = json!({"name": name, "string_match": {"exact": value}});
                requests(&json!([
                    {"match": {"prefix": "/", "headers": [header]}, "route": {"cluster": self.cluster(0)}},
                    {"match": {"prefix": "/"}, "route": {"cluster": self.cluster(1)}},
                ]))
            }
        }
    }
}

fn requests(routes: &Value) -> Value {
    let host = json!({"name": "all", "domains": ["*"], "routes": routes});
    let kind = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";
    let router = json!({"name": "router", "typed_config": {"@type": kind}});
    filter(
        "http_connection_manager",
        "http_connection_manager.v3.HttpConnectionManager",
        &json!({
            "stat_prefix": "http",
            "route_config": {"virtual_hosts": [host]},
            "http_filters": [router],
        }),
    )
}

fn filter(name: &str, kind: &str, settings: &Value) -> Value {
    let mut typed = settings.clone();
    typed["@type"] = json!(format!(
        "type.googleapis.com/envoy.extensions.filters.network.{kind}"
    ));
    json!({"name": format!("envoy.filters.network.{name}"), "typed_config": typed})
}

fn config(listeners: &[Listener]) -> Value {
    let listener = |one: &Listener| {
        let any = SocketAddr::from(([0, 0, 0, 0], one.port()));
        json!({
            "name": one.port().to_string(),
            "address": address(any),
            "filter_chains": [{"filters": [one.filter()]}],
        })
    };
    let clusters: Vec<Value> = listeners.iter().flat_map(Listener::clusters).collect();
    let listeners: Vec<Value> = listeners.iter().map(listener).collect();
    json!({"static_resources": {"listeners": listeners, "clusters": clusters}})
}

fn address(of: SocketAddr) -> Value {
    json!({"socket_address": {"address": of.ip().to_string(), "port_value": of.port()}})
}
