//! Small configurations, drawn from few names so that objects meet.

use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};

/// A change of one file.
#[derive(Clone, Debug)]
pub(crate) enum Edit {
    /// Its text from now on.
    Write(String, String),
    /// It is gone.
    Remove(String),
}

/// Some changes.
pub(crate) fn edits(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Edit>> {
    let one = prop_oneof![
        2 => service(),
        3 => pod(),
        2 => slice(),
        5 => virtual_service(),
        4 => destination_rule(),
        2 => gateway(),
    ];
    let edit = (one, prop::bool::weighted(0.2)).prop_map(|(object, gone)| {
        let kind = &object["kind"];
        let meta = &object["metadata"];
        let name = format!("{kind}-{}-{}.yaml", meta["namespace"], meta["name"]).replace('"', "");
        if gone {
            Edit::Remove(name)
        } else {
            Edit::Write(name, object.to_string())
        }
    });
    prop::collection::vec(edit, count)
}

fn namespace() -> impl Strategy<Value = &'static str> {
    select(vec!["a", "b", "istio-system"])
}

fn app() -> impl Strategy<Value = &'static str> {
    select(vec!["x", "y", "z"])
}

/// Hosts as people write them, some of which nobody has.
fn host() -> impl Strategy<Value = &'static str> {
    select(vec![
        "x",
        "y",
        "z",
        "X.A.svc.cluster.local",
        "x.a.svc.cluster.local",
        "y.a.svc.cluster.local",
        "x.b.svc.cluster.local",
        "x.b",
        "nobody",
    ])
}

fn pattern() -> impl Strategy<Value = &'static str> {
    let wild = select(vec![
        "*.a.svc.cluster.local",
        "*.svc.cluster.local",
        "*.local",
        "*.nowhere",
    ]);
    prop_oneof![3 => host(), 1 => wild]
}

fn labels() -> impl Strategy<Value = Value> {
    (app(), select(vec!["v1", "v2"]))
        .prop_map(|(app, version)| json!({"app": app, "version": version}))
}

fn selector() -> impl Strategy<Value = Value> {
    select(vec![
        json!({}),
        json!({"app": "x"}),
        json!({"version": "v1"}),
        json!({"app": "y", "version": "v2"}),
    ])
}

fn export_to() -> impl Strategy<Value = Value> {
    select(vec![
        json!([]),
        json!(["*"]),
        json!(["."]),
        json!(["a"]),
        json!(["a", "b"]),
        json!(["b", "istio-system"]),
    ])
}

fn age() -> impl Strategy<Value = String> {
    (1..5_u8).prop_map(|day| format!("2026-01-0{day}T00:00:00Z"))
}

fn object(group: &str, kind: &str, namespace: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": group,
        "kind": kind,
        "metadata": {"namespace": namespace, "name": name},
        "spec": spec,
    })
}

fn service() -> impl Strategy<Value = Value> {
    let ports = select(vec![
        json!([{"name": "http", "port": 80, "targetPort": 3000, "nodePort": 30000}]),
        json!([{"name": "http", "port": 80}, {"name": "tcp", "port": 81, "targetPort": "web"}]),
        json!([{"name": "x", "port": 80}, {"name": "dns", "port": 80, "protocol": "UDP"}]),
        json!([{"name": "https", "port": 443}]),
    ]);
    let export = select(vec!["", ".", "*", "a", "b,a", "~"]);
    let address = select(vec!["10.200.0.1", "10.200.0.2", "fd00::1", "None"]);
    (
        namespace(),
        app(),
        ports,
        export,
        address,
        any::<[bool; 2]>(),
    )
        .prop_map(
            |(namespace, name, ports, export, address, [early, affine])| {
                let affinity = if affine { "ClientIP" } else { "None" };
                let spec = json!({
                    "clusterIP": address, "selector": {"app": name}, "ports": ports,
                    "publishNotReadyAddresses": early, "sessionAffinity": affinity,
                });
                let mut service = object("v1", "Service", namespace, name, &spec);
                if !export.is_empty() {
                    service["metadata"]["annotations"] =
                        json!({"networking.istio.io/exportTo": export});
                }
                service
            },
        )
}

/// Named as VirtualServices do; some Services are its doors.
fn gateway() -> impl Strategy<Value = Value> {
    let protocol = select(vec!["HTTP", "TCP"]);
    (
        namespace(),
        app(),
        protocol,
        pattern(),
        any::<bool>(),
        age(),
    )
        .prop_map(|(namespace, app, protocol, host, everyone, age)| {
            let host = if everyone { "*" } else { host };
            let server = json!({
                "port": {"number": 80, "name": "p", "protocol": protocol}, "hosts": [host],
            });
            let spec = json!({"selector": {"app": app}, "servers": [server]});
            let group = "networking.istio.io/v1";
            let mut found = object(group, "Gateway", namespace, "g", &spec);
            found["metadata"]["creationTimestamp"] = json!(age);
            found
        })
}

fn pod() -> impl Strategy<Value = Value> {
    let ready = select(vec!["True", "False"]);
    (namespace(), 0..4_u8, labels(), 1..6_u8, ready).prop_map(
        |(namespace, name, labels, address, ready)| {
            let ports = json!([{"name": "web", "containerPort": 3000}]);
            let spec = json!({"containers": [{"ports": ports}]});
            let mut pod = object("v1", "Pod", namespace, &format!("p{name}"), &spec);
            pod["metadata"]["labels"] = labels;
            pod["status"] = json!({
                "podIPs": [{"ip": format!("10.10.0.{address}")}],
                "conditions": [{"type": "Ready", "status": ready}],
            });
            pod
        },
    )
}

