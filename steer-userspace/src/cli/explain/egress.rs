//! What the egress guard says: the kernel's own judgement, over a copy of its maps.

use serde::Serialize;
use steer_common::{
    Port, Proto, Reason,
    addr::Peer,
    egress::{Check, HostId, HostKey, LearnedKey, PolicyId},
    logic::egress::{EgressMaps as _, Judgement, Wish, judge},
};

use super::ask::{NameQuestion, Question};
use crate::{
    cli::{
        get::told,
        instance::Seen,
        output::{BAD, CAREFUL, GOOD, paint},
        text::Text,
    },
    live::AskedEgress,
};

/// The judgement about an address.
#[derive(Serialize)]
pub(in crate::cli) struct Judged {
    #[serde(skip)]
    source: String,
    policy: String,
    mode: &'static str,
    /// What made the policy.
    policy_rule: Option<String>,
    /// Where that stands.
    policy_position: Option<String>,
    outcome: &'static str,
    reason: &'static str,
    explanation: &'static str,
    /// What the first bytes must say.
    check: Option<&'static str>,
    /// The host that allows it.
    host: Option<String>,
    rule: Option<String>,
    position: Option<String>,
    /// The last name that was answered with the address.
    name: Option<String>,
    #[serde(skip)]
    refused: Option<Reason>,
}

/// The judgement; none while the guard is off.
pub(super) fn judged(seen: &Seen, question: &Question) -> Option<Judged> {
    if !seen.live.egress.settings.on {
        return None;
    }
    let asked = asked(seen);
    let addr = question.dialled.ip().into();
    let peer = Peer::new(addr, Port::new(question.dialled.port()));
    let wish = Wish {
        policy: question.policy,
        peer,
        proto: number(question.proto).into(),
    };
    let source = question.cookie.and_then(|one| seen.live.sources.get(&one));
    let own = source.is_some_and(|source| source.addrs.contain(&addr));
    let (outcome, reason, grounds) = match judge(&asked, &wish) {
        Judgement::Audit(_) | Judgement::Refuse(_) if own => ("allowed", Reason::Loopback, None),
        Judgement::Allow(grounds) => ("allowed", grounds.reason, Some(grounds)),
        Judgement::Audit(reason) => ("let through, and told", reason, None),
        Judgement::Refuse(reason) => ("refused", reason, None),
    };
    let host = grounds
        .map(|grounds| grounds.host)
        .filter(|&host| host != 0);
    let port = host.and_then(|host| port(seen, question.policy, host, peer.port, question.proto));
    let (policy_rule, policy_position) = made_by(seen, question.policy);
    let key = LearnedKey {
        policy: question.policy,
        addr,
    };
    Some(Judged {
        source: question.source.clone(),
        policy: seen.policy(question.policy),
        mode: seen.mode(question.policy),
        policy_rule,
        policy_position,
        outcome,
        reason: reason.name(),
        explanation: reason.help(),
        check: grounds.map(|grounds| grounds.check.name()),
        host: host.map(|host| seen.host(host)),
        rule: port.as_ref().and_then(|port| port.rule.clone()),
        position: port.and_then(|port| port.position),
        name: seen.live.names_seen.get(&key).cloned(),
        refused: (outcome == "refused").then_some(reason),
    })
}

impl Judged {
    /// Why it is refused, if it is.
    pub(super) fn refused(&self) -> Option<Reason> {
        self.refused
    }

    /// As steps of an explanation.
    pub(super) fn steps(&self) -> Vec<String> {
        let by = by(self.policy_rule.as_ref(), self.policy_position.as_ref());
        let mut steps = vec![format!(
            "its egress policy is {} ({}){by}",
            self.policy, self.mode
        )];
        if let Some(name) = &self.name {
            steps.push(format!(
                "the last name that DNS gave this address is {name}"
            ));
        }
        if let Some(host) = &self.host {
            steps.push(format!("{host} may be reached there{}", self.by()));
        }
        if let Some(needs) = self.check.and_then(needs) {
            steps.push(needs.to_owned());
        }
        if self.outcome == "refused" {
            steps.push(way_out(&self.source));
        } else {
            let why = self.explanation;
            let why = why.strip_suffix(": refused").unwrap_or(why);
            steps.push(format!("egress: {}: {why}", self.outcome));
        }
        steps
    }

