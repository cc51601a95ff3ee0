//! What the commands print of `golden/shop.yaml`, after some connections.

use std::{collections::BTreeMap, fs, path::Path};

use clap::Parser as _;
use steer_common::{
    addr::{Addr, Port, Proto},
    flow::Affinity,
    index::{Bucket, PROBES_MAX, Place, buckets},
    logic::{Decision, Dialled, decide},
    service::{ClassId, RowId, ServiceKey, SplitId},
};

use super::{Args, Command, explain, get, golden, instance::Seen, plan};
use crate::{
    control::shown,
    desired::{Settings, lower, model::PodRef},
    image,
    live::{Asked, Live},
    plan::{Capacity, Layout, Plan, Step},
    requests::listed,
    source::{Snapshot, files::parse_text},
};

mod egress;
mod learn;

/// The pods of the node, by the cookies of their namespaces.
const PODS: [(u64, &str, &str); 2] = [(11, "shop", "webapp"), (12, "kube-system", "client")];
/// A moment.
const NOW_NS: u64 = 1_000_000_000_000;

fn snapshot(change: impl Fn(String) -> String) -> Snapshot {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/golden/shop.yaml");
    let text = change(fs::read_to_string(path).unwrap());
    let (objects, findings) = parse_text("shop.yaml", &text).unwrap();
    assert_eq!(findings, [], "the input is sound");
    Snapshot::from_objects(objects, findings)
}

fn pods() -> BTreeMap<u64, PodRef> {
    let pod = |namespace: &str, name: &str| PodRef {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    };
    PODS.map(|(cookie, namespace, name)| (cookie, pod(namespace, name)))
        .into()
}

/// The maps, after a plan was applied to empty ones.
fn applied(plan: &Plan) -> Live {
    let mut live = Live {
        buckets: vec![Bucket::default(); buckets(100) as usize],
        ..Live::default()
    };
    for step in &plan.steps {
        match step {
            Step::Begin { .. } => {}
            Step::Finish { generation } => live.generation = *generation,
            Step::Endpoints { first, rows } => {
                live.endpoints.extend((*first..).zip(rows.iter().copied()));
            }
            Step::StartTickets { split } => drop(live.tickets.insert(*split, 0)),
            Step::StartCounters { first, count } => {
                live.counters
                    .extend((*first..*first + *count).map(|row| (row, 0)));
            }
            Step::Route { row, route } => drop(live.routes.insert(*row, **route)),
            Step::AddMember { key, member } => drop(live.members.insert(*key, *member)),
            Step::Publish { key, row, .. } => publish(&mut live, key, *row),
            Step::SetSource { cookie, source } => drop(live.sources.insert(*cookie, *source)),
            other => panic!("{other:?} on empty maps"),
        }
    }
    live
}

fn publish(live: &mut Live, key: &ServiceKey, row: RowId) {
    let place = Place::of(key);
    let mask = u32::try_from(live.buckets.len()).unwrap() - 1;
    live.services.insert(*key, row);
    for probe in 0..PROBES_MAX {
        let bucket = &mut live.buckets[place.bucket(probe, mask) as usize];
        if let Some(slot) = bucket.slots.iter_mut().find(|slot| **slot == 0) {
            *slot = place.slot(row);
            return;
        }
        bucket.overflow = 1;
    }
    panic!("no slot");
}

/// Everything there is to be seen.
fn seen() -> Seen {
    seen_of(|text| text)
}

fn seen_of(change: impl Fn(String) -> String) -> Seen {
    let desired = lower(
        &snapshot(change),
        &Settings::default(),
        &pods().into_values().collect(),
    );
    let image = image::compile(&desired, &pods());
    let mut layout = Layout::new(Capacity::for_services(100));
    let plan = layout.plan(&image).unwrap();
    let clusters = desired.services.iter();
    let requests = shown(&desired, &layout);
    let counts = |rules: &Vec<_>| (1..).take(rules.len()).collect();
    let mut seen = Seen {
        live: applied(&plan),
        names: layout.names(),
        clusters: clusters
            .flat_map(|service| service.clusters.clone())
            .collect(),
        kept: BTreeMap::new(),
        taken: requests
            .iter()
            .map(|(&split, rules)| (split, counts(rules)))
            .collect(),
        requests,
        edge: listed(&desired.listeners),
        status: serde_json::json!({
            "classes": desired.class_names,
            "findings": desired.findings,
        }),
        now_secs: 0,
        connections: Vec::new(),
    };
    let addr = |text: &str| text.parse::<std::net::IpAddr>().unwrap().into();
    let webapp = seen.live.sources[&11].class.number();
    connect(&mut seen.live, addr("10.200.1.92"), 80, None, 25);
    connect(&mut seen.live, addr("10.200.1.92"), 80, Some(webapp), 3);
    connect(&mut seen.live, addr("10.200.1.93"), 81, None, 2);
    seen
}

