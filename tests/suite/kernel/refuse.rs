//! A service that has nowhere to go refuses at once.

use std::time::Duration;

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use steer_common::{addr::Proto, reason::Reason};
use steer_tests::{
    client::{Call, Manner, Storm},
    harness::test,
};

use crate::{
    check::{ensure_exact, service_v4, ways},
    common::{
        service::{Service, image},
        stage::{Stage, v4},
    },
};

/// Far less than a retransmission takes, far more than a refusal on a busy machine.
const AT_ONCE: Duration = Duration::from_millis(500);

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("refuse::no_endpoint_in_every_way", no_endpoint),
        test("refuse::no_destination_in_every_way", no_destination),
        test("refuse::all_weights_zero", all_zero),
        test("refuse::a_destination_without_endpoints", share),
    ]
}

fn refused(purpose: &str, reason: Reason, to: impl Fn(Service) -> Service) -> Result<()> {
    let mut stage = Stage::raise(purpose, 1)?;
    let services = ways().map(|way| to(Service::new(way.proto(), way.service(1))));
    stage.put(&image(services))?;
    for way in ways() {
        let before = stage.live()?.reasons[&reason];
        let attempts = way.storm(way.service(1), 5).run(stage.client()?)?;
        for attempt in &attempts {
            ensure!(attempt.outcome() == "ECONNREFUSED", "{attempt:?}");
            let call = if way.manner == Manner::Udp {
                Call::Send
            } else {
                Call::Connect
            };
            ensure!(attempt.failed == Some(call), "{attempt:?}");
            let took = Duration::from_nanos(attempt.total_ns);
            ensure!(took < AT_ONCE, "{attempt:?}");
        }
        let counted = stage.live()?.reasons[&reason] - before;
        ensure!(counted == 5, "{way:?}: {reason:?} counts {counted}");
    }
    Ok(())
}

fn no_endpoint() -> Result<()> {
    refused("no-endpoint", Reason::NoEndpoint, |service| {
        service.to(1, &[])
    })
}

fn no_destination() -> Result<()> {
    refused("no-destination", Reason::NoDestination, |service| service)
}

fn all_zero() -> Result<()> {
    refused("all-zero", Reason::NoDestination, |service| {
        service.to(0, &[v4(1)]).to(0, &[v4(1)])
    })
}

/// The rest of the split goes on, and what is refused is exactly its share.
fn share() -> Result<()> {
    let mut stage = Stage::raise("share", 1)?;
    let service = Service::new(Proto::Tcp, service_v4(1))
        .to(90, &[v4(1)])
        .to(10, &[]);
    stage.put(&image([service]))?;
    let attempts = Storm::new(service_v4(1), 350).run(stage.client()?)?;
    let shares = [(v4(1).to_string(), 90), ("ECONNREFUSED".to_owned(), 10)];
    ensure_exact(&attempts, &shares)
}
