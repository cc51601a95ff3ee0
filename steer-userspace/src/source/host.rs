//! Names of hosts: short names, wildcards, and which pattern is more specific.

/// The fully qualified name of `host` as written in a resource of `namespace`: a name without a
/// dot is a service of the resource's own namespace; whatever has a dot is taken as it is.
pub fn qualify(host: &str, namespace: &str, domain: &str) -> String {
    if host == "*" || host.contains('.') || host.parse::<std::net::IpAddr>().is_ok() {
        return host.to_owned();
    }
    format!("{host}.{namespace}.svc.{domain}")
}

/// Whether every name that fits `name` (a name, or itself a pattern) fits `pattern`.
pub fn covers(pattern: &str, name: &str) -> bool {
    match (suffix(pattern), suffix(name)) {
        (Some(pattern), Some(name)) => name.ends_with(pattern),
        (Some(""), None) => true,
        (Some(pattern), None) => name.ends_with(pattern) && name.len() > pattern.len(),
        (None, Some(_)) => false,
        (None, None) => pattern == name,
    }
}

/// Whether some name fits both patterns.
pub fn overlaps(a: &str, b: &str) -> bool {
    match (suffix(a), suffix(b)) {
        (Some(a), Some(b)) => a.ends_with(b) || b.ends_with(a),
        (Some(pattern), None) => b.ends_with(pattern),
        (None, Some(pattern)) => a.ends_with(pattern),
        (None, None) => a == b,
    }
}

/// Order of specificity: exact names first, then the longest wildcard, then by the alphabet.
pub fn specificity(host: &str) -> (bool, std::cmp::Reverse<usize>, &str) {
    (suffix(host).is_some(), std::cmp::Reverse(host.len()), host)
}

/// Whether `host` is more specific than `other`; of equals, either is.
pub fn is_more_specific(host: &str, other: &str) -> bool {
    specificity(host).cmp(&specificity(other)).is_le()
}

/// The names that fit both lists: of two that overlap, the narrower one. In order of specificity.
pub fn intersection<'a>(a: &[&'a str], b: &[&'a str]) -> Vec<&'a str> {
    let mut common: Vec<&str> = a
        .iter()
        .flat_map(|a| b.iter().map(move |b| (*a, *b)))
        .filter_map(|(a, b)| {
            if covers(b, a) {
                Some(a)
            } else {
                covers(a, b).then_some(b)
            }
        })
        .collect();
    common.sort_by(|a, b| specificity(a).cmp(&specificity(b)));
    common.dedup();
    common
}

/// The hosts that are for `namespace`, of a list of `NAMESPACE/HOST`; `*` or nothing in front is
/// for every namespace.
pub fn of_namespace<'a>(hosts: &[&'a str], namespace: &str) -> Vec<&'a str> {
    let is_for = |host: &&'a str| match host.split_once('/') {
        None => Some(*host),
        Some((scope, name)) => (scope == "*" || scope == namespace).then_some(name),
    };
    hosts.iter().filter_map(is_for).collect()
}

/// What follows the `*` of a pattern; `None` for an exact name.
fn suffix(host: &str) -> Option<&str> {
    host.strip_prefix('*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_of_the_resources_namespace() {
        assert_eq!(
            qualify("catalog", "shop", "cluster.local"),
            "catalog.shop.svc.cluster.local"
        );
        assert_eq!(
            qualify("catalog.shop", "other", "cluster.local"),
            "catalog.shop"
        );
        assert_eq!(qualify("*", "shop", "cluster.local"), "*");
        assert_eq!(qualify("10.0.0.1", "shop", "cluster.local"), "10.0.0.1");
    }

    #[test]
    fn wildcards_fit_by_suffix_at_any_depth() {
        assert!(covers("*.foo.com", "a.b.foo.com") && covers("*", "x") && covers("*", ""));
        assert!(!covers("*.foo.com", "foo.com") && !covers("*.foo.com", "afoo.com"));
        assert!(covers("*.com", "*.foo.com") && !covers("*.foo.com", "*.com"));
        assert!(overlaps("*.foo.com", "*.com") && !overlaps("a.com", "b.com"));
    }

    #[test]
    fn lists_meet_in_the_narrower_name() {
        assert_eq!(
            intersection(&["*.a.com", "b.com"], &["*.com"]),
            ["b.com", "*.a.com"]
        );
        assert_eq!(intersection(&["*"], &["x", "y", "x"]), ["x", "y"]);
        assert!(intersection(&["a.com"], &["A.com", "b.com"]).is_empty());
    }

    #[test]
    fn hosts_of_lists_may_be_for_one_namespace() {
        let hosts = ["shop/a.com", "*/b.com", "c.com", "other/d.com", "./e.com"];
        assert_eq!(of_namespace(&hosts, "shop"), ["a.com", "b.com", "c.com"]);
    }

    #[test]
    fn a_longer_wildcard_is_more_specific() {
        assert!(is_more_specific("a.com", "*.a.com") && !is_more_specific("*", "*.com"));
        assert!(is_more_specific("*.com", "*.com"));
    }

    #[test]
    fn exact_before_long_wildcards_before_short_ones() {
        let mut hosts = ["*", "*.com", "*.foo.com", "b.com", "a.com"];
        hosts.sort_by(|a, b| specificity(a).cmp(&specificity(b)));
        assert_eq!(hosts, ["a.com", "b.com", "*.foo.com", "*.com", "*"]);
    }
}
