//! dnsmasq, answering for the cluster's names and for some outside.

use std::{fmt::Write as _, fs, net::IpAddr};

use anyhow::{Context as _, Result};

use crate::{need, pod::Pod};

/// A name and its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// Fully qualified, without the last dot.
    pub name: String,
    /// A and AAAA records.
    pub addresses: Vec<IpAddr>,
}

/// Starts dnsmasq on `pod`. It knows `names` and nothing else: the rest does not exist.
pub fn start(pod: &Pod, domain: &str, names: &[Name]) -> Result<()> {
    let config = pod.directory().join("dnsmasq.conf");
    fs::write(&config, configuration(domain, names))
        .with_context(|| format!("write {}", config.display()))?;
    let mut command = pod.command(need::find("dnsmasq")?)?;
    command
        .arg("--keep-in-foreground")
        .arg(format!("--conf-file={}", config.display()));
    pod.start("dnsmasq", command)?;
    pod.wait_until_listening(53, "dnsmasq")
}

fn configuration(domain: &str, names: &[Name]) -> String {
    let mut text = format!(
        "user=root\n\
         port=53\n\
         no-resolv\n\
         no-hosts\n\
         no-poll\n\
         pid-file=\n\
         log-facility=-\n\
         local-ttl=30\n\
         local=/{domain}/\n\
         address=/#/\n"
    );
    for Name { name, addresses } in names {
        for address in addresses {
            // Writing to a string does not fail.
            let _ = writeln!(text, "host-record={name},{address}");
        }
    }
    text
}
