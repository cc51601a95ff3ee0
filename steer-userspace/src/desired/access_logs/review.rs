//! What of Telemetries and of the mesh's access log is not enforced, or has no effect.

use std::sync::Arc;

use super::{ENVOY, Mesh, Telemetries, has_targets, is_general, names, selector};
use crate::{
    access_log::Mistake,
    desired::{
        client::{Labels, contains},
        codes,
        report::Report,
    },
    source::{
        Object, Snapshot,
        istio::{AccessLogging, MeshConfig, Telemetry},
    },
};

/// Everything there is to say.
pub(super) fn review(
    snapshot: &Snapshot,
    mesh: &Mesh<'_>,
    all: &Telemetries<'_>,
    report: &mut Report,
) {
    for object in &snapshot.telemetries {
        fields(object, report);
        let mut parents = mesh.providers();
        // Those of its namespace, and of the root: what it names nobody for is meant for theirs.
        let wider = all.of(&object.meta.namespace, None).into_iter();
        let wider = wider.filter(|it| !Arc::ptr_eq(it, object));
        parents.extend(wider.flat_map(|it| it.spec.access_logging.iter().flat_map(names)));
        for (index, entry) in object.spec.access_logging.iter().enumerate() {
            let field = format!("spec.accessLogging[{index}]");
            logging(object, &field, entry, &mut parents, report);
        }
    }
    for objects in all.by_namespace.values() {
        twice(snapshot, objects, report);
    }
}

/// What of the mesh's format cannot be had.
pub(super) fn mistake(object: &Object<MeshConfig>, mistake: &Mistake, report: &mut Report) {
    let (message, help) = match mistake {
        Mistake::Operator(text) => (
            format!("{text}: this cannot be had; in its place stands -"),
            "see the operators in docs/guide/access-log.md",
        ),
        Mistake::NoObject => (
            "it is no object of JSON: Envoy's default is written".to_owned(),
            "write an object, or accessLogEncoding: TEXT",
        ),
    };
    let field = "accessLogFormat";
    report.add(object, field, codes::NOT_ENFORCED, message, help);
}

fn fields(object: &Object<Telemetry>, report: &mut Report) {
    let spec = &object.spec;
    let others = [
        ("metrics", !spec.metrics.is_empty(), "nothing is counted"),
        ("tracing", !spec.tracing.is_empty(), "nothing is traced"),
        (
            "targetRef",
            spec.target_ref.is_some(),
            "it concerns no pod of a client",
        ),
        (
            "targetRefs",
            !spec.target_refs.is_empty(),
            "it concerns no pod of a client",
        ),
    ];
    for (field, _, instead) in others.into_iter().filter(|(_, asked, _)| *asked) {
        let field = format!("spec.{field}");
        let help = "the rest of it is enforced without";
        report.add(object, &field, codes::NOT_ENFORCED, instead, help);
    }
}

fn logging<'s>(
    object: &Object<Telemetry>,
    field: &str,
    entry: &'s AccessLogging,
    parents: &mut Vec<&'s str>,
    report: &mut Report,
) {
    if !entry.providers.is_empty() {
        *parents = names(entry);
    }
    if parents.is_empty() {
        let message = "it names no provider, and neither does the mesh: it has no effect";
        let help = "write providers: [{name: envoy}]";
        report.add(object, field, codes::NO_PROVIDER, message, help);
    }
    for (index, provider) in entry.providers.iter().enumerate() {
        if provider.name != ENVOY && entry.disabled != Some(true) {
            let field = format!("{field}.providers[{index}].name");
            let message = format!("{}: nothing is sent to it", provider.name);
            let help = "envoy writes lines, to the agent's output or the mesh's accessLogFile";
            report.add(object, &field, codes::NOT_ENFORCED, message, help);
        }
    }
    let filter = entry.filter.as_ref();
    if filter.is_some_and(|filter| !filter.expression.is_empty()) {
        let field = format!("{field}.filter.expression");
        let message = "every request has its line: the expression is not evaluated";
        report.add(object, &field, codes::NOT_ENFORCED, message, "");
    }
}

/// Telemetries of one namespace that are for the same workloads. The oldest decides.
fn twice(snapshot: &Snapshot, all: &[&Arc<Object<Telemetry>>], report: &mut Report) {
    let mut general = all.iter().filter(|object| is_general(object));
    if let Some(first) = general.next() {
        for object in general {
            let message = format!(
                "{}, which is older, has no selector either: it decides alone",
                first.reference()
            );
            let code = codes::TELEMETRIES_WITHOUT_SELECTOR;
            report.add(object, "spec", code, message, "join the two");
        }
    }
    let selecting: Vec<_> = all
        .iter()
        .filter(|object| !has_targets(object))
        .filter_map(|object| Some((*object, selector(object)?)))
        .collect();
    for (index, (object, wanted)) in selecting.iter().enumerate() {
        let Some((older, pod)) = shared(snapshot, object, wanted, &selecting[..index]) else {
            continue;
        };
        let message = format!(
            "{}, which is older, selects pod {pod} as well: of it that one decides alone",
            older.reference()
        );
        let code = codes::TELEMETRIES_SELECT_ALIKE;
        report.add(object, "spec.selector", code, message, "join the two");
    }
}

/// The oldest that selects a pod that this one selects, and the pod.
fn shared<'s>(
    snapshot: &'s Snapshot,
    object: &Object<Telemetry>,
    wanted: &Labels,
    older: &[(&'s Arc<Object<Telemetry>>, &Labels)],
) -> Option<(&'s Arc<Object<Telemetry>>, &'s str)> {
    if older.is_empty() {
        return None;
    }
    let pods = snapshot.pods.iter();
    let own = pods.filter(|pod| pod.meta.namespace == object.meta.namespace);
    let own: Vec<_> = own
        .filter(|pod| contains(&pod.meta.labels, wanted))
        .collect();
    older.iter().find_map(|(other, labels)| {
        let pod = own.iter().find(|pod| contains(&pod.meta.labels, labels))?;
        Some((*other, pod.meta.name.as_str()))
    })
}
