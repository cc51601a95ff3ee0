//! `steer install` and the chart say the same, whatever names are put in.

use std::{fs, process::Command};

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use steer_tests::bins;

use crate::helm::{CHART, documents, output, plain, run, test};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        plain("same::it_prints_the_manifests", printed),
        test("same::options_are_what_values_are", options),
    ]
}

fn printed() -> Result<()> {
    for (command, kept) in [("install", "steer.yaml"), ("uninstall", "unload.yaml")] {
        let text = fs::read_to_string(bins::workspace().join("deploy").join(kept))?;
        let head = |line: &&str| line.starts_with('#');
        let body: String = text.split_inclusive('\n').skip_while(head).collect();
        let said = output(Command::new(bins::steer()?).arg(command))?;
        ensure!(said == body, "deploy/{kept} is otherwise:\n{said}");
    }
    Ok(())
}

fn options() -> Result<()> {
    let values = [
        "--namespace=mesh",
        "--set=namespace.create=true",
        "--set=image.repository=example.org/mesh/steer,image.tag=1.2.3",
        "--set=istio.rootNamespace=istio-config,istio.meshConfig=istio-canary",
        "--set=cgroup.path=/sys/fs/cgroup/unified",
    ];
    let mut rendered = vec!["template", "steer", CHART];
    rendered.extend(values);
    let mut install = Command::new(bins::steer()?);
    install.args([
        "install",
        "--namespace=mesh",
        "--image=example.org/mesh/steer:1.2.3",
        "--root-namespace=istio-config",
        "--mesh-config=istio-canary",
        "--cgroup=/sys/fs/cgroup/unified",
    ]);
    let (helm, steer) = (
        documents(&run(&rendered)?)?,
        documents(&output(&mut install)?)?,
    );
    ensure!(helm == steer, "{helm:#?}\nis not\n{steer:#?}");
    rendered.extend(["--set=mode=unload", "--show-only=templates/daemonset.yaml"]);
    let mut uninstall = Command::new(bins::steer()?);
    uninstall.args([
        "uninstall",
        "--namespace=mesh",
        "--image=example.org/mesh/steer:1.2.3",
    ]);
    let (helm, steer) = (
        documents(&run(&rendered)?)?,
        documents(&output(&mut uninstall)?)?,
    );
    ensure!(helm == steer, "{helm:#?}\nis not\n{steer:#?}");
    Ok(())
}
