//! nginx, one per pod, answering who it is.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::{need, pod::Pod};

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
    let directory = pod.directory().display();
    let answer = serde_json::to_string(&Answer::of(pod))?;
    let text = format!(
        r"daemon off;
master_process off;
worker_processes 1;
user root;
pid {directory}/nginx.pid;
error_log stderr notice;
events {{ worker_connections 8192; }}
http {{
    access_log {directory}/access.log;
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
    }}
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

/// Every request that the pod's web server has answered, a line each.
pub fn access_log(pod: &Pod) -> PathBuf {
    pod.directory().join("access.log")
}