    fn by(&self) -> String {
        by(self.rule.as_ref(), self.position.as_ref())
    }
}

fn by(rule: Option<&String>, position: Option<&String>) -> String {
    let place = position.map_or_else(String::new, |place| format!(", at {place}"));
    rule.map_or_else(String::new, |rule| format!(" by {rule}{place}"))
}

/// How it would be allowed; of a pod, by its namespace.
fn way_out(source: &str) -> String {
    let namespace = source.split_once('/').map(|(namespace, _)| namespace);
    let namespace = namespace.map_or_else(String::new, |name| format!(" -n {name}"));
    format!("`steer learn{namespace}` prints a ServiceEntry that would allow what was refused")
}

fn needs(check: &str) -> Option<&'static str> {
    match check {
        "sni" => Some("the TLS hello must carry an allowed name"),
        "host" => Some("the first HTTP request must be for an allowed host"),
        _ => None,
    }
}

/// What may be done with a name that is no service's.
#[derive(Serialize)]
pub(in crate::cli) struct ExplainedName {
    source: String,
    name: String,
    port: u16,
    transport: &'static str,
    policy: String,
    mode: &'static str,
    /// What made the policy.
    policy_rule: Option<String>,
    /// Where that stands.
    policy_position: Option<String>,
    /// The entry that the name fits.
    host: Option<String>,
    /// Of an entry that does not name the port: which it is, and where it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    named_by: Option<String>,
    check: Option<&'static str>,
    rule: Option<String>,
    position: Option<String>,
    /// What it is known to resolve to, and for how many seconds.
    addresses: Vec<Address>,
    outcome: &'static str,
}

#[derive(Serialize)]
struct Address {
    address: String,
    left_secs: u32,
}

/// Explains a name.
pub(super) fn explain_name(seen: &Seen, question: &NameQuestion) -> ExplainedName {
    let policy = question.policy;
    let host = seen.live.name(policy, &question.name);
    let number = Port::new(question.port);
    let port = host.and_then(|host| port(seen, policy, host, number, question.proto));
    let mode = seen.mode(policy);
    let (policy_rule, policy_position) = made_by(seen, policy);
    let outcome = match (mode, &port) {
        ("open" | "off", _) | (_, Some(_)) => "allowed",
        ("audit", None) => "let through, and told",
        _ => "refused",
    };
    ExplainedName {
        source: question.source.clone(),
        name: question.name.clone(),
        port: question.port,
        transport: question.proto.name(),
        policy: seen.policy(policy),
        mode,
        policy_rule,
        policy_position,
        host: host.map(|host| seen.host(host)),
        named_by: host
            .filter(|_| port.is_none())
            .and_then(|host| named_by(seen, policy, host)),
        check: port.as_ref().map(|port| port.check.name()),
        rule: port.as_ref().and_then(|port| port.rule.clone()),
        position: port.and_then(|port| port.position),
        addresses: host.map_or_else(Vec::new, |host| {
            addresses(seen, policy, host, &question.name)
        }),
        outcome,
    }
}

/// What names a host, whichever the port, and where that stands.
fn named_by(seen: &Seen, policy: PolicyId, host: HostId) -> Option<String> {
    let first = HostKey {
        policy,
        host,
        ..HostKey::default()
    };
    let (key, row) = seen.live.egress.hosts.range(first..).next()?;
    let rule = seen.names.rules.get(&row.rule);
    let (rule, position) = rule
        .filter(|_| key.policy == policy && key.host == host)
        .map(|rule| told(rule))?;
    let place = position.map_or_else(String::new, |place| format!(", at {place}"));
    Some(format!("{}{place}", rule?))
}

