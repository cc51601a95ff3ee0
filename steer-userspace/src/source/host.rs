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
        assert!(covers("*.foo.com", "a.b.foo.com") && covers("*", "x"));
        assert!(!covers("*.foo.com", "foo.com") && !covers("*.foo.com", "afoo.com"));
        assert!(covers("*.com", "*.foo.com") && !covers("*.foo.com", "*.com"));
        assert!(overlaps("*.foo.com", "*.com") && !overlaps("a.com", "b.com"));
    }

    #[test]
    fn exact_before_long_wildcards_before_short_ones() {
        let mut hosts = ["*", "*.com", "*.foo.com", "b.com", "a.com"];
        hosts.sort_by(|a, b| specificity(a).cmp(&specificity(b)));
        assert_eq!(hosts, ["a.com", "b.com", "*.foo.com", "*.com", "*"]);
    }
}
