//! Golden cases of the pipeline: what a file of YAML means, and what is done about it.
//!
//! Each directory of `data` holds `input.yaml`, `clients.txt` with the pods of the node (a line
//! each, `NAMESPACE/NAME`; none without the file), and what is expected: `desired.txt` and
//! `plan.txt`. With `BLESS=1` the expectations are written instead: read the difference.

mod golden {
    pub(crate) mod render;
}

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use golden::render;
use steer::{
    desired::{Settings, lower, model::PodRef},
    finding::Severity,
    image,
    plan::{Capacity, Layout},
    source::{Snapshot, files::parse_text},
};

#[test]
fn golden() -> Result<()> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut cases: Vec<PathBuf> = fs::read_dir(&data)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    cases.sort();
    let blessing = env::var_os("BLESS").is_some();
    let mut differ = Vec::new();
    for case in &cases {
        let (desired, plan) = run(case)?;
        for (name, found) in [("desired.txt", desired), ("plan.txt", plan)] {
            let path = case.join(name);
            if blessing {
                fs::write(&path, found)?;
                continue;
            }
            let expected = fs::read_to_string(&path).unwrap_or_default();
            if expected != found {
                let expected = path.display();
                differ.push(format!("--- {expected} differs; now it is:\n{found}"));
            }
        }
    }
    assert!(cases.len() >= 25, "only {} cases", cases.len());
    assert!(differ.is_empty(), "{}", differ.join("\n"));
    Ok(())
}

/// The two texts of a case.
fn run(case: &Path) -> Result<(String, String)> {
    let text = fs::read_to_string(case.join("input.yaml"))?;
    let (objects, findings) = match parse_text("input.yaml", &text) {
        Ok(parsed) => parsed,
        Err(findings) => (Vec::new(), findings),
    };
    let snapshot = Snapshot::from_objects(objects, findings);
    let local = clients(case)?;
    let mut desired = lower(&snapshot, &Settings::default(), &local);
    desired.findings.extend(snapshot.findings.iter().cloned());
    desired.findings.sort();
    let refused = snapshot
        .findings
        .iter()
        .any(|finding| finding.severity == Severity::Error);
    if refused {
        let findings = render::findings(&snapshot.findings);
        return Ok((format!("refused\n{findings}"), String::new()));
    }
    let cookies = (1..).zip(local).collect();
    let image = image::compile(&desired, &cookies);
    let plan = Layout::new(Capacity::for_services(1000)).plan(&image);
    let plan = match plan {
        Ok(plan) => render::plan(&plan),
        Err(error) => format!("no plan: {error}\n"),
    };
    Ok((render::desired(&desired), plan))
}

fn clients(case: &Path) -> Result<BTreeSet<PodRef>> {
    let text = fs::read_to_string(case.join("clients.txt")).unwrap_or_default();
    text.lines()
        .map(|line| {
            let (namespace, name) = line.split_once('/').context("NAMESPACE/NAME")?;
            Ok(PodRef {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
            })
        })
        .collect()
}
