use std::collections::BTreeMap;

use steer_common::Proto;

use super::*;
use crate::{
    desired::{
        egress::model::{Net, PortRule},
        model::PodRef,
    },
    image::{Source, egress::Port},
    plan::{Capacity, Plan, egress::Change},
};

fn group(host: &str, port: u16) -> Arc<Group> {
    let rule = Arc::new(Rule::Setting {
        name: host.to_owned(),
    });
    let key = PortKey {
        proto: Proto::Tcp,
        port,
    };
    let check = Check::Address;
    let ports = BTreeMap::from([(key, PortRule { check, rule })]);
    Arc::new(Group::of_addresses([host.to_owned()].into(), ports))
}

/// An image in which the policy of everyone reaches these networks, and `web` has its own.
fn image(nets: &[(&str, u16)], mode: Mode) -> Image {
    let net = |(text, port): &(&str, u16)| {
        let net = Net {
            group: Some(group(text, *port)),
            never_learned: false,
        };
        (Subnet::parse(text).unwrap(), net)
    };
    let policy = |name: &str| {
        let policy = Policy {
            name: name.to_owned(),
            mode,
            rule: Rule::Service,
            nets: nets.iter().map(net).collect(),
            names: BTreeMap::new(),
        };
        (name.to_owned(), Arc::new(policy))
    };
    let pod = PodRef {
        namespace: "shop".to_owned(),
        name: "web".to_owned(),
    };
    let source = Source {
        policy: "web".to_owned(),
        ..Source::new(0, pod.clone())
    };
    let port = Port {
        cookie: 7,
        pod,
        policy: "web".to_owned(),
        addresses: vec!["10.0.0.1".parse().unwrap()],
        bridge: 0,
    };
    Image {
        sources: BTreeMap::from([(7, source)]),
        egress: Egress {
            policies: [policy(ANYONE), policy("web")].into(),
            ports: BTreeMap::from([(3, port)]),
            ..Egress::default()
        },
        ..Image::default()
    }
}

fn write<K: Ord, V>(rows: &mut BTreeMap<K, V>, change: Change<K, V>) {
    match change {
        Change::Set(key, value) => drop(rows.insert(key, value)),
        Change::Remove(key) => drop(rows.remove(&key)),
    }
}

/// What the maps hold after the steps, and what SOURCES says of the pod meanwhile.
fn apply(rows: &mut EgressRows, steps: &[Step], check: impl Fn(&EgressRows, &Step)) {
    for step in steps {
        if let Step::Egress(step) = step {
            match step.clone() {
                EgressStep::Settings(settings) => rows.settings = settings,
                EgressStep::Policy(id, policy) => drop(rows.policies.insert(id, policy)),
                EgressStep::Net(change) => write(&mut rows.nets, change),
                EgressStep::Host(change) => write(&mut rows.hosts, change),
                EgressStep::Port(Change::Set(index, row)) => drop(rows.ports.insert(index, *row)),
                EgressStep::Port(Change::Remove(index)) => drop(rows.ports.remove(&index)),
                _ => {}
            }
        }
        check(rows, step);
    }
}

fn layout() -> Layout {
    Layout::new(Capacity::for_services(100))
}

#[test]
fn the_maps_become_what_is_wanted_and_only_then_the_guard_is_on() {
    let (mut layout, mut rows) = (layout(), EgressRows::default());
    let first = image(&[("192.0.2.0/24", 80)], Mode::Enforce);
    let plan = layout.plan(&first).unwrap();
    let [.., last, Step::Finish { generation: 1 }] = &plan.steps[..] else {
        panic!("{:?}", plan.steps.last());
    };
    assert!(matches!(last, Step::Egress(EgressStep::Settings(settings)) if settings.on));
    apply(&mut rows, &plan.steps, |rows, step| {
        if let Step::SetSource { source, .. } = step {
            assert!(rows.policies.contains_key(&source.policy.number()));
        }
    });
    assert_eq!(rows, layout.egress.rows);
    assert_eq!(layout.plan(&first).unwrap().steps, []);
    // What both let be reached is reached on the way.
    let second = image(&[("192.0.2.0/24", 80), ("192.0.2.7", 443)], Mode::Enforce);
    let plan = layout.plan(&second).unwrap();
    let policy = layout.egress.policy("web");
    let wide = net_key(policy, Subnet::parse("192.0.2.0/24").unwrap());
    apply(&mut rows, &plan.steps, |rows, _| {
        let host = rows.nets[&wide].host;
        assert!(
            rows.hosts
                .keys()
                .any(|key| key.host == host && key.policy == policy)
        );
    });
    assert_eq!(rows, layout.egress.rows);
}

#[test]
fn the_guard_is_off_before_its_rows_go() {
    let (mut layout, mut rows) = (layout(), EgressRows::default());
    let plan = layout
        .plan(&image(&[("192.0.2.1", 80)], Mode::Audit))
        .unwrap();
    apply(&mut rows, &plan.steps, |_, _| {});
    let plan = layout.plan(&Image::default()).unwrap();
    apply(&mut rows, &plan.steps[1..], |rows, _| {
        assert!(!rows.settings.on);
    });
    // Numbers that were given stay, so that what was let through is judged again one day.
    let gone = std::mem::take(&mut rows.policies);
    assert!(gone.values().all(|row| row.standing == POLICY_GONE));
    assert_eq!(rows, EgressRows::default());
}

