//! Merging the rules of a delegate VirtualService into the rule that names it.

use std::collections::BTreeMap;

use crate::source::istio::{HttpMatch, HttpRoute, StringMatch};

/// The rules of `delegate` as `root` lets them be; rules that contradict it are left out.
pub fn merge_routes(root: &HttpRoute, delegate: &[HttpRoute]) -> Vec<HttpRoute> {
    delegate
        .iter()
        .filter_map(|rule| merge_route(root, rule))
        .collect()
}

/// One rule of a delegate; `None` if its matches contradict the root's.
pub fn merge_route(root: &HttpRoute, delegate: &HttpRoute) -> Option<HttpRoute> {
    let mut merged = delegate.clone();
    merged.matches = merge_matches(&root.matches, &delegate.matches)?;
    merged.name = match (&root.name, &delegate.name) {
        (Some(root), Some(own)) => Some(format!("{root}-{own}")),
        (root, own) => own.clone().or_else(|| root.clone()),
    };
    inherit(&mut merged.rewrite, root.rewrite.as_ref());
    inherit(&mut merged.timeout, root.timeout.as_ref());
    inherit(&mut merged.retries, root.retries.as_ref());
    inherit(&mut merged.fault, root.fault.as_ref());
    inherit(&mut merged.mirror, root.mirror.as_ref());
    inherit(&mut merged.mirrors, root.mirrors.as_ref());
    inherit(&mut merged.mirror_percent, root.mirror_percent.as_ref());
    inherit(
        &mut merged.mirror_percentage,
        root.mirror_percentage.as_ref(),
    );
    inherit(&mut merged.cors_policy, root.cors_policy.as_ref());
    inherit(&mut merged.headers, root.headers.as_ref());
    Some(merged)
}

fn inherit<T: Clone>(own: &mut Option<T>, root: Option<&T>) {
    if own.is_none() {
        *own = root.cloned();
    }
}

/// Both lists hold: each entry of the delegate's with each of the root's that it does not
/// contradict. `None` if some entry of the delegate's contradicts all.
pub fn merge_matches(root: &[HttpMatch], delegate: &[HttpMatch]) -> Option<Vec<HttpMatch>> {
    if root.is_empty() {
        return Some(delegate.to_vec());
    }
    if delegate.is_empty() {
        return Some(root.to_vec());
    }
    let mut merged = Vec::new();
    for own in delegate {
        let before = merged.len();
        let fitting = root.iter().filter(|root| !conflict(root, own));
        merged.extend(fitting.map(|root| merge_match(root, own)));
        if merged.len() == before {
            return None;
        }
    }
    Some(merged)
}

fn merge_match(root: &HttpMatch, own: &HttpMatch) -> HttpMatch {
    let mut merged = own.clone();
    merged.name = match (&root.name, &own.name) {
        (Some(root), Some(own)) => Some(format!("{root}-{own}")),
        (root, own) => own.clone().or_else(|| root.clone()),
    };
    inherit(&mut merged.uri, root.uri.as_ref());
    inherit(&mut merged.scheme, root.scheme.as_ref());
    inherit(&mut merged.method, root.method.as_ref());
    inherit(&mut merged.authority, root.authority.as_ref());
    unite(&mut merged.headers, &root.headers);
    unite(&mut merged.without_headers, &root.without_headers);
    unite(&mut merged.query_params, &root.query_params);
    unite(&mut merged.source_labels, &root.source_labels);
    merged.port = merged.port.or(root.port);
    inherit(&mut merged.source_namespace, root.source_namespace.as_ref());
    if merged.gateways.is_empty() {
        merged.gateways.clone_from(&root.gateways);
    }
    inherit(&mut merged.stat_prefix, root.stat_prefix.as_ref());
    merged
}

fn unite<V: Clone>(own: &mut BTreeMap<String, V>, root: &BTreeMap<String, V>) {
    for (key, value) in root {
        own.entry(key.clone()).or_insert_with(|| value.clone());
    }
}

/// Whether the two cannot hold together, or the delegate's would widen the root's.
pub fn conflict(root: &HttpMatch, own: &HttpMatch) -> bool {
    let strings = [
        (&root.uri, &own.uri),
        (&root.scheme, &own.scheme),
        (&root.method, &own.method),
        (&root.authority, &own.authority),
    ];
    let maps = [
        (&root.headers, &own.headers),
        (&root.without_headers, &own.without_headers),
        (&root.query_params, &own.query_params),
    ];
    strings
        .iter()
        .any(|(root, own)| strings_conflict(root.as_ref(), own.as_ref()))
        || maps.iter().any(|(root, own)| {
            own.iter()
                .any(|(key, value)| strings_conflict(root.get(key), Some(value)))
        })
        || root.ignore_uri_case != own.ignore_uri_case
        || differ(
            root.port.filter(|&port| port > 0),
            own.port.filter(|&port| port > 0),
        )
        || differ(
            root.source_namespace.as_ref(),
            own.source_namespace.as_ref(),
        )
        || own.source_labels.iter().any(|(key, value)| {
            root.source_labels
                .get(key)
                .is_some_and(|root| root != value)
        })
}

fn differ<T: PartialEq>(root: Option<T>, own: Option<T>) -> bool {
    matches!((root, own), (Some(root), Some(own)) if root != own)
}

fn strings_conflict(root: Option<&StringMatch>, own: Option<&StringMatch>) -> bool {
    let (Some(root), Some(own)) = (root, own) else {
        return false;
    };
    if *root == StringMatch::default() {
        return false;
    }
    if root.regex.is_some() || own.regex.is_some() {
        return true;
    }
    if let Some(exact) = &root.exact {
        return own.exact.as_ref() != Some(exact);
    }
    let narrower = own.exact.as_ref().or(own.prefix.as_ref());
    match (&root.prefix, narrower) {
        (Some(prefix), Some(text)) => !text.starts_with(prefix.as_str()),
        _ => true,
    }
}

#[cfg(test)]
mod tests;
