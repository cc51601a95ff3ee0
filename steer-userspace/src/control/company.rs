//! Others that move the connections of this node's pods as well: sidecars, and socket load balancers.

use crate::{
    desired::model::PodRef,
    finding::{Finding, ObjectRef, Severity, codes},
    kernel::Beside,
    source::Snapshot,
};

/// Containers that take the connections of their pod, by the names that their injectors give them.
const SIDECARS: [&str; 4] = [
    "istio-proxy",
    "linkerd-proxy",
    "consul-dataplane",
    "kuma-sidecar",
];

/// Those of these pods, which run here, that have a sidecar.
pub(super) fn sidecars<'a>(
    snapshot: &Snapshot,
    here: impl IntoIterator<Item = &'a PodRef>,
) -> Vec<Finding> {
    let with_sidecar = |pod: &PodRef| {
        let written = snapshot.pod(pod)?;
        let mut names = written.spec.container_names();
        let sidecar = names.find(|name| SIDECARS.contains(name))?;
        Some(sidecar_of(pod, sidecar))
    };
    here.into_iter().filter_map(with_sidecar).collect()
}

fn sidecar_of(pod: &PodRef, sidecar: &str) -> Finding {
    Finding {
        severity: Severity::Warning,
        code: codes::SIDECAR_BESIDE,
        object: Some(ObjectRef {
            kind: "Pod".to_owned(),
            namespace: pod.namespace.clone(),
            name: pod.name.clone(),
        }),
        position: None,
        field: "spec.containers".to_owned(),
        message: format!(
            "the pod has a sidecar ({sidecar}): steer chooses an endpoint when the application \
             connects, and the sidecar is handed that endpoint, not the service that was dialled"
        ),
        help: "let one of the two do it: leave the sidecar out (sidecar.istio.io/inject: \"false\") where \
               steer does what it did"
            .to_owned(),
    }
}

/// Programs of others at the hooks that steer decides at.
pub(super) fn programs(beside: &[Beside]) -> Option<Finding> {
    let all: Vec<String> = beside.iter().map(ToString::to_string).collect();
    (!all.is_empty()).then(|| Finding {
        severity: Severity::Warning,
        code: codes::PROGRAMS_BESIDE,
        object: None,
        position: None,
        field: String::new(),
        message: format!(
            "other programs decide where sockets of pods connect, too: {}; one that runs before steer's \
             may put an endpoint where steer looks for a service",
            all.join(", ")
        ),
        help: "turn the other's socket load balancing off for pods (Cilium: socketLB.hostNamespaceOnly)"
            .to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::files::parse_text;

    #[test]
    fn a_sidecar_is_told_of_a_pod_that_runs_here() {
        let pod = |name: &str, containers: &str| {
            format!(
                "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec: {{{containers}}}\n"
            )
        };
        let text = [
            pod("plain", "containers: [{name: app}]"),
            pod("old", "containers: [{name: app}, {name: istio-proxy}]"),
            pod(
                "native",
                "containers: [{name: app}], initContainers: [{name: istio-proxy}]",
            ),
            pod("elsewhere", "containers: [{name: istio-proxy}]"),
        ]
        .concat();
        let (objects, _) = parse_text("pods.yaml", &text).unwrap();
        let snapshot = Snapshot::from_objects(objects, Vec::new());
        let here = ["plain", "old", "native"].map(|name| PodRef {
            namespace: "default".to_owned(),
            name: name.to_owned(),
        });
        let told = sidecars(&snapshot, &here);
        let names: Vec<&str> = told
            .iter()
            .filter_map(|finding| Some(finding.object.as_ref()?.name.as_str()))
            .collect();
        assert_eq!(names, ["old", "native"]);
    }

    #[test]
    fn a_program_beside_is_named() {
        assert_eq!(programs(&[]), None);
        let other = Beside {
            program: 12,
            name: "cil_sock4_connect".to_owned(),
            hook: "connect4",
        };
        let told = programs(&[other]).unwrap();
        assert!(
            told.message
                .contains("cil_sock4_connect (program 12) at connect4")
        );
    }
}
