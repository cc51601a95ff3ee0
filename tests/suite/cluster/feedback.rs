//! What the agent tells the cluster: conditions of rules, Events, and who of several agents does so.

use std::{thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use steer_tests::{
    harness::test,
    server::api::{ApiServer, Faults, Right},
    topology::CATALOG_SUBSETS,
};

use crate::stage::{Stage, eventually};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("feedback::rules_say_how_far_they_are_enforced", conditions),
        test("feedback::findings_are_events_of_their_objects", events),
        test("feedback::one_agent_speaks_for_all", leader),
        test("feedback::what_is_said_is_not_said_again", quiet),
        test("feedback::the_manifest_gives_the_rights_to", rights),
        test("feedback::kinds_that_are_not_enforced_are_named", named),
    ]
}

const NAMESPACE: &str = "istioinaction";

fn raise(purpose: &str) -> Result<Stage> {
    let mut stage = Stage::without_istio(purpose)?;
    stage.server.install_istio("v1");
    stage.server.apply(CATALOG_SUBSETS)?;
    stage.split([90, 10])?;
    stage.start_with(&["--feedback", "--node-name", "node-1"])?;
    Ok(stage)
}

/// Our condition of an object, as `status/reason`.
fn said(server: &ApiServer, plural: &str, name: &str) -> Option<(String, String)> {
    let object = server.object(plural, NAMESPACE, name)?;
    let all = object["status"]["conditions"].as_array()?.clone();
    let own = all.into_iter().find(|one| one["type"] == "SteerEnforced")?;
    let text = |field: &str| own[field].as_str().unwrap_or_default().to_owned();
    Some((
        format!("{}/{}", text("status"), text("reason")),
        text("message"),
    ))
}

fn await_said(stage: &Stage, plural: &str, name: &str, wanted: &str) -> Result<String> {
    let mut message = String::new();
    eventually(&format!("{name} to say {wanted}"), || {
        let found = said(&stage.server, plural, name);
        let (what, text) = found.unwrap_or_default();
        message = text;
        Ok(if what == wanted { Ok(()) } else { Err(what) })
    })?;
    Ok(message)
}

/// A rule of which a part is not enforced.
fn partly_enforced(weight: u32) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\n\
         metadata: {{name: catalog, namespace: {NAMESPACE}}}\n\
         spec:\n  hosts: [catalog]\n  http:\n  \
         - retries: {{attempts: 0, retryIgnorePreviousHosts: false}}\n    \
           route: [{{destination: {{host: catalog, subset: v1}}, weight: {weight}}}]\n"
    )
}

fn conditions() -> Result<()> {
    let stage = raise("said")?;
    await_said(&stage, "virtualservices", "catalog", "True/Enforced")?;
    await_said(&stage, "destinationrules", "catalog", "True/Enforced")?;
    // Conditions of others stay.
    let other = json!({"conditions": [{"type": "Reconciled", "status": "True"}]});
    stage
        .server
        .set_status("virtualservices", NAMESPACE, "catalog", other)?;
    stage.server.apply(&partly_enforced(100))?;
    let message = await_said(&stage, "virtualservices", "catalog", "False/PartlyEnforced")?;
    ensure!(message.contains("[STR0303]"), "{message}");
    let object = stage.server.object("virtualservices", NAMESPACE, "catalog");
    let object = object.context("the rule")?;
    ensure!(
        object["status"]["conditions"][0]["type"] == "Reconciled",
        "{}",
        object["status"]
    );
    // Refused alone: what it said before stays in force.
    let wrong = partly_enforced(100).replace("weight: 100", "weight: -1");
    stage.server.apply(&wrong)?;
    await_said(&stage, "virtualservices", "catalog", "False/Refused")?;
    stage.split([50, 50])?;
    await_said(&stage, "virtualservices", "catalog", "True/Enforced")?;
    stage.await_split([50, 50])
}

/// Events about an object: their reasons and who reported them.
fn told(server: &ApiServer, name: &str) -> Vec<(String, String)> {
    let events = server.objects("events");
    let own = events
        .iter()
        .filter(|event| event["regarding"]["name"] == name);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    own.map(|event| (text(&event["reason"]), text(&event["reportingInstance"])))
        .collect()
}

fn events() -> Result<()> {
    let stage = raise("events")?;
    await_said(&stage, "virtualservices", "catalog", "True/Enforced")?;
    ensure!(told(&stage.server, "catalog").is_empty(), "too early");
    stage.server.apply(&partly_enforced(100))?;
    eventually("an Event", || {
        let found = told(&stage.server, "catalog");
        let wanted = ("STR0303".to_owned(), "node-1".to_owned());
        Ok(if found.contains(&wanted) {
            Ok(())
        } else {
            Err(format!("{found:?}"))
        })
    })?;
    let events = stage.server.objects("events");
    let event = events.first().context("an Event")?;
    ensure!(
        event["regarding"]["uid"].is_string() && event["type"] == "Warning",
        "{event}"
    );
    ensure!(
        event["note"]
            .as_str()
            .is_some_and(|note| note.contains("spec.http[0]")),
        "{event}"
    );
    Ok(())
}

