//! `kubectl steer`. A script stands where kubectl does: it answers `get` from a file, and notes what it
//! is asked to run.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Command};

use anyhow::Result;

use super::stage::{Ended, Stage};

/// Two nodes, on one of which nothing answers.
const PODS: &str = r#"{"items": [
  {"metadata": {"name": "steer-a"}, "spec": {"nodeName": "one"},
   "status": {"conditions": [{"type": "Ready", "status": "True"}]}},
  {"metadata": {"name": "steer-b"}, "spec": {"nodeName": "two"},
   "status": {"conditions": [{"type": "Ready", "status": "False"}]}}
]}"#;
const SCRIPT: &str = r#"#!/bin/sh
echo "$@" >> asked
case "$*" in
  *"get pods "*) cat pods.json ;;
  *"get pod web "*) echo '{"spec": {"nodeName": "two"}}' ;;
  *"get pod "*) echo 'pods "nobody" not found' >&2; exit 1 ;;
  *"exec steer-b "*"status"*) echo 'container not found' >&2; exit 1 ;;
  *"status"*) echo '{"agent": {"version": "0.1.0", "configuration": "applied"}, "generation": 3,
                     "programs": [{"in_force": true}], "findings": {}, "problems": []}' ;;
  *) echo "it ran" ;;
esac
"#;

fn stage() -> Result<Stage> {
    let stage = Stage::new(&[])?;
    let script = stage.directory.path().join("kubectl");
    fs::write(stage.directory.path().join("pods.json"), PODS)?;
    fs::write(&script, SCRIPT)?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    Ok(stage)
}

fn run(stage: &Stage, words: &str) -> Result<Ended> {
    let output = Command::new(env!("CARGO_BIN_EXE_kubectl-steer"))
        .args(words.split_whitespace())
        .current_dir(stage.directory.path())
        .env("KUBECTL", stage.directory.path().join("kubectl"))
        .output()?;
    Ended::new(&output)
}

fn asked(stage: &Stage) -> Result<String> {
    Ok(fs::read_to_string(stage.directory.path().join("asked"))?)
}

#[test]
fn every_node_stands_in_the_status() -> Result<()> {
    let stage = stage()?;
    let ended = run(&stage, "--context c status -o json")?;
    let nodes: serde_json::Value = serde_json::from_str(&ended.out)?;
    assert_eq!(ended.code, 1, "one node is not well: {}", ended.err);
    assert_eq!(nodes[0]["generation"], 3);
    assert_eq!(nodes[1]["node"], "two");
    let problem = nodes[1]["problems"][0].as_str().unwrap_or_default();
    assert!(problem.contains("container not found"), "{problem}");
    assert!(asked(&stage)?.starts_with("--context=c --namespace steer-system get pods"));
    Ok(())
}

#[test]
fn a_command_runs_on_the_node_that_was_named() -> Result<()> {
    let stage = stage()?;
    let exec = |pod: &str, command: &str| {
        format!("--namespace steer-system exec {pod} --container agent -- /steer {command}\n")
    };
    for (words, pod, command) in [
        (
            "--node one get routes -o wide",
            "steer-a",
            "get routes -o wide",
        ),
        (
            "--pod shop/web explain - catalog:80",
            "steer-b",
            "explain - catalog:80",
        ),
    ] {
        let ended = run(&stage, words)?;
        assert_eq!((ended.code, ended.out.as_str()), (0, "it ran\n"), "{words}");
        assert!(asked(&stage)?.ends_with(&exec(pod, command)), "{words}");
    }
    let ended = run(&stage, "check")?;
    assert_eq!(ended.out, "# one\nit ran\n# two\nit ran\n");
    Ok(())
}

#[test]
fn what_is_not_there_is_said() -> Result<()> {
    let stage = stage()?;
    for (words, said) in [
        ("--node three check", "node three has no pod of steer"),
        ("--pod shop/nobody check", "pods \"nobody\" not found"),
        ("--pod nobody check", "is not NAMESPACE/NAME of a pod"),
        ("status --all", "name it with --node"),
    ] {
        let ended = run(&stage, words)?;
        assert!(
            ended.code != 0 && ended.err.contains(said),
            "{words}: {}",
            ended.err
        );
    }
    fs::write(stage.directory.path().join("pods.json"), "{}")?;
    let ended = run(&stage, "status")?;
    assert!(ended.err.contains("--steer-namespace"), "{}", ended.err);
    Ok(())
}
