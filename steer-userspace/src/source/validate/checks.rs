//! Checks that several kinds share, and the list that they fill.

use std::collections::BTreeSet;

use crate::{
    finding::{Finding, Severity},
    source::object::{Kind, Object},
};

/// Collects what is wrong with one object.
pub(super) struct Checks<'a, T> {
    object: &'a Object<T>,
    found: Vec<Finding>,
}

impl<'a, T: Kind> Checks<'a, T> {
    pub(super) fn new(object: &'a Object<T>) -> Self {
        Self {
            object,
            found: Vec::new(),
        }
    }

    pub(super) fn finish(self) -> Vec<Finding> {
        self.found
    }

    /// The object is refused.
    pub(super) fn error(
        &mut self,
        field: impl Into<String>,
        message: impl Into<String>,
        help: &str,
    ) {
        self.say(
            Severity::Error,
            "IST0106",
            field.into(),
            message.into(),
            help,
        );
    }

    /// Istio would take it and warn.
    pub(super) fn warn(
        &mut self,
        field: impl Into<String>,
        message: impl Into<String>,
        help: &str,
    ) {
        self.say(
            Severity::Warning,
            "IST0133",
            field.into(),
            message.into(),
            help,
        );
    }

    fn say(
        &mut self,
        severity: Severity,
        code: &'static str,
        field: String,
        message: String,
        help: &str,
    ) {
        self.found.push(Finding {
            severity,
            code,
            object: Some(self.object.reference()),
            position: Some(self.object.place.position(&field)),
            message: format!("{field}: {message}"),
            field,
            help: help.to_owned(),
        });
    }

    /// `exportTo`: `.`, `*`, or namespaces; `*` stands alone; nothing twice.
    pub(super) fn export_to(&mut self, values: &[String], namespace: &str) {
        let mut seen = BTreeSet::new();
        for (index, value) in values.iter().enumerate() {
            let field = format!("spec.exportTo[{index}]");
            let scope = if value == "." {
                namespace
            } else {
                value.as_str()
            };
            match value.as_str() {
                "*" if values.len() > 1 => self.error(&field, "* must stand alone", "leave only *"),
                "~" => self.error(
                    &field,
                    "~ is for ServiceEntry and Service only",
                    "use . for the own namespace",
                ),
                "*" | "." => {}
                name if !is_label(name) => self.error(
                    &field,
                    format!("{name:?} is not the name of a namespace"),
                    "use ., * or the name of a namespace",
                ),
                _ => {}
            }
            if !seen.insert(scope.to_owned()) {
                self.error(&field, format!("{value} is there twice"), "remove one");
            }
        }
    }

    /// Labels that select something.
    pub(super) fn labels<'b>(
        &mut self,
        field: &str,
        labels: impl IntoIterator<Item = (&'b String, &'b String)>,
    ) {
        for (key, value) in labels {
            if !is_qualified(key) {
                self.error(
                    field,
                    format!("{key:?} is not the name of a label"),
                    "see the syntax of Kubernetes labels",
                );
            }
            if !value.is_empty() && !is_label_value(value) {
                self.error(
                    field,
                    format!("{value:?} is not the value of a label"),
                    "see the syntax of Kubernetes labels",
                );
            }
        }
    }

    /// The host of a destination or rule: a name or, if allowed, a wildcard.
    pub(super) fn host(&mut self, field: &str, host: &str, wildcard: bool) {
        if host.is_empty() {
            return self.error(field, "a host is missing", "name a host of the registry");
        }
        let name = if wildcard && host == "*" {
            return;
        } else {
            host
        };
        let name = if wildcard {
            name.strip_prefix("*.").unwrap_or(name)
        } else {
            name
        };
        if name.parse::<std::net::IpAddr>().is_ok() {
            return;
        }
        if !is_fqdn(name) {
            self.error(
                field,
                format!("{host:?} is not a host name"),
                "use letters, digits, - and dots; * only in front",
            );
        }
    }

    /// A port number, if it is given.
    pub(super) fn port(&mut self, field: &str, port: Option<u32>) {
        if port.is_some_and(|port| port == 0 || port > 65_535) {
            self.error(field, "a port is between 1 and 65535", "mend the number");
        }
    }
}

/// A DNS label (RFC 1123).
pub(super) fn is_label(text: &str) -> bool {
    let edge = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    (1..=63).contains(&bytes.len())
        && bytes.first().copied().is_some_and(edge)
        && bytes.last().copied().is_some_and(edge)
        && bytes.iter().all(|&byte| edge(byte) || byte == b'-')
}

/// A fully qualified name, each part a label; a dot at the end is put up with, and so is `_`.
fn is_fqdn(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let part = |text: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (1..=63).contains(&text.len())
            && text.bytes().all(inner)
            && !text.starts_with('-')
            && !text.ends_with('-')
    };
    name.len() <= 255 && name.split('.').all(part)
}

fn is_label_value(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let edge = |found: Option<&u8>| found.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= 63 && edge(bytes.first()) && edge(bytes.last()) && text.bytes().all(inner)
}

/// The name of a label: `name` or `prefix/name`.
fn is_qualified(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => is_fqdn(prefix) && is_label_value(name),
        None => is_label_value(text),
    }
}
