//! nginx for several names at one address, over HTTP and TLS: it says which name it serves.

use std::{fmt::Write as _, fs, path::Path, process::Command};

use anyhow::{Context as _, Result, ensure};

use crate::{need, pod::Pod};

/// The port on which it speaks TLS.
const TLS: u16 = 443;

/// Starts it on `pod`, for `names`, on these ports of every address. The first name is served to those
/// who ask for none.
pub fn start(pod: &Pod, names: &[&str], ports: &[u16]) -> Result<()> {
    let directory = pod.directory();
    let config = directory.join("names.conf");
    fs::write(&config, configuration(directory, names, ports)?)?;
    certify(directory, names.first().copied().unwrap_or("localhost"))?;
    let mut command = pod.command(need::find("nginx")?)?;
    command.arg("-c").arg(&config).arg("-e").arg("stderr");
    pod.start("names", command)?;
    ports
        .iter()
        .try_for_each(|&port| pod.wait_until_listening(port, "names"))
}

fn configuration(directory: &Path, names: &[&str], ports: &[u16]) -> Result<String> {
    let directory = directory.display();
    let mut text = format!(
        "daemon off;\n\
         master_process off;\n\
         user root;\n\
         pid {directory}/names.pid;\n\
         error_log stderr notice;\n\
         events {{ worker_connections 4096; }}\n\
         http {{\n\
         access_log off;\n\
         default_type text/plain;\n\
         large_client_header_buffers 8 32k;\n\
         ssl_certificate {directory}/names.crt;\n\
         ssl_certificate_key {directory}/names.key;\n"
    );
    for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        writeln!(text, "{kind}_temp_path {directory}/{kind};")?;
    }
    for (number, name) in names.iter().enumerate() {
        let options = if number == 0 {
            " default_server fastopen=16"
        } else {
            ""
        };
        writeln!(text, "server {{ server_name {name} *.{name};")?;
        for &port in ports {
            let tls = if port == TLS { " ssl" } else { "" };
            writeln!(text, "listen {port}{tls}{options};")?;
            writeln!(text, "listen [::]:{port}{tls}{options};")?;
        }
        writeln!(text, "return 200 'served as {name}\\n'; }}")?;
    }
    text.push_str("}\n");
    Ok(text)
}

/// A key and a certificate that nobody has to trust.
fn certify(directory: &Path, name: &str) -> Result<()> {
    let mut command = Command::new(need::find("openssl")?);
    command.args(["req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"]);
    command.args(["-pkeyopt", "ec_paramgen_curve:prime256v1"]);
    command.args(["-subj", &format!("/CN={name}")]);
    command.arg("-keyout").arg(directory.join("names.key"));
    command.arg("-out").arg(directory.join("names.crt"));
    let output = command.output().context("run openssl")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "openssl: {complaint}");
    Ok(())
}
