use proptest::prelude::*;
use serde_json::json;

use super::*;

const SERVICES: Watched = Watched {
    group: "",
    kind: "Service",
    depth: Depth::Whole,
};
const PODS: Watched = Watched {
    group: "",
    kind: "Pod",
    depth: Depth::Metadata,
};
const PODS_HERE: Watched = Watched {
    group: "",
    kind: "Pod",
    depth: Depth::Whole,
};

fn service(name: &str, port: u16) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": "shop", "resourceVersion": "7"},
        "spec": {"clusterIP": "10.0.0.1", "ports": [{"port": port}]},
    })
}

fn pod(name: &str, address: Option<&str>) -> Value {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "labels": {"app": name}},
    });
    if let Some(address) = address {
        pod["status"] = json!({"podIP": address});
    }
    pod
}

fn ports(snapshot: &Snapshot) -> Vec<(String, u16)> {
    let services = snapshot.services.iter();
    services
        .map(|one| (one.meta.name.clone(), one.spec.ports[0].port))
        .collect()
}

#[test]
fn nothing_is_told_before_everything_was_listed() {
    let mut cluster = Cluster::new([SERVICES, PODS]);
    cluster.take(SERVICES, Change::Put(service("a", 80)));
    cluster.take(SERVICES, Change::Listed(vec![service("a", 80)]));
    assert!(cluster.snapshot().is_none());
    assert_eq!(cluster.unlisted().collect::<Vec<_>>(), [PODS]);
    cluster.take(PODS, Change::Unknown);
    assert_eq!(ports(&cluster.snapshot().unwrap()), [("a".to_owned(), 80)]);
    assert!(cluster.snapshot().is_none(), "nothing changed");
}

#[test]
fn what_says_the_same_is_no_change() {
    let mut cluster = Cluster::new([SERVICES]);
    cluster.take(SERVICES, Change::Listed(vec![service("a", 80)]));
    let first = cluster.snapshot().unwrap();
    let mut again = service("a", 80);
    again["metadata"]["resourceVersion"] = json!("8");
    cluster.take(SERVICES, Change::Put(again));
    assert!(cluster.snapshot().is_none());
    cluster.take(SERVICES, Change::Put(service("b", 81)));
    let second = cluster.snapshot().unwrap();
    assert!(Arc::ptr_eq(&first.services[0], &second.services[0]));
}

#[test]
fn a_list_removes_what_is_not_in_it() {
    let mut cluster = Cluster::new([SERVICES]);
    let all = vec![service("a", 80), service("b", 80)];
    cluster.take(SERVICES, Change::Listed(all));
    cluster.snapshot().unwrap();
    cluster.take(SERVICES, Change::Listed(vec![service("b", 81)]));
    assert_eq!(ports(&cluster.snapshot().unwrap()), [("b".to_owned(), 81)]);
    cluster.take(SERVICES, Change::Gone(service("b", 81)));
    assert!(cluster.snapshot().unwrap().services.is_empty());
}

/// One object is refused alone, and what it said before stays.
#[test]
fn a_broken_object_is_refused_alone() {
    let mut cluster = Cluster::new([SERVICES]);
    cluster.take(SERVICES, Change::Listed(vec![service("a", 80)]));
    cluster.snapshot().unwrap();
    let mut broken = service("a", 80);
    broken["spec"]["ports"][0]["port"] = json!("eighty");
    cluster.take(SERVICES, Change::Put(broken.clone()));
    cluster.take(SERVICES, Change::Put(service("b", 90)));
    let snapshot = cluster.snapshot().unwrap();
    let both = [("a".to_owned(), 80), ("b".to_owned(), 90)];
    assert_eq!(ports(&snapshot), both);
    let finding = &snapshot.findings[0];
    assert_eq!(finding.code, codes::SCHEMA);
    assert_eq!(finding.field, "spec.ports[0].port");
    assert_eq!(
        finding.position.as_ref().unwrap().file.as_ref(),
        "cluster: Service shop/a"
    );
    cluster.take(SERVICES, Change::Put(service("a", 82)));
    assert_eq!(cluster.snapshot().unwrap().findings, []);
    // One that was never usable goes with its findings.
    let mut other = broken;
    other["metadata"]["name"] = json!("c");
    cluster.take(SERVICES, Change::Put(other));
    assert_eq!(cluster.snapshot().unwrap().findings.len(), 1);
    cluster.take(SERVICES, Change::Listed(vec![service("a", 82)]));
    assert_eq!(cluster.snapshot().unwrap().findings, []);
}

