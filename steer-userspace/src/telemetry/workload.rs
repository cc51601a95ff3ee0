//! Who is at an end of a series: a workload, as Istio names it from a pod's labels and owner.

use std::collections::BTreeMap;

use crate::source::object::{Controller, Meta};

/// What stands where nothing is known. Series without a label would not be seen.
pub(super) const UNKNOWN: &str = "unknown";

/// A workload. Pods of one workload share its series.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Workload {
    /// Its namespace.
    pub namespace: String,
    /// Its name: that of the pods' Deployment, for example.
    pub name: String,
    /// Label `app`.
    pub app: String,
    /// Label `version`.
    pub version: String,
    /// What graphs call it.
    pub canonical_service: String,
    /// Which version of that.
    pub canonical_revision: String,
    /// The cluster that it is in.
    pub cluster: String,
}

impl Workload {
    /// Nobody knows.
    pub fn unknown() -> Self {
        let unknown = || UNKNOWN.to_owned();
        Self {
            namespace: unknown(),
            name: unknown(),
            app: unknown(),
            version: unknown(),
            canonical_service: unknown(),
            canonical_revision: unknown(),
            cluster: unknown(),
        }
    }

    /// That of a pod.
    pub fn of_pod(pod: &Meta, cluster: &str) -> Self {
        let name = name(pod);
        let first = |labels: &[&str], or: &str| {
            let mut found = labels.iter().filter_map(|&label| pod.labels.get(label));
            found.next().map_or(or, String::as_str).to_owned()
        };
        Self {
            namespace: pod.namespace.clone(),
            app: first(&["app"], UNKNOWN),
            version: first(&["version"], UNKNOWN),
            canonical_service: first(
                &[
                    "service.istio.io/canonical-name",
                    "app.kubernetes.io/name",
                    "app",
                ],
                &name,
            ),
            canonical_revision: first(
                &[
                    "service.istio.io/canonical-revision",
                    "app.kubernetes.io/version",
                    "version",
                ],
                "latest",
            ),
            cluster: cluster.to_owned(),
            name,
        }
    }

    /// Whether it is somebody.
    pub fn is_known(&self) -> bool {
        self.name != UNKNOWN
    }
}

/// The name of whoever made the pod, and of whoever made that: a Deployment makes `ReplicaSets`, a
/// `CronJob` Jobs.
fn name(pod: &Meta) -> String {
    let Some(controller) = &pod.controller else {
        return pod.name.clone();
    };
    above(controller, &pod.labels)
        .unwrap_or(&controller.name)
        .to_owned()
}

fn above<'c>(controller: &'c Controller, labels: &BTreeMap<String, String>) -> Option<&'c str> {
    let name = controller.name.as_str();
    match controller.kind.as_str() {
        "ReplicaSet" => {
            let hash = labels.get("pod-template-hash")?;
            name.strip_suffix(hash.as_str())?.strip_suffix('-')
        }
        // CronJobs give their Jobs the minute as a suffix.
        "Job" => {
            let (cron, minute) = name.rsplit_once('-')?;
            let is_minute = (8..=10).contains(&minute.len())
                && minute.bytes().all(|byte| byte.is_ascii_digit());
            is_minute.then_some(cron)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(labels: &[(&str, &str)], controller: Option<(&str, &str)>) -> Meta {
        let own = |text: &str| text.to_owned();
        Meta {
            name: own("catalog-6d5f-x2x4z"),
            namespace: own("shop"),
            labels: labels.iter().map(|(k, v)| (own(k), own(v))).collect(),
            controller: controller.map(|(kind, name)| Controller {
                kind: own(kind),
                name: own(name),
            }),
            ..Meta::default()
        }
    }

    fn workload(labels: &[(&str, &str)], controller: Option<(&str, &str)>) -> Workload {
        Workload::of_pod(&pod(labels, controller), "Kubernetes")
    }

    #[test]
    fn a_workload_is_who_made_the_pod() {
        let hash = [("pod-template-hash", "6d5f")];
        let all: [(&[_], Option<_>, _); 7] = [
            (&hash, Some(("ReplicaSet", "catalog-6d5f")), "catalog"),
            (&[], Some(("ReplicaSet", "catalog-6d5f")), "catalog-6d5f"),
            (&[], Some(("StatefulSet", "db")), "db"),
            (&[], Some(("DaemonSet", "agent")), "agent"),
            (&[], Some(("Job", "backup-29384756")), "backup"),
            (&[], Some(("Job", "backup-once")), "backup-once"),
            (&[], None, "catalog-6d5f-x2x4z"),
        ];
        for (labels, controller, wanted) in all {
            assert_eq!(workload(labels, controller).name, wanted, "{controller:?}");
        }
    }

    #[test]
    fn canonical_names_have_an_order() {
        let labels = [
            ("service.istio.io/canonical-name", "one"),
            ("app.kubernetes.io/name", "two"),
            ("app", "three"),
            ("service.istio.io/canonical-revision", "r1"),
            ("app.kubernetes.io/version", "r2"),
            ("version", "r3"),
        ];
        let names = |labels: &[(&str, &str)]| {
            let found = workload(labels, None);
            (found.canonical_service, found.canonical_revision)
        };
        let owned = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(names(&labels), owned("one", "r1"));
        assert_eq!(names(&[labels[1], labels[4]]), owned("two", "r2"));
        assert_eq!(names(&[labels[2], labels[5]]), owned("three", "r3"));
        assert_eq!(names(&[]), owned("catalog-6d5f-x2x4z", "latest"));
        let own = workload(&labels, None);
        assert_eq!((own.app, own.version), owned("three", "r3"));
    }
}
