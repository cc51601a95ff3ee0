//! Arbitrary configurations of a small world: lowering them step by step comes to what lowering
//! the last one alone does, and a class is right about each of its pods.

use std::{collections::BTreeMap, sync::Arc};

use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Value, json};

use super::*;
use crate::{
    desired::{client::Labels, fixture::pods},
    source::{Meta, Object, Place, core, istio},
};

const NAMESPACES: [&str; 3] = ["a", "b", "istio-system"];
const NAMES: [&str; 3] = ["x", "y", "z"];
const HOSTS: [&str; 7] = [
    "x",
    "y",
    "x.a.svc.cluster.local",
    "y.b.svc.cluster.local",
    "*.a.svc.cluster.local",
    "*.cluster.local",
    "nowhere.example.com",
];

/// Objects as their kinds write them.
#[derive(Clone, Debug, Default)]
struct World {
    services: BTreeMap<(usize, usize), Value>,
    slices: BTreeMap<(usize, usize), Value>,
    pods: BTreeMap<(usize, usize), Labels>,
    virtual_services: BTreeMap<(usize, usize), (u8, Value)>,
    destination_rules: BTreeMap<(usize, usize), (u8, Value)>,
}

fn name() -> impl Strategy<Value = (usize, usize)> {
    (0..NAMESPACES.len(), 0..NAMES.len())
}

fn labels() -> impl Strategy<Value = Labels> {
    let app = select(&["web", "api"][..]);
    let version = select(&["v1", "v2"][..]);
    (proptest::option::of(app), proptest::option::of(version)).prop_map(|(app, version)| {
        let pairs = [("app", app), ("version", version)];
        let given = pairs
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?)));
        given
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    })
}

fn export_to() -> impl Strategy<Value = Vec<&'static str>> {
    select(vec![
        vec![],
        vec!["*"],
        vec!["."],
        vec!["a"],
        vec!["b", "."],
        vec!["istio-system"],
    ])
}

fn service() -> impl Strategy<Value = Value> {
    let ports = select(vec![
        json!([{"name": "http", "port": 80}]),
        json!([{"name": "tcp", "port": 80}]),
        json!([{"name": "tls", "port": 443}]),
        json!([{"name": "what", "port": 80}, {"name": "http-b", "port": 81}, {"name": "dns", "port": 53, "protocol": "UDP"}]),
    ]);
    let scopes = select(&["", ".", "b", "~"][..]);
    let address = select(&["10.0.0.1", "10.0.0.2", "10.0.0.3", "None", ""][..]);
    (ports, scopes, address, labels()).prop_map(|(ports, scopes, address, selector)| {
        json!({"exportTo": scopes, "spec": {"clusterIP": address, "ports": ports, "selector": selector}})
    })
}

fn slice() -> impl Strategy<Value = Value> {
    let endpoint = (1..6_u8, any::<Option<bool>>(), name()).prop_map(|(host, ready, (namespace, name))| {
        json!({"addresses": [format!("10.1.0.{host}")], "conditions": {"ready": ready, "serving": true, "terminating": ready == Some(false)},
            "targetRef": {"kind": "Pod", "namespace": NAMESPACES[namespace], "name": NAMES[name]}})
    });
    vec(endpoint, 0..4).prop_map(|endpoints| {
        json!({"addressType": "IPv4", "endpoints": endpoints,
            "ports": [{"name": "http", "port": 8080}, {"name": "tcp", "port": 8081}, {"name": "what", "port": 8082}]})
    })
}

fn source() -> impl Strategy<Value = Value> {
    (labels(), select(&["", "a", "b"][..]), select(&[None, Some(80), Some(81)][..]), select(vec![vec![], vec!["mesh"], vec!["g"]]))
        .prop_map(|(labels, namespace, port, gateways)| {
            json!({"sourceLabels": labels, "sourceNamespace": namespace, "port": port, "gateways": gateways})
        })
}

fn with(mut one: Value, other: &Value) -> Value {
    for (key, value) in other.as_object().unwrap() {
        one[key] = value.clone();
    }
    one
}

fn route() -> impl Strategy<Value = Vec<Value>> {
    let to = (
        select(&HOSTS[..]),
        select(&[None, Some("s"), Some("t")][..]),
        select(&[None, Some(80), Some(443)][..]),
        0..3_i64,
    );
    vec(to, 1..3).prop_map(|all| {
        let one = |(host, subset, port, weight): (&str, Option<&str>, Option<u32>, i64)| {
            json!({"destination": {"host": host.replace('*', "w"), "subset": subset, "port": port.map(|number| json!({"number": number}))}, "weight": weight + 1})
        };
        all.into_iter().map(one).collect()
    })
}

