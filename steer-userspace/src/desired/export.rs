//! `exportTo`: who may see a resource.

/// Annotation of a Service with the same meaning.
pub const SERVICE_ANNOTATION: &str = "networking.istio.io/exportTo";

/// Whether a client in `client` sees what is exported from `own` to `export_to`.
pub fn is_visible(export_to: &[impl AsRef<str>], own: &str, client: Option<&str>) -> bool {
    export_to.is_empty()
        || export_to.iter().any(|scope| match scope.as_ref() {
            "*" => true,
            "." => client == Some(own),
            "~" => false,
            namespace => client == Some(namespace),
        })
}

/// Whether everyone sees it, known or not.
pub fn is_public(export_to: &[impl AsRef<str>]) -> bool {
    is_visible(export_to, "", None)
}

/// Whether whoever sees the second of two resources (scopes, own namespace) sees the first.
pub fn covers<S: AsRef<str>>(first: (&[S], &str), second: (&[S], &str)) -> bool {
    let seen = |scope: &str| match scope {
        "*" => is_public(first.0),
        "." => is_visible(first.0, first.1, Some(second.1)),
        "~" => true,
        namespace => is_visible(first.0, first.1, Some(namespace)),
    };
    if second.0.is_empty() {
        return is_public(first.0);
    }
    second.0.iter().all(|scope| seen(scope.as_ref()))
}

/// The scopes in a Service's annotation.
pub fn of_annotation(value: Option<&String>) -> Vec<String> {
    let scopes = value.map(String::as_str).unwrap_or_default().split(',');
    scopes
        .map(str::trim)
        .filter(|scope| !scope.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes() {
        let none: [&str; 0] = [];
        assert!(is_visible(&none, "a", None) && is_visible(&["*"], "a", None));
        assert!(is_visible(&["."], "a", Some("a")) && !is_visible(&["."], "a", Some("b")));
        assert!(is_visible(&["b", "."], "a", Some("b")) && !is_visible(&["b"], "a", None));
        assert!(!is_visible(&["~"], "a", Some("a")));
        assert!(covers((&none, "a"), (&["b"], "c")) && !covers((&["."], "a"), (&["."], "b")));
        assert!(covers((&["b"], "a"), (&["."], "b")) && !covers((&["b"], "a"), (&none, "b")));
        assert_eq!(of_annotation(Some(&"., b".to_owned())), [".", "b"]);
    }
}
