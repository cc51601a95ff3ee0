//! Matches as listings show them: the path as `istioctl proxy-config route` does, then the rest.

use serde::{Deserialize, Serialize};

use super::RetryPolicy;
use crate::{
    desired::{
        gateway::model::Stream,
        matching::RESERVED_HEADERS,
        model::{Destination, Mirror, RequestRule, Rule, cluster_name},
    },
    source::istio::{HttpMatch, HttpRoute, StringMatch},
};

/// A rule that looks at requests, as listings show it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Shown {
    /// What made it.
    pub rule: Rule,
    /// What it takes: any of these.
    pub matches: Vec<String>,
    /// Where to, with weights as written, or what it answers.
    pub leads_to: Vec<String>,
    /// Where copies go.
    pub mirrors: Vec<String>,
    /// How often a request is tried again; none for what is no request, or is not sent on.
    #[serde(default)]
    pub retries: Option<u32>,
}

impl Shown {
    /// A rule.
    pub fn new(rule: &RequestRule) -> Self {
        let matches = rule.written.matches.iter().map(one);
        let mut matches: Vec<String> = matches.collect();
        if matches.is_empty() {
            matches.push("/*".to_owned());
        }
        Self {
            rule: rule.rule.clone(),
            matches,
            leads_to: leads_to(&rule.written, &rule.destinations),
            mirrors: rule.mirrors.iter().map(mirror).collect(),
            retries: retries(&rule.written),
        }
    }
}

/// A rule for bytes.
pub(super) fn of_stream(stream: &Stream) -> Shown {
    Shown {
        rule: stream.rule.clone(),
        matches: vec!["-".to_owned()],
        leads_to: destinations(&stream.destinations),
        mirrors: Vec::new(),
        retries: None,
    }
}

fn retries(rule: &HttpRoute) -> Option<u32> {
    let is_sent_on = rule.redirect.is_none() && rule.direct_response.is_none();
    is_sent_on.then(|| RetryPolicy::new(rule.retries.as_ref()).attempts())
}

fn mirror(mirror: &Mirror) -> String {
    let to = &mirror.to;
    let cluster = cluster_name(&to.host, to.port, to.subset.as_deref());
    format!(
        "mirror {cluster} {}%",
        f64::from(mirror.millionths) / 10_000.0
    )
}

fn leads_to(rule: &HttpRoute, to: &[Destination]) -> Vec<String> {
    if let Some(redirect) = &rule.redirect {
        return vec![format!(
            "redirect {}",
            redirect.redirect_code.unwrap_or(301)
        )];
    }
    if let Some(answer) = &rule.direct_response {
        return vec![format!("answer {}", answer.status)];
    }
    destinations(to)
}

fn destinations(to: &[Destination]) -> Vec<String> {
    let one = |to: &Destination| {
        let cluster = cluster_name(&to.host, to.port, to.subset.as_deref());
        format!("{cluster} {}", to.weight)
    };
    to.iter().map(one).collect()
}

fn one(found: &HttpMatch) -> String {
    let mut parts = vec![path(found)];
    let named = [
        ("method", &found.method),
        ("scheme", &found.scheme),
        ("authority", &found.authority),
    ];
    for (name, text) in named {
        parts.extend(text.as_ref().map(|text| condition(name, text)));
    }
    let headers = found.headers.iter();
    let headers = headers.filter(|(key, _)| !RESERVED_HEADERS.contains(&key.as_str()));
    parts.extend(headers.map(|(key, text)| condition(key, text)));
    let without = found.without_headers.iter();
    parts.extend(without.map(|(key, text)| format!("not({})", condition(key, text))));
    let query = found.query_params.iter();
    parts.extend(query.map(|(key, text)| condition(&format!("?{key}"), text)));
    parts.join(" ")
}

fn path(found: &HttpMatch) -> String {
    let Some(uri) = &found.uri else {
        return "/*".to_owned();
    };
    match (&uri.exact, &uri.prefix, &uri.regex) {
        (Some(exact), ..) => exact.clone(),
        (_, Some(prefix), _) => format!("{prefix}*"),
        (_, _, Some(regex)) if regex != "*" => format!("regex {regex}"),
        _ => "/*".to_owned(),
    }
}

fn condition(name: &str, text: &StringMatch) -> String {
    match (&text.exact, &text.prefix, &text.regex) {
        (Some(exact), ..) => format!("{name}={exact}"),
        (_, Some(prefix), _) => format!("{name}={prefix}*"),
        (_, _, Some(regex)) if regex != "*" => format!("{name}~{regex}"),
        _ => name.to_owned(),
    }
}
