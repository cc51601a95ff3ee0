//! nginx and wrk.

use std::{fs, net::SocketAddr};

use anyhow::{Context as _, Result, ensure};
use steer_tests::{need, pod::Pod};

/// What nginx answers with a few bytes.
pub(crate) const SMALL: &str = "/";
/// What it answers with a megabyte.
pub(crate) const LARGE: &str = "/large";

/// Starts nginx on `pod` with one worker; it keeps no log.
pub(crate) fn serve(pod: &Pod, port: u16) -> Result<()> {
    let directory = pod.directory().display();
    let text = format!(
        "daemon off;
master_process off;
user root;
pid {directory}/nginx.pid;
error_log stderr;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    keepalive_requests 1000000000;
    server {{
        listen {port} backlog=4096;
        location / {{ return 200 'bench\\n'; }}
        location {LARGE} {{ root {directory}; sendfile on; }}
    }}
}}
"
    );
    let path = pod.directory().join("nginx.conf");
    fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    let large = pod.directory().join(LARGE.trim_start_matches('/'));
    fs::write(large, vec![b'x'; 1 << 20])?;
    let mut command = pod.command(need::find("nginx")?)?;
    command.arg("-c").arg(&path).args(["-e", "stderr"]);
    pod.start("nginx", command)?;
    pod.wait_until_listening(port, "nginx")
}

/// What wrk does, with one thread.
pub(crate) struct Load<'a> {
    pub(crate) target: SocketAddr,
    pub(crate) path: &'a str,
    /// How many connections it has at the same time.
    pub(crate) connections: u32,
    pub(crate) secs: u32,
    /// Each connection ends after one request.
    pub(crate) close: bool,
    pub(crate) headers: &'a [&'a str],
}

impl Load<'_> {
    /// Requests a second from `pod`.
    pub(crate) fn run(&self, pod: &Pod) -> Result<f64> {
        let (duration, url) = (
            format!("-d{}s", self.secs),
            format!("http://{}{}", self.target, self.path),
        );
        let connections = format!("-c{}", self.connections);
        let mut arguments = vec!["-t1", &connections, &duration];
        if self.close {
            arguments.extend(["-H", "Connection: close"]);
        }
        for header in self.headers {
            arguments.extend(["-H", header]);
        }
        arguments.push(&url);
        let text = pod.run("wrk", &arguments)?;
        let line = |start: &str| {
            text.lines()
                .find_map(|line| line.trim().strip_prefix(start))
        };
        for trouble in ["Non-2xx", "Socket errors"] {
            ensure!(line(trouble).is_none(), "wrk on {}: {text}", pod.name());
        }
        let rate = line("Requests/sec:").context("wrk tells no rate")?;
        Ok(rate.trim().parse()?)
    }
}