/// Who holds the Lease.
fn holder(server: &ApiServer) -> Option<String> {
    let leases = server.objects("leases");
    let holder = leases.first()?["spec"]["holderIdentity"].as_str()?;
    Some(holder.to_owned())
}

/// While another agent holds the Lease nothing is said of rules; when it is silent for too long, this
/// one takes it.
fn leader() -> Result<()> {
    let mut stage = Stage::without_istio("leader")?;
    stage.server.install_istio("v1");
    stage.server.apply(CATALOG_SUBSETS)?;
    stage.split([90, 10])?;
    stage.server.put(json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "steer-feedback", "namespace": "default"},
        "spec": {"holderIdentity": "node-9", "leaseDurationSeconds": 15},
    }))?;
    stage.start_with(&["--feedback", "--node-name", "node-1"])?;
    thread::sleep(Duration::from_secs(7));
    ensure!(
        said(&stage.server, "virtualservices", "catalog").is_none(),
        "it speaks though another one leads"
    );
    await_said(&stage, "virtualservices", "catalog", "True/Enforced")?;
    ensure!(holder(&stage.server).as_deref() == Some("node-1"));
    Ok(())
}

/// What was written does not lead to writing.
fn quiet() -> Result<()> {
    let stage = raise("quiet")?;
    await_said(&stage, "virtualservices", "catalog", "True/Enforced")?;
    await_said(&stage, "destinationrules", "catalog", "True/Enforced")?;
    let writes = || {
        let asked = stage.server.asked();
        let is_write = |line: &&String| !line.starts_with("GET") && !line.contains("leases");
        asked.iter().filter(is_write).count()
    };
    let before = writes();
    // Others write the same, and the status of others changes.
    stage.split([90, 10])?;
    thread::sleep(Duration::from_secs(6));
    ensure!(writes() == before, "{} writes more", writes() - before);
    Ok(())
}

/// With the rights of the manifest it can say everything that it has to say.
fn rights() -> Result<()> {
    let rights = Right::read(include_str!("../../../deploy/steer.yaml"))?;
    let mut stage = Stage::without_istio("feedback-rights")?;
    stage.server.install_istio("v1");
    stage.server.apply(CATALOG_SUBSETS)?;
    stage.server.apply(&partly_enforced(100))?;
    stage.server.fail(Faults {
        rights: Some(at_home(rights)),
        ..Faults::default()
    });
    stage.start_with(&["--feedback", "--node-name", "node-1"])?;
    await_said(&stage, "virtualservices", "catalog", "False/PartlyEnforced")?;
    eventually("an Event", || {
        let any = !told(&stage.server, "catalog").is_empty();
        Ok(if any { Ok(()) } else { Err(String::new()) })
    })?;
    let log = stage.log()?;
    ensure!(!log.contains("the cluster cannot be told"), "{log}");
    Ok(())
}

/// The lab's agent is at home in the namespace `default`.
fn at_home(mut rights: Vec<Right>) -> Vec<Right> {
    let home = rights.iter_mut().filter(|right| right.resource == "leases");
    home.for_each(|right| right.namespace = Some("default".to_owned()));
    rights
}

/// Kinds that are not enforced are told, each of its group: two of them have a kind Gateway, one of which is.
fn named() -> Result<()> {
    let mut stage = Stage::without_istio("named")?;
    stage.server.install_istio("v1");
    stage.server.install_gateway_api();
    stage.start()?;
    let object = |version: &str, kind: &str| {
        format!(
            "apiVersion: {version}\nkind: {kind}\n\
             metadata: {{name: nobody, namespace: {NAMESPACE}}}\nspec: {{}}\n"
        )
    };
    let istio = object("networking.istio.io/v1", "EnvoyFilter");
    let kubernetes = object("gateway.networking.k8s.io/v1", "Gateway");
    let policy = object("security.istio.io/v1", "AuthorizationPolicy");
    for text in [&istio, &kubernetes, &policy] {
        stage.server.apply(text)?;
    }
    let count = |status: &serde_json::Value| {
        let findings = status["findings"].as_array().into_iter().flatten();
        findings
            .filter(|finding| finding["code"] == "STR0201")
            .filter(|finding| finding["object"]["name"] == "nobody")
            .count()
    };
    stage.await_status("them to be named", |status| count(status) == 3)?;
    stage.server.withdraw(&policy)?;
    stage.await_status("the policy to be gone", |status| count(status) == 2)?;
    stage.server.withdraw(&istio)?;
    stage.await_split([1, 1])?;
    stage.await_status("the gateway", |status| count(status) == 1)?;
    stage.server.withdraw(&kubernetes)?;
    stage.await_status("both to be gone", |status| count(status) == 0)?;
    Ok(())
}
