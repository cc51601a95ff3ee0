//! Plans are applied to a model of the maps, and the model is held against what was wanted.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use proptest::prelude::*;
use steer_common::{
    addr::{Addr, Port, Proto},
    logic::split::draw,
    service::{Depth, Route as RouteRow, Source as SourceRow},
};

use super::*;
use crate::{
    desired::model::{Endpoint, PodRef, Rule},
    image::{Destination, DestinationName, ServiceName},
    live::Live,
};

/// The maps, as far as plans write them.
#[derive(Default)]
struct Model {
    live: Live,
    counters_started: BTreeSet<u32>,
}

impl Model {
    /// Applies a plan; a row that is in force is never written.
    fn apply(&mut self, plan: &Plan) {
        for step in &plan.steps {
            self.step(step);
        }
    }

    fn in_force(&self) -> BTreeSet<u32> {
        self.live.services.values().copied().collect()
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Begin { .. } | Step::Finish { .. } => {}
            Step::Endpoints { first, rows } => {
                for (index, row) in (*first..).zip(rows) {
                    for used in self.in_force() {
                        let used = &self.live.routes[&used];
                        assert!(
                            used.destinations().iter().all(|range| {
                                index < range.first || index >= range.first + range.count
                            }),
                            "endpoint {index} is in use"
                        );
                    }
                    self.live.endpoints.insert(index, *row);
                }
            }
            Step::StartTickets { split } => {
                self.live.tickets.insert(*split, 0);
            }
            Step::StartCounters { first, count } => {
                self.counters_started.extend(*first..first + count);
            }
            Step::Route { row, route } => {
                assert!(!self.in_force().contains(row), "row {row} is in force");
                self.live.routes.insert(*row, **route);
            }
            Step::AddMember { key, member } => {
                self.live.members.insert(*key, *member);
            }
            Step::Publish { key, row, replaces } => {
                assert_eq!(self.live.routes[row].key, *key);
                assert_eq!(self.live.services.get(key), replaces.as_ref());
                self.live.services.insert(*key, *row);
            }
            Step::SetSource { cookie, source } => {
                self.live.sources.insert(*cookie, *source);
            }
            Step::RemoveSource { cookie } => {
                self.live.sources.remove(cookie);
            }
            Step::Unpublish { key, row } => {
                assert_eq!(self.live.services.remove(key), Some(*row));
            }
            Step::RemoveMember { key } => {
                self.live.members.remove(key);
            }
            Step::Egress(step) => panic!("{step:?}: no layout plans it"),
        }
    }

    /// What the maps say is what the image says.
    fn assert_holds(&self, image: &Image) {
        assert_eq!(
            self.live.services.keys().collect::<Vec<_>>(),
            image.routes.keys().collect::<Vec<_>>()
        );
        let mut splits = BTreeSet::new();
        for (key, wanted) in &image.routes {
            let row = &self.live.routes[&self.live.services[key]];
            assert!(splits.insert(row.split), "a split is shared");
            assert!(self.live.tickets.contains_key(&row.split));
            self.assert_destinations(row, wanted);
        }
        let mine = |member: &MemberKey| splits.contains(&member.split);
        assert!(self.live.members.keys().all(mine), "a stray member");
        let classes = |sources: &BTreeMap<u64, SourceRow>| -> Vec<(u64, u32)> {
            sources
                .iter()
                .map(|(&cookie, source)| (cookie, source.class.of(cookie).unwrap()))
                .collect()
        };
        let wanted: Vec<_> = image
            .sources
            .iter()
            .map(|(&cookie, source)| (cookie, source.class))
            .collect();
        assert_eq!(classes(&self.live.sources), wanted);
    }

    fn assert_destinations(&self, row: &RouteRow, wanted: &Route) {
        assert_eq!(row.destinations().len(), wanted.destinations.len());
        for (placed, wanted) in row.destinations().iter().zip(&wanted.destinations) {
            let endpoints: Vec<_> = (placed.first..placed.first + placed.count)
                .map(|index| self.live.endpoints[&index].peer().to_socket_addr())
                .collect();
            let expected: Vec<_> = wanted
                .endpoints
                .iter()
                .map(|found| (found.ip, found.port).into())
                .collect();
            assert_eq!(endpoints, expected);
        }
        let members = self
            .live
            .members
            .keys()
            .filter(|member| member.split == row.split)
            .count();
        let expected: BTreeSet<_> = wanted
            .destinations
            .iter()
            .filter(|found| wanted.destinations.len() == 1 || found.name.weight > 0)
            .flat_map(|found| {
                found
                    .endpoints
                    .iter()
                    .map(|endpoint| (endpoint.ip, endpoint.port))
            })
            .collect();
        assert_eq!(
            members,
            if wanted.affinity_secs > 0 {
                expected.len()
            } else {
                0
            }
        );
    }
}

