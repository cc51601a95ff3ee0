use std::time::Duration;

use steer_common::{
    addr::{Addr, Port, Proto},
    service::{CLASS_ANYONE, ServiceKey},
};

use super::*;
use crate::cli::top::{graph::Traffic, sample::Counts};

fn key(addr: &str, port: u16) -> ServiceKey {
    let ip: std::net::IpAddr = addr.parse().unwrap();
    ServiceKey::new(CLASS_ANYONE, Addr::from(ip), Port::new(port), Proto::Tcp)
}

fn counts(service: &str, generation: u32, destinations: &[(&str, u32, u64)]) -> Counts {
    Counts {
        service: service.to_owned(),
        client: None,
        generation,
        depth: "connect",
        auto: false,
        split_error: Some(0.4),
        destinations: destinations
            .iter()
            .map(|&(name, weight, count)| Tally {
                name: name.to_owned(),
                weight,
                count,
            })
            .collect(),
        rules: Vec::new(),
    }
}

fn refusal(to: &str) -> Refused {
    Refused {
        pod: "shop/forum".to_owned(),
        to: to.to_owned(),
        reason: "not_in_registry".to_owned(),
        enforced: true,
    }
}

fn pair(source: &str) -> Pair {
    Pair {
        source: source.to_owned(),
        to: "catalog v1".to_owned(),
    }
}

/// Two looks, two seconds apart.
pub(in crate::cli::top) fn looks() -> (Sample, Sample) {
    let look = |at: u64, grown: u64| {
        let mut sample = Sample {
            at: Duration::from_secs(at),
            generation: 3,
            state: Some("applied".to_owned()),
            findings: 2,
            refused: 10 + grown / 10,
            ..Sample::default()
        };
        let split = |count: u64| {
            counts(
                "catalog.shop:80",
                3,
                &[("v1", 90, 9 * count), ("v2", 10, count)],
            )
        };
        sample.routes.insert(key("10.0.0.1", 80), split(grown));
        sample.routes.insert(key("fd00::1", 80), split(grown / 10));
        let mut quiet = counts("forum.shop:8080", 2, &[("forum", 1, 7)]);
        quiet.auto = true;
        sample.routes.insert(key("10.0.0.2", 8080), quiet);
        sample
            .refusals
            .insert(refusal("example.org:443"), 5 + grown / 50);
        sample.refusals.insert(refusal("192.0.2.7:80"), 9);
        sample
    };
    (look(10, 0), look(12, 100))
}

#[test]
fn addresses_of_a_service_are_one_route() {
    let (before, after) = looks();
    let rates = Rates::between(&before, &after);
    let rows: Vec<_> = rates
        .routes
        .iter()
        .map(|row| {
            (
                row.service.as_str(),
                row.destination.as_str(),
                row.connections_per_second,
                row.share,
                row.weight,
            )
        })
        .collect();
    assert_eq!(
        rows,
        [
            ("catalog.shop:80", "v1", Some(495.0), Some(90.0), Some(90.0)),
            ("catalog.shop:80", "v2", Some(55.0), Some(10.0), Some(10.0)),
            ("forum.shop:8080", "forum", Some(0.0), None, Some(100.0)),
        ]
    );
    assert_eq!((rates.refused_per_second, rates.seconds), (5.0, 2.0));
}

#[test]
fn counters_of_other_weights_begin_anew() {
    let (before, mut after) = looks();
    let swung = counts("catalog.shop:80", 4, &[("v1", 50, 20), ("v2", 50, 20)]);
    after.routes.insert(key("10.0.0.1", 80), swung);
    after.routes.remove(&key("fd00::1", 80));
    let rates = Rates::between(&before, &after);
    let shares: Vec<_> = rates.routes.iter().map(|row| row.share).collect();
    assert_eq!(shares, [Some(50.0), Some(50.0), None]);
    assert_eq!(rates.routes[0].connections_per_second, Some(10.0));
}

#[test]
fn destinations_that_are_called_the_same_are_two() {
    let (before, mut after) = looks();
    let both = [("v1", 50, 30), ("v1", 50, 10)];
    after.routes.clear();
    after
        .routes
        .insert(key("10.0.0.9", 80), counts("edge.shop:80", 4, &both));
    let rates = Rates::between(&before, &after);
    let shares: Vec<_> = rates.routes.iter().map(|row| row.share).collect();
    assert_eq!(shares, [Some(75.0), Some(25.0)]);
}

#[test]
fn rules_count_requests() {
    let (mut before, mut after) = looks();
    for (sample, taken) in [(&mut before, 10), (&mut after, 30)] {
        for route in sample.routes.values_mut() {
            route.rules = vec![Tally {
                name: "/* -> v1=1".to_owned(),
                weight: 0,
                count: taken,
            }];
        }
    }
    let rates = Rates::between(&before, &after);
    let first = &rates.routes[0];
    // Each of two addresses has a split of its own.
    assert_eq!(first.requests_per_second, Some(20.0));
    assert_eq!((first.connections_per_second, first.share), (None, None));
}

#[test]
fn what_is_refused_most_comes_first() {
    let (before, after) = looks();
    let rates = Rates::between(&before, &after);
    let rows: Vec<_> = rates
        .refused
        .iter()
        .map(|row| (row.to.as_str(), row.per_second, row.count))
        .collect();
    assert_eq!(
        rows,
        [("example.org:443", 1.0, 7), ("192.0.2.7:80", 0.0, 9)]
    );
}

#[test]
fn sources_are_counted_by_the_agent_or_by_what_is_open() {
    let (mut before, mut after) = looks();
    after.open.insert(pair("shop/web"), 3);
    let rates = Rates::between(&before, &after);
    assert!(!rates.metrics);
    assert_eq!(rates.sources[0].open, Some(3));
    assert_eq!(rates.sources[0].connections_per_second, None);

    let traffic = |connections| Traffic {
        connections,
        requests: 2 * connections,
        errors: 0,
    };
    after.traffic = Some(
        [
            (pair("shop/web"), traffic(50)),
            (pair("shop/new"), traffic(60)),
        ]
        .into(),
    );
    // Metrics that were not there before say nothing of what happened since.
    let first = &Rates::between(&before, &after).sources[0];
    assert_eq!(first.connections_per_second, Some(0.0));
    before.traffic = Some([(pair("shop/web"), traffic(10))].into());
    let rates = Rates::between(&before, &after);
    let rows: Vec<_> = rates
        .sources
        .iter()
        .map(|row| (row.source.as_str(), row.requests_per_second))
        .collect();
    assert_eq!(rows, [("shop/new", Some(60.0)), ("shop/web", Some(40.0))]);
}

#[test]
fn counters_that_began_anew_are_no_huge_rates() {
    let (before, after) = looks();
    let rates = Rates::between(&after, &before);
    assert_eq!((rates.seconds, rates.refused_per_second), (0.0, 0.0));
    let backwards = Sample {
        at: Duration::from_secs(14),
        ..before
    };
    let rates = Rates::between(&after, &backwards);
    assert_eq!((rates.seconds, rates.refused_per_second), (2.0, 5.0));
}
