//! `steer get egress`: what may be reached, by policy.

use serde::Serialize;
use steer_common::{
    egress::{HostId, HostKey, HostRule, NameKey, NetKey, PolicyId},
    limits,
};

use super::Filter;
use crate::{
    cli::{instance::Seen, output::Row},
    desired::model::Rule,
};

#[derive(Serialize)]
pub(super) struct Allowed {
    policy: String,
    mode: &'static str,
    /// A name, a wildcard, an address, a network.
    to: String,
    port: u16,
    protocol: String,
    /// What the first bytes must say: nothing (ip), a server name (sni), a host.
    check: &'static str,
    /// Whose port it is.
    host: String,
    rule: Option<String>,
    position: Option<String>,
}

/// One row for each name or network, and port.
pub(super) fn rows(seen: &Seen, filter: &Filter<'_>) -> Vec<Allowed> {
    let rows = &seen.live.egress;
    let mut all = Vec::new();
    for ((key, bits), rule) in &rows.names {
        let policy = u32::from(u16::from_le_bytes(key.policy));
        all.extend(ports(seen, policy, rule.host, &name_text(key, *bits)));
    }
    for ((key, bits), rule) in &rows.nets {
        all.extend(ports(seen, key.policy, rule.host, &net_text(key, *bits)));
    }
    all.retain(|row| {
        let namespace = row.rule.as_deref().and_then(|rule| {
            let (_, object) = rule.split_once(' ')?;
            object.split_once('/').map(|(namespace, _)| namespace)
        });
        filter
            .namespace
            .is_none_or(|wanted| namespace == Some(wanted))
            && filter
                .name
                .is_none_or(|wanted| row.to.contains(wanted) || row.host.contains(wanted))
    });
    all.sort_by(|a, b| {
        let key = |row: &Allowed| {
            (
                row.policy.clone(),
                row.host.clone(),
                row.to.clone(),
                row.port,
            )
        };
        key(a).cmp(&key(b))
    });
    all
}

fn ports(seen: &Seen, policy: PolicyId, host: HostId, to: &str) -> Vec<Allowed> {
    let first = HostKey {
        policy,
        host,
        ..HostKey::default()
    };
    let rows = seen.live.egress.hosts.range(first..);
    let own = rows.take_while(|(key, _)| key.policy == policy && key.host == host);
    let own = own.filter(|_| host != 0);
    own.map(|(key, rule)| row(seen, key, rule, to)).collect()
}

fn row(seen: &Seen, key: &HostKey, rule: &HostRule, to: &str) -> Allowed {
    let written = seen.names.rules.get(&rule.rule);
    let (object, position) = written.map_or((None, None), |rule| told(rule));
    Allowed {
        policy: seen.policy(key.policy),
        mode: seen.mode(key.policy),
        to: to.to_owned(),
        port: key.port.number(),
        protocol: protocol(key.proto),
        check: rule.check().name(),
        host: seen.host(key.host),
        rule: object,
        position,
    }
}

/// `ServiceEntry shop/json`, and where it stands.
pub(in crate::cli) fn told(rule: &Rule) -> (Option<String>, Option<String>) {
    match rule {
        Rule::Service => (None, None),
        Rule::Setting { name } => (Some(name.clone()), None),
        Rule::Object {
            object, position, ..
        }
        | Rule::VirtualService {
            object, position, ..
        } => (
            Some(object.to_string()),
            position.as_ref().map(ToString::to_string),
        ),
    }
}

fn protocol(number: u8) -> String {
    match number {
        1 | 58 => "ICMP".to_owned(),
        6 => "TCP".to_owned(),
        17 => "UDP".to_owned(),
        other => other.to_string(),
    }
}

/// A key of `EGRESS_NAMES` as configuration writes it.
pub(in crate::cli) fn name_text(key: &NameKey, bits: u32) -> String {
    let length = (bits as usize / 8).saturating_sub(2).min(key.name.len());
    let stored = &key.name[..length];
    let letters = |bytes: &[u8]| -> String { bytes.iter().rev().map(|&b| char::from(b)).collect() };
    match stored.split_last() {
        Some((0, name)) => letters(name),
        _ => format!("*{}", letters(stored)),
    }
}

fn net_text(key: &NetKey, bits: u32) -> String {
    let bits = bits.saturating_sub(32);
    let bits = if key.addr.is_v4() {
        bits.saturating_sub(96)
    } else {
        bits
    };
    let whole = if key.addr.is_v4() { 32 } else { 128 };
    if bits == whole {
        key.addr.to_string()
    } else {
        format!("{}/{bits}", key.addr)
    }
}

impl Seen {
    /// The name of an egress policy.
    pub(in crate::cli) fn policy(&self, id: PolicyId) -> String {
        let name = self.names.policies.get(&id);
        name.map_or_else(
            || match id {
                0 => "*".to_owned(),
                id if id < limits::POLICIES_MAX => format!("policy {id}"),
                _ => "?".to_owned(),
            },
            ToString::to_string,
        )
    }

    /// How strict a policy is.
    pub(in crate::cli) fn mode(&self, id: PolicyId) -> &'static str {
        if !self.live.egress.settings.on {
            return "off";
        }
        let policy = self.live.egress.policies.get(&id);
        policy.map_or("enforce", |policy| policy.mode().name())
    }

    /// The name of a host of the egress guard.
    pub(in crate::cli) fn host(&self, id: HostId) -> String {
        let name = self.names.hosts.get(&id);
        name.map_or_else(|| "?".to_owned(), |name| name.text())
    }
}

impl Row for Allowed {
    fn headers(wide: bool) -> Vec<&'static str> {
        let mut headers = vec![
            "POLICY",
            "MODE",
            "TO",
            "PORT",
            "PROTOCOL",
            "CHECK",
            "ALLOWED BY",
        ];
        if wide {
            headers.extend(["HOST", "POSITION"]);
        }
        headers
    }

    fn cells(&self, wide: bool) -> Vec<String> {
        let mut cells = vec![
            self.policy.clone(),
            self.mode.to_owned(),
            self.to.clone(),
            self.port.to_string(),
            self.protocol.clone(),
            self.check.to_owned(),
            self.rule.clone().unwrap_or_default(),
        ];
        if wide {
            cells.extend([self.host.clone(), self.position.clone().unwrap_or_default()]);
        }
        cells
    }
}