fn key(number: u8, class: u32) -> ServiceKey {
    let addr = Addr::from(std::net::Ipv4Addr::new(10, 200, 1, number));
    ServiceKey::new(class, addr, Port::new(80), Proto::Tcp)
}

fn route(name: &str, affinity_secs: u32, destinations: &[(u32, u8)]) -> Arc<Route> {
    let destination = |(index, &(weight, endpoints)): (usize, &(u32, u8))| Destination {
        name: Arc::new(DestinationName {
            host: name.to_owned(),
            port: 80,
            subset: Some(format!("v{index}")),
            weight,
            destination_rules: Vec::new(),
        }),
        endpoints: (0..endpoints)
            .map(|last| Endpoint {
                ip: std::net::Ipv4Addr::new(10, 10, u8::try_from(index).unwrap(), last).into(),
                port: 3000,
                pod: Some(PodRef {
                    namespace: "shop".to_owned(),
                    name: format!("{index}-{last}"),
                }),
            })
            .collect(),
    };
    Arc::new(Route {
        service: Arc::new(ServiceName {
            namespace: "shop".to_owned(),
            name: name.to_owned(),
            host: format!("{name}.shop.svc.cluster.local"),
            port_name: "http".to_owned(),
            protocol: "HTTP".to_owned(),
        }),
        rule: Arc::new(Rule::Service),
        hidden: false,
        varies: false,
        depth: Depth::Connect,
        auto: false,
        affinity_secs,
        destinations: destinations.iter().enumerate().map(destination).collect(),
    })
}

fn image(routes: &[(ServiceKey, Arc<Route>)]) -> Image {
    Image {
        routes: routes.iter().cloned().collect(),
        sources: BTreeMap::new(),
        ..Image::default()
    }
}

#[test]
fn a_weight_change_keeps_the_split_and_starts_its_counters_anew() {
    let mut layout = Layout::new(Capacity::for_services(10));
    let mut model = Model::default();
    let before = image(&[(key(1, 0), route("catalog", 0, &[(90, 1), (10, 1)]))]);
    model.apply(&layout.plan(&before).unwrap());
    let old = layout.placed()[&key(1, 0)].clone();
    let after = image(&[(key(1, 0), route("catalog", 0, &[(50, 1), (50, 1)]))]);
    let plan = layout.plan(&after).unwrap();
    model.apply(&plan);
    model.assert_holds(&after);
    let new = &layout.placed()[&key(1, 0)];
    assert_eq!(new.split, old.split);
    assert_ne!((new.row, new.counters), (old.row, old.counters));
    assert!(
        !plan
            .steps
            .iter()
            .any(|step| matches!(step, Step::StartTickets { .. }))
    );
    assert!(
        !plan
            .steps
            .iter()
            .any(|step| matches!(step, Step::Endpoints { .. }))
    );
    assert_eq!(plan.services_changed(), 1);
}

#[test]
fn the_same_image_needs_nothing() {
    let mut layout = Layout::new(Capacity::for_services(10));
    let wanted = image(&[(key(1, 0), route("catalog", 10, &[(90, 2), (10, 1)]))]);
    assert!(!layout.plan(&wanted).unwrap().is_empty());
    assert!(layout.plan(&wanted.clone()).unwrap().is_empty());
    assert_eq!(layout.generation(), 1);
}

#[test]
fn one_service_too_many_is_refused_and_changes_nothing() {
    let mut layout = Layout::new(Capacity::for_services(2));
    let two = [
        (key(1, 0), route("a", 0, &[(1, 1)])),
        (key(2, 0), route("b", 0, &[(1, 1)])),
    ];
    layout.plan(&image(&two)).unwrap();
    let before = layout.clone();
    let mut three = two.to_vec();
    three.push((key(3, 0), route("c", 0, &[(1, 1)])));
    let refused = layout.plan(&image(&three)).unwrap_err();
    assert_eq!(
        refused,
        PlanError::Full {
            map: "SERVICES",
            capacity: 2,
            needed: 3
        }
    );
    assert_eq!(layout, before);
}