fn http() -> impl Strategy<Value = Value> {
    let request = select(vec![
        json!({}),
        json!({}),
        json!({"uri": {"prefix": "/a"}}),
        json!({"headers": {"h": {"exact": "1"}}}),
    ]);
    let matches = vec(
        (source(), request).prop_map(|(source, request)| with(source, &request)),
        0..3,
    );
    let target = prop_oneof![
        4 => route().prop_map(|route| json!({"route": route})),
        1 => name().prop_map(|(namespace, name)| json!({"delegate": {"namespace": NAMESPACES[namespace], "name": NAMES[name]}})),
        1 => Just(json!({"redirect": {"uri": "/b"}})),
    ];
    (matches, target).prop_map(|(matches, target)| with(json!({"match": matches}), &target))
}

fn virtual_service() -> impl Strategy<Value = (u8, Value)> {
    let l4 = (vec(source(), 0..2), route())
        .prop_map(|(matches, route)| json!({"match": matches, "route": route}));
    let tls =
        (vec(source(), 1..2), route(), select(&HOSTS[2..])).prop_map(|(matches, route, sni)| {
            let matches: Vec<Value> = matches
                .into_iter()
                .map(|one| with(one, &json!({"sniHosts": [sni]})))
                .collect();
            json!({"match": matches, "route": route})
        });
    let hosts = vec(select(&HOSTS[..]), 0..3);
    let gateways = select(vec![vec![], vec![], vec!["mesh", "g"], vec!["g"]]);
    (0..3_u8, hosts, gateways, export_to(), vec(http(), 0..3), vec(l4, 0..2), vec(tls, 0..2)).prop_map(
        |(age, hosts, gateways, export_to, http, tcp, tls)| {
            (age, json!({"hosts": hosts, "gateways": gateways, "exportTo": export_to, "http": http, "tcp": tcp, "tls": tls}))
        },
    )
}

fn destination_rule() -> impl Strategy<Value = (u8, Value)> {
    let subsets = vec((select(&["s", "t"][..]), labels()), 0..3);
    let selector = proptest::option::weighted(0.3, labels());
    (0..3_u8, select(&HOSTS[..]), export_to(), selector, subsets).prop_map(|(age, host, export_to, selector, subsets)| {
        let subsets: Vec<Value> = subsets.into_iter().map(|(name, labels)| json!({"name": name, "labels": labels})).collect();
        let selector = selector.map(|labels| json!({"matchLabels": labels}));
        (age, json!({"host": host, "exportTo": export_to, "workloadSelector": selector, "subsets": subsets}))
    })
}

/// One object put, or one taken away.
#[derive(Clone, Debug)]
enum Edit {
    Service((usize, usize), Option<Value>),
    Slice((usize, usize), Option<Value>),
    Pod((usize, usize), Option<Labels>),
    VirtualService((usize, usize), Option<(u8, Value)>),
    DestinationRule((usize, usize), Option<(u8, Value)>),
}

fn edit() -> impl Strategy<Value = Edit> {
    let maybe = 0.85;
    prop_oneof![
        2 => (name(), proptest::option::weighted(maybe, service())).prop_map(|(name, to)| Edit::Service(name, to)),
        2 => (name(), proptest::option::weighted(maybe, slice())).prop_map(|(name, to)| Edit::Slice(name, to)),
        2 => (name(), proptest::option::weighted(maybe, labels())).prop_map(|(name, to)| Edit::Pod(name, to)),
        4 => (name(), proptest::option::weighted(maybe, virtual_service())).prop_map(|(name, to)| Edit::VirtualService(name, to)),
        3 => (name(), proptest::option::weighted(maybe, destination_rule())).prop_map(|(name, to)| Edit::DestinationRule(name, to)),
    ]
}

fn put<T>(all: &mut BTreeMap<(usize, usize), T>, name: (usize, usize), to: Option<T>) {
    match to {
        Some(to) => drop(all.insert(name, to)),
        None => drop(all.remove(&name)),
    }
}

impl World {
    fn apply(&mut self, edit: Edit) {
        match edit {
            Edit::Service(name, to) => put(&mut self.services, name, to),
            Edit::Slice(name, to) => put(&mut self.slices, name, to),
            Edit::Pod(name, to) => put(&mut self.pods, name, to),
            Edit::VirtualService(name, to) => put(&mut self.virtual_services, name, to),
            Edit::DestinationRule(name, to) => put(&mut self.destination_rules, name, to),
        }
    }

