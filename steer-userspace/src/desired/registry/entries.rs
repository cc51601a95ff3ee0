//! ServiceEntries in the registry: hosts that are no Services of Kubernetes.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
};

use steer_common::Proto;

use super::{Host, HostPort, Origin, Registry};
use crate::{
    desired::{
        client::contains,
        endpoints::{Candidate, reference, usable},
        export::Visibility,
        host,
        model::Endpoint,
        pods::{Pods, is_alive},
        protocol::Protocol,
    },
    source::{
        Object,
        core::{Pod, ServicePort},
        istio::{EntryPort, Resolution, ServiceEntry, WorkloadEntry},
        subnet::Subnet,
    },
};

/// Name -> its addresses, as the agent found them.
pub type Resolved = BTreeMap<String, BTreeSet<IpAddr>>;

/// One host of a ServiceEntry.
#[derive(Clone, Debug)]
pub struct Entry {
    /// As written.
    pub object: Arc<Object<ServiceEntry>>,
    /// The host; a wildcard, perhaps.
    pub host: String,
    /// Who sees it.
    pub visibility: Visibility,
    /// How its endpoints are found.
    pub resolution: Resolution,
    /// The networks that clients dial.
    pub nets: Vec<Subnet>,
    /// Its ports, with the endpoints that are known.
    pub ports: Vec<HostPort>,
    /// Names that must be resolved to know the endpoints.
    pub resolve: Vec<String>,
}

impl Entry {
    /// Its namespace.
    pub fn namespace(&self) -> &str {
        &self.object.meta.namespace
    }

    /// Whether any name of a domain is meant.
    pub fn is_wildcard(&self) -> bool {
        host::wildcard_suffix(&self.host).is_some()
    }

    /// Whether nothing that is made from it would differ.
    fn says_the_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.object, &other.object)
            && self.host == other.host
            && self.ports == other.ports
    }

    /// The addresses by which connections can be steered: single ones. Where connections go as
    /// they are dialled, a rule may lead away from one address, and none of several back to it.
    fn steered(&self) -> Vec<IpAddr> {
        let single = self.nets.iter().filter_map(|net| net.single());
        let mut addresses: Vec<IpAddr> = Vec::new();
        for address in single {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        let of_family = |v4: bool| addresses.iter().filter(|one| one.is_ipv4() == v4).count();
        if self.resolution == Resolution::None && (of_family(true) > 1 || of_family(false) > 1) {
            return Vec::new();
        }
        addresses
    }
}

/// What entries are made from.
pub(super) struct Maker<'m, 's> {
    pub(super) workloads: &'m [Arc<Object<WorkloadEntry>>],
    pub(super) pods: &'m Pods<'s>,
    pub(super) resolved: &'m Resolved,
    pub(super) domain: &'m str,
}

impl Registry {
    /// Adds what ServiceEntries name. A host of Kubernetes stays what it is; of several entries
    /// for one host the oldest is steered.
    pub(super) fn add_entries(
        &mut self,
        objects: &[Arc<Object<ServiceEntry>>],
        maker: &Maker<'_, '_>,
        old: &Self,
        changed: &mut BTreeSet<String>,
    ) {
        let mut known: HashMap<(&str, *const Object<ServiceEntry>), &Arc<Entry>> = HashMap::new();
        for entry in &old.entries {
            known.insert((&entry.host, Arc::as_ptr(&entry.object)), entry);
        }
        let mut owners = self.owners();
        for object in objects {
            for index in 0..object.spec.hosts.len() {
                let made = maker.entry(object, index);
                let key = (made.host.as_str(), Arc::as_ptr(object));
                let kept = known.get(&key).filter(|old| old.says_the_same(&made));
                let entry = kept.map_or_else(|| Arc::new(made.clone()), |old| Arc::clone(old));
                self.add_host(&entry, &mut owners, old, changed);
                self.entries.push(entry);
            }
        }
        let hosts = |entries: &[Arc<Entry>]| -> BTreeMap<String, Vec<*const Entry>> {
            let mut hosts: BTreeMap<String, Vec<*const Entry>> = BTreeMap::new();
            for entry in entries.iter().filter(|entry| entry.is_wildcard()) {
                let all = hosts.entry(entry.host.clone()).or_default();
                all.push(Arc::as_ptr(entry));
            }
            hosts
        };
        // Wildcards are no hosts of their own: what looked at them is made anew.
        let (before, after) = (hosts(&old.entries), hosts(&self.entries));
        for (host, entries) in before.iter().chain(&after) {
            if before.get(host) != Some(entries) || after.get(host) != Some(entries) {
                changed.insert(host.clone());
            }
        }
    }

