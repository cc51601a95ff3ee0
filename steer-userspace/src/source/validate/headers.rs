//! Headers that rules set, add and remove.

use super::{
    checks::Checks,
    http_policy::is_given,
    names::{changed_header, header_value, is_authority},
};
use crate::source::istio::{HeaderOperations, Headers, HttpRoute};

pub(super) fn headers(checks: &mut Checks, field: &str, headers: Option<&Headers>) {
    let Some(headers) = headers else { return };
    if let Some(request) = &headers.request {
        operations(checks, &format!("{field}.request"), request, true);
    }
    if let Some(response) = &headers.response {
        operations(checks, &format!("{field}.response"), response, false);
    }
}

/// The host of requests is set in one place of a rule.
pub(super) fn authority(checks: &mut Checks, field: &str, rule: &HttpRoute) {
    let rewrite = rule.rewrite.as_ref();
    let rewritten = is_given(rewrite.and_then(|found| found.authority.as_ref()));
    let request = rule
        .headers
        .as_ref()
        .and_then(|found| found.request.as_ref());
    let set = request.map_or(0, |found| {
        let names = found.set.keys().chain(found.add.keys());
        names.filter(|name| is_authority(name)).count()
    });
    if set + usize::from(rewritten) > 1 {
        checks.error(
            format!("{field}.headers.request"),
            "the authority is set several times",
            "set it once, here or in rewrite",
        );
    }
}

fn operations(checks: &mut Checks, field: &str, found: &HeaderOperations, is_request: bool) {
    const HELP: &str = "name a header that may be changed";
    for (what, values) in [("set", &found.set), ("add", &found.add)] {
        for (name, value) in values {
            let field = format!("{field}.{what}.{name}");
            checks.named(&field, name, changed_header(name, is_request), HELP);
            checks.named(
                &field,
                value,
                header_value(value),
                "see Envoy's command operators",
            );
        }
    }
    for (index, name) in found.remove.iter().enumerate() {
        let field = format!("{field}.remove[{index}]");
        checks.named(&field, name, changed_header(name, false), HELP);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{super::testing::fields, *};

    fn found(value: Value) -> Vec<String> {
        fields(
            |checks, field, found| headers(checks, field, Some(found)),
            value,
        )
    }

    #[test]
    fn names_that_may_be_changed() {
        assert!(found(json!({"request": {"set": {":authority": "a", "x": "50%%"}}})).is_empty());
        let wrong = json!({"request": {"set": {":path": "a"}, "remove": ["host"]}});
        assert_eq!(found(wrong), ["request.set.:path", "request.remove[0]"]);
        let wrong = json!({"response": {"add": {"": "a", "Host": "b", "y": "1%"}}});
        let expected = ["response.add.", "response.add.Host", "response.add.y"];
        assert_eq!(found(wrong), expected);
    }

    #[test]
    fn the_host_is_set_once() {
        let once = |rule: Value| fields(authority, rule);
        let set = json!({"request": {"set": {"Host": "a"}}});
        assert!(once(json!({"headers": set})).is_empty());
        assert!(once(json!({"rewrite": {"authority": "b"}})).is_empty());
        let twice = json!({"headers": set, "rewrite": {"authority": "b"}});
        assert_eq!(once(twice), ["headers.request"]);
        let twice = json!({"request": {"set": {"Host": "a"}, "add": {":authority": "b"}}});
        assert_eq!(once(json!({"headers": twice})), ["headers.request"]);
    }
}
