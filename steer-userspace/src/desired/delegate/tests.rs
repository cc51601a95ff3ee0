use super::*;

fn one(text: &str) -> HttpMatch {
    serde_json::from_str(text).unwrap()
}

fn all(text: &str) -> Vec<HttpMatch> {
    serde_json::from_str(text).unwrap()
}

#[test]
fn conflicts() {
    for (root, own, expected) in [
        (
            r#"{"uri": {"regex": "^/a"}}"#,
            r#"{"uri": {"prefix": "/a"}}"#,
            true,
        ),
        (
            r#"{"uri": {"prefix": "/a"}}"#,
            r#"{"uri": {"regex": "^/a"}}"#,
            true,
        ),
        (
            r#"{"uri": {"prefix": "/a"}}"#,
            r#"{"uri": {"exact": "/a/b"}}"#,
            false,
        ),
        (
            r#"{"uri": {"prefix": "/a"}}"#,
            r#"{"uri": {"prefix": "/b"}}"#,
            true,
        ),
        (
            r#"{"uri": {"exact": "/a"}}"#,
            r#"{"uri": {"prefix": "/a"}}"#,
            true,
        ),
        (
            r#"{"headers": {"h": {"exact": "1"}}}"#,
            r#"{"headers": {"h": {"exact": "1"}}}"#,
            false,
        ),
        (
            r#"{"headers": {"h": {"prefix": "1"}}}"#,
            r#"{"headers": {"h": {"exact": "2"}}}"#,
            true,
        ),
        (
            r#"{"headers": {"h": {}}}"#,
            r#"{"headers": {"h": {"exact": "2"}}}"#,
            false,
        ),
        (
            r#"{"headers": {"h": {"exact": "1"}}}"#,
            r#"{"headers": {"h": {}}}"#,
            true,
        ),
        (
            r#"{"withoutHeaders": {"h": {"prefix": "1"}}}"#,
            r#"{"withoutHeaders": {"h": {"exact": "2"}}}"#,
            true,
        ),
        (
            r#"{"sourceLabels": {"a": "b"}}"#,
            r#"{"sourceLabels": {"a": "c"}}"#,
            true,
        ),
        (
            r#"{"sourceLabels": {"a": "b"}}"#,
            r#"{"sourceLabels": {"b": "c"}}"#,
            false,
        ),
        (
            r#"{"sourceNamespace": "a"}"#,
            r#"{"sourceNamespace": "b"}"#,
            true,
        ),
        (r#"{"port": 80}"#, r#"{"port": 81}"#, true),
        (r#"{"port": 80}"#, r"{}", false),
        (r#"{"ignoreUriCase": true}"#, r"{}", true),
    ] {
        assert_eq!(conflict(&one(root), &one(own)), expected, "{root} {own}");
    }
}

#[test]
fn every_entry_is_narrowed_by_each_it_does_not_contradict() {
    let root = all(
        r#"[{"uri": {"prefix": "/a"}, "headers": {"h": {"exact": "1"}}}, {"uri": {"prefix": "/b"}}]"#,
    );
    let own = all(
        r#"[{"uri": {"exact": "/a/1"}}, {"uri": {"exact": "/b/1"}, "headers": {"g": {"exact": "2"}}}]"#,
    );
    let merged = all(
        r#"[{"uri": {"exact": "/a/1"}, "headers": {"h": {"exact": "1"}}}, {"uri": {"exact": "/b/1"}, "headers": {"g": {"exact": "2"}}}]"#,
    );
    assert_eq!(merge_matches(&root, &own), Some(merged));
    assert_eq!(merge_matches(&root, &[]), Some(root.clone()));
    assert_eq!(merge_matches(&[], &own), Some(own.clone()));
    assert_eq!(
        merge_matches(&root, &all(r#"[{"uri": {"exact": "/c"}}]"#)),
        None
    );
}

#[test]
fn fields_are_the_delegates_else_the_roots() {
    let root: HttpRoute = serde_json::from_str(
        r#"{"name": "r", "timeout": "1s", "retries": {"attempts": 2}, "delegate": {"name": "d"}}"#,
    )
    .unwrap();
    let own: HttpRoute = serde_json::from_str(
        r#"{"name": "o", "timeout": "2s", "route": [{"destination": {"host": "a"}}]}"#,
    )
    .unwrap();
    let merged = merge_routes(&root, std::slice::from_ref(&own)).remove(0);
    assert_eq!(merged.name.as_deref(), Some("r-o"));
    assert_eq!(merged.timeout, own.timeout);
    assert_eq!(merged.retries, root.retries);
    assert_eq!(merged.route, own.route);
    assert!(merged.delegate.is_none());
}
