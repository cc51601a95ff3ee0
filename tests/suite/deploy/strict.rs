//! Every object is one that Kubernetes knows: read with its own types, no field is left over.

use std::fs;

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::{
    apps::v1::DaemonSet,
    core::v1::{Namespace, ServiceAccount},
    rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding},
};
use libtest_mimic::Trial;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use steer_tests::bins;

use crate::helm::{documents, plain, render, test};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        plain("strict::the_manifests_hold", manifests),
        test("strict::what_the_chart_renders_holds", chart),
        plain("strict::what_kubernetes_does_not_know_is_found", unknown),
    ]
}

fn manifests() -> Result<()> {
    for name in ["deploy/steer.yaml", "deploy/unload.yaml"] {
        let text = fs::read_to_string(bins::workspace().join(name))?;
        documents(&text)?.iter().try_for_each(check).context(name)?;
    }
    Ok(())
}

fn chart() -> Result<()> {
    for values in [
        vec![],
        vec!["--set=mode=unload,namespace.create=true"],
        vec![
            "--set=feedback=true",
            "--set=serviceAccount.annotations.a=b,podAnnotations.a=b,podLabels.a=b",
            "--set=imagePullSecrets[0].name=key,extraArgs={--domain=example.org}",
            "--set-json=extraEnv=[{\"name\":\"A\",\"valueFrom\":{\"fieldRef\":{\"fieldPath\":\"spec.nodeName\"}}}]",
            "--set-string=nodeSelector.disk=1",
            "--set=updateStrategy.type=OnDelete,updateStrategy.rollingUpdate=null",
        ],
    ] {
        let objects = render(&values)?;
        ensure!(!objects.is_empty(), "nothing is rendered");
        objects
            .iter()
            .try_for_each(check)
            .with_context(|| values.join(" "))?;
    }
    Ok(())
}

/// The check itself can fail.
fn unknown() -> Result<()> {
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": {"name": "a"}, "rules": [{"verbs": ["get"], "resource": ["pods"]}],
    });
    let error = format!("{:#}", check(&role).err().context("it is taken")?);
    ensure!(error.contains("rules.?.0.resource"), "{error}");
    let kind = json!({"apiVersion": "v1", "kind": "Role", "metadata": {"name": "a"}});
    ensure!(check(&kind).is_err(), "of another group");
    Ok(())
}

fn check(object: &Value) -> Result<()> {
    let what = (object["apiVersion"].as_str(), object["kind"].as_str());
    match what {
        (Some("v1"), Some("Namespace")) => read::<Namespace>(object),
        (Some("v1"), Some("ServiceAccount")) => read::<ServiceAccount>(object),
        (Some(RBAC), Some("ClusterRole")) => read::<ClusterRole>(object),
        (Some(RBAC), Some("ClusterRoleBinding")) => read::<ClusterRoleBinding>(object),
        (Some(RBAC), Some("Role")) => read::<Role>(object),
        (Some(RBAC), Some("RoleBinding")) => read::<RoleBinding>(object),
        (Some("apps/v1"), Some("DaemonSet")) => read::<DaemonSet>(object),
        other => bail!("nobody installs {other:?}"),
    }
    .with_context(|| object["kind"].to_string())
}

const RBAC: &str = "rbac.authorization.k8s.io/v1";

/// Reads it whole, and writes it again the same.
fn read<T: DeserializeOwned + Serialize>(object: &Value) -> Result<()> {
    let mut left = Vec::new();
    let read: T = serde_ignored::deserialize(object, |path| left.push(path.to_string()))?;
    ensure!(left.is_empty(), "not known: {}", left.join(", "));
    let again = serde_json::to_value(read)?;
    ensure!(again == *object, "{object} is read as {again}");
    Ok(())
}
