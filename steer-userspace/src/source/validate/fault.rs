//! Delays and aborts that a rule injects.

use super::{checks::Checks, names};
use crate::source::istio::{Fault, GRPC_STATUS};

pub(super) fn fault(checks: &mut Checks, field: &str, fault: &Fault) {
    if fault.delay.is_none() && fault.abort.is_none() {
        checks.error(field, "it says neither delay nor abort", "say one of them");
    }
    if let Some(delay) = &fault.delay {
        let field = format!("{field}.delay");
        checks.percent(&format!("{field}.percent"), delay.percent.map(f64::from));
        checks.percentage(&format!("{field}.percentage"), delay.percentage.as_ref());
        checks.duration(&format!("{field}.fixedDelay"), delay.fixed_delay);
        if delay.exponential_delay.is_some() {
            let field = format!("{field}.exponentialDelay");
            checks.error(field, "Istio does not have it either", "use fixedDelay");
        }
    }
    let Some(abort) = &fault.abort else { return };
    let field = format!("{field}.abort");
    checks.percentage(&format!("{field}.percentage"), abort.percentage.as_ref());
    let kinds = [
        abort.http_status.is_some(),
        abort.grpc_status.is_some(),
        abort.http2_error.is_some(),
    ];
    if !kinds.contains(&true) {
        checks.warn(
            &field,
            "it does not say how requests fail",
            "give it an httpStatus",
        );
    }
    if let Some(Err(message)) = abort
        .http_status
        .map(|status| names::http_status(status.into()))
    {
        checks.error(
            format!("{field}.httpStatus"),
            message,
            "use a status of HTTP",
        );
    }
    checks.one_of(
        &format!("{field}.grpcStatus"),
        abort.grpc_status.as_deref(),
        &GRPC_STATUS,
    );
    if abort.http2_error.is_some() {
        let field = format!("{field}.http2Error");
        checks.error(field, "Istio does not have it either", "use httpStatus");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{super::testing::fields, *};

    #[test]
    fn faults_have_a_share_and_a_kind() {
        let found = |value: Value| fields(fault, value);
        assert_eq!(found(json!({})), ["x"]);
        assert_eq!(found(json!({"abort": {}})), ["abort"]);
        let fine = json!({"abort": {"httpStatus": 503, "percentage": {"value": 0.0001}}});
        assert!(found(fine).is_empty());
        let wrong = json!({"abort": {"httpStatus": 199, "percentage": {"value": 0.00001}}});
        assert_eq!(found(wrong), ["abort.percentage.value", "abort.httpStatus"]);
        let wrong = json!({"abort": {"grpcStatus": "GONE", "percentage": {"value": 101}}});
        assert_eq!(found(wrong), ["abort.percentage.value", "abort.grpcStatus"]);
        let wrong = json!({"delay": {"fixedDelay": "0s", "exponentialDelay": "1s"}});
        assert_eq!(found(wrong), ["delay.fixedDelay", "delay.exponentialDelay"]);
    }
}
