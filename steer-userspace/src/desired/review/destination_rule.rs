//! DestinationRules: hosts that do not exist, subsets that select nothing, policies that are not
//! enforced.

use super::About;
use crate::{
    desired::{client::selects, codes, host, registry::Host, route::World},
    finding::Finding,
    source::{
        Object,
        istio::{ClientTls, DestinationRule, LoadBalancer, TrafficPolicy},
    },
};

pub(super) fn review(world: World<'_>, object: &Object<DestinationRule>) -> Vec<Finding> {
    let mut about = About::new(object);
    let spec = &object.spec;
    let name = host::qualify(&spec.host, &object.meta.namespace, &world.settings.domain);
    let hosts = &world.registry.hosts;
    let target = hosts.get(&name);
    let is_known = target.is_some() || hosts.keys().any(|known| host::covers(&name, known));
    if !is_known {
        let message = format!("the host {name} is not in the registry");
        about.warn(
            codes::RULE_HOST_UNKNOWN,
            "spec.host",
            message,
            "name a service of this namespace, or a fully qualified one",
        );
    }
    for (index, subset) in spec.subsets.iter().enumerate() {
        let field = format!("spec.subsets[{index}]");
        if let Some(target) = target
            && !selects_any(target, &subset.labels)
        {
            let message = format!(
                "the subset {} selects no endpoint of {name}: connections to it are refused",
                subset.name
            );
            about.warn(
                codes::SUBSET_SELECTS_NOTHING,
                &format!("{field}.labels"),
                message,
                "compare its labels with those of the pods",
            );
        }
        if let Some(policy) = &subset.traffic_policy {
            traffic_policy(&mut about, &format!("{field}.trafficPolicy"), policy);
        }
    }
    if let Some(policy) = &spec.traffic_policy {
        traffic_policy(&mut about, "spec.trafficPolicy", policy);
    }
    about.found
}

fn selects_any(target: &Host, labels: &std::collections::BTreeMap<String, String>) -> bool {
    let mut backends = target.ports.iter().flat_map(|port| &port.backends);
    backends.any(|backend| selects(labels, &backend.labels))
}

fn traffic_policy(about: &mut About<'_, DestinationRule>, field: &str, policy: &TrafficPolicy) {
    if let Some(balancer) = &policy.load_balancer {
        load_balancer(about, &format!("{field}.loadBalancer"), balancer);
    }
    let is_disable = |tls: &ClientTls| matches!(tls.mode.as_deref(), None | Some("DISABLE"));
    let parts = [
        (
            "connectionPool",
            policy.connection_pool.is_some(),
            "connections are not limited",
        ),
        (
            "outlierDetection",
            policy.outlier_detection.is_some(),
            "no endpoint is ejected",
        ),
        (
            "tls",
            policy.tls.as_ref().is_some_and(|tls| !is_disable(tls)),
            "bytes flow as the application sends them",
        ),
        (
            "portLevelSettings",
            policy.port_level_settings.is_some(),
            "all ports are treated alike",
        ),
        ("tunnel", policy.tunnel.is_some(), "connections are direct"),
        (
            "proxyProtocol",
            policy.proxy_protocol.is_some(),
            "nothing is put before the application's bytes",
        ),
        (
            "retryBudget",
            policy.retry_budget.is_some(),
            "nothing is retried",
        ),
    ];
    for (name, is_given, what) in parts {
        if is_given {
            about.not_enforced(&format!("{field}.{name}"), what);
        }
    }
}

fn load_balancer(about: &mut About<'_, DestinationRule>, field: &str, balancer: &LoadBalancer) {
    let rotation = "connections rotate over the endpoints";
    if balancer.simple.as_deref() == Some("PASSTHROUGH") {
        about.not_enforced(&format!("{field}.simple"), rotation);
    }
    let parts = [
        ("consistentHash", balancer.consistent_hash.is_some()),
        ("localityLbSetting", balancer.locality_lb_setting.is_some()),
        (
            "zoneAwareLbSetting",
            balancer.zone_aware_lb_setting.is_some(),
        ),
        (
            "warmupDurationSecs",
            balancer.warmup_duration_secs.is_some(),
        ),
        ("warmup", balancer.warmup.is_some()),
    ];
    for (name, is_given) in parts {
        if is_given {
            about.not_enforced(&format!("{field}.{name}"), rotation);
        }
    }
}
