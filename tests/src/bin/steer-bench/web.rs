//! nginx and wrk.

use std::{fs, net::SocketAddr, process::Command};

use anyhow::{Context as _, Result, ensure};
use steer_tests::{need, pod::Pod};

/// What nginx answers with a few bytes.
pub(crate) const SMALL: &str = "/";
/// What it answers with a megabyte.
pub(crate) const LARGE: &str = "/large";
/// Where it says how many requests it has had.
const COUNTED: &str = "/counted";

/// Starts nginx on `pod` with one worker; it keeps no log.
pub(crate) fn serve(pod: &Pod, port: u16) -> Result<()> {
    let command = pod.command(need::find("nginx")?)?;
    start(pod, port, command)?;
    Ok(())
}

/// The same, as if it were on another machine: it takes no processor from whoever is under load here.
pub(crate) fn serve_elsewhere(pod: &Pod, port: u16) -> Result<()> {
    let mut command = pod.command(need::find("chrt")?)?;
    command.args(["--idle", "0"]).arg(need::find("nginx")?);
    let pid = start(pod, port, command)?;
    // Its session is a group of the scheduler's own, with autogroup: that weighs little too.
    let group = format!("/proc/{pid}/autogroup");
    if fs::exists(&group)? {
        fs::write(&group, "19")?;
    }
    Ok(())
}

/// How many requests it has had, with this one.
pub(crate) fn counted(pod: &Pod, port: u16) -> Result<u64> {
    let url = format!("http://127.0.0.1:{port}{COUNTED}");
    let text = pod.run("curl", &["-sS", "--fail", &url])?;
    // The third number of the line below its heading.
    let line = text.lines().nth(2).unwrap_or_default();
    let requests = line.split_whitespace().nth(2);
    Ok(requests.context("nginx tells no count")?.parse()?)
}

fn start(pod: &Pod, port: u16, mut command: Command) -> Result<u32> {
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
        location {COUNTED} {{ stub_status; }}
    }}
}}
"
    );
    let path = pod.directory().join("nginx.conf");
    fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    let large = pod.directory().join(LARGE.trim_start_matches('/'));
    fs::write(large, vec![b'x'; 1 << 20])?;
    command.arg("-c").arg(&path).args(["-e", "stderr"]);
    let pid = pod.start("nginx", command)?;
    pod.wait_until_listening(port, "nginx")?;
    Ok(pid)
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
        self.wrk(pod, &[])
    }

    /// The same, where each connection waits for so many milliseconds before each request.
    pub(crate) fn run_at_ease(&self, pod: &Pod, wait_ms: u32) -> Result<f64> {
        let script = pod.directory().join("wait.lua");
        fs::write(&script, format!("function delay() return {wait_ms} end\n"))?;
        self.wrk(pod, &["-s", &script.display().to_string()])
    }

    fn wrk(&self, pod: &Pod, more: &[&str]) -> Result<f64> {
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
        arguments.extend(more);
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
