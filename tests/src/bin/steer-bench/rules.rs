//! What kube-proxy writes for services of two endpoints: iptables rules, and nftables verdict maps,
//! in the network namespace of one client.

use std::{
    fmt::Write as _,
    fs::{self, File},
    net::SocketAddr,
};

use anyhow::{Context as _, Result, ensure};
use steer_tests::{need, pod::Pod};

use crate::images;

/// Pods' addresses: who dials from elsewhere is masqueraded.
const PODS: &str = "10.10.0.0/16";
/// kube-proxy's mark of what is to be masqueraded.
const MARK: &str = "0x4000/0x4000";

/// The shape of kube-proxy's iptables mode, by `restore`; all services lead to `to`.
pub(crate) fn iptables(pod: &Pod, restore: &str, services: u32, to: SocketAddr) -> Result<()> {
    let mut text = String::from("*nat\n:KUBE-SERVICES - [0:0]\n:KUBE-POSTROUTING - [0:0]\n");
    text.push_str(":KUBE-MARK-MASQ - [0:0]\n");
    for number in 0..services {
        writeln!(text, ":KUBE-SVC-{number} - [0:0]")?;
        writeln!(
            text,
            ":KUBE-SEP-{number}A - [0:0]\n:KUBE-SEP-{number}B - [0:0]"
        )?;
    }
    writeln!(text, "-A OUTPUT -j KUBE-SERVICES")?;
    writeln!(text, "-A POSTROUTING -j KUBE-POSTROUTING")?;
    writeln!(text, "-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000")?;
    writeln!(
        text,
        "-A KUBE-POSTROUTING -m mark ! --mark {MARK} -j RETURN"
    )?;
    writeln!(text, "-A KUBE-POSTROUTING -j MASQUERADE --random-fully")?;
    for number in 0..services {
        iptables_service(&mut text, number, to)?;
    }
    text.push_str("COMMIT\n");
    feed(pod, restore, &[], &text)
}

fn iptables_service(text: &mut String, number: u32, to: SocketAddr) -> Result<()> {
    let address = images::address(number);
    let name = format!("-m comment --comment \"bench/service-{number}:http");
    let dialled = format!("-d {address}/32 -p tcp {name} cluster IP\" -m tcp --dport 80");
    writeln!(text, "-A KUBE-SERVICES {dialled} -j KUBE-SVC-{number}")?;
    let service = format!("-A KUBE-SVC-{number}");
    writeln!(text, "{service} ! -s {PODS} {dialled} -j KUBE-MARK-MASQ")?;
    let first = "-m statistic --mode random --probability 0.5";
    writeln!(
        text,
        "{service} {name} -> {to}\" {first} -j KUBE-SEP-{number}A"
    )?;
    writeln!(text, "{service} {name} -> {to}\" -j KUBE-SEP-{number}B")?;
    for end in ["A", "B"] {
        let endpoint = format!("-A KUBE-SEP-{number}{end}");
        writeln!(
            text,
            "{endpoint} -s {}/32 {name}\" -j KUBE-MARK-MASQ",
            to.ip()
        )?;
        writeln!(
            text,
            "{endpoint} -p tcp {name}\" -m tcp -j DNAT --to-destination {to}"
        )?;
    }
    Ok(())
}

/// The verdict map of kube-proxy's nftables mode. All services share the chain of one, which a
/// connect cannot tell from one each: a map of 10,000 chains takes half a minute to load.
pub(crate) fn nftables(pod: &Pod, services: u32, to: SocketAddr) -> Result<()> {
    let elements: Vec<String> = (0..services)
        .map(|number| format!("{} . tcp . 80 : goto service", images::address(number)))
        .collect();
    let elements = elements.join(",\n      ");
    let endpoint = |name: &str| {
        format!(
            "  chain {name} {{
    ip saddr {} jump mark-for-masquerade
    meta l4proto tcp dnat to {to}
  }}\n",
            to.ip()
        )
    };
    let (first, second) = (endpoint("endpoint-a"), endpoint("endpoint-b"));
    let text = format!(
        "table ip kube-proxy {{
  chain mark-for-masquerade {{
    meta mark set meta mark or 0x4000
  }}
{first}{second}  chain service {{
    meta l4proto tcp ip saddr != {PODS} jump mark-for-masquerade
    numgen random mod 2 vmap {{ 0 : goto endpoint-a, 1 : goto endpoint-b }}
  }}
  map service-ips {{
    type ipv4_addr . inet_proto . inet_service : verdict
    elements = {{
      {elements}
    }}
  }}
  chain services {{
    ip daddr . meta l4proto . th dport vmap @service-ips
  }}
  chain nat-output {{
    type nat hook output priority -100
    jump services
  }}
  chain nat-postrouting {{
    type nat hook postrouting priority 100
    meta mark & 0x4000 == 0 return
    meta mark set meta mark xor 0x4000
    masquerade fully-random
  }}
}}\n"
    );
    feed(pod, "nft", &["-f", "-"], &text)
}

fn feed(pod: &Pod, program: &str, arguments: &[&str], text: &str) -> Result<()> {
    let path = pod.directory().join("rules");
    fs::write(&path, text)?;
    let mut command = pod.command(need::find(program)?)?;
    let output = command
        .args(arguments)
        .stdin(File::open(&path)?)
        .output()
        .with_context(|| format!("run {program}"))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    let first = complaint.lines().next().unwrap_or_default();
    ensure!(output.status.success(), "{program} refused: {first}");
    Ok(())
}
