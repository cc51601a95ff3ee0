//! The endpoints of a service port, and which of them may be used.

use std::{net::IpAddr, sync::Arc};

use super::{
    client::Labels,
    model::{Endpoint, PodRef},
    pods::{self, Pods},
};
use crate::source::{
    core::{Conditions, EndpointSlice, Pod, Service, ServicePort, SliceEndpoint, TargetPort},
    object::Object,
};

/// Label of the zone: an endpoint has it without its pod.
const ZONE_LABEL: &str = "topology.kubernetes.io/zone";
/// Label of the node: an endpoint has it without its pod.
const NODE_LABEL: &str = "kubernetes.io/hostname";

/// Whether an endpoint may be used; the better first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Condition {
    /// It may.
    Ready,
    /// It is ending but still serves: only where nothing is ready (KEP-1669).
    Draining,
    /// It may not.
    NotReady,
}

impl Condition {
    /// As kube-proxy reads a slice: what is not said counts as good.
    fn of(conditions: Conditions, publish_not_ready: bool) -> Self {
        if publish_not_ready || conditions.ready.unwrap_or(true) {
            Self::Ready
        } else if conditions.serving.unwrap_or(true) && conditions.terminating.unwrap_or(false) {
            Self::Draining
        } else {
            Self::NotReady
        }
    }
}

/// An endpoint with what subsets ask for.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Where it is.
    pub endpoint: Endpoint,
    /// Whether it may be used.
    pub condition: Condition,
    pod: Option<Arc<Object<Pod>>>,
    /// Its place in a slice.
    listed: Option<(Arc<Object<EndpointSlice>>, usize)>,
    /// Labels that are written beside its address.
    labels: Labels,
}

impl Candidate {
    /// One that a ServiceEntry or a WorkloadEntry names.
    pub(super) fn written(endpoint: Endpoint, labels: Labels) -> Self {
        Self {
            endpoint,
            condition: Condition::Ready,
            pod: None,
            listed: None,
            labels,
        }
    }

    /// A pod that a ServiceEntry selects.
    pub(super) fn selected(endpoint: Endpoint, pod: &Arc<Object<Pod>>) -> Self {
        let condition = if pod.spec.is_ready() {
            Condition::Ready
        } else {
            Condition::NotReady
        };
        Self {
            condition,
            pod: Some(Arc::clone(pod)),
            ..Self::written(endpoint, Labels::new())
        }
    }

    /// Whether it has all these labels: those of its pod, and where it runs.
    pub fn has(&self, selector: &Labels) -> bool {
        selector.iter().all(|(key, value)| {
            let labels = self.pod.as_ref().map(|pod| &pod.meta.labels);
            let own = labels
                .and_then(|labels| labels.get(key))
                .or_else(|| self.labels.get(key))
                .map(String::as_str);
            let place = || match key.as_str() {
                ZONE_LABEL => self.listed()?.zone.as_deref(),
                NODE_LABEL => self.node(),
                _ => None,
            };
            own.or_else(place) == Some(value.as_str())
        })
    }

    fn listed(&self) -> Option<&SliceEndpoint> {
        let (slice, index) = self.listed.as_ref()?;
        slice.spec.endpoints.get(*index)
    }

    fn node(&self) -> Option<&str> {
        let listed = self.listed().and_then(|listed| listed.node_name.as_deref());
        listed.or_else(|| self.pod.as_ref()?.spec.node_name.as_deref())
    }
}

/// Whether both mean the same, whatever objects say so.
impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        let labels = |one: &Self| one.pod.as_ref().map(Arc::as_ptr);
        let same_labels = labels(self) == labels(other)
            || self.pod.as_ref().map(|pod| &pod.meta.labels)
                == other.pod.as_ref().map(|pod| &pod.meta.labels);
        let zone = |one: &Self| one.listed().and_then(|listed| listed.zone.clone());
        self.endpoint == other.endpoint
            && self.labels == other.labels
            && self.condition == other.condition
            && same_labels
            && self.node() == other.node()
            && zone(self) == zone(other)
    }
}

/// Those of `candidates` that connections may go to: the ready ones, else those still serving.
pub fn usable<'c>(candidates: impl Iterator<Item = &'c Candidate> + Clone) -> Arc<[Endpoint]> {
    let of = |condition| {
        let some = candidates
            .clone()
            .filter(move |candidate| candidate.condition == condition);
        some.map(|candidate| candidate.endpoint.clone())
            .collect::<Arc<[Endpoint]>>()
    };
    let ready = of(Condition::Ready);
    if ready.is_empty() {
        of(Condition::Draining)
    } else {
        ready
    }
}

/// What the endpoints of a service are made from.
pub(super) struct Maker<'m, 's> {
    pub(super) service: &'m Object<Service>,
    /// The service's addresses.
    pub(super) addresses: &'m [IpAddr],
    pub(super) slices: &'m [Arc<Object<EndpointSlice>>],
    pub(super) pods: &'m Pods<'s>,
}

