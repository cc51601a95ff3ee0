//! VirtualServices: what is said of them as a whole, and of their hosts.

use std::{collections::BTreeSet, sync::Arc};

use steer_common::Proto;

use super::{http, l4};
use crate::{
    desired::{
        codes::{self, Code},
        destinations::subset_name,
        host,
        protocol::{Protocol, RuleList},
        registry::{Host, Origin},
        report::Report,
        route::World,
        settings::{MirrorHost, SplitMode},
        virtual_services::Prepared,
    },
    source::{
        Object,
        istio::{Destination, VirtualService},
    },
};

/// What the parts of a review share.
pub(super) struct About<'r, 'w> {
    pub(super) world: World<'w>,
    pub(super) prepared: &'w Prepared,
    pub(super) consulted: &'r mut BTreeSet<String>,
    pub(super) report: &'r mut Report,
}

pub(super) fn review(
    world: World<'_>,
    prepared: &Prepared,
    consulted: &mut BTreeSet<String>,
    report: &mut Report,
) {
    let mut about = About {
        world,
        prepared,
        consulted,
        report,
    };
    // The hosts are looked at also where nothing is said of them: a rule for one of them that
    // comes or goes may be a delegate's.
    about.consulted.extend(prepared.hosts.iter().cloned());
    if prepared.mesh {
        about.hosts();
        about.split_mode();
        about.mirror_host();
    }
    http::review(&mut about);
    l4::review(&mut about);
}

impl About<'_, '_> {
    /// Hosts that nobody has, or that have nothing to steer by.
    fn hosts(&mut self) {
        for (index, name) in self.prepared.hosts.iter().enumerate() {
            let field = format!("spec.hosts[{index}]");
            let fitting = self.world.registry.fitting(name);
            let object = &*self.prepared.object;
            if fitting.is_empty() {
                let message =
                    format!("the host {name} is not in the registry: nobody is steered by it");
                let help = "name a service of this namespace, or a fully qualified one";
                self.report
                    .add(object, &field, codes::NOT_FOUND, message, help);
            }
            for service in &fitting {
                if service.addresses.is_empty() {
                    let message = format!(
                        "{} is headless: its clients dial pods, which are left as dialled",
                        service.name
                    );
                    let help = "give the service a cluster address to steer its clients";
                    self.report
                        .add(object, &field, codes::HEADLESS, message, help);
                }
                self.ports(service);
            }
            self.idle(name, &fitting);
        }
    }

    /// Ports that do not say what is spoken on them.
    fn ports(&mut self, service: &Host) {
        let spec = &self.prepared.object.spec;
        let unknown = |protocol: Protocol| protocol.rule_list() == RuleList::Sniffed;
        for port in service.ports.iter().filter(|port| unknown(port.protocol)) {
            let index = match &service.origin {
                Origin::Service(object) => {
                    let written = object.spec.ports.iter();
                    written.take_while(|other| **other != port.port).count()
                }
                Origin::Entry(object) => {
                    let number = u32::from(port.port.port);
                    let written = object.spec.ports.iter();
                    written.take_while(|other| other.number != number).count()
                }
            };
            let field = format!("spec.ports[{index}]");
            let message = format!(
                "Port name {} (port: {}) doesn't follow the naming convention of Istio port.",
                port.port.name, port.port.port
            );
            let help = "begin the name with its protocol (http, http2, grpc, https, tls, tcp, ...), or set appProtocol";
            match &service.origin {
                Origin::Service(object) => {
                    self.report
                        .add(&**object, &field, codes::PORT_NAME, message, help);
                }
                Origin::Entry(object) => {
                    let message = format!("port {} does not say its protocol", port.port.port);
                    let help = "write protocol: HTTP, TLS, TCP, ...";
                    self.report
                        .add(&**object, &field, codes::PORT_NAME, message, help);
                }
            }
            if !self.prepared.http.is_empty() && !spec.tcp.is_empty() {
                let message = format!(
                    "port {} of {} does not say its protocol: the http rules hold for it, the tcp rules do not",
                    port.port.port, service.name
                );
                let help = "begin the port's name with its protocol";
                self.report.add(
                    &*self.prepared.object,
                    "spec",
                    codes::PORT_PROTOCOL,
                    message,
                    help,
                );
            }
        }
    }

