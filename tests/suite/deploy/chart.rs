//! The chart by itself: Helm finds nothing wrong with it, and refuses values that are wrong.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use serde_json::Value;
use steer_tests::bins;

use crate::helm::{self, CHART, plain, render, test};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("chart::helm_lints_it", lint),
        test("chart::wrong_values_are_refused", refused),
        test("chart::values_arrive", values),
        test("chart::agents_write_only_what_is_asked_for", feedback),
        test("chart::secrets_are_read_only_where_it_is_said", secrets),
        test("chart::nothing_is_made_that_is_there", optional),
        plain("chart::it_has_the_version_of_the_agent", version),
    ]
}

fn lint() -> Result<()> {
    helm::run(&["lint", "--strict", CHART]).map(drop)
}

/// By the schema, with the value's name.
fn refused() -> Result<()> {
    for (value, named) in [
        ("--set=mode=off", "mode"),
        ("--set=imagee.tag=1", "imagee"),
        ("--set=image.digest=sha256:12", "digest"),
        ("--set=image.pullPolicy=Sometimes", "pullPolicy"),
        ("--set=cgroup.path=sys/fs/cgroup", "path"),
        ("--set=istio.meshConfig=mesh", "meshConfig"),
        ("--set=istio.rootNamespace=Istio", "rootNamespace"),
        ("--set=gateway.secrets=*", "secrets"),
        ("--set=extraArgs={agent}", "extraArgs"),
        ("--set=serviceAccount.create=false", "serviceAccount"),
        (
            "--set=updateStrategy.rollingUpdate.maxUnavailable=few",
            "maxUnavailable",
        ),
        ("--set=nodeSelector.disk=1", "nodeSelector"),
        ("--set=namespace.create=maybe", "namespace"),
    ] {
        let Err(error) = render(&[value]) else {
            anyhow::bail!("{value} is taken");
        };
        let error = format!("{error:#}");
        ensure!(
            error.contains("schema") && error.contains(named),
            "{value}: {error}"
        );
    }
    Ok(())
}

/// A value, the field of the DaemonSet that it is for, and what is there then.
const FIELDS: [(&str, &str, &str); 22] = [
    (
        "--set=image.repository=example.org/steer",
        "/spec/template/spec/containers/0/image",
        "example.org/steer:0.1.0",
    ),
    (
        "--set=image.tag=dev",
        "/spec/template/spec/containers/0/image",
        "steer:dev",
    ),
    (
        "--set=image.pullPolicy=Always",
        "/spec/template/spec/containers/0/imagePullPolicy",
        "Always",
    ),
    (
        "--set=imagePullSecrets[0].name=key",
        "/spec/template/spec/imagePullSecrets/0/name",
        "key",
    ),
    (
        "--set=cgroup.path=/sys/fs/cgroup/unified",
        "/spec/template/spec/volumes/1/hostPath/path",
        "/sys/fs/cgroup/unified",
    ),
    (
        "--set=istio.rootNamespace=mesh",
        "/spec/template/spec/containers/0/args/3",
        "--root-namespace=mesh",
    ),
    (
        "--set=istio.meshConfig=istio-canary",
        "/spec/template/spec/containers/0/args/4",
        "--mesh-config=istio-canary",
    ),
    (
        "--set=extraArgs={--domain=example.org}",
        "/spec/template/spec/containers/0/args/9",
        "--domain=example.org",
    ),
    (
        "--set-json=extraEnv=[{\"name\":\"STEER_LOG\"}]",
        "/spec/template/spec/containers/0/env/2/name",
        "STEER_LOG",
    ),
    (
        "--set=metrics.port=9100",
        "/spec/template/spec/containers/0/args/7",
        "--metrics=$(HOST_IP):9100",
    ),
    (
        "--set=metrics.clusterName=east",
        "/spec/template/spec/containers/0/args/8",
        "--cluster-name=east",
    ),
    (
        "--set=metrics.enabled=false,extraArgs={--domain=example.org}",
        "/spec/template/spec/containers/0/args/7",
        "--domain=example.org",
    ),
    (
        "--set=serviceAccount.name=other",
        "/spec/template/spec/serviceAccountName",
        "other",
    ),
    (
        "--set=resources.limits.memory=2Gi",
        "/spec/template/spec/containers/0/resources/limits/memory",
        "2Gi",
    ),
    (
        "--set=readinessProbe.periodSeconds=3",
        "/spec/template/spec/containers/0/readinessProbe/periodSeconds",
        "3",
    ),
    (
        "--set=priorityClassName=high",
        "/spec/template/spec/priorityClassName",
        "high",
    ),
    (
        "--set-json=tolerations=[{\"key\":\"a\"}]",
        "/spec/template/spec/tolerations/0/key",
        "a",
    ),
    (
        "--set-string=nodeSelector.disk=1",
        "/spec/template/spec/nodeSelector/disk",
        "1",
    ),
    (
        "--set-json=affinity={\"nodeAffinity\":{}}",
        "/spec/template/spec/affinity/nodeAffinity",
        "{}",
    ),
    (
        "--set=podAnnotations.a=b",
        "/spec/template/metadata/annotations/a",
        "b",
    ),
    (
        "--set=podLabels.a=b",
        "/spec/template/metadata/labels/a",
        "b",
    ),
    (
        "--set=updateStrategy.rollingUpdate.maxUnavailable=50%",
        "/spec/updateStrategy/rollingUpdate/maxUnavailable",
        "50%",
    ),
];

