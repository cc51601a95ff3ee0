//! Numbers of all names.

use std::sync::Arc;

use steer_common::endpoint::Endpoint as EndpointRow;

use crate::{
    desired::model::{Endpoint, PodRef, Rule},
    image::{DestinationName, Route, ServiceName},
    plan::names::{Name, Numbers},
};

/// A table for each kind of name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Tables {
    pub(super) services: Numbers<ServiceName>,
    pub(super) rules: Numbers<Rule>,
    pub(super) destinations: Numbers<DestinationName>,
    pub(super) workloads: Numbers<PodRef>,
}

impl Tables {
    /// Names that were given numbers since this was last asked.
    pub(super) fn fresh(&mut self) -> Vec<(u32, Name)> {
        let services = self.services.take_fresh().into_iter();
        let rules = self.rules.take_fresh().into_iter();
        let destinations = self.destinations.take_fresh().into_iter();
        let workloads = self.workloads.take_fresh().into_iter();
        services
            .map(|(number, name)| (number, Name::Service(name)))
            .chain(rules.map(|(number, name)| (number, Name::Rule(name))))
            .chain(destinations.map(|(number, name)| (number, Name::Destination(name))))
            .chain(workloads.map(|(number, name)| (number, Name::Workload(name))))
            .collect()
    }

    pub(super) fn release_route(&mut self, route: &Route) {
        self.services.release(&route.service);
        self.rules.release(&route.rule);
        route
            .destinations
            .iter()
            .for_each(|found| self.destinations.release(&found.name));
    }

    pub(super) fn hold_workloads(&mut self, endpoints: &[Endpoint]) -> Vec<EndpointRow> {
        endpoints
            .iter()
            .map(|endpoint| EndpointRow {
                addr: endpoint.ip.into(),
                port: steer_common::Port::new(endpoint.port),
                flags: 0,
                workload: endpoint
                    .pod
                    .as_ref()
                    .map_or(0, |pod| self.workloads.hold(&Arc::new(pod.clone()))),
            })
            .collect()
    }

    pub(super) fn release_workloads(&mut self, endpoints: &[Endpoint]) {
        for pod in endpoints
            .iter()
            .filter_map(|endpoint| endpoint.pod.as_ref())
        {
            self.workloads.release(pod);
        }
    }
}