fn slice() -> impl Strategy<Value = Value> {
    let endpoint = (1..6_u8, any::<bool>(), 0..4_u8).prop_map(|(address, ready, pod)| {
        json!({
            "addresses": [format!("10.10.0.{address}")],
            "conditions": {"ready": ready, "serving": true, "terminating": !ready},
            "targetRef": {"kind": "Pod", "name": format!("p{pod}")},
        })
    });
    let endpoints = prop::collection::vec(endpoint, 0..3);
    (namespace(), app(), endpoints).prop_map(|(namespace, service, endpoints)| {
        let mut slice = object(
            "discovery.k8s.io/v1",
            "EndpointSlice",
            namespace,
            service,
            &json!(null),
        );
        slice["metadata"]["labels"] = json!({"kubernetes.io/service-name": service});
        slice["addressType"] = json!("IPv4");
        slice["ports"] = json!([{"name": "http", "port": 3000}]);
        slice["endpoints"] = json!(endpoints);
        slice
    })
}

fn destination() -> impl Strategy<Value = Value> {
    let subset = select(vec![None, Some("s1"), Some("s2"), Some("s9")]);
    let port = select(vec![None, Some(80), Some(81)]);
    (host(), subset, port, 0..4_u8).prop_map(|(host, subset, port, weight)| {
        let mut destination = json!({"host": host});
        if let Some(subset) = subset {
            destination["subset"] = json!(subset);
        }
        if let Some(port) = port {
            destination["port"] = json!({"number": port});
        }
        json!({"destination": destination, "weight": weight})
    })
}

fn conditions() -> impl Strategy<Value = Value> {
    select(vec![
        json!({"uri": {"prefix": "/"}}),
        json!({"headers": {"x": {"exact": "y"}}}),
        json!({"port": 80}),
        json!({"sourceLabels": {"app": "x"}}),
        json!({"sourceNamespace": "b"}),
        json!({"sourceNamespace": "a", "sourceLabels": {"version": "v1"}}),
        json!({"gateways": ["mesh"]}),
        json!({"gateways": ["g"]}),
    ])
}

fn http_rule() -> impl Strategy<Value = Value> {
    let route = prop::collection::vec(destination(), 1..3);
    let matches = prop::collection::vec(conditions(), 0..3);
    let delegate = select(vec![None, None, Some("d1"), Some("d2")]);
    (matches, route, delegate).prop_map(|(matches, route, delegate)| match delegate {
        Some(name) => json!({"match": matches, "delegate": {"name": name, "namespace": "a"}}),
        None => json!({"match": matches, "route": route}),
    })
}

fn tcp_rule() -> impl Strategy<Value = Value> {
    let matches = select(vec![
        json!([]),
        json!([{"port": 81}]),
        json!([{"sourceLabels": {"app": "y"}}]),
        json!([{"destinationSubnets": ["10.200.0.0/31"]}]),
    ]);
    (matches, destination()).prop_map(|(matches, to)| json!({"match": matches, "route": [to]}))
}

fn virtual_service() -> impl Strategy<Value = Value> {
    let names = select(vec!["v1", "v2", "v3", "d1", "d2"]);
    let gateways = select(vec![
        json!([]),
        json!([]),
        json!(["mesh", "g"]),
        json!(["g"]),
    ]);
    (
        namespace(),
        names,
        prop::collection::btree_set(pattern(), 1..3),
        gateways,
        prop::collection::vec(http_rule(), 0..3),
        prop::collection::vec(tcp_rule(), 0..2),
        export_to(),
        age(),
    )
        .prop_map(
            |(namespace, name, hosts, gateways, http, tcp, export_to, age)| {
                let mut spec = json!({"http": http, "exportTo": export_to});
                if !name.starts_with('d') {
                    spec["hosts"] = json!(hosts);
                    spec["gateways"] = gateways;
                    spec["tcp"] = json!(tcp);
                }
                let group = "networking.istio.io/v1";
                let mut found = object(group, "VirtualService", namespace, name, &spec);
                found["metadata"]["creationTimestamp"] = json!(age);
                found
            },
        )
}

fn destination_rule() -> impl Strategy<Value = Value> {
    let names = select(vec!["r1", "r2", "r3"]);
    let subset = (select(vec!["s1", "s2"]), selector());
    let subsets = prop::collection::btree_map(select(vec!["s1", "s2"]), subset, 0..3);
    let workload = select(vec![None, None, Some(json!({"matchLabels": {"app": "x"}}))]);
    (
        namespace(),
        names,
        pattern(),
        subsets,
        export_to(),
        workload,
        age(),
    )
        .prop_map(
            |(namespace, name, host, subsets, export_to, workload, age)| {
                let subsets = subsets
                    .into_iter()
                    .map(|(name, (_, labels))| json!({"name": name, "labels": labels}));
                let mut spec = json!({
                    "host": host, "subsets": subsets.collect::<Vec<_>>(), "exportTo": export_to,
                });
                if let Some(workload) = workload {
                    spec["workloadSelector"] = workload;
                }
                let group = "networking.istio.io/v1";
                let mut found = object(group, "DestinationRule", namespace, name, &spec);
                found["metadata"]["creationTimestamp"] = json!(age);
                found
            },
        )
}