impl Maker<'_, '_> {
    /// Those of one port, sorted. A service that selects pods and has no slices at all gets its
    /// endpoints from the pods: files need not list slices.
    pub(super) fn of_port(&self, port: &ServicePort) -> Vec<Candidate> {
        let mut all: Vec<Candidate> = if self.slices.is_empty() {
            self.in_pods(port)
        } else {
            let slices = self.slices.iter();
            slices
                .flat_map(|slice| self.in_slice(port, slice))
                .collect()
        };
        let place = |candidate: &Candidate| (candidate.endpoint.ip, candidate.endpoint.port);
        all.sort_by(|a, b| {
            let key = |one| (place(one), one.condition);
            key(a)
                .cmp(&key(b))
                .then_with(|| a.endpoint.pod.cmp(&b.endpoint.pod))
        });
        all.dedup_by_key(|candidate| place(candidate));
        all
    }

    fn in_slice(&self, port: &ServicePort, slice: &Arc<Object<EndpointSlice>>) -> Vec<Candidate> {
        let number = slice.spec.ports.iter().find(|listed| {
            listed.name.as_deref().unwrap_or("") == port.name
                && transport(listed.protocol.as_ref()) == transport(port.protocol.as_ref())
        });
        let Some(number) = number.and_then(|listed| listed.port) else {
            return Vec::new();
        };
        let endpoints = slice.spec.endpoints.iter().enumerate();
        endpoints
            .filter_map(|(index, _)| self.candidate(slice, index, number))
            .collect()
    }

    fn candidate(
        &self,
        slice: &Arc<Object<EndpointSlice>>,
        index: usize,
        port: u16,
    ) -> Option<Candidate> {
        let listed = &slice.spec.endpoints[index];
        let ip = listed.addresses.first()?.parse().ok()?;
        let target = listed.target_ref.as_ref();
        let target = target.filter(|target| target.kind == "Pod").map(|target| {
            let namespace = target.namespace.as_ref();
            PodRef {
                namespace: namespace.unwrap_or(&slice.meta.namespace).clone(),
                name: target.name.clone(),
            }
        });
        let pod = match &target {
            Some(target) => self.pods.named(&target.namespace, &target.name),
            None => self.pods.at(ip),
        };
        Some(Candidate {
            endpoint: Endpoint {
                ip,
                port,
                pod: target.or_else(|| pod.map(|pod| reference(pod))),
            },
            condition: Condition::of(
                listed.conditions,
                self.service.spec.publish_not_ready_addresses,
            ),
            pod: pod.cloned(),
            listed: Some((Arc::clone(slice), index)),
            labels: Labels::new(),
        })
    }

    fn in_pods(&self, port: &ServicePort) -> Vec<Candidate> {
        let service = self.service;
        let mut found = Vec::new();
        let pods = self
            .pods
            .selected(&service.meta.namespace, &service.spec.selector);
        for pod in pods.into_iter().filter(|pod| pods::is_alive(pod)) {
            let Some(number) = target_port(&pod.spec, port) else {
                continue;
            };
            let ready = service.spec.publish_not_ready_addresses || pod.spec.is_ready();
            let first = pod.spec.addresses().next();
            // A headless service has no address to tell its families by: the pod's first one.
            let wanted = |ip: &IpAddr| {
                let family = |address: &IpAddr| address.is_ipv4() == ip.is_ipv4();
                self.addresses.iter().any(family)
                    || (self.addresses.is_empty() && Some(*ip) == first)
            };
            let addresses = pod.spec.addresses().filter(wanted);
            found.extend(addresses.map(|ip| Candidate {
                endpoint: Endpoint {
                    ip,
                    port: number,
                    pod: Some(reference(pod)),
                },
                condition: if ready {
                    Condition::Ready
                } else {
                    Condition::NotReady
                },
                pod: Some(Arc::clone(pod)),
                listed: None,
                labels: Labels::new(),
            }));
        }
        found
    }
}

/// The port of a pod that a service port leads to; a named one is looked up in its containers.
fn target_port(pod: &Pod, port: &ServicePort) -> Option<u16> {
    let name = match &port.target_port {
        None | Some(TargetPort::Number(0)) => return Some(port.port),
        Some(TargetPort::Number(number)) => return Some(*number),
        Some(TargetPort::Name(name)) => name,
    };
    let ports = pod.containers.iter().flat_map(|container| &container.ports);
    let mut named = ports.filter(|found| {
        found.name.as_deref() == Some(name)
            && transport(found.protocol.as_ref()) == transport(port.protocol.as_ref())
    });
    named.next().map(|found| found.container_port)
}

fn transport(written: Option<&String>) -> &str {
    written.map_or("TCP", String::as_str)
}

pub(super) fn reference(pod: &Object<Pod>) -> PodRef {
    PodRef {
        namespace: pod.meta.namespace.clone(),
        name: pod.meta.name.clone(),
    }
}

#[cfg(test)]
mod tests;
