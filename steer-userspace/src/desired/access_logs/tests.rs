use super::super::{
    Settings,
    fixture::{CATALOG, findings, lowered, pod},
    model::Sides,
};

const WEBAPP: &str = "
---
kind: Telemetry
metadata: {name: webapp, namespace: shop}
spec:
  selector: {matchLabels: {app: webapp}}
  accessLogging: [{providers: [{name: envoy}]}]
";

/// Pods that log, each with its sides: `c` and `s`.
fn logging(text: &str) -> Vec<String> {
    let local = ["shop/webapp", "shop/catalog-v1", "other/client"];
    let desired = lowered(&format!("{CATALOG}{text}"), &local);
    let pods = desired.access_logs.pods.iter();
    pods.map(|(pod, Sides { client, server })| {
        let side = |on: &bool, name: &'static str| if *on { name } else { "" };
        format!("{} {}{}", pod.name, side(client, "c"), side(server, "s"))
    })
    .collect()
}

fn telemetry(namespace: &str, name: &str, spec: &str) -> String {
    format!(
        "\n---\nkind: Telemetry\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {spec}"
    )
}

fn mesh(fields: &str) -> String {
    format!(
        "\n---\nkind: ConfigMap\nmetadata: {{name: istio, namespace: {}}}\ndata:\n  mesh: |-\n    {}",
        Settings::default().root_namespace,
        fields.replace('\n', "\n    ")
    )
}

const ON: &str = "{accessLogging: [{providers: [{name: envoy}]}]}";
const OFF: &str = "{accessLogging: [{providers: [{name: envoy}], disabled: true}]}";

/// Step S7: of three pods only the one that is selected.
#[test]
fn whom_a_selector_names_and_nobody_else() {
    assert_eq!(logging(WEBAPP), ["webapp cs"]);
    assert_eq!(logging(""), [""; 0]);
}

#[test]
fn the_nearer_scope_decides() {
    let root = telemetry("istio-system", "all", ON);
    assert_eq!(logging(&root), ["client cs", "catalog-v1 cs", "webapp cs"]);
    let shop = telemetry("shop", "none", OFF);
    assert_eq!(logging(&format!("{root}{shop}")), ["client cs"]);
    assert_eq!(
        logging(&format!("{root}{shop}{WEBAPP}")),
        ["client cs", "webapp cs"]
    );
}

#[test]
fn a_side_is_told_from_the_other() {
    let spec = "{accessLogging: [{match: {mode: CLIENT}, providers: [{name: envoy}]}]}";
    assert_eq!(
        logging(&telemetry("shop", "a", spec)),
        ["catalog-v1 c", "webapp c"]
    );
    let spec = "{accessLogging: [{providers: [{name: envoy}]}, \
                {match: {mode: CLIENT}, disabled: true}]}";
    assert_eq!(
        logging(&telemetry("shop", "a", spec)),
        ["catalog-v1 s", "webapp s"]
    );
}

#[test]
fn providers_are_those_of_before_where_none_is_named() {
    let root = telemetry("istio-system", "all", ON);
    let shop = telemetry("shop", "none", "{accessLogging: [{disabled: true}]}");
    assert_eq!(logging(&format!("{root}{shop}")), ["client cs"]);
    let other = telemetry(
        "shop",
        "away",
        "{accessLogging: [{providers: [{name: otel}]}]}",
    );
    assert_eq!(logging(&format!("{root}{other}")), ["client cs"]);
}

#[test]
fn the_file_of_the_mesh_counts_where_no_telemetry_speaks() {
    let file = mesh("accessLogFile: /dev/stdout");
    assert_eq!(logging(&file).len(), 3);
    let silent = telemetry("shop", "metrics", "{metrics: [{}]}");
    assert_eq!(logging(&format!("{file}{silent}")).len(), 3);
    let off = telemetry("shop", "none", OFF);
    assert_eq!(logging(&format!("{file}{off}")), ["client cs"]);
    assert_eq!(logging(&mesh("accessLogFile: ''")), [""; 0]);
    let providers = mesh("defaultProviders: {accessLogging: [envoy]}");
    assert_eq!(logging(&providers).len(), 3);
    let side = telemetry(
        "shop",
        "server",
        "{accessLogging: [{match: {mode: SERVER}, disabled: true}]}",
    );
    let found = logging(&format!("{providers}{side}"));
    assert_eq!(found, ["client cs", "catalog-v1 c", "webapp c"]);
}