/// Connections over TCP, as the kernel counts them.
fn connect(live: &mut Live, addr: Addr, port: u16, class: Option<ClassId>, count: usize) {
    let dialled = Dialled {
        addr,
        port: Port::new(port),
        proto: Proto::Tcp,
    };
    for _ in 0..count {
        let asked = Asked {
            attended: false,
            live,
            class,
            memories: &BTreeMap::new(),
            now_ns: NOW_NS,
        };
        let Decision::Steer(steer) = decide(&asked, &dialled) else {
            panic!("{addr} is not steered");
        };
        let (split, counter) = (steer.route.split, steer.route.counters + steer.destination);
        *live.tickets.get_mut(&split).unwrap() += 1;
        *live.counters.get_mut(&counter).unwrap() += 1;
    }
}

/// What `steer get WORDS` prints.
fn got(seen: &Seen, words: &str) -> String {
    let args = Args::try_parse_from(format!("steer get {words}").split(' ')).unwrap();
    let Command::Get(what) = args.command else {
        panic!("{words}");
    };
    get::text(&what, seen).unwrap()
}

#[test]
fn listings() {
    let seen = seen();
    for what in ["services", "clusters", "endpoints", "routes", "workloads"] {
        golden::assert(&format!("get-{what}"), &got(&seen, what));
        golden::assert(
            &format!("get-{what}-wide"),
            &got(&seen, &format!("{what} -o wide")),
        );
    }
    golden::assert("get-routes-json", &got(&seen, "routes catalog -o json"));
    golden::assert("get-services-yaml", &got(&seen, "services basket -o yaml"));
}

