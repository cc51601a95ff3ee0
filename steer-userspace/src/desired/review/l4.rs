//! `tcp` and `tls` rules: what takes reading the first bytes, and what has no effect.

use super::virtual_service::About;
use crate::desired::{
    codes,
    matching::{Coverage, coverage},
};

pub(super) fn review(about: &mut About<'_, '_>) {
    let object = &*about.prepared.object;
    for (index, rule) in object.spec.tcp.iter().enumerate() {
        let field = format!("spec.tcp[{index}]");
        for (at, one) in rule.matches.iter().enumerate() {
            let field = format!("{field}.match[{at}]");
            if one.source_subnet.is_some() {
                let field = format!("{field}.sourceSubnet");
                let message = "sourceSubnet is not looked at, nor is it in Istio";
                let help = "use sourceLabels or sourceNamespace";
                about
                    .report
                    .add(object, &field, codes::NOT_ENFORCED, message, help);
            }
            subnets(about, &field, &one.destination_subnets);
        }
        for (at, to) in rule.route.iter().enumerate() {
            let field = format!("{field}.route[{at}].destination");
            about.destination(object, &field, &to.destination);
        }
    }
    for (index, rule) in object.spec.tls.iter().enumerate() {
        let field = format!("spec.tls[{index}]");
        for (at, one) in rule.matches.iter().enumerate() {
            let field = format!("{field}.match[{at}]");
            let everyone = one.sni_hosts.iter().any(|name| name == "*");
            if about.prepared.mesh && !everyone {
                let message = "a condition on sniHosts needs the ClientHello to be looked at, which is not built yet: \
                     the rule takes all connections to a service whose own name fits, and none to others";
                let field = format!("{field}.sniHosts");
                about
                    .report
                    .add(object, &field, codes::SNI_MATCH, message, "");
            }
            subnets(about, &field, &one.destination_subnets);
        }
        for (at, to) in rule.route.iter().enumerate() {
            let field = format!("{field}.route[{at}].destination");
            about.destination(object, &field, &to.destination);
        }
    }
}

/// Subnets that hold some of a service's addresses: a row is for all of them.
fn subnets(about: &mut About<'_, '_>, field: &str, subnets: &[String]) {
    let hosts = about.prepared.hosts.iter();
    let services = hosts.flat_map(|name| about.world.registry.fitting(name));
    for service in services {
        if coverage(subnets, &service.addresses) == Coverage::Some {
            let message = format!(
                "only some addresses of {} are in these subnets: the rule holds for all of them",
                service.name
            );
            about.report.add(
                &*about.prepared.object,
                &format!("{field}.destinationSubnets"),
                codes::PARTIAL_SUBNET,
                message,
                "name subnets of both families",
            );
        }
    }
}