#[test]
fn where_to_and_how() {
    let written =
        "accessLogFile: /var/log/a\naccessLogEncoding: JSON\naccessLogFormat: '{\"a\": \"%X%\"}'";
    let desired = lowered(&format!("{CATALOG}{}", mesh(written)), &[]);
    assert_eq!(desired.access_logs.file, "/var/log/a");
    assert_eq!(findings(&desired), ["STR0303 accessLogFormat"]);
    let no_object = mesh("accessLogEncoding: JSON\naccessLogFormat: plain");
    let desired = lowered(&format!("{CATALOG}{no_object}"), &[]);
    assert_eq!(desired.access_logs.file, "/dev/stdout");
    assert_eq!(findings(&desired), ["STR0303 accessLogFormat"]);
}

#[test]
fn what_is_not_done_is_told() {
    let spec = "{metrics: [{}], tracing: [{}], accessLogging: [\
                {filter: {expression: response.code >= 400}},\
                {providers: [{name: envoy}, {name: otel}]}]}";
    let desired = lowered(&format!("{CATALOG}{}", telemetry("shop", "a", spec)), &[]);
    assert_eq!(
        findings(&desired),
        [
            "IST0157 spec.accessLogging[0]",
            "STR0303 spec.metrics",
            "STR0303 spec.tracing",
            "STR0303 spec.accessLogging[0].filter.expression",
            "STR0303 spec.accessLogging[1].providers[1].name",
        ]
    );
}

#[test]
fn of_several_for_the_same_workloads_the_oldest_decides() {
    let general = telemetry("shop", "b", ON) + &telemetry("shop", "c", OFF);
    let same = WEBAPP.replace("name: webapp, ", "name: xyz, ");
    let text = format!("{CATALOG}{general}{WEBAPP}{same}");
    let desired = lowered(&text, &["shop/webapp"]);
    assert_eq!(
        findings(&desired),
        ["IST0159 spec.selector", "IST0160 spec"]
    );
    assert!(desired.access_logs.pods.contains_key(&pod("shop/webapp")));
}

/// A gateway logs what its clients ask, if a Telemetry selects the workload that its Service would lead to.
#[test]
fn a_gateway_is_a_workload_without_pods() {
    const GATEWAY: &str = "
---
kind: Service
metadata: {name: ingress, namespace: istio-system, annotations: {steer.dev/node-ports: \"80=30000\"}}
spec: {selector: {istio: ingressgateway}, ports: [{name: http, port: 80}]}
---
kind: Gateway
metadata: {name: edge, namespace: shop}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [\"*\"]}]
";
    let ports = |spec: &str| {
        let telemetry = telemetry("istio-system", "edge", spec);
        let desired = lowered(&format!("{CATALOG}{GATEWAY}{telemetry}"), &[]);
        let gateways = desired.access_logs.gateways.into_iter();
        gateways
            .map(|(port, name)| format!("{port} {name}"))
            .collect::<Vec<_>>()
    };
    let selecting = |labels: &str, mode: &str| {
        format!(
            "{{selector: {{matchLabels: {{{labels}}}}}, \
             accessLogging: [{{providers: [{{name: envoy}}], match: {{mode: {mode}}}}}]}}"
        )
    };
    let own = "istio: ingressgateway";
    let expected = ["30000 istio-system/ingress"];
    assert_eq!(ports(&selecting(own, "CLIENT")), expected);
    assert_eq!(ports(&selecting(own, "CLIENT_AND_SERVER")), expected);
    assert_eq!(ports(&selecting(own, "SERVER")), [""; 0]);
    assert_eq!(ports(&selecting("app: other", "CLIENT")), [""; 0]);
}
