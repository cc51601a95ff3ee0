//! `http` rules: what is not enforced, and what is never reached.

use super::virtual_service::About;
use crate::{
    desired::{
        codes,
        matching::{RESERVED_HEADERS, needs_requests},
        report::Report,
        unenforced,
        virtual_services::HttpRule,
    },
    source::istio::HttpMatch,
};

/// A rule without effect here: what to do about it.
const NO_EFFECT: &str = "leave it out, or know that it has no effect here";

pub(super) fn review(about: &mut About<'_, '_>) {
    let rules = &about.prepared.http;
    let mut closing: Option<&HttpRule> = None;
    for (index, rule) in rules.iter().enumerate() {
        if let Some(closing) = closing {
            let message = format!(
                "{}, before it, takes every request: nothing reaches it",
                closing.field
            );
            let help = "move it up, or remove it";
            about.report.add(
                &*rule.object,
                &rule.field,
                codes::UNREACHABLE_RULE,
                message,
                help,
            );
            continue;
        }
        matches(&rules[..index], rule, about.report);
        fields(rule, about.report);
        for (at, to) in rule.route().route.iter().enumerate() {
            let field = format!("{}.route[{at}].destination", rule.field);
            about.destination(&rule.object, &field, &to.destination);
        }
        for copies in rule.route().copies() {
            let field = format!("{}.{}", rule.field, copies.field);
            about.destination(&rule.object, &field, copies.to);
        }
        if takes_everything(rule) {
            closing = Some(rule);
        }
    }
}

/// Whether a rule takes every request of every client.
fn takes_everything(rule: &HttpRule) -> bool {
    let of_anyone = |one: &HttpMatch| {
        !needs_requests(one)
            && one.port.is_none()
            && one.source_labels.is_empty()
            && one.source_namespace.is_none()
            && one.gateways.is_empty()
    };
    let matches = &rule.route().matches;
    matches.is_empty() || matches.iter().any(of_anyone)
}

fn matches(before: &[HttpRule], rule: &HttpRule, report: &mut Report) {
    for (index, one) in rule.route().matches.iter().enumerate() {
        let field = format!("{}.match[{index}]", rule.field);
        let reserved = one.headers.keys();
        for key in reserved.filter(|key| RESERVED_HEADERS.contains(&key.as_str())) {
            let field = format!("{field}.headers.{key}");
            let message = format!("{key} under headers is not looked at, nor is it in Istio");
            let help = format!("use the field {key} of the match");
            report.add(&*rule.object, &field, codes::NOT_ENFORCED, message, &help);
        }
        if one.stat_prefix.is_some() {
            let field = format!("{field}.statPrefix");
            let message = "statPrefix has no effect: counters have names of their own";
            report.add(&*rule.object, &field, codes::NOT_ENFORCED, message, "");
        }
        let mut before = before.iter();
        if let Some(earlier) = before.find(|earlier| earlier.route().matches.contains(one)) {
            let message = format!(
                "{} has the same match: this one is never used",
                earlier.field
            );
            report.add(
                &*rule.object,
                &field,
                codes::INEFFECTIVE_MATCH,
                message,
                "remove it",
            );
        }
    }
}

/// Fields that are not enforced.
fn fields(rule: &HttpRule, report: &mut Report) {
    let mut add = |field: &str, instead: &str| {
        let field = format!("{}.{field}", rule.field);
        let message = format!("{field} is not enforced: {instead}");
        report.add(
            &*rule.object,
            &field,
            codes::NOT_ENFORCED,
            message,
            NO_EFFECT,
        );
    };
    for (field, instead) in unenforced::rule_fields(rule.route()) {
        add(&field, instead);
    }
}