/// A gateway of two hosts, and a VirtualService that is bound to nothing else.
const GATEWAY: &str = "
---
apiVersion: v1
kind: Service
metadata: {name: ingress, namespace: shop, annotations: {steer.dev/node-ports: \"80=30000\"}}
spec:
  clusterIP: 10.200.1.97
  ports: [{name: http, port: 80, targetPort: 8080}]
  selector: {istio: ingressgateway}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [\"*.example\"]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: outside, namespace: shop}
spec:
  hosts: [shop.example, empty]
  gateways: [edge]
  http:
    - match: [{uri: {prefix: /v2}, headers: {x-istio-cohort: {exact: internal}}}]
      retries: {attempts: 5}
      route: [{destination: {host: catalog, subset: version-v2}}]
    - route: [{destination: {host: catalog, subset: version-v1}}]
";

/// The acceptance step S6 among them: a service whose only VirtualService is bound to a gateway has the
/// default routing for pods.
#[test]
fn route_tables() {
    let seen = seen_of(|text| text + GATEWAY);
    for (name, words) in [
        ("pod", "routes --pod webapp"),
        ("pod-wide", "routes --pod shop/webapp -o wide"),
        ("nobody", "routes --pod - catalog"),
        ("gateway", "routes --gateway"),
        ("gateway-wide", "routes --gateway -o wide"),
        ("pod-json", "routes --pod webapp empty -o json"),
    ] {
        golden::assert(&format!("tables-{name}"), &got(&seen, words));
    }
    let args = Args::try_parse_from(["steer", "get", "routes", "--pod", "nobody"]).unwrap();
    let Command::Get(what) = args.command else {
        panic!("get");
    };
    let error = get::text(&what, &seen).unwrap_err().to_string();
    assert!(error.contains("knows no pod nobody"), "{error}");
}

/// The acceptance step S3 of a DestinationRule with two subsets, of which one family is looked at.
#[test]
fn clusters_and_endpoints_of_two_subsets() {
    let seen = seen();
    let clusters = got(&seen, "clusters catalog --no-headers");
    let subsets: Vec<&str> = clusters
        .lines()
        .map(|line| line.split_whitespace().nth(2).unwrap())
        .collect();
    assert_eq!(subsets, ["-", "version-v1", "version-v2"]);
    let endpoints = got(&seen, "endpoints catalog --no-headers");
    let v4: Vec<&str> = endpoints
        .lines()
        .filter(|line| line.starts_with("10."))
        .collect();
    assert_eq!(v4.len(), 4, "{endpoints}");
}

#[test]
fn filters() {
    let seen = seen();
    let count = |words: &str| got(&seen, &format!("{words} --no-headers")).lines().count();
    assert_eq!(count("services"), 8);
    assert_eq!(count("services -n kube-system"), 2);
    assert_eq!(count("services catalog"), 2);
    assert_eq!(count("services catalog -n kube-system"), 0);
    assert_eq!(count("workloads -n shop"), 1);
    assert_eq!(count("workloads cli"), 1);
    assert_eq!(count("endpoints -n kube-system"), 1);
}

/// What `steer explain WORDS` prints.
fn explained(words: &str, memories: &BTreeMap<SplitId, Affinity>) -> anyhow::Result<String> {
    let seen = seen();
    let args = Args::try_parse_from(format!("steer explain {words}").split(' '))?;
    let Command::Explain(args) = args.command else {
        panic!("{words}");
    };
    let question = explain::question(&seen, &args)?;
    let explained = explain::explain(&seen, &question, memories, NOW_NS);
    Ok(explain::text(&explained))
}

#[test]
fn explanations() {
    for (name, words) in [
        ("anyone", "- catalog.shop:80"),
        ("own-class", "webapp catalog:80"),
        ("v6", "kube-system/client [fd00:200:1::92]:80"),
        ("empty", "- empty:80"),
        ("not-visible", "client private.shop:80"),
        ("visible", "webapp private:80"),
        ("no-service", "- 192.0.2.1:443"),
        ("udp", "- kube-dns:53 --udp"),
    ] {
        let text = explained(words, &BTreeMap::new()).unwrap();
        golden::assert(&format!("explain-{name}"), &text);
    }
}

/// Who is remembered gets no ticket, until its memory ends.
#[test]
fn an_explanation_knows_whom_affinity_remembers() {
    let seen = seen();
    let (member, _) = seen.live.members.last_key_value().unwrap();
    let memories = |seen_ns| {
        let endpoint = member.endpoint;
        let memory = Affinity {
            seen_ns,
            endpoint,
            pad: 0,
        };
        BTreeMap::from([(member.split, memory)])
    };
    let asked = |seen_ns| explained("webapp basket:81", &memories(seen_ns)).unwrap();
    golden::assert("explain-remembered", &asked(NOW_NS - 1));
    let hold_ns = 10_800 * 1_000_000_000;
    assert!(NOW_NS < hold_ns, "it cannot be over yet");
    let later = explain_later(&memories(1), 2 + hold_ns);
    assert!(later.contains("the next ticket is 2"), "{later}");
}

fn explain_later(memories: &BTreeMap<SplitId, Affinity>, now_ns: u64) -> String {
    let seen = seen();
    let args = Args::try_parse_from(["steer", "explain", "webapp", "basket:81"]).unwrap();
    let Command::Explain(args) = args.command else {
        panic!("explain");
    };
    let question = explain::question(&seen, &args).unwrap();
    explain::text(&explain::explain(&seen, &question, memories, now_ns))
}

#[test]
fn what_cannot_be_explained_says_what_to_type() {
    for (words, wanted) in [
        (
            "nobody catalog:80",
            "the kernel knows no pod nobody as a client",
        ),
        ("- nothing:80", "the kernel holds no service nothing"),
        (
            "- catalog:81",
            "catalog.shop.svc.cluster.local has no port 81/TCP, but 80/TCP",
        ),
        ("- catalog", "\"catalog\" is not HOST:PORT"),
        ("- catalog:http", "\"http\" is not a port"),
        ("- :80", "\":80\" is not HOST:PORT"),
    ] {
        let error = explained(words, &BTreeMap::new()).unwrap_err().to_string();
        assert!(error.starts_with(wanted), "{error}");
    }
}

/// What `steer plan` prints of a change, against nothing and against the live node.
#[test]
fn plans() {
    let seen = seen();
    let change = |text: String| {
        let text = text.replace("weight: 90", "weight: 50");
        let text = text.replace("weight: 10\n", "weight: 50\n");
        text.replace("name: empty,", "name: fresh,")
            .replace("10.200.1.94", "10.200.1.99")
    };
    let planned = |words: &str, change: &dyn Fn(String) -> String, node: Option<&plan::Node>| {
        let args = Args::try_parse_from(format!("steer plan -f . {words}").split(' ')).unwrap();
        let Command::Plan(args) = args.command else {
            panic!("plan");
        };
        plan::text(&plan::plan(&args, &snapshot(change), node).unwrap())
    };
    let empty = planned("--client shop/webapp", &|text| text, None);
    golden::assert("plan", &empty);
    let gateway = planned("--client shop/webapp", &|text| text + GATEWAY, None);
    let from = gateway.find("GATEWAYS").unwrap();
    let to = gateway.find("WRITES").unwrap();
    golden::assert("plan-gateways", &gateway[from..to]);
    let node = plan::Node {
        capacity: Capacity::for_services(100),
        live: seen.live,
        names: seen.names,
        classes: serde_json::from_value(seen.status["classes"].clone()).unwrap(),
    };
    golden::assert("plan-live", &planned("--live", &change, Some(&node)));
    let same = planned("--live", &|text| text, Some(&node));
    golden::assert("plan-live-same", &same);
}