    /// Who has each address already.
    fn owners(&self) -> HashMap<IpAddr, String> {
        let hosts = self.hosts.values();
        let each = hosts.flat_map(|host| host.addresses.iter().map(move |&one| (one, host)));
        each.map(|(address, host)| (address, host.origin.reference().to_string()))
            .collect()
    }

    fn add_host(
        &mut self,
        entry: &Arc<Entry>,
        owners: &mut HashMap<IpAddr, String>,
        old: &Self,
        changed: &mut BTreeSet<String>,
    ) {
        if entry.is_wildcard() || self.hosts.contains_key(&entry.host) {
            return;
        }
        let (mut addresses, mut lost) = (Vec::new(), Vec::new());
        for address in entry.steered() {
            match owners.get(&address) {
                Some(owner) => lost.push((address, owner.clone())),
                None => addresses.push(address),
            }
        }
        for &address in &addresses {
            owners.insert(address, entry.object.reference().to_string());
        }
        let made = Host {
            origin: Origin::Entry(Arc::clone(&entry.object)),
            name: entry.host.clone(),
            addresses,
            lost,
            visibility: entry.visibility.clone(),
            ports: entry.ports.clone(),
        };
        let same = old.hosts.get(&entry.host);
        let same = same.filter(|old| old.says_the_same(&made)).map(Arc::clone);
        let host = same.unwrap_or_else(|| {
            changed.insert(entry.host.clone());
            Arc::new(made)
        });
        self.hosts.insert(entry.host.clone(), host);
    }
}

impl Maker<'_, '_> {
    fn entry(&self, object: &Arc<Object<ServiceEntry>>, index: usize) -> Entry {
        let spec = &object.spec;
        let namespace = object.meta.namespace.as_str();
        let host = host::full_name(&spec.hosts[index], namespace, self.domain);
        // A name without a dot is a name of DNS here, not a Service of the namespace.
        let host = if spec.hosts[index].contains('.') {
            host
        } else {
            spec.hosts[index].to_ascii_lowercase()
        };
        let resolution = spec.resolves();
        let nets: Vec<Subnet> = spec
            .addresses
            .iter()
            .filter_map(|text| Subnet::parse(text))
            .collect();
        let resolve = names(spec, &host);
        let mut ports: Vec<HostPort> = Vec::with_capacity(spec.ports.len());
        for port in &spec.ports {
            let Ok(number) = u16::try_from(port.number) else {
                continue;
            };
            let candidates = self.candidates(object, port, number, &host, &nets);
            ports.push(host_port(port, number, candidates));
        }
        Entry {
            visibility: Visibility::new(spec.export_to.iter().map(String::as_str), namespace),
            object: Arc::clone(object),
            host,
            resolution,
            nets,
            ports,
            resolve,
        }
    }