    /// As a snapshot; what `before` has too is shared with it.
    fn snapshot(&self, before: &Snapshot) -> Snapshot {
        let mut snapshot = Snapshot {
            services: objects(&self.services, &before.services, |value| {
                let scopes = value["exportTo"].as_str().unwrap().to_owned();
                let annotations = [("networking.istio.io/exportTo".to_owned(), scopes)];
                let meta = Meta {
                    annotations: annotations.into(),
                    ..Meta::default()
                };
                (meta, parsed::<core::Service>(&value["spec"]))
            }),
            endpoint_slices: objects(&self.slices, &before.endpoint_slices, |value| {
                (Meta::default(), parsed(value))
            }),
            pods: objects(&self.pods, &before.pods, |labels| {
                (
                    Meta {
                        labels: labels.clone(),
                        ..Meta::default()
                    },
                    core::Pod::default(),
                )
            }),
            virtual_services: objects(
                &self.virtual_services,
                &before.virtual_services,
                |(age, value)| (aged(*age), parsed::<istio::VirtualService>(value)),
            ),
            destination_rules: objects(
                &self.destination_rules,
                &before.destination_rules,
                |(age, value)| (aged(*age), parsed::<istio::DestinationRule>(value)),
            ),
            ..Snapshot::default()
        };
        snapshot
            .virtual_services
            .sort_by(|a, b| a.age_key().cmp(&b.age_key()));
        snapshot
            .destination_rules
            .sort_by(|a, b| a.age_key().cmp(&b.age_key()));
        snapshot
    }
}

fn aged(age: u8) -> Meta {
    Meta {
        created: jiff::Timestamp::from_second(i64::from(age)).unwrap(),
        ..Meta::default()
    }
}

fn parsed<T: serde::de::DeserializeOwned>(value: &Value) -> T {
    // Absent, not null: as the reader leaves it.
    fn strip(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.retain(|_, value| !value.is_null());
                fields.values_mut().for_each(strip);
            }
            Value::Array(values) => values.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let mut value = value.clone();
    strip(&mut value);
    serde_json::from_value(value).unwrap()
}

fn objects<W, T: PartialEq>(
    written: &BTreeMap<(usize, usize), W>,
    before: &[Arc<Object<T>>],
    parse: impl Fn(&W) -> (Meta, T),
) -> Vec<Arc<Object<T>>> {
    let object = |(&(namespace, name), written): (&(usize, usize), &W)| {
        let (mut meta, spec) = parse(written);
        meta.namespace = NAMESPACES[namespace].to_owned();
        meta.name = NAMES[name].to_owned();
        // Slices are named as their services.
        if meta.labels.is_empty() && std::any::type_name::<T>().ends_with("EndpointSlice") {
            meta.labels
                .insert(core::SERVICE_NAME_LABEL.to_owned(), meta.name.clone());
        }
        let place = Place {
            file: "input.yaml".into(),
            fields: Arc::default(),
        };
        let object = Object { meta, spec, place };
        let kept = before
            .iter()
            .find(|kept| kept.meta == object.meta && kept.spec == object.spec);
        kept.map_or_else(|| Arc::new(object), Arc::clone)
    };
    written.iter().map(object).collect()
}

fn local() -> BTreeSet<PodRef> {
    let all = NAMESPACES
        .iter()
        .flat_map(|namespace| NAMES.map(|name| format!("{namespace}/{name}")));
    let all: Vec<String> = all.collect();
    pods(&all.iter().map(String::as_str).collect::<Vec<_>>())
}

/// What is seen by a client whose every trait is known, without classes.
fn seen(lowering: &Lowering, service: &Service, index: usize, client: &Client<'_>) -> View {
    let host = &lowering.registry.hosts[&service.host];
    route::make(lowering.world(), host, &host.ports[index], client).view
}

fn check_classes(lowering: &Lowering, snapshot: &Snapshot, desired: &Desired) {
    for pod in &snapshot.pods {
        let name = PodRef {
            namespace: pod.meta.namespace.clone(),
            name: pod.meta.name.clone(),
        };
        let class = desired.classes.get(&name).copied().unwrap_or(CLASS_ANYONE);
        let client = Client::new(Some(&name.namespace), &pod.meta.labels);
        for service in &desired.services {
            for (index, port) in service.ports.iter().enumerate() {
                let view = port.views.get(&class).unwrap_or(&port.views[&CLASS_ANYONE]);
                let own = seen(lowering, service, index, &client);
                assert!(
                    class::same_effect(view, &own),
                    "{name} {} {}: {view:?} {own:?}",
                    service.host,
                    port.number
                );
            }
        }
    }
    let used: BTreeSet<ClassId> = desired.classes.values().copied().collect();
    assert_eq!(used, desired.class_names.keys().copied().collect());
    assert!(!used.contains(&CLASS_ANYONE));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn step_by_step_comes_to_the_same(edits in vec(vec(edit(), 1..8), 1..5)) {
        let (mut world, mut snapshot) = (World::default(), Snapshot::default());
        let mut lowering = Lowering::new(Settings::default());
        for step in edits {
            for edit in step {
                world.apply(edit);
            }
            snapshot = world.snapshot(&snapshot);
            let stepped = lowering.lower(&snapshot, &local());
            let alone = lower(&snapshot, &Settings::default(), &local());
            prop_assert_eq!(&stepped.services, &alone.services);
            prop_assert_eq!(&stepped.classes, &alone.classes);
            prop_assert_eq!(&stepped.class_names, &alone.class_names);
            prop_assert_eq!(&stepped.findings, &alone.findings);
            prop_assert!(stepped.findings.is_sorted());
            check_classes(&lowering, &snapshot, &stepped);
        }
    }
}
