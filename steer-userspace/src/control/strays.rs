//! Pods that the API server says run on this node, and that are not found there. Pure but for the clock
//! that is passed in.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use crate::{
    desired::model::PodRef,
    finding::{Finding, ObjectRef, Severity, codes},
    node::discover::Scan,
    source::Snapshot,
};

/// How long a pod that runs may stay unfound: it may just have come, or be about to go.
const GRACE: Duration = Duration::from_secs(10);

/// Pods that are not found.
#[derive(Debug, Default)]
pub(super) struct Strays {
    /// Since when.
    since: BTreeMap<PodRef, Instant>,
    /// Those of whom that is told.
    told: BTreeSet<PodRef>,
}

impl Strays {
    /// Looks for the pods of `node`; true if the findings are others now.
    pub(super) fn look(
        &mut self,
        snapshot: &Snapshot,
        node: &str,
        found: &Scan,
        now: Instant,
    ) -> bool {
        let is_here = |pod: &crate::source::core::Pod| {
            pod.node_name.as_deref() == Some(node)
                && pod.status.phase.as_deref() == Some("Running")
                && !pod.host_network
                && pod.addresses().next().is_some()
        };
        let running = snapshot.pods.iter().filter(|pod| is_here(&pod.spec));
        let missing = running
            .map(|pod| PodRef {
                namespace: pod.meta.namespace.clone(),
                name: pod.meta.name.clone(),
            })
            .filter(|pod| !found.workloads.contains_key(pod));
        self.since = missing
            .map(|pod| {
                let since = self.since.get(&pod).copied().unwrap_or(now);
                (pod, since)
            })
            .collect();
        let late = self.since.iter();
        let late = late.filter(|(_, since)| now.duration_since(**since) >= GRACE);
        let told = late.map(|(pod, _)| pod.clone()).collect();
        std::mem::replace(&mut self.told, told) != self.told
    }

    /// What there is to say.
    pub(super) fn findings(&self, cgroup: &str) -> Vec<Finding> {
        let finding = |pod: &PodRef| Finding {
            severity: Severity::Warning,
            code: codes::POD_NOT_FOUND,
            object: Some(ObjectRef {
                kind: "Pod".to_owned(),
                namespace: pod.namespace.clone(),
                name: pod.name.clone(),
            }),
            position: None,
            field: String::new(),
            message: format!(
                "the pod runs on this node, and no process below {cgroup} has its address: its \
                 connections are not steered, or it counts as a client nobody knows"
            ),
            help: "name with --cgroup a cgroup that is above those of all pods".to_owned(),
        };
        self.told.iter().map(finding).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::files::parse_text;

    fn snapshot() -> Snapshot {
        let pod = |name: &str, node: &str, more: &str, ip: &str| {
            format!(
                "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec: {{nodeName: {node}, \
                 {more}containers: [{{name: a, image: a}}]}}\nstatus: {{phase: Running, podIP: {ip}}}\n"
            )
        };
        let text = [
            pod("here", "one", "", "10.0.0.1"),
            pod("elsewhere", "two", "", "10.0.0.2"),
            pod("host", "one", "hostNetwork: true, ", "10.0.0.3"),
            pod("starting", "one", "", "''"),
        ]
        .concat();
        let (objects, findings) = parse_text("pods.yaml", &text).unwrap();
        Snapshot::from_objects(objects, findings)
    }

    #[test]
    fn a_pod_that_is_not_found_for_long_is_told() {
        let (snapshot, none) = (snapshot(), Scan::default());
        let start = Instant::now();
        let mut strays = Strays::default();
        assert!(!strays.look(&snapshot, "one", &none, start));
        assert!(!strays.look(&snapshot, "one", &none, start + GRACE / 2));
        let late = start + GRACE;
        assert!(strays.look(&snapshot, "one", &none, late));
        assert!(!strays.look(&snapshot, "one", &none, late));
        let found = strays.findings("/cgroup");
        let named: Vec<&str> = found
            .iter()
            .filter_map(|finding| Some(finding.object.as_ref()?.name.as_str()))
            .collect();
        assert_eq!(named, ["here"]);
        // It ended.
        let gone = Snapshot::default();
        assert!(strays.look(&gone, "one", &none, late));
        assert_eq!(strays.findings("/cgroup").len(), 0);
    }
}
