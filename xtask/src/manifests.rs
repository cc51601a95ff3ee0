//! `cargo xtask manifests`: what is written from the chart: deploy/*.yaml, and the page of its values.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result, bail};

use crate::{
    process::say,
    setup::{self, Group, helm},
    workspace::root,
};

mod normal;
mod values;

/// Render the plain manifests from the Helm chart, and write the page of its values
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write nothing: fail if a file is not what would be written
    #[arg(long)]
    check: bool,
}

const CHART: &str = "deploy/helm/steer";

/// A manifest: where it is, what is said at its top, and how Helm renders it.
struct Manifest {
    path: &'static str,
    head: &'static str,
    arguments: &'static [&'static str],
}

const MANIFESTS: [Manifest; 2] = [
    Manifest {
        path: "deploy/steer.yaml",
        head: "\
# steer on every node of a cluster: kubectl apply -f deploy/steer.yaml
#
# Rendered from deploy/helm/steer, where the reasons stand (cargo xtask manifests); `steer install` prints
# the same with other names. The agent only reads, and of the API server only what stands in the two roles
# (the suite `cluster` runs it with exactly these rights). Programs and maps stay in force when its pods
# go: deploy/unload.yaml takes them from the nodes.
",
        arguments: &["--set=namespace.create=true"],
    },
    Manifest {
        path: "deploy/unload.yaml",
        head: "\
# Takes programs and maps from every node, once no agent runs there; established connections go on:
#
#   kubectl -n steer-system delete daemonset steer
#   kubectl apply -f deploy/unload.yaml
#   kubectl -n steer-system rollout status daemonset/steer-unload      then every node is clean
#   kubectl delete -f deploy/unload.yaml -f deploy/steer.yaml
#
# Rendered from deploy/helm/steer (cargo xtask manifests); `steer uninstall` does all of it.
",
        arguments: &["--set=mode=unload", "--show-only=templates/daemonset.yaml"],
    },
];

pub(crate) fn run(args: &Args) -> Result<()> {
    let helm = provide()?;
    if args.check {
        return conclude(&stale(&helm)?);
    }
    for (path, text) in stale(&helm)? {
        fs::write(root().join(path), text).with_context(|| format!("cannot write {path}"))?;
        say(&format!("wrote {path}"));
    }
    Ok(())
}

/// Fails if a file is out of date. Where there is no Helm, that is said.
pub(crate) fn check() -> Result<()> {
    match provide() {
        Ok(helm) => conclude(&stale(&helm)?),
        Err(error) => {
            say(&format!("manifests: ignored: {error:#}"));
            Ok(())
        }
    }
}

/// Helm, installed if it is missing.
pub(crate) fn provide() -> Result<PathBuf> {
    setup::ensure(&[Group::Chart])?;
    helm::binary().with_context(helm::missing)
}

fn conclude(stale: &[(&str, String)]) -> Result<()> {
    let names: Vec<&str> = stale.iter().map(|(path, _)| *path).collect();
    if names.is_empty() {
        return Ok(());
    }
    bail!(
        "out of date: {}; type: cargo xtask manifests",
        names.join(", ")
    );
}

/// Files that are not what would be written, and that.
fn stale(helm: &PathBuf) -> Result<Vec<(&'static str, String)>> {
    let mut wanted = Vec::new();
    for manifest in &MANIFESTS {
        let rendered = render(helm, manifest.arguments)?;
        wanted.push((
            manifest.path,
            manifest.head.to_owned() + &normal::form(&rendered)?,
        ));
    }
    let read = fs::read_to_string(root().join(CHART).join("values.yaml"))?;
    wanted.push((values::PAGE, values::page(&read)?));
    wanted.retain(|(path, text)| {
        fs::read_to_string(root().join(path)).ok().as_deref() != Some(text.as_str())
    });
    Ok(wanted)
}

fn render(helm: &PathBuf, arguments: &[&str]) -> Result<String> {
    let output = Command::new(helm)
        .current_dir(root())
        .args(["template", "steer", CHART, "--namespace=steer-system"])
        .args(arguments)
        .output()
        .context("cannot run helm")?;
    if !output.status.success() {
        bail!(
            "helm does not render {CHART}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8(output.stdout)?)
}
