//! Checks that several kinds share, and the list that they fill.

use std::{collections::BTreeSet, net::IpAddr};

use serde_json::Number;

use super::names::{self, is_label, is_label_name, is_label_value};
use crate::{
    finding::{Finding, Severity, codes},
    source::{
        istio::{Duration, Percent, PortSelector},
        object::{Kind, Object},
    },
};

/// Something that is wrong with an object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// One of `finding::codes`.
    pub code: &'static str,
    /// The field.
    pub field: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
}

/// Collects what is wrong with one object.
#[derive(Clone, Debug, Default)]
pub struct Checks {
    /// In the order in which it was found.
    pub problems: Vec<Problem>,
}

impl Checks {
    /// The object is refused.
    pub fn error(&mut self, field: impl Into<String>, message: impl Into<String>, help: &str) {
        self.say(Severity::Error, codes::SCHEMA, field, message, help);
    }

    /// Istio would take it and warn.
    pub fn warn(&mut self, field: impl Into<String>, message: impl Into<String>, help: &str) {
        self.say(
            Severity::Warning,
            codes::SCHEMA_WARNING,
            field,
            message,
            help,
        );
    }

    /// Something is found.
    pub fn say(
        &mut self,
        severity: Severity,
        code: &'static str,
        field: impl Into<String>,
        message: impl Into<String>,
        help: &str,
    ) {
        self.problems.push(Problem {
            severity,
            code,
            field: field.into(),
            message: message.into(),
            help: help.to_owned(),
        });
    }

    /// The problems as findings about `object`.
    pub(super) fn findings<T: Kind>(self, object: &Object<T>) -> Vec<Finding> {
        let finding = |problem: Problem| Finding {
            severity: problem.severity,
            code: problem.code,
            object: Some(object.reference()),
            position: Some(object.place.position(&problem.field)),
            message: format!("{}: {}", problem.field, problem.message),
            field: problem.field,
            help: problem.help,
        };
        self.problems.into_iter().map(finding).collect()
    }

    /// Something that a function of `names` found.
    pub(super) fn named(&mut self, field: &str, name: &str, verdict: names::Verdict, help: &str) {
        if let Err(message) = verdict {
            self.error(field, format!("{name:?} {message}"), help);
        }
    }

    /// `exportTo`: `.`, `*`, or namespaces; `*` stands alone; nothing twice.
    pub fn export_to(&mut self, values: &[String], namespace: &str, own_only: bool) {
        let mut seen = BTreeSet::new();
        for (index, value) in values.iter().enumerate() {
            let field = format!("spec.exportTo[{index}]");
            let scope = if value == "." { namespace } else { value };
            match value.as_str() {
                "." => {}
                name if own_only && name == namespace => {}
                _ if own_only => self.error(
                    &field,
                    "a rule with a workloadSelector is for its own namespace",
                    "write . and nothing else",
                ),
                "*" if values.len() > 1 => self.error(&field, "* must stand alone", "leave only *"),
                "~" => self.error(
                    &field,
                    "~ is for ServiceEntry and Service only",
                    "use . for the own namespace",
                ),
                "*" => {}
                name if !is_label(name) => self.error(
                    &field,
                    format!("{name:?} is not the name of a namespace"),
                    "use ., * or the name of a namespace",
                ),
                _ => {}
            }
            if !seen.insert(scope) {
                self.error(&field, format!("{value} is there twice"), "remove one");
            }
        }
    }

    /// Labels that select something.
    pub fn labels<'b>(
        &mut self,
        field: &str,
        labels: impl IntoIterator<Item = (&'b String, &'b String)>,
    ) {
        const HELP: &str = "see the syntax of Kubernetes labels";
        for (key, value) in labels {
            let field = format!("{field}.{key}");
            if !is_label_name(key) {
                self.error(&field, format!("{key:?} is not the name of a label"), HELP);
            }
            if !is_label_value(value) {
                self.error(
                    &field,
                    format!("{value:?} is not the value of a label"),
                    HELP,
                );
            }
        }
    }

    /// A host: a name, a wildcard, or an address.
    pub fn host(&mut self, field: &str, host: &str) {
        if host.is_empty() {
            self.error(field, "a host is missing", "name a host of the registry");
        } else if host.parse::<IpAddr>().is_err() {
            let help = "use letters, digits, - and dots; * only in front";
            self.named(field, host, names::wildcard_domain(host), help);
        }
    }

    /// A namespace, if it is given.
    pub fn namespace(&mut self, field: &str, name: Option<&str>) {
        if let Some(name) = name.filter(|name| !name.is_empty() && !is_label(name)) {
            self.error(
                field,
                format!("{name:?} is not the name of a namespace"),
                "use lower-case letters, digits and -",
            );
        }
    }

    /// A port number, if it is given.
    pub fn port(&mut self, field: &str, port: Option<u32>) {
        if let Some(port) = port.filter(|&port| port == 0 || port > 65_535) {
            self.error(
                field,
                format!("{port} is not between 1 and 65535"),
                "mend the number",
            );
        }
    }

    /// A port by number, if it is given.
    pub fn port_selector(&mut self, field: &str, port: Option<PortSelector>) {
        self.port(
            &format!("{field}.number"),
            port.map(|selector| selector.number),
        );
    }

    /// A length of time: at least a millisecond, and whole ones.
    pub fn duration(&mut self, field: &str, duration: Option<Duration>) {
        let Some(duration) = duration else { return };
        if !duration.is_long_enough() {
            self.error(field, "it is shorter than 1ms", "leave it out, or use 1ms");
        } else if !duration.is_precise_enough() {
            self.error(field, "it is finer than 1ms", "use whole milliseconds");
        }
    }

    /// A number of percent.
    pub fn percent(&mut self, field: &str, value: Option<f64>) {
        if let Some(value) = value.filter(|value| !(0.0..=100.0).contains(value)) {
            self.error(
                field,
                format!("{value} is not between 0 and 100"),
                "mend the number",
            );
        }
    }

    /// `percentage`, if it is given; Envoy cannot tell less than 0.0001 from nothing.
    pub fn percentage(&mut self, field: &str, percentage: Option<&Percent>) {
        let value = percentage.and_then(|percentage| percentage.value.as_ref());
        let value = value.and_then(Number::as_f64);
        let field = format!("{field}.value");
        if value.is_some_and(|value| value > 0.0 && value < 0.0001) {
            self.error(&field, "it is less than 0.0001", "use 0, or 0.0001");
        }
        self.percent(&field, value);
    }

    /// One of a few words, if it is given.
    pub fn one_of(&mut self, field: &str, value: Option<&str>, known: &[&str]) {
        if let Some(value) = value.filter(|value| !known.contains(value)) {
            self.error(
                field,
                format!("{value:?} is not known here"),
                &format!("use one of {}", known.join(", ")),
            );
        }
    }

    /// A count, if it is given.
    pub fn not_negative(&mut self, field: &str, value: Option<i32>) {
        if let Some(value) = value.filter(|&value| value < 0) {
            self.error(field, format!("{value} is negative"), "mend the number");
        }
    }
}
