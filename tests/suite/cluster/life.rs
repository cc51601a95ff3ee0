//! Ordinary life: objects come, change and go, in a cluster as it is.

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use serde_json::Value;
use steer_tests::{harness::test, topology::CATALOG_SUBSETS};

use crate::stage::Stage;

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("life::what_a_cluster_has_is_in_force", in_force),
        test("life::definitions_come_later", definitions_later),
        test("life::an_older_istio", older_istio),
        test("life::a_broken_object_is_refused_alone", broken_alone),
        test("life::the_mesh_is_registry_only", registry_only),
        test(
            "life::of_pods_elsewhere_only_metadata_is_read",
            metadata_only,
        ),
    ]
}

fn in_force() -> Result<()> {
    let mut stage = Stage::raise("kube-in-force")?;
    stage.await_split([90, 10])?;
    stage.split([50, 50])?;
    stage.await_split([50, 50])?;
    stage
        .server
        .delete("virtualservices", "istioinaction", "catalog")?;
    // What Kubernetes does by itself: every endpoint in turn.
    stage.await_split([1, 1])?;
    stage.stop()
}

/// Istio's kinds are not there at first, and not in the way of what is.
fn definitions_later() -> Result<()> {
    let mut stage = Stage::without_istio("kube-definitions")?;
    stage.start()?;
    stage.await_split([1, 1])?;
    stage.server.install_istio("v1");
    stage.server.apply(CATALOG_SUBSETS)?;
    stage.split([90, 10])?;
    stage.await_split([90, 10])
}

fn older_istio() -> Result<()> {
    let mut stage = Stage::without_istio("kube-older")?;
    stage.server.install_istio("v1beta1");
    stage.server.apply(CATALOG_SUBSETS)?;
    stage.split([80, 20])?;
    stage.start()?;
    stage.await_split([80, 20])
}

/// The last good version stays, a finding names the field, and others go on.
fn broken_alone() -> Result<()> {
    let stage = Stage::raise("kube-broken")?;
    stage.server.apply(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\n\
         metadata: {name: catalog, namespace: istioinaction}\n\
         spec: {hosts: [catalog], http: [{route: [{destination: {host: catalog}, weight: -1}]}]}\n",
    )?;
    let said = |status: &Value| {
        let findings = status["findings"].as_array().cloned().unwrap_or_default();
        findings
            .iter()
            .any(|one| one["field"] == "spec.http[0].route[0].weight" && one["severity"] == "error")
    };
    stage.await_status("a finding of the weight", said)?;
    stage.await_split([90, 10])?;
    // Another object is taken meanwhile.
    let rule = CATALOG_SUBSETS.replace("{version: v2}", "{version: v1}");
    stage.server.apply(&rule)?;
    stage.await_split([100, 0])?;
    stage.server.apply(CATALOG_SUBSETS)?;
    stage.split([70, 30])?;
    stage.await_split([70, 30])?;
    stage
        .await_status("no error", |status| !said(status))
        .map(drop)
}

/// The ConfigMap of the mesh is read, and only that one is asked for.
fn registry_only() -> Result<()> {
    let stage = Stage::raise("kube-mesh")?;
    let outside = |stage: &Stage| {
        let arguments = [
            "-sS",
            "--max-time",
            "3",
            "-o",
            "/dev/null",
            "http://192.0.2.10/",
        ];
        let said = stage.lab.pod("client")?.run("curl", &arguments);
        Ok::<bool, anyhow::Error>(said.is_ok())
    };
    ensure!(outside(&stage)?, "a control that does not get through");
    stage.server.apply(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\n\
         data: {mesh: 'outboundTrafficPolicy: {mode: REGISTRY_ONLY}'}\n",
    )?;
    crate::stage::eventually("the outside is refused", || {
        let through = outside(&stage)?;
        Ok(if through {
            Err("it is not".to_owned())
        } else {
            Ok(())
        })
    })?;
    let asked = stage.server.asked();
    let maps = asked.iter().filter(|line| line.contains("configmaps"));
    for line in maps {
        ensure!(
            line.contains("/namespaces/istio-system/configmaps")
                && line.contains("metadata.name%3Distio"),
            "{line}"
        );
    }
    Ok(())
}

/// With the node's name, pods are read in whole by that name alone; subsets are still told apart.
fn metadata_only() -> Result<()> {
    let mut stage = Stage::without_istio("kube-metadata")?;
    stage.server.install_istio("v1");
    stage.server.apply(CATALOG_SUBSETS)?;
    stage.split([90, 10])?;
    stage.start_with(&["--node-name", "node-1"])?;
    stage.await_split([90, 10])?;
    let asked = stage.server.asked();
    let pods: Vec<&String> = asked
        .iter()
        .filter(|line| line.contains("/pods?"))
        .collect();
    ensure!(
        pods.iter()
            .any(|line| line.contains("spec.nodeName%3Dnode-1")),
        "{pods:?}"
    );
    Ok(())
}
