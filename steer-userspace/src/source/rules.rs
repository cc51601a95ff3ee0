//! Rules as they were written: the documents that say how traffic is meant to go, so that they can
//! be kept, and taken again later. What the cluster says of itself (pods, services, endpoints) is
//! not among them: it is as it is.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{files::parse_text, parse::Parsed, snapshot::Snapshot};
use crate::finding::Finding;

/// One document.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Document {
    /// The file that it stood in.
    pub file: Arc<str>,
    /// How many lines of the file stood before it.
    pub line: u32,
    /// What it says.
    pub text: Arc<str>,
}

impl Parsed {
    /// Whether it is a rule, not a fact of the cluster.
    pub fn is_rule(&self) -> bool {
        match self {
            Self::VirtualService(_)
            | Self::DestinationRule(_)
            | Self::ServiceEntry(_)
            | Self::Sidecar(_)
            | Self::Telemetry(_)
            | Self::Gateway(_)
            | Self::MeshConfig(_) => true,
            Self::Namespace(_)
            | Self::Node(_)
            | Self::Service(_)
            | Self::EndpointSlice(_)
            | Self::Pod(_)
            | Self::Secret(_)
            | Self::WorkloadEntry(_) => false,
        }
    }
}

/// What the cluster says now, with rules as they were written once.
pub fn with_rules(now: &Snapshot, rules: &[Document]) -> Result<Snapshot, Vec<Finding>> {
    let mut objects = Vec::new();
    let mut findings = Vec::new();
    for document in rules {
        // Findings name the lines of the file.
        let text = "\n".repeat(document.line as usize) + &document.text;
        let (parsed, found) = parse_text(&document.file, &text)?;
        objects.extend(parsed.into_iter().filter(Parsed::is_rule));
        findings.extend(found);
    }
    let then = Snapshot::from_objects(objects, findings);
    Ok(Snapshot {
        virtual_services: then.virtual_services,
        destination_rules: then.destination_rules,
        service_entries: then.service_entries,
        sidecars: then.sidecars,
        telemetries: then.telemetries,
        gateways: then.gateways,
        mesh_configs: then.mesh_configs,
        findings: then.findings,
        ..now.clone()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(text: &str) -> Snapshot {
        let (objects, findings) = parse_text("now.yaml", text).unwrap();
        Snapshot::from_objects(objects, findings)
    }

    /// Rules come back, with their lines; what the cluster says stays.
    #[test]
    fn rules_of_before_and_the_cluster_of_now() {
        let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: shop}\n";
        let rule = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\n\
                    metadata: {name: old, namespace: shop}\nspec: {host: a, colour: blue}\n";
        let now = snapshot(&format!("{pod}---\n{}", rule.replace("old", "new")));
        let document = Document {
            file: "then.yaml".into(),
            line: 7,
            text: format!("{pod}---\n{rule}").into(),
        };
        let both = with_rules(&now, &[document]).unwrap();
        assert_eq!(both.pods, now.pods);
        let names: Vec<_> = both
            .destination_rules
            .iter()
            .map(|rule| &rule.meta.name)
            .collect();
        assert_eq!(names, ["old"]);
        let place = both.findings[0].position.clone().unwrap();
        assert_eq!((&*place.file, place.line), ("then.yaml", 15));
    }
}