/// Each value changes the field that it is for.
fn values() -> Result<()> {
    let digest = format!("sha256:{}", "0".repeat(64));
    let set = format!("--set=image.digest={digest}");
    holds(
        &set,
        "/spec/template/spec/containers/0/image",
        &format!("steer@{digest}"),
    )?;
    FIELDS
        .iter()
        .try_for_each(|(value, field, expected)| holds(value, field, expected))
}

fn holds(value: &str, field: &str, expected: &str) -> Result<()> {
    let set = daemon_set(&render(&[value])?)?;
    let found = set
        .pointer(field)
        .with_context(|| format!("{value}: no {field}"))?;
    let text = found
        .as_str()
        .map_or_else(|| found.to_string(), str::to_owned);
    ensure!(text == expected, "{value}: {field} is {text}");
    Ok(())
}

fn daemon_set(objects: &[Value]) -> Result<Value> {
    let found = objects.iter().find(|object| object["kind"] == "DaemonSet");
    found.cloned().context("a DaemonSet")
}

/// What the agents may write is the feedback; without it that is nothing.
fn feedback() -> Result<()> {
    let verbs = |values: &[&str]| -> Result<Vec<String>> {
        let objects = render(values)?;
        let rules = objects
            .iter()
            .filter_map(|object| object["rules"].as_array())
            .flatten();
        let verbs = rules.filter_map(|rule| rule["verbs"].as_array()).flatten();
        let mut verbs: Vec<String> = verbs.map(Value::to_string).collect();
        verbs.sort_unstable();
        verbs.dedup();
        Ok(verbs)
    };
    let (reads, writes) = (verbs(&["--set=feedback=false"])?, verbs(&[])?);
    ensure!(reads == ["\"list\"", "\"watch\""], "{reads:?}");
    ensure!(writes.len() == 6, "{writes:?}");
    holds(
        "--set=feedback=true",
        "/spec/template/spec/containers/0/args/6",
        "--feedback",
    )
}

/// Nowhere, or in one namespace.
fn secrets() -> Result<()> {
    let of = |values: &[&str]| -> Result<Vec<Value>> {
        let objects = render(values)?.into_iter();
        let role = |object: &Value| {
            let rules = object["rules"].as_array().into_iter().flatten();
            rules
                .filter_map(|rule| rule["resources"].as_array())
                .flatten()
                .any(|resource| resource == "secrets")
        };
        Ok(objects.filter(role).collect())
    };
    ensure!(of(&[])?.is_empty(), "without a word Secrets may be read");
    let set = "--set=gateway.secrets=edge";
    let roles = of(&[set])?;
    ensure!(
        roles.len() == 1
            && roles[0]["kind"] == "Role"
            && roles[0]["metadata"]["namespace"] == "edge",
        "{roles:?}"
    );
    let field = "/spec/template/spec/containers/0/args/6";
    holds(set, field, "--gateway-secrets=edge")
}

/// Roles and the account can be somebody else's, and the namespace is by default.
fn optional() -> Result<()> {
    let kinds = |values: &[&str]| -> Result<Vec<String>> {
        let objects = render(values)?.into_iter();
        Ok(objects
            .filter_map(|object| object["kind"].as_str().map(str::to_owned))
            .collect())
    };
    let rest =
        kinds(&["--set=rbac.create=false,serviceAccount.create=false,serviceAccount.name=x"])?;
    ensure!(rest == ["DaemonSet"], "{rest:?}");
    ensure!(
        !kinds(&[])?.contains(&"Namespace".to_owned()),
        "a namespace"
    );
    Ok(())
}

/// A chart installs the agent that it was written for.
fn version() -> Result<()> {
    let text = fs::read_to_string(bins::workspace().join(CHART).join("Chart.yaml"))?;
    let chart: Value = serde_json::to_value(&helm::documents(&text)?[0])?;
    let version = env!("CARGO_PKG_VERSION");
    ensure!(
        chart["version"] == version && chart["appVersion"] == version,
        "{chart}"
    );
    Ok(())
}