    /// Rules for a protocol that no port of a host speaks.
    fn idle(&mut self, name: &str, fitting: &[&Arc<Host>]) {
        let spec = &self.prepared.object.spec;
        let lists = [
            ("http", self.prepared.http.is_empty(), RuleList::Http),
            ("tls", spec.tls.is_empty(), RuleList::Tls),
            ("tcp", spec.tcp.is_empty(), RuleList::Tcp),
        ];
        for (list, _, wanted) in lists.into_iter().filter(|(_, empty, _)| !empty) {
            let speaks = |protocol: Protocol| match protocol.rule_list() {
                RuleList::Sniffed => wanted != RuleList::Tls,
                found => found == wanted,
            };
            let mut ports = fitting.iter().flat_map(|service| &service.ports);
            if fitting.is_empty() || ports.any(|port| speaks(port.protocol)) {
                continue;
            }
            let what = match wanted {
                RuleList::Tcp => "TCP that is neither HTTP nor TLS",
                RuleList::Tls => "TLS",
                _ => "HTTP",
            };
            let message =
                format!("{name} has no port that speaks {what}: the {list} rules have no effect");
            let help = "begin the port's name with its protocol, or set appProtocol";
            self.report.add(
                &*self.prepared.object,
                &format!("spec.{list}"),
                codes::PORT_PROTOCOL,
                message,
                help,
            );
        }
    }

    fn split_mode(&mut self) {
        let object = &*self.prepared.object;
        let text = object.meta.annotations.get(SplitMode::ANNOTATION);
        if let Some(text) = text.filter(|text| SplitMode::parse(text).is_none()) {
            let field = format!("metadata.annotations.{}", SplitMode::ANNOTATION);
            let message = format!("{text:?} is no way to split: the node's setting holds");
            let help = "write connection, request or auto";
            self.report
                .add(object, &field, codes::NOT_ENFORCED, message, help);
        }
    }

    fn mirror_host(&mut self) {
        let object = &*self.prepared.object;
        let text = object.meta.annotations.get(MirrorHost::ANNOTATION);
        if let Some(text) = text.filter(|text| MirrorHost::parse(text).is_none()) {
            let field = format!("metadata.annotations.{}", MirrorHost::ANNOTATION);
            let message = format!("{text:?} is no host of copies: they have -shadow");
            let help = "write shadow or same";
            self.report
                .add(object, &field, codes::NOT_ENFORCED, message, help);
        }
    }

    /// A destination that does not exist, or whose port is not clear.
    pub(super) fn destination(
        &mut self,
        object: &Object<VirtualService>,
        field: &str,
        to: &Destination,
    ) {
        let domain = &self.world.settings.domain;
        let host = host::full_name(&to.host, &object.meta.namespace, domain);
        self.consulted.insert(host.clone());
        let report = &mut *self.report;
        let mut add = |part: &str, code: Code, message: String, help: &str| {
            report.add(object, &format!("{field}.{part}"), code, message, help);
        };
        let Some(service) = self.world.registry.host(&host) else {
            let message =
                format!("the host {host} is not in the registry: connections to it are refused");
            let help = "name a service of this namespace, or a fully qualified one";
            return add("host", codes::NOT_FOUND, message, help);
        };
        if service.is_external_name() {
            let message =
                format!("{host} is an ExternalName service: connections to it are refused");
            return add(
                "host",
                codes::NOT_STEERED,
                message,
                "name a service that has endpoints",
            );
        }
        destination_port(service, to, &mut add);
        let Some(subset) = subset_name(to) else {
            return;
        };
        let mut rules = self.world.destination_rules.of_host(&host);
        if !rules.any(|rule| rule.subset(subset).is_some()) {
            let message = format!(
                "no DestinationRule defines the subset {subset} of {host}: connections to it are refused"
            );
            let help = "add it to the DestinationRule of the host";
            add("subset", codes::NOT_FOUND, message, help);
        }
    }
}

fn destination_port(
    service: &Host,
    to: &Destination,
    add: &mut impl FnMut(&str, Code, String, &str),
) {
    if let Some(port) = to.port.filter(|port| port.number != 0) {
        let number = u16::try_from(port.number).ok();
        let known = number.and_then(|number| service.port(number, Proto::Tcp));
        if known.is_none() {
            let message = format!(
                "{} has no port {}: connections to it are refused",
                service.name, port.number
            );
            let help = "name a TCP port of the service";
            add("port", codes::NOT_FOUND, message, help);
        }
        return;
    }
    let ports = service.ports.iter();
    if ports.filter(|port| port.proto == Proto::Tcp).count() > 1 {
        let message = format!(
            "{} has several ports: the one that was dialled is used, if it has it",
            service.name
        );
        add("port", codes::AMBIGUOUS_PORT, message, "name the port");
    }
}