/// The addresses that a name is known to have.
fn addresses(seen: &Seen, policy: PolicyId, host: HostId, name: &str) -> Vec<Address> {
    let exact = seen.host(host) == name;
    let rows = seen.live.egress.resolved.iter().chain(&seen.live.learned);
    let mut found: Vec<Address> = rows
        .filter(|(key, _)| {
            let asked = seen.live.names_seen.get(key);
            key.policy == policy && (exact || asked.is_some_and(|asked| asked == name))
        })
        .filter_map(|(key, learned)| {
            let grants = learned.grants.iter().filter(|grant| grant.host() == host);
            let left = grants
                .map(|grant| grant.until_secs().saturating_sub(seen.now_secs))
                .max()?;
            (left > 0).then(|| Address {
                address: key.addr.to_string(),
                left_secs: left,
            })
        })
        .collect();
    found.sort_by(|a, b| a.address.cmp(&b.address));
    found.dedup_by(|a, b| a.address == b.address);
    found
}

impl ExplainedName {
    pub(super) fn is_refused(&self) -> bool {
        self.outcome == "refused"
    }

    pub(super) fn text(&self) -> String {
        let mut steps = vec![
            format!(
                "{} dials {}:{} over {}; its egress policy is {} ({}){}",
                self.source,
                self.name,
                self.port,
                self.transport,
                self.policy,
                self.mode,
                by(self.policy_rule.as_ref(), self.policy_position.as_ref())
            ),
            match &self.host {
                Some(host) => format!("the registry names {host}"),
                None => "the registry does not name it".to_owned(),
            },
        ];
        match self.check {
            Some(check) => {
                let by = by(self.rule.as_ref(), self.position.as_ref());
                steps.push(format!("port {} may be reached{by}", self.port));
                steps.extend(needs(check).map(str::to_owned));
            }
            None if self.host.is_some() => {
                let by = self.named_by.as_ref();
                let by = by.map_or_else(String::new, |by| format!(": {by}"));
                steps.push(format!("it does not name port {}{by}", self.port));
            }
            None => {}
        }
        for known in &self.addresses {
            let (address, left) = (&known.address, known.left_secs);
            steps.push(format!("DNS gave it {address}, good for {left} s more"));
        }
        if self.addresses.is_empty() && self.check.is_some() {
            steps.push("its addresses are learned when the client asks for them".to_owned());
        }
        if self.is_refused() {
            steps.push(way_out(&self.source));
        }
        let mut text = Text::default();
        for (number, step) in (1..).zip(&steps) {
            text.line(format_args!("{number}. {step}"));
        }
        let style = match self.outcome {
            "allowed" => GOOD,
            "refused" => BAD,
            _ => CAREFUL,
        };
        text.line(format_args!("{}", paint(style, self.outcome)));
        text.finish()
    }
}

/// What made a policy, and where that stands.
fn made_by(seen: &Seen, policy: PolicyId) -> (Option<String>, Option<String>) {
    let policy = seen.live.egress.policies.get(&policy);
    let rule = policy.and_then(|policy| seen.names.rules.get(&policy.rule));
    rule.map_or((None, None), |rule| told(rule))
}

/// A port of a host, and what allows it.
struct Allowed {
    check: Check,
    rule: Option<String>,
    position: Option<String>,
}

fn port(seen: &Seen, policy: PolicyId, host: HostId, port: Port, proto: Proto) -> Option<Allowed> {
    let key = HostKey {
        policy,
        host,
        port,
        proto: number(proto),
        pad: 0,
    };
    let asked = asked(seen);
    let row = asked.host(&key)?;
    let rule = seen.names.rules.get(&row.rule);
    let (rule, position) = rule.map_or((None, None), |rule| told(rule));
    Some(Allowed {
        check: row.check(),
        rule,
        position,
    })
}

fn asked(seen: &Seen) -> AskedEgress<'_> {
    AskedEgress {
        live: &seen.live,
        now_secs: seen.now_secs,
    }
}

const fn number(proto: Proto) -> u8 {
    match proto {
        Proto::Tcp => 6,
        Proto::Udp => 17,
    }
}
