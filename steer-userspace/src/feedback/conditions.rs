//! The condition of steer's among those of an object. Pure.

use serde_json::{Value, json};

use super::Verdict;

/// Its type.
pub(super) const TYPE: &str = "SteerEnforced";

/// What an object's status says by now; `None` if nothing of ours.
pub(super) fn said(object: &Value) -> Option<Said<'_>> {
    let own = all(object).find(|one| one["type"] == TYPE)?;
    let text = |field: &str| own[field].as_str().unwrap_or_default();
    Some(Said {
        status: text("status"),
        reason: text("reason"),
        message: text("message"),
        since: text("lastTransitionTime"),
    })
}

/// Our condition as it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Said<'a> {
    status: &'a str,
    reason: &'a str,
    message: &'a str,
    since: &'a str,
}

impl Said<'_> {
    /// Whether it says that.
    pub(super) fn says(&self, verdict: &Verdict) -> bool {
        (self.status, self.reason, self.message)
            == (verdict.status(), verdict.reason(), verdict.message())
    }
}

/// The merge patch that makes an object say it: conditions of others stay, and a writer that was faster
/// is a conflict.
pub(super) fn patch(object: &Value, verdict: &Verdict, now: &str) -> Value {
    let since = match said(object) {
        Some(said) if said.status == verdict.status() && !said.since.is_empty() => said.since,
        _ => now,
    };
    let own = json!({
        "type": TYPE,
        "status": verdict.status(),
        "reason": verdict.reason(),
        "message": verdict.message(),
        "lastTransitionTime": since,
    });
    let others = all(object).filter(|one| one["type"] != TYPE).cloned();
    let conditions: Vec<Value> = others.chain([own]).collect();
    json!({
        "metadata": {"resourceVersion": object["metadata"]["resourceVersion"]},
        "status": {"conditions": conditions},
    })
}

fn all(object: &Value) -> impl Iterator<Item = &Value> {
    object["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(conditions: Value) -> Value {
        json!({"metadata": {"resourceVersion": "7"}, "status": {"conditions": conditions}})
    }

    #[test]
    fn conditions_of_others_stay() {
        let other = json!({"type": "Reconciled", "status": "True"});
        let before = object(json!([other]));
        assert_eq!(said(&before), None);
        let patch = patch(&before, &Verdict::Enforced, "now");
        assert_eq!(patch["metadata"]["resourceVersion"], "7");
        assert_eq!(patch["status"]["conditions"][0], other);
        assert!(said(&patch).is_some_and(|said| said.says(&Verdict::Enforced)));
    }

    #[test]
    fn the_time_is_that_of_the_last_transition() {
        let partly = |text: &str| Verdict::Partly(text.to_owned());
        let mut at = object(json!([]));
        for (verdict, now, since) in [
            (partly("a"), "1", "1"),
            (partly("b"), "2", "1"),
            (Verdict::Refused("c".to_owned()), "3", "1"),
            (Verdict::Enforced, "4", "4"),
        ] {
            let patch = patch(&at, &verdict, now);
            at["status"] = patch["status"].clone();
            let said = said(&at).expect("ours is there");
            assert!(said.says(&verdict) && said.since == since, "{said:?}");
        }
        assert_eq!(at["status"]["conditions"].as_array().map(Vec::len), Some(1));
    }
}
