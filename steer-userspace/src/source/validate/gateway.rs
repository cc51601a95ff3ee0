//! Gateway, as Istio's webhook sees it.

use std::{collections::BTreeSet, net::IpAddr};

use super::{
    checks::Checks,
    names::{is_label, wildcard_domain},
    server_tls::server_tls,
    sidecar::bind,
};
use crate::source::{
    istio::{Gateway, ListenerPort, Server},
    object::Meta,
};

/// What a server may speak.
const PROTOCOLS: [&str; 11] = [
    "http", "https", "http2", "grpc", "grpc-web", "tcp", "tls", "mongo", "mysql", "redis", "hbone",
];

/// What is wrong with a Gateway.
pub fn gateway(meta: &Meta, spec: &Gateway) -> Checks {
    let mut checks = Checks::default();
    if !is_label(&meta.name) {
        let message = format!("{:?} is not the name of a gateway", meta.name);
        checks.error("metadata.name", message, "use no dots");
    }
    checks.labels("spec.selector", &spec.selector);
    if spec.servers.is_empty() {
        let help = "give it a port and hosts";
        checks.error("spec.servers", "a server is missing", help);
    }
    let mut names = BTreeSet::new();
    for (index, found) in spec.servers.iter().enumerate() {
        let field = format!("spec.servers[{index}]");
        server(&mut checks, &field, found);
        let name = found.port.as_ref().map(|port| port.name.as_str());
        if name.is_some_and(|name| !names.insert(name)) {
            let message = "another server has a port of this name";
            checks.error(format!("{field}.port.name"), message, "rename one");
        }
    }
    checks
}

fn server(checks: &mut Checks, field: &str, server: &Server) {
    if server.hosts.is_empty() {
        let help = "write * for every host";
        checks.error(format!("{field}.hosts"), "hosts are missing", help);
    }
    for (index, text) in server.hosts.iter().enumerate() {
        host(checks, &format!("{field}.hosts[{index}]"), text);
    }
    let bound = server.bind.as_deref();
    bind(checks, field, bound);
    let Some(port) = &server.port else {
        checks.error(format!("{field}.port"), "a port is missing", "write one");
        return;
    };
    server_port(checks, &format!("{field}.port"), port, bound);
    tls(checks, field, server, port);
}

/// The port of a server.
pub fn server_port(checks: &mut Checks, field: &str, port: &ListenerPort, bind: Option<&str>) {
    if !PROTOCOLS.contains(&port.protocol.to_ascii_lowercase().as_str()) {
        let message = format!("{:?} is not known here", port.protocol);
        let help = "use one of HTTP, HTTPS, HTTP2, GRPC, TLS, TCP, MONGO, MYSQL, REDIS";
        checks.error(format!("{field}.protocol"), message, help);
    }
    if port.number > 0 || !bind.is_some_and(|bind| bind.starts_with("unix://")) {
        checks.port(&format!("{field}.number"), Some(port.number));
    }
    if port.name.is_empty() {
        checks.error(format!("{field}.name"), "a name is missing", "write one");
    }
    if port.target_port.is_some_and(|port| port != 0) {
        let message = "it has no effect on a Gateway";
        checks.warn(format!("{field}.targetPort"), message, "leave it out");
    }
}

fn tls(checks: &mut Checks, field: &str, server: &Server, port: &ListenerPort) {
    let protocol = port.protocol.to_ascii_lowercase();
    let is_tls = ["https", "tls"].contains(&protocol.as_str());
    let is_http = ["http", "http2", "grpc", "grpc-web"].contains(&protocol.as_str());
    let Some(tls) = &server.tls else {
        if is_tls {
            let help = "say what becomes of TLS: mode PASSTHROUGH, SIMPLE or MUTUAL";
            checks.error(format!("{field}.tls"), "it is missing", help);
        }
        return;
    };
    let field = format!("{field}.tls");
    if tls.https_redirect && !is_http {
        let message = "only a server of HTTP redirects";
        checks.warn(format!("{field}.httpsRedirect"), message, "leave it out");
    }
    let ends_tls = !tls.passes_through() || tls.names_files();
    if is_http && ends_tls {
        let message = "plain HTTP has no TLS";
        checks.error(&field, message, "use protocol HTTPS, or leave tls out");
    }
    server_tls(checks, &field, tls);
}

/// `HOST` or `NAMESPACE/HOST`.
fn host(checks: &mut Checks, field: &str, text: &str) {
    let name = match text.split_once('/') {
        None => text,
        Some((scope, name)) => {
            if !["*", "."].contains(&scope) && !is_label(scope) {
                let message = format!("{scope:?} is not the name of a namespace");
                checks.error(field, message, "use ., * or the name of a namespace");
            }
            name
        }
    };
    if name.parse::<IpAddr>().is_err() {
        let help = "use letters, digits, - and dots; * only in front";
        checks.named(field, name, wildcard_domain(name), help);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{super::testing::verdict, *};

    fn of(servers: Value) -> (String, String) {
        let meta = Meta {
            name: "edge".to_owned(),
            ..Meta::default()
        };
        let spec = serde_json::from_value(json!({"servers": servers})).unwrap();
        let (errors, warnings) = verdict(&gateway(&meta, &spec));
        let short = |fields: Vec<String>| fields.join(" ").replace("spec.servers", "");
        (short(errors), short(warnings))
    }

    fn port(number: u32, protocol: &str) -> Value {
        json!({"number": number, "name": protocol.to_lowercase(), "protocol": protocol})
    }

    #[test]
    fn hosts_may_have_a_namespace() {
        let errors = |hosts: Value| of(json!([{"port": port(80, "HTTP"), "hosts": hosts}])).0;
        let fine = json!(["*", "a.b", "*.b", "shop/a.b", "*/a.b", "./*", "1.1.1.1"]);
        assert_eq!(errors(fine), "");
        assert_eq!(errors(json!([])), "[0].hosts");
        assert_eq!(errors(json!(["~/a.b"])), "[0].hosts[0]");
        assert_eq!(errors(json!(["a.*.b"])), "[0].hosts[0]");
    }

    #[test]
    fn a_port_is_needed_and_its_name_stands_once() {
        let hosts = json!(["*"]);
        assert_eq!(of(json!([{"hosts": hosts}])).0, "[0].port");
        let twice = json!([
            {"port": port(80, "HTTP"), "hosts": hosts},
            {"port": port(81, "HTTP"), "hosts": hosts},
        ]);
        assert_eq!(of(twice).0, "[1].port.name");
        let wrong = json!([{"port": port(0, "kafka"), "hosts": hosts}]);
        assert_eq!(of(wrong).0, "[0].port.protocol [0].port.number");
    }

    #[test]
    fn tls_is_for_servers_that_speak_it() {
        let of = |protocol: &str, tls: Value| {
            of(json!([{"port": port(443, protocol), "hosts": ["*"], "tls": tls}]))
        };
        let clean = (String::new(), String::new());
        assert_eq!(of("HTTP", json!({"httpsRedirect": true})), clean);
        assert_eq!(of("HTTPS", json!({"mode": "PASSTHROUGH"})), clean);
        let credential = json!({"mode": "SIMPLE", "credentialName": "cert"});
        assert_eq!(of("HTTPS", credential.clone()), clean);
        assert_eq!(of("HTTP", credential).0, "[0].tls");
        assert_eq!(of("TLS", Value::Null).0, "[0].tls");
        let redirect = json!({"httpsRedirect": true});
        assert_eq!(of("HTTPS", redirect).1, "[0].tls.httpsRedirect");
    }
}