    fn candidates(
        &self,
        object: &Object<ServiceEntry>,
        port: &EntryPort,
        number: u16,
        host: &str,
        nets: &[Subnet],
    ) -> Vec<Candidate> {
        let spec = &object.spec;
        let target = port.target_port.and_then(|port| u16::try_from(port).ok());
        let target = target.unwrap_or(number);
        let mut all = Vec::new();
        if spec.resolves() == Resolution::None {
            let own = nets.iter().filter_map(|net| net.single());
            all.extend(own.map(|ip| at(ip, number)));
        } else if let Some(selector) = &spec.workload_selector {
            if !selector.labels.is_empty() {
                let namespace = &object.meta.namespace;
                let pods = self.pods.selected(namespace, &selector.labels);
                let alive = pods.into_iter().filter(|pod| is_alive(pod));
                all.extend(alive.flat_map(|pod| of_pod(pod, target)));
                let entries = self.workloads.iter().filter(|entry| {
                    entry.meta.namespace == *namespace && is_selected(entry, &selector.labels)
                });
                all.extend(entries.flat_map(|entry| {
                    let labels = entry.meta.labels.clone().into_iter();
                    let labels = labels.chain(entry.spec.labels.clone()).collect();
                    self.of_workload(&entry.spec, labels, port, target)
                }));
            }
        } else if spec.endpoints.is_empty() {
            let found = self.resolved.get(host).into_iter().flatten();
            all.extend(found.map(|&ip| at(ip, target)));
        } else {
            let written = spec.endpoints.iter();
            all.extend(
                written.flat_map(|one| self.of_workload(one, one.labels.clone(), port, target)),
            );
        }
        if spec.resolves() == Resolution::DnsRoundRobin {
            // One name, and of its addresses one a family.
            all.sort_by_key(|found| found.endpoint.ip);
            all.dedup_by_key(|found| found.endpoint.ip.is_ipv4());
        }
        all.sort_by(|a, b| a.endpoint.cmp(&b.endpoint));
        all.dedup_by(|a, b| (a.endpoint.ip, a.endpoint.port) == (b.endpoint.ip, b.endpoint.port));
        all
    }

    fn of_workload(
        &self,
        written: &WorkloadEntry,
        labels: BTreeMap<String, String>,
        port: &EntryPort,
        target: u16,
    ) -> Vec<Candidate> {
        let own = written.ports.get(&port.name);
        let own = own.and_then(|&port| u16::try_from(port).ok());
        let number = own.unwrap_or(target);
        let addresses: Vec<IpAddr> = if let Ok(address) = written.address.parse() {
            vec![address]
        } else {
            let name = written.address.to_ascii_lowercase();
            let found = self.resolved.get(&name).into_iter().flatten();
            found.copied().collect()
        };
        let each = addresses.into_iter();
        each.map(|ip| {
            let pod = self.pods.at(ip).map(|pod| reference(pod));
            let port = number;
            Candidate::written(Endpoint { ip, port, pod }, labels.clone())
        })
        .collect()
    }
}

fn is_selected(entry: &Object<WorkloadEntry>, selector: &BTreeMap<String, String>) -> bool {
    contains(&entry.spec.labels, selector) || contains(&entry.meta.labels, selector)
}

fn at(ip: IpAddr, port: u16) -> Candidate {
    let endpoint = Endpoint {
        ip,
        port,
        pod: None,
    };
    Candidate::written(endpoint, BTreeMap::new())
}

fn of_pod(pod: &Arc<Object<Pod>>, port: u16) -> impl Iterator<Item = Candidate> + '_ {
    pod.spec.addresses().map(move |ip| {
        let endpoint = Endpoint {
            ip,
            port,
            pod: Some(reference(pod)),
        };
        Candidate::selected(endpoint, pod)
    })
}

/// The names that an entry's endpoints are found by.
fn names(spec: &ServiceEntry, host: &str) -> Vec<String> {
    if ![Resolution::Dns, Resolution::DnsRoundRobin].contains(&spec.resolves())
        || spec.workload_selector.is_some()
    {
        return Vec::new();
    }
    if spec.endpoints.is_empty() {
        let plain = host::wildcard_suffix(host).is_none();
        return plain.then(|| host.to_owned()).into_iter().collect();
    }
    let written = spec.endpoints.iter().map(|found| &found.address);
    let names = written.filter(|text| !text.is_empty() && text.parse::<IpAddr>().is_err());
    let names = names.filter(|text| !text.starts_with("unix://"));
    names.map(|name| name.to_ascii_lowercase()).collect()
}

fn host_port(port: &EntryPort, number: u16, candidates: Vec<Candidate>) -> HostPort {
    let is_udp = port.protocol.eq_ignore_ascii_case("UDP");
    let proto = if is_udp { Proto::Udp } else { Proto::Tcp };
    HostPort {
        port: ServicePort {
            name: port.name.clone(),
            protocol: is_udp.then(|| "UDP".to_owned()),
            port: number,
            ..ServicePort::default()
        },
        proto,
        protocol: Protocol::detect(proto, number, &port.protocol, None),
        affinity_secs: None,
        usable: usable(candidates.iter()),
        candidates,
    }
}

#[cfg(test)]
mod tests;