#[test]
fn too_many_endpoints_are_refused_and_change_nothing() {
    let mut layout = Layout::new(Capacity {
        endpoints: 8,
        ..Capacity::for_services(10)
    });
    layout
        .plan(&image(&[(key(1, 0), route("a", 0, &[(1, 3), (1, 2)]))]))
        .unwrap();
    let before = layout.clone();
    let refused = layout
        .plan(&image(&[
            (key(1, 0), route("a", 0, &[(1, 3), (1, 2)])),
            (key(2, 0), route("b", 0, &[(1, 1), (1, 1)])),
            (key(3, 0), route("c", 0, &[(1, 4)])),
        ]))
        .unwrap_err();
    assert!(
        matches!(
            refused,
            PlanError::Full {
                map: "ENDPOINTS",
                ..
            }
        ),
        "{refused}"
    );
    // Numbers that were given for an instant may differ; rows may not.
    assert_eq!(layout.placed, before.placed);
    assert_eq!(layout.endpoints, before.endpoints);
    assert_eq!(layout.counters, before.counters);
    assert_eq!(layout.pools, before.pools);
}

#[test]
fn rows_of_a_class_come_before_and_go_after_the_row_that_sends_readers_there() {
    let mut layout = Layout::new(Capacity::for_services(10));
    let mut anyone = (*route("a", 0, &[(1, 1)])).clone();
    anyone.varies = true;
    let wanted = image(&[
        (key(1, 0), Arc::new(anyone)),
        (key(1, 7), route("a", 0, &[(1, 1), (1, 1)])),
    ]);
    let published = |plan: &Plan| -> Vec<u32> {
        plan.steps
            .iter()
            .filter_map(|step| match step {
                Step::Publish { key, .. } | Step::Unpublish { key, .. } => Some(key.class),
                _ => None,
            })
            .collect()
    };
    assert_eq!(published(&layout.plan(&wanted).unwrap()), [7, 0]);
    let without = image(&[(key(1, 0), route("a", 0, &[(1, 1)]))]);
    assert_eq!(published(&layout.plan(&without).unwrap()), [0, 7]);
}

/// Services 1..=6, each there or not, with destinations, affinity and a class row or not.
fn any_image() -> impl Strategy<Value = Image> {
    let destinations = prop::collection::vec((0_u32..4, 0_u8..4), 1..4);
    let service = prop::option::of((destinations, prop::bool::ANY, prop::bool::ANY));
    (
        prop::collection::vec(service, 6),
        prop::collection::btree_map(0_u64..5, 0_u32..3, 0..4),
    )
        .prop_map(|(services, sources)| {
            let mut image = Image::default();
            for (number, service) in (1_u8..).zip(services) {
                let Some((destinations, affinity, class)) = service else {
                    continue;
                };
                let name = format!("s{number}");
                let one = route(&name, u32::from(affinity) * 60, &destinations);
                image.routes.insert(key(number, 0), Arc::clone(&one));
                if class {
                    image.routes.insert(key(number, 9), one);
                }
            }
            for (cookie, class) in sources {
                let pod = PodRef {
                    namespace: "shop".to_owned(),
                    name: format!("pod{cookie}"),
                };
                image.sources.insert(cookie, Source::new(class, pod));
            }
            image
        })
}