#[test]
fn a_pod_of_this_node_is_told_in_whole_and_of_the_others_the_labels() {
    let mut cluster = Cluster::new([PODS, PODS_HERE]);
    let all = vec![pod("here", None), pod("there", None)];
    cluster.take(PODS, Change::Listed(all));
    let here = pod("here", Some("10.0.0.7"));
    cluster.take(PODS_HERE, Change::Listed(vec![here.clone()]));
    let told = |snapshot: &Snapshot| -> Vec<(String, usize)> {
        let pods = snapshot.pods.iter();
        pods.map(|pod| (pod.meta.name.clone(), pod.spec.addresses().count()))
            .collect()
    };
    let both = [("here".to_owned(), 1), ("there".to_owned(), 0)];
    assert_eq!(told(&cluster.snapshot().unwrap()), both);
    // Its metadata goes first: as long as it is told in whole, it is there.
    cluster.take(PODS, Change::Gone(pod("here", None)));
    assert!(cluster.snapshot().is_none());
    cluster.take(PODS_HERE, Change::Gone(here));
    let there = [("there".to_owned(), 0)];
    assert_eq!(told(&cluster.snapshot().unwrap()), there);
}

#[test]
fn a_watch_in_trouble_keeps_what_was_told() {
    let mut cluster = Cluster::new([SERVICES]);
    cluster.take(SERVICES, Change::Listed(vec![service("a", 80)]));
    cluster.snapshot().unwrap();
    let finding = trouble(SERVICES, "services: not allowed".to_owned(), "allow it");
    cluster.take(SERVICES, Change::Trouble(finding.clone()));
    let snapshot = cluster.snapshot().unwrap();
    assert_eq!(snapshot.findings, [finding]);
    assert_eq!(snapshot.services.len(), 1);
    cluster.take(SERVICES, Change::Unknown);
    let snapshot = cluster.snapshot().unwrap();
    assert_eq!((snapshot.findings.len(), snapshot.services.len()), (0, 1));
}

/// A change of a service: its name, and its port; none removes it.
fn changes() -> impl Strategy<Value = Vec<(u8, Option<u16>)>> {
    proptest::collection::vec((0..5_u8, proptest::option::of(1..4_u16)), 0..40)
}

proptest! {
    /// However changes come and are looked at, the end is what a list of the same says.
    #[test]
    fn changes_come_to_what_a_list_says(changes in changes(), looked in 0..7_usize) {
        let mut cluster = Cluster::new([SERVICES]);
        cluster.take(SERVICES, Change::Listed(Vec::new()));
        let mut wanted = BTreeMap::new();
        for (number, (name, port)) in changes.into_iter().enumerate() {
            let name = format!("s{name}");
            let change = if let Some(port) = port {
                wanted.insert(name.clone(), port);
                Change::Put(service(&name, port))
            } else {
                wanted.remove(&name);
                Change::Gone(service(&name, 1))
            };
            cluster.take(SERVICES, change);
            if looked > 0 && number % looked == 0 {
                cluster.snapshot();
            }
        }
        cluster.take(PODS, Change::Put(pod("last", None)));
        let snapshot = cluster.snapshot().unwrap();
        prop_assert_eq!(ports(&snapshot), wanted.into_iter().collect::<Vec<_>>());
    }
}
