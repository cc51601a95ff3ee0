//! nginx, one per pod, answering who it is.

use std::{
    fmt::Write as _,
    fs,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::{manifest::Upstream, need, pod::Pod};

/// How long a request may take until it is noted. Copies for a mirror are sent when nothing else is to be done,
/// which on a busy machine may take its time.
const NOTED_MAX: Duration = Duration::from_secs(30);

/// What a pod's web server answers to every request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Name of the pod.
    pub pod: String,
    /// Its label `app`.
    pub app: String,
    /// Its label `version`.
    pub version: String,
}

impl Answer {
    /// What `pod` will say.
    pub fn of(pod: &Pod) -> Self {
        let label = |key: &str| pod.record().labels.get(key).cloned().unwrap_or_default();
        Self {
            pod: pod.name().to_owned(),
            app: label("app"),
            version: label("version"),
        }
    }
}

/// Starts nginx on `pod`, listening on `port` in both families.
pub fn start(pod: &Pod, port: u16) -> Result<()> {
    start_with(pod, port, &[])
}

/// Starts nginx that also calls others: what comes to `/api/NAME` goes to the upstream `NAME`, over
/// a new connection for each request.
pub fn start_with(pod: &Pod, port: u16, upstreams: &[Upstream]) -> Result<()> {
    let directory = pod.directory().display();
    let answer = serde_json::to_string(&Answer::of(pod))?;
    let calls = calls(pod, upstreams)?;
    let text = format!(
        r"daemon off;
master_process off;
worker_processes 1;
user root;
pid {directory}/nginx.pid;
error_log stderr notice;
events {{ worker_connections 8192; }}
http {{
    log_format lab '$remote_addr $request $status $http_host';
    access_log {directory}/access.log lab;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    keepalive_requests 1000000000;
    default_type application/json;
    server {{
        listen {port} backlog=4096;
        listen [::]:{port} backlog=4096;
        location / {{ return 200 '{answer}\n'; }}
{calls}    }}
}}
"
    );
    let config = pod.directory().join("nginx.conf");
    fs::write(&config, text).with_context(|| format!("write {}", config.display()))?;
    let mut command = pod.command(need::find("nginx")?)?;
    command.arg("-c").arg(&config).arg("-e").arg("stderr");
    pod.start("nginx", command)?;
    pod.wait_until_listening(port, "nginx")
}

/// Starts another nginx on `pod` that speaks HTTP/2 without TLS, and nothing else.
pub fn start_http2(pod: &Pod, port: u16) -> Result<()> {
    let directory = pod.directory().display();
    let answer = serde_json::to_string(&Answer::of(pod))?;
    let text = format!(
        "daemon off; master_process off; user root; pid {directory}/nginx2.pid; error_log stderr;\n\
         events {{}}\n\
         http {{ access_log off; keepalive_requests 1000000000; client_body_temp_path {directory}/body2;\n\
         proxy_temp_path {directory}/proxy2; fastcgi_temp_path {directory}/fastcgi2;\n\
         uwsgi_temp_path {directory}/uwsgi2; scgi_temp_path {directory}/scgi2;\n\
         server {{ listen {port} http2; location / {{ return 200 '{answer}\\n'; }} }} }}\n"
    );
    let config = pod.directory().join("nginx2.conf");
    fs::write(&config, text).with_context(|| format!("write {}", config.display()))?;
    let mut command = pod.command(need::find("nginx")?)?;
    command.arg("-c").arg(&config).args(["-e", "stderr"]);
    pod.start("nginx2", command)?;
    pod.wait_until_listening(port, "nginx2")
}

fn calls(pod: &Pod, upstreams: &[Upstream]) -> Result<String> {
    let mut text = String::new();
    if upstreams.is_empty() {
        return Ok(text);
    }
    let resolv = fs::read_to_string(pod.directory().join("resolv.conf"))?;
    let nameserver = resolv
        .lines()
        .find_map(|line| line.strip_prefix("nameserver "));
    let nameserver = nameserver.context("the pod has no name server")?;
    // A variable makes nginx resolve the name when it calls, not when it starts.
    writeln!(text, "        resolver {nameserver} valid=5s;")?;
    for Upstream { name, host, port } in upstreams {
        writeln!(text, "        location /api/{name} {{")?;
        writeln!(text, "            set $upstream {host}:{port};")?;
        writeln!(text, "            proxy_pass http://$upstream/;")?;
        writeln!(text, "            proxy_connect_timeout 3s;")?;
        writeln!(text, "        }}")?;
    }
    Ok(text)
}

/// Fetches `url` from `pod` with curl.
pub fn get(pod: &Pod, url: &str) -> Result<Answer> {
    let mut answers = get_each(pod, url, 1)?;
    answers.pop().context("curl printed nothing")
}

/// Fetches `url` from `pod` with curl, `count` times, each time over a new connection.
pub fn get_each(pod: &Pod, url: &str, count: usize) -> Result<Vec<Answer>> {
    let patience = "5";
    let mut arguments = vec!["-sS", "--fail", "-g", "--max-time", patience];
    arguments.extend(["-H", "Connection: close"]);
    arguments.extend(vec![url; count]);
    let text = pod.run("curl", &arguments)?;
    let answers = serde_json::Deserializer::from_str(&text).into_iter();
    answers
        .map(|answer| answer.context("understand the web server"))
        .collect()
}

/// Where the pod's web server writes a line for every request.
pub fn access_log(pod: &Pod) -> PathBuf {
    pod.directory().join("access.log")
}

/// The requests that the pod's web server has noted (from whom, what, the status, for which host), once there are `expected` or more. It notes a
/// request a moment after it has answered.
pub fn requests(pod: &Pod, expected: usize) -> Result<Vec<String>> {
    let path = access_log(pod);
    let started = Instant::now();
    loop {
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        if lines.len() >= expected || started.elapsed() > NOTED_MAX {
            return Ok(lines);
        }
        thread::sleep(Duration::from_millis(2));
    }
}
