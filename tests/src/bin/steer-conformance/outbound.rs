//! What becomes of connections to what the registry does not name: the very judgement of the kernel,
//! over rows compiled from the resources. Agreement is about the outcome, through or not: where
//! Istio accepts and then answers 502 or closes, steer refuses.

use std::{collections::BTreeSet, net::IpAddr};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use steer::{
    desired::{Settings, lower},
    image,
    live::{AskedEgress, Live},
    plan::{Capacity, Layout},
};
use steer_common::{
    Port,
    addr::Peer,
    egress::Check,
    logic::egress::{Judgement, Wish, judge},
};

use crate::{
    resources::Read,
    table::{Case, Outcome, Table},
};

/// The address of the entry in the cases that have one.
const VIP: &str = "1.2.3.4";
/// The address that is called.
const CALLED: &str = "1.3.3.7";

/// One cell of the matrix.
pub(crate) fn matrix(_: &Table, case: &Case) -> Result<Outcome> {
    let mode = case["mode"].as_str().context("mode")?;
    let with_vip = case["serviceEntryHasVIP"]
        .as_bool()
        .context("serviceEntryHasVIP")?;
    let port = u16::try_from(case["port"].as_u64().context("port")?)?;
    let host = case["host"].as_str().context("host")?;
    let live = compiled(mode, with_vip)?;
    let through = is_through(&live, CALLED, port, host)?;
    let wanted = match (
        case["expectCluster"].as_str(),
        case["expectVirtualHost"].as_str(),
    ) {
        // Upstream says nothing: it goes wherever the entry leads.
        (None, None) => return Ok(Outcome::Passed),
        (Some("BlackHoleCluster"), _) | (_, Some("block_all")) => false,
        (Some("PassthroughCluster" | "AllowAnyDynamicDNSCluster"), _) | (_, Some("allow_any")) => {
            true
        }
        other => bail!("an outcome nobody knows: {other:?}"),
    };
    Ok(Outcome::compare(through, &json!(wanted)))
}

/// The mesh's mode and the entry of the table, in the maps.
fn compiled(mode: &str, with_vip: bool) -> Result<Live> {
    let addresses = if with_vip { json!([VIP]) } else { json!([]) };
    let names = ["HTTP", "", "TCP", "TLS", "HTTPS", "GRPC", "HTTP2"];
    let ports: Vec<Value> = (80..)
        .zip(names)
        .map(|(number, protocol)| {
            json!({"number": number, "name": format!("port-{number}"), "protocol": protocol})
        })
        .collect();
    let entry = json!({
        "apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry",
        "metadata": {"name": "se", "namespace": "default"},
        "spec": {"hosts": ["istio.io"], "addresses": addresses, "resolution": "DNS",
                 "location": "MESH_EXTERNAL", "ports": ports},
    });
    let mesh = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "istio", "namespace": "istio-system"},
        "data": {"mesh": format!("outboundTrafficPolicy: {{mode: {mode}}}")},
    });
    let read = Read::values([&entry, &mesh]);
    let errors = read.errors("");
    if !errors.is_empty() {
        bail!("refused: {}", errors.join("; "));
    }
    let desired = lower(&read.snapshot(), &Settings::default(), &BTreeSet::new());
    let image = image::compile(&desired, &[].into());
    let mut layout = Layout::new(Capacity::for_services(100));
    layout.plan(&image)?;
    Ok(Live {
        egress: layout.egress().clone(),
        ..Live::default()
    })
}

/// Whether a call arrives: the address is let through, and so is the name in its first bytes.
fn is_through(live: &Live, address: &str, port: u16, host: &str) -> Result<bool> {
    if !live.egress.settings.on {
        return Ok(true);
    }
    let asked = AskedEgress { live, now_secs: 1 };
    let address: IpAddr = address.parse()?;
    let wish = Wish {
        policy: 0,
        peer: Peer::new(address.into(), Port::new(port)),
        proto: 6,
    };
    Ok(match judge(&asked, &wish) {
        Judgement::Refuse(_) => false,
        Judgement::Audit(_) => true,
        Judgement::Allow(grounds) => {
            grounds.check == Check::Address || live.name(0, host).is_some()
        }
    })
}