proptest! {
    /// Whatever follows whatever, the maps hold what was wanted, no row in force is ever written,
    /// and an agent that takes over half-way goes on without replacing anything.
    #[test]
    fn any_sequence_of_images_is_reached(
        images in prop::collection::vec((any_image(), prop::bool::ANY, prop::bool::ANY), 1..12),
    ) {
        let capacity = Capacity::for_services(40);
        let mut layout = Layout::new(capacity);
        let mut model = Model::default();
        for (image, settle, take_over) in &images {
            let plan = match layout.plan(image) {
                Err(PlanError::Busy { .. }) => {
                    layout.reclaim();
                    layout.plan(image).unwrap()
                }
                other => other.unwrap(),
            };
            model.apply(&plan);
            model.assert_holds(image);
            if *settle {
                layout.reclaim();
            }
            if *take_over {
                layout = Layout::adopt(capacity, &model.live, &layout.names());
                prop_assert!(layout.plan(image).unwrap().is_empty());
            }
        }
    }

    /// More changes than there are free rows: it takes several rounds, in each of which every
    /// service is as it was or as it shall be, for all classes alike.
    #[test]
    fn more_than_fits_at_once_is_reached_in_rounds(
        before in any_image(),
        wanted in any_image(),
        spare in 1_u32..4,
    ) {
        let mut capacity = Capacity::for_services(40);
        let most = before.routes.len().max(wanted.routes.len());
        capacity.rows = u32::try_from(most).unwrap() + spare.max(2);
        let mut layout = Layout::new(capacity);
        let mut model = Model::default();
        model.apply(&layout.plan(&before).unwrap());
        layout.reclaim();
        for round in 0.. {
            prop_assert!(round < 50);
            match layout.plan(&wanted) {
                Err(PlanError::Full { .. }) => {
                    model.apply(&layout.plan_part(&wanted).unwrap());
                    let as_in = |image: &Image, number| {
                        [0, 9].iter().all(|&class| {
                            let key = key(number, class);
                            layout.placed.get(&key).map(|placed| &placed.route) == image.routes.get(&key)
                        })
                    };
                    prop_assert!((1..=6).all(|number| as_in(&before, number) || as_in(&wanted, number)));
                    layout.reclaim();
                }
                plan => {
                    model.apply(&plan.unwrap());
                    model.assert_holds(&wanted);
                    break;
                }
            }
        }
    }

    /// An agent dies half-way through a plan. The next one goes on from what it left.
    #[test]
    fn a_plan_half_applied_is_mended(
        before in any_image(),
        next in any_image(),
        done in 0_usize..60,
        after in prop::sample::select(vec![0, 1]),
    ) {
        let capacity = Capacity::for_services(40);
        let mut model = Model::default();
        let mut layout = Layout::new(capacity);
        model.apply(&layout.plan(&before).unwrap());
        layout.reclaim();
        let mut plan = layout.plan(&next).unwrap();
        plan.steps.truncate(done);
        model.apply(&plan);
        let mut layout = Layout::adopt(capacity, &model.live, &layout.names());
        for image in [[&before, &next][after], &Image::default()] {
            model.apply(&layout.plan(image).unwrap());
            model.assert_holds(image);
            prop_assert!(layout.plan(image).unwrap().is_empty());
            layout.reclaim();
        }
        prop_assert!(model.live.members.is_empty(), "{:?}", model.live.members);
    }

    /// An agent that takes over does not know every name: what it cannot name stays in force, its
    /// endpoints too, until it is replaced; then nothing is left of it.
    #[test]
    fn what_cannot_be_named_is_not_overwritten(
        before in any_image(),
        after in any_image(),
        lost in prop::collection::btree_set(0_u32..12, 0..12),
    ) {
        let capacity = Capacity::for_services(40);
        let mut model = Model::default();
        let mut layout = Layout::new(capacity);
        model.apply(&layout.plan(&before).unwrap());
        let mut names = layout.names();
        names.services.retain(|number, _| !lost.contains(number));
        names.destinations.retain(|number, _| !lost.contains(number));
        names.workloads.retain(|number, _| !lost.contains(number));
        let mut layout = Layout::adopt(capacity, &model.live, &names);
        layout.reclaim();
        for image in [&after, &before, &Image::default()] {
            model.apply(&layout.plan(image).unwrap());
            model.assert_holds(image);
            layout.reclaim();
        }
        let fresh = Layout::new(capacity);
        prop_assert_eq!(layout.rows.available(), fresh.rows.available());
        prop_assert_eq!(layout.splits.available(), fresh.splits.available());
        prop_assert_eq!(&layout.counters, &fresh.counters);
        prop_assert_eq!(&layout.endpoints, &fresh.endpoints);
    }

    /// Nothing leaks: when everything is gone, every row is free.
    #[test]
    fn nothing_leaks(images in prop::collection::vec(any_image(), 1..8)) {
        let mut layout = Layout::new(Capacity::for_services(40));
        for image in images.iter().chain([&Image::default()]) {
            layout.plan(image).unwrap();
            layout.reclaim();
        }
        let fresh = Layout::new(Capacity::for_services(40));
        prop_assert_eq!(layout.rows.available(), fresh.rows.available());
        prop_assert_eq!(layout.splits.available(), fresh.splits.available());
        prop_assert_eq!(&layout.counters, &fresh.counters);
        prop_assert_eq!(&layout.endpoints, &fresh.endpoints);
        prop_assert_eq!(layout.names(), fresh.names());
    }
}

#[test]
fn the_planned_row_draws_as_the_weights_say() {
    let mut layout = Layout::new(Capacity::for_services(10));
    let mut model = Model::default();
    model.apply(
        &layout
            .plan(&image(&[(key(1, 0), route("a", 0, &[(90, 1), (10, 1)]))]))
            .unwrap(),
    );
    let row = model.live.routes.values().next().unwrap();
    let drawn = (0..100)
        .filter(|&ticket| draw(row, ticket).unwrap().destination == 1)
        .count();
    assert_eq!(drawn, 10);
}
