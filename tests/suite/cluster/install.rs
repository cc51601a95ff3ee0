//! `steer install` and `steer uninstall`, put to an API server.

use std::{process::Output, thread};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use steer_tests::{harness::test, server::api::Faults};

use crate::stage::{Stage, eventually};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("install::what_is_printed_is_what_is_applied", applied),
        test("install::what_others_wrote_stays", shared),
        test("install::a_dry_run_changes_nothing", dry),
        test("install::what_is_refused_is_named", refused),
        test("install::uninstall_leaves_nodes_clean", uninstalled),
        test("install::a_node_that_is_not_cleaned_is_told", late),
    ]
}

const ISTIO: &str = "apiVersion: v1\nkind: Namespace\nmetadata: {name: istio-system}\n";
const SETS: &str = "daemonsets";

/// `steer COMMAND --apply`, against the stage's server.
fn steer(stage: &Stage, command: &str, arguments: &[&str]) -> Result<Output> {
    let mut command = stage.lab.steer(command)?;
    command.arg("--apply").arg("--kubeconfig");
    command.arg(stage.server.kubeconfig(stage.lab.dirs().run())?);
    Ok(command.args(arguments).output()?)
}

fn told(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// It exits with a code, and says this.
fn ensure_told(output: &Output, code: i32, said: &str) -> Result<()> {
    let (out, error) = told(output);
    ensure!(
        output.status.code() == Some(code) && (out.contains(said) || error.contains(said)),
        "not {code} with {said:?}: {}\n{out}{error}",
        output.status
    );
    Ok(())
}

fn set(stage: &Stage, name: &str) -> Result<Value> {
    let found = stage.server.object(SETS, "steer-system", name);
    found.with_context(|| format!("no DaemonSet {name}"))
}

/// Every object arrives as it is printed; a second time nothing is to be done, and one change is one.
fn applied() -> Result<()> {
    let stage = Stage::without_istio("install")?;
    stage.server.apply(ISTIO)?;
    let lines = |what: &str| {
        format!(
            "Namespace steer-system {what}\nServiceAccount steer-system/steer {what}\n\
             ClusterRole steer {what}\nClusterRoleBinding steer {what}\n\
             Role istio-system/steer {what}\nRole steer-system/steer-feedback {what}\n\
             RoleBinding istio-system/steer {what}\n\
             RoleBinding steer-system/steer-feedback {what}\n"
        )
    };
    for what in ["created", "unchanged"] {
        let expected = lines(what) + &format!("DaemonSet steer-system/steer {what}\n");
        let output = steer(&stage, "install", &[])?;
        let (out, error) = told(&output);
        ensure!(output.status.success() && out == expected, "{out}{error}");
    }
    let output = steer(&stage, "install", &["--image", "example.org/steer:2"])?;
    let expected = lines("unchanged") + "DaemonSet steer-system/steer changed\n";
    ensure!(told(&output).0 == expected, "{:?}", told(&output));

    let printed = include_str!("../../../deploy/steer.yaml");
    let wanted: Vec<Value> = serde_saphyr::from_multiple(printed).map_err(anyhow::Error::msg)?;
    for (mut wanted, plural) in wanted.into_iter().zip([
        "namespaces",
        "serviceaccounts",
        "clusterroles",
        "clusterrolebindings",
        "roles",
        "roles",
        "rolebindings",
        "rolebindings",
        SETS,
    ]) {
        if let Some(image) = wanted.pointer_mut("/spec/template/spec/containers/0/image") {
            *image = json!("example.org/steer:2");
        }
        let name = |field: &str| wanted["metadata"][field].as_str().unwrap_or_default();
        let found = stage.server.object(plural, name("namespace"), name("name"));
        let mut found = found.with_context(|| format!("no {plural}"))?;
        for own in ["resourceVersion", "managedFields", "generation", "uid"] {
            if let Some(metadata) = found["metadata"].as_object_mut() {
                metadata.remove(own);
            }
        }
        ensure!(found == wanted, "{found:#}\nis not\n{wanted:#}");
    }
    Ok(())
}

/// Fields of other managers stay, and are not taken over unasked.
fn shared() -> Result<()> {
    let stage = Stage::without_istio("install-shared")?;
    stage.server.apply(ISTIO)?;
    ensure_told(&steer(&stage, "install", &[])?, 0, "created")?;
    let mut theirs = set(&stage, "steer")?;
    theirs["metadata"]["labels"]["team"] = json!("mesh");
    theirs["spec"]["template"]["spec"]["containers"][0]["image"] = json!("theirs:1");
    stage.server.put(theirs)?;
    let conflict = "DaemonSet steer-system/steer: Apply failed with 1 conflict: conflict with \
                    \"kubectl\": .spec.template.spec.containers[name=\"agent\"].image \
                    (--force-conflicts takes the fields over)";
    ensure_told(&steer(&stage, "install", &[])?, 1, conflict)?;
    let forced = steer(&stage, "install", &["--force-conflicts"])?;
    ensure_told(&forced, 0, "DaemonSet steer-system/steer changed")?;
    let found = set(&stage, "steer")?;
    ensure!(found["metadata"]["labels"]["team"] == "mesh", "{found}");
    let image = found.pointer("/spec/template/spec/containers/0/image");
    ensure!(image != Some(&json!("theirs:1")), "{image:?}");
    Ok(())
}

fn dry() -> Result<()> {
    let stage = Stage::without_istio("install-dry")?;
    stage.server.apply(ISTIO)?;
    let output = steer(&stage, "install", &["--dry-run"])?;
    for said in [
        "Namespace steer-system created (dry run on the server)\n",
        "DaemonSet steer-system/steer not checked: its namespace would be created first\n",
        "Role istio-system/steer created (dry run on the server)\n",
    ] {
        ensure_told(&output, 0, said)?;
    }
    let nothing = |plural: &str, namespace: &str, name: &str| {
        ensure!(
            stage.server.object(plural, namespace, name).is_none(),
            "{plural} {name} is there"
        );
        Ok(())
    };
    nothing("namespaces", "", "steer-system")?;
    nothing("clusterroles", "", "steer")?;
    nothing("roles", "istio-system", "steer")?;
    ensure_told(&steer(&stage, "install", &[])?, 0, "created")?;
    let output = steer(&stage, "uninstall", &["--dry-run"])?;
    ensure_told(
        &output,
        0,
        "DaemonSet steer-system/steer deleted (dry run on the server)",
    )?;
    set(&stage, "steer").map(drop)
}

/// Object and reason, and everything else is done all the same.
fn refused() -> Result<()> {
    let stage = Stage::without_istio("install-refused")?;
    let output = steer(&stage, "install", &[])?;
    for said in [
        "Role istio-system/steer: namespaces \"istio-system\" not found (create the namespace \
         istio-system first, or name another)",
        "2 objects refused",
        "DaemonSet steer-system/steer created",
    ] {
        ensure_told(&output, 1, said)?;
    }
    stage.server.apply(ISTIO)?;
    stage.server.fail(Faults {
        status: vec![("clusterroles".to_owned(), 403)],
        ..Faults::default()
    });
    let output = steer(&stage, "install", &[])?;
    ensure_told(&output, 1, "ClusterRole steer: clusterroles: as you wished")?;
    ensure_told(&output, 1, "who installs steer needs these rights")?;
    ensure_told(&output, 1, "Role istio-system/steer created")?;
    stage.server.fail(Faults {
        down: Some(503),
        ..Faults::default()
    });
    ensure_told(&steer(&stage, "install", &[])?, 1, "the server is down")
}

/// The agent goes, the node is unloaded, then the objects go; the node's part is played by the test.
fn uninstalled() -> Result<()> {
    let mut stage = Stage::raise("uninstall")?;
    stage.server.apply(ISTIO)?;
    ensure_told(
        &steer(&stage, "install", &["--image", "example.org/steer:2"])?,
        0,
        "DaemonSet steer-system/steer created",
    )?;
    stage.await_split([90, 10])?;
    let mut agent = stage.agent.take();
    let stage = &stage;
    let output = thread::scope(|scope| {
        let kubelet = scope.spawn(|| {
            eventually("the agents' DaemonSet goes", || Ok(gone(stage, "steer")))?;
            agent.take().context("an agent")?.stop()?;
            eventually("a DaemonSet that unloads", || {
                let found = set(stage, "steer-unload");
                Ok(found.map(drop).map_err(|error| error.to_string()))
            })?;
            unload(stage)
        });
        let output = steer(stage, "uninstall", &["--timeout", "60"])?;
        kubelet
            .join()
            .map_err(|_| anyhow::anyhow!("the kubelet died"))??;
        Ok::<_, anyhow::Error>(output)
    })?;
    for said in [
        "DaemonSet steer-system/steer deleted",
        "1 of 1 nodes are clean",
        "DaemonSet steer-system/steer-unload deleted",
        "Namespace steer-system deleted",
    ] {
        ensure_told(&output, 0, said)?;
    }
    ensure!(!stage.lab.dirs().pins().exists(), "something is pinned");
    for (plural, namespace, name) in [
        (SETS, "steer-system", "steer-unload"),
        ("clusterroles", "", "steer"),
        ("roles", "istio-system", "steer"),
        ("namespaces", "", "steer-system"),
    ] {
        let found = stage.server.object(plural, namespace, name);
        ensure!(found.is_none(), "{plural} {name} is there");
    }
    Ok(())
}

fn gone(stage: &Stage, name: &str) -> Result<(), String> {
    match stage.server.object(SETS, "steer-system", name) {
        Some(_) => Err(format!("{name} is there")),
        None => Ok(()),
    }
}

/// What a node does with the pods that unload: the first container, then the pod is ready.
fn unload(stage: &Stage) -> Result<()> {
    let found = set(stage, "steer-unload")?;
    let first = &found["spec"]["template"]["spec"]["initContainers"][0];
    ensure!(first["image"] == "example.org/steer:2", "{first}");
    let arguments = first["args"].as_array().into_iter().flatten();
    let words: Vec<&str> = arguments.filter_map(Value::as_str).collect();
    let (command, rest) = words.split_first().context("a command")?;
    let output = stage.lab.steer(command)?.args(rest).output()?;
    ensure_told(&output, 0, "connections go where they are dialled")?;
    let status = |ready: u64| {
        json!({
            "observedGeneration": 1, "desiredNumberScheduled": 1,
            "updatedNumberScheduled": 1, "numberReady": ready,
        })
    };
    let name = "steer-unload";
    stage
        .server
        .set_status(SETS, "steer-system", name, status(0))?;
    stage
        .server
        .set_status(SETS, "steer-system", name, status(1))
}

/// Nobody cleans: that is said in time, and nothing more is deleted.
fn late() -> Result<()> {
    let stage = Stage::without_istio("uninstall-late")?;
    stage.server.apply(ISTIO)?;
    ensure_told(&steer(&stage, "install", &[])?, 0, "created")?;
    let output = steer(&stage, "uninstall", &["--timeout", "2"])?;
    ensure_told(
        &output,
        1,
        "nobody has counted the nodes yet after 2 seconds",
    )?;
    set(&stage, "steer-unload")?;
    let role = stage.server.object("clusterroles", "", "steer");
    ensure!(role.is_some(), "the roles are gone");
    let output = steer(&stage, "uninstall", &["--keep-programs"])?;
    ensure_told(&output, 0, "Namespace steer-system deleted")?;
    gone(&stage, "steer-unload").map_err(anyhow::Error::msg)
}
