//! What kube-proxy writes: iptables rules and nftables verdict maps, in the network namespace of
//! one client.

use std::{
    fmt::Write as _,
    fs::{self, File},
    net::SocketAddr,
};

use anyhow::{Context as _, Result, ensure};
use steer_tests::pod::Pod;

use crate::images;

/// `services` services in the shape that kube-proxy's iptables mode has; all lead to `to`.
pub(crate) fn iptables(pod: &Pod, services: u32, to: SocketAddr) -> Result<()> {
    let mut text = String::from("*nat\n:KUBE-SERVICES - [0:0]\n");
    for number in 0..services {
        writeln!(
            text,
            ":KUBE-SVC-{number} - [0:0]\n:KUBE-SEP-{number}A - [0:0]\n:KUBE-SEP-{number}B - [0:0]"
        )?;
    }
    text.push_str("-A OUTPUT -j KUBE-SERVICES\n");
    for number in 0..services {
        let address = images::address(number);
        writeln!(
            text,
            "-A KUBE-SERVICES -d {address}/32 -p tcp -m tcp --dport 80 -j KUBE-SVC-{number}"
        )?;
        writeln!(
            text,
            "-A KUBE-SVC-{number} -m statistic --mode random --probability 0.5 -j KUBE-SEP-{number}A"
        )?;
        writeln!(text, "-A KUBE-SVC-{number} -j KUBE-SEP-{number}B")?;
        for end in ["A", "B"] {
            writeln!(
                text,
                "-A KUBE-SEP-{number}{end} -p tcp -m tcp -j DNAT --to-destination {to}"
            )?;
        }
    }
    text.push_str("COMMIT\n");
    feed(pod, "iptables-legacy-restore", &[], &text)
}

/// `services` services in a verdict map, as kube-proxy's nftables mode has them.
pub(crate) fn nftables(pod: &Pod, services: u32, to: SocketAddr) -> Result<()> {
    let mut text = String::from(
        "table ip kube-proxy {\n map service-ips {\n  type ipv4_addr . inet_proto . inet_service : verdict\n",
    );
    text.push_str("  elements = {\n");
    for number in 0..services {
        let comma = if number + 1 == services { "" } else { "," };
        writeln!(
            text,
            "   {} . tcp . 80 : goto service{comma}",
            images::address(number)
        )?;
    }
    text.push_str("  }\n }\n chain endpoint-a {\n");
    writeln!(
        text,
        "  meta l4proto tcp dnat to {to}\n }}\n chain endpoint-b {{\n  meta l4proto tcp dnat to {to}\n }}"
    )?;
    text.push_str(
        " chain service {\n  numgen random mod 2 vmap { 0 : goto endpoint-a, 1 : goto endpoint-b }\n }\n \
         chain nat-output {\n  type nat hook output priority -100;\n  \
         ip daddr . meta l4proto . th dport vmap @service-ips\n }\n}\n",
    );
    feed(pod, "nft", &["-f", "-"], &text)
}

fn feed(pod: &Pod, program: &str, arguments: &[&str], text: &str) -> Result<()> {
    let path = pod.directory().join("rules");
    fs::write(&path, text)?;
    let mut command = pod.command(program)?;
    let output = command
        .args(arguments)
        .stdin(File::open(&path)?)
        .output()
        .with_context(|| format!("run {program}"))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} refused: {complaint}");
    Ok(())
}