#[test]
fn numbers_outlive_the_agent() {
    let first = image(&[("192.0.2.1", 80)], Mode::Enforce);
    let mut before = layout();
    before.plan(&first).unwrap();
    let live = crate::live::Live {
        egress: before.egress.rows.clone(),
        sources: before
            .sources
            .iter()
            .map(|(&key, (_, row))| (key, *row))
            .collect(),
        ..crate::live::Live::default()
    };
    let names = before.names();
    let mut after = Layout::adopt(Capacity::for_services(100), &live, &names);
    assert_eq!(after.plan(&first).unwrap().steps, []);
    // A host that is new gets a number that nobody had.
    after
        .plan(&image(&[("192.0.2.2", 80)], Mode::Enforce))
        .unwrap();
    let host = |layout: &Layout| {
        let rows = layout.egress.rows.hosts.keys();
        rows.map(|key| key.host).max()
    };
    assert!(host(&after) > host(&before));
}

/// An agent takes over while the guard is on, and what it wants takes several rounds.
#[test]
fn the_guard_is_not_touched_on_a_part_of_the_way() {
    let first = image(&[("192.0.2.1", 80)], Mode::Enforce);
    let mut before = layout();
    before.plan(&first).unwrap();
    let live = crate::live::Live {
        egress: before.egress.rows.clone(),
        ..crate::live::Live::default()
    };
    let mut after = Layout::adopt(Capacity::for_services(100), &live, &before.names());
    let mut wanted = first.clone();
    let (key, route) = crate::image::canary::row();
    wanted.routes.insert(key, route);
    let part = after.plan_part(&wanted).unwrap();
    assert_eq!(part.services_changed(), 1);
    let about_egress = |step: &Step| matches!(step, Step::Egress(_) | Step::SetSource { .. });
    assert!(!part.steps.iter().any(about_egress), "{:?}", part.steps);
    assert!(after.judges());
    let rest = after.plan(&wanted).unwrap();
    assert_eq!(rest.services_changed(), 0);
    assert_eq!(after.egress.rows.policies, before.egress.rows.policies);
}

#[test]
fn what_was_resolved_stays_until_the_agent_has_asked_again() {
    let key = LearnedKey {
        policy: 0,
        addr: Addr::default(),
    };
    let first = image(&[("192.0.2.1", 80)], Mode::Enforce);
    let mut before = layout();
    before.plan(&first).unwrap();
    let mut live = crate::live::Live {
        egress: before.egress.rows.clone(),
        ..crate::live::Live::default()
    };
    live.egress
        .resolved
        .insert(key, Learned::one(key, Grant::new(1, 9)));
    let mut after = Layout::adopt(Capacity::for_services(100), &live, &before.names());
    after.plan(&first).unwrap();
    assert!(after.egress.rows.resolved.contains_key(&key));
    let mut asked = first.clone();
    let name = ("a".to_owned(), BTreeMap::new());
    asked.egress.found = Arc::new([name].into());
    after.plan(&asked).unwrap();
    assert!(after.egress.rows.resolved.is_empty());
}

#[test]
fn a_wide_network_of_ipv6_means_no_ipv4() {
    let mut layout = layout();
    layout.plan(&image(&[("::/0", 80)], Mode::Enforce)).unwrap();
    let zero = Subnet::parse("0.0.0.0/0").unwrap();
    assert_eq!(
        layout.egress.rows.nets.get(&net_key(0, zero)),
        Some(&NetRule::default())
    );
}

#[test]
fn what_does_not_fit_is_refused_as_a_whole() {
    let mut image = image(&[], Mode::Enforce);
    let count = limits::RESOLVERS_MAX + 1;
    image.egress.resolvers = (0..count)
        .map(|one| std::net::Ipv4Addr::from(one).into())
        .collect();
    let error = layout().plan(&image).unwrap_err();
    assert!(matches!(
        error,
        PlanError::Egress {
            map: "RESOLVERS",
            ..
        }
    ));
}

/// The first image, in which the pod is of `policy`, and nobody else is judged.
fn judged(policy: &str, mode: Mode) -> Image {
    let mut image = image(&[("192.0.2.0/24", 80)], mode);
    let everyone = image.egress.policies[ANYONE].clone();
    let open = Policy {
        mode: Mode::Open,
        ..(*everyone).clone()
    };
    image
        .egress
        .policies
        .insert(ANYONE.to_owned(), Arc::new(open));
    for source in image.sources.values_mut() {
        policy.clone_into(&mut source.policy);
    }
    image
}

#[test]
fn whoever_was_there_before_is_judged_from_some_step_on() {
    const NOBODY: [u64; 0] = [];
    let begins = |plan: &Plan| {
        (
            plan.judged.clients.clone(),
            plan.steps.get(plan.judged.from).cloned(),
        )
    };
    // The guard is switched on: everyone was there before.
    let mut layout = layout();
    let plan = layout.plan(&judged("web", Mode::Enforce)).unwrap();
    let (clients, step) = begins(&plan);
    assert_eq!(clients, [7]);
    assert!(matches!(step, Some(Step::Egress(EgressStep::Settings(_)))));
    // The pod leaves its policy, and comes back to it: it was known to be free.
    assert_eq!(
        layout
            .plan(&judged(ANYONE, Mode::Enforce))
            .unwrap()
            .judged
            .clients,
        NOBODY
    );
    let (clients, step) = begins(&layout.plan(&judged("web", Mode::Enforce)).unwrap());
    assert_eq!(clients, [7]);
    assert!(matches!(step, Some(Step::SetSource { cookie: 7, .. })));
    // A pod that comes while the guard is on has nothing of before.
    let mut other = judged("web", Mode::Enforce);
    let late = other.sources[&7].clone();
    other.sources.insert(8, late);
    assert_eq!(layout.plan(&other).unwrap().judged.clients, NOBODY);
    // Nothing changes: nobody is judged anew.
    assert_eq!(layout.plan(&other).unwrap().judged.clients, NOBODY);
}
