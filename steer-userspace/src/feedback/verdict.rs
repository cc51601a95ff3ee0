//! Findings -> what is said of each object. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    finding::{Finding, ObjectRef, Severity},
    source::Snapshot,
};

/// The kinds that have a status in Istio's definitions, and are told how far they are enforced.
const JUDGED: [&str; 3] = ["VirtualService", "DestinationRule", "ServiceEntry"];
/// The longest note of an Event (the API's own limit), and the longest message of a condition here.
const TEXT_MAX: usize = 1_024;

/// How far an object is enforced.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// In full.
    Enforced,
    /// But for what the message says.
    Partly(String),
    /// Not at all: what it said before stays in force.
    Refused(String),
}

impl Verdict {
    /// `status` of the condition.
    pub const fn status(&self) -> &'static str {
        match self {
            Self::Enforced => "True",
            Self::Partly(_) | Self::Refused(_) => "False",
        }
    }

    /// `reason` of the condition.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Enforced => "Enforced",
            Self::Partly(_) => "PartlyEnforced",
            Self::Refused(_) => "Refused",
        }
    }

    /// `message` of the condition.
    pub fn message(&self) -> &str {
        match self {
            Self::Enforced => "steer enforces all of it in the kernel",
            Self::Partly(message) | Self::Refused(message) => message,
        }
    }
}

/// Findings of one code about one object.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Note {
    /// The object; none for the node.
    pub object: Option<ObjectRef>,
    /// The findings' code.
    pub code: &'static str,
    /// What they say.
    pub text: String,
}

impl Note {
    /// Whether it is about this node alone, and not about what is written for all.
    pub fn is_of_the_node(&self) -> bool {
        let kind = self.object.as_ref().map(|object| object.kind.as_str());
        matches!(kind, None | Some("Pod"))
    }
}

/// Everything that is told.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// How far each rule is enforced.
    pub verdicts: BTreeMap<ObjectRef, Verdict>,
    /// What is to become Events.
    pub notes: BTreeSet<Note>,
}

/// What is told of a configuration and its findings.
pub fn report(snapshot: &Snapshot, findings: &[Finding]) -> Report {
    let mut by_object: BTreeMap<Option<&ObjectRef>, Vec<&Finding>> = BTreeMap::new();
    let all = findings.iter();
    for finding in all.filter(|finding| finding.severity >= Severity::Warning) {
        let own = by_object.entry(finding.object.as_ref()).or_default();
        own.push(finding);
    }
    let mut verdicts: BTreeMap<ObjectRef, Verdict> = rules(snapshot)
        .map(|object| (object, Verdict::Enforced))
        .collect();
    let mut notes = BTreeSet::new();
    for (object, findings) in by_object {
        if let Some(object) = object.filter(|object| JUDGED.contains(&object.kind.as_str())) {
            verdicts.insert(object.clone(), verdict(&findings));
        }
        notes.extend(by_code(object, &findings));
    }
    Report { verdicts, notes }
}

fn verdict(findings: &[&Finding]) -> Verdict {
    let text = joined(findings);
    let is_refused = |finding: &&Finding| finding.severity == Severity::Error;
    if findings.iter().any(is_refused) {
        Verdict::Refused(text)
    } else {
        Verdict::Partly(text)
    }
}

fn by_code(object: Option<&ObjectRef>, findings: &[&Finding]) -> Vec<Note> {
    let codes: BTreeSet<&'static str> = findings.iter().map(|finding| finding.code).collect();
    let note = |code| {
        let all = findings.iter().copied();
        let own: Vec<&Finding> = all.filter(|finding| finding.code == code).collect();
        Note {
            object: object.cloned(),
            code,
            text: joined(&own),
        }
    };
    codes.into_iter().map(note).collect()
}

fn rules(snapshot: &Snapshot) -> impl Iterator<Item = ObjectRef> + '_ {
    let services = snapshot.virtual_services.iter().map(|one| one.reference());
    let destinations = snapshot.destination_rules.iter();
    let entries = snapshot.service_entries.iter();
    services
        .chain(destinations.map(|one| one.reference()))
        .chain(entries.map(|one| one.reference()))
}

/// What findings say, as long as it may be.
fn joined(findings: &[&Finding]) -> String {
    let lines: BTreeSet<String> = findings.iter().map(|finding| line(finding)).collect();
    let text = lines.into_iter().collect::<Vec<_>>().join("; ");
    if text.len() <= TEXT_MAX {
        return text;
    }
    let cut = text.floor_char_boundary(TEXT_MAX - 4);
    format!("{} ...", &text[..cut])
}

fn line(finding: &Finding) -> String {
    let Finding {
        code,
        field,
        message,
        ..
    } = finding;
    if field.is_empty() {
        format!("[{code}] {message}")
    } else {
        format!("[{code}] {field}: {message}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(name: &str) -> ObjectRef {
        ObjectRef {
            kind: "VirtualService".to_owned(),
            namespace: "shop".to_owned(),
            name: name.to_owned(),
        }
    }

    fn finding(severity: Severity, object: Option<ObjectRef>, message: &str) -> Finding {
        Finding {
            severity,
            code: "STR0303",
            object,
            position: None,
            field: "spec.http[0]".to_owned(),
            message: message.to_owned(),
            help: String::new(),
        }
    }

    #[test]
    fn the_worst_finding_decides() {
        let findings = [
            finding(Severity::Info, Some(rule("info")), "worth knowing"),
            finding(Severity::Warning, Some(rule("partly")), "b"),
            finding(Severity::Warning, Some(rule("partly")), "a"),
            finding(Severity::Warning, Some(rule("refused")), "beside"),
            finding(Severity::Error, Some(rule("refused")), "wrong"),
        ];
        let report = report(&Snapshot::default(), &findings);
        let partly = "[STR0303] spec.http[0]: a; [STR0303] spec.http[0]: b";
        assert_eq!(
            report.verdicts[&rule("partly")],
            Verdict::Partly(partly.to_owned())
        );
        let refused = &report.verdicts[&rule("refused")];
        assert_eq!((refused.status(), refused.reason()), ("False", "Refused"));
        assert!(!report.verdicts.contains_key(&rule("info")));
        // One note for each code of an object; none of what is only worth knowing.
        assert_eq!(report.notes.len(), 2);
    }

    #[test]
    fn what_is_about_no_object_or_a_pod_is_the_node_s() {
        let pod = ObjectRef {
            kind: "Pod".to_owned(),
            ..rule("web-1")
        };
        let findings = [
            finding(Severity::Error, None, "full"),
            finding(Severity::Warning, Some(pod), "disputed"),
            finding(Severity::Warning, Some(rule("a")), "partly"),
        ];
        let report = report(&Snapshot::default(), &findings);
        let own = report.notes.iter().filter(|note| note.is_of_the_node());
        assert_eq!(own.count(), 2);
        assert_eq!(report.verdicts.len(), 1);
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        let long = "\u{e4}".repeat(2_000);
        let findings = [finding(Severity::Warning, Some(rule("long")), &long)];
        let report = report(&Snapshot::default(), &findings);
        let message = report.verdicts[&rule("long")].message();
        assert!(message.len() <= TEXT_MAX && message.ends_with(" ..."));
    }
}
