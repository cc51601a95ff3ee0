//! What is said of files that are wrong, or that are read in part.
//!
//! Each directory of `findings` holds `input.yaml` and `expected.txt`: the objects that were taken,
//! and every finding with its place, its code, what it says and what to do. With `BLESS=1` the
//! expectations are written instead: read the difference.

use std::{
    env,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use steer::{
    finding::Finding,
    source::{Snapshot, files::parse_text},
};

#[test]
fn findings() -> Result<()> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/findings");
    let mut cases: Vec<PathBuf> = fs::read_dir(&data)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    cases.sort();
    let blessing = env::var_os("BLESS").is_some();
    let mut differ = Vec::new();
    for case in &cases {
        let found = run(case).with_context(|| format!("{}", case.display()))?;
        let path = case.join("expected.txt");
        if blessing {
            fs::write(&path, found)?;
            continue;
        }
        if fs::read_to_string(&path).unwrap_or_default() != found {
            let expected = path.display();
            differ.push(format!("--- {expected} differs; now it is:\n{found}"));
        }
    }
    assert!(cases.len() >= 20, "only {} cases", cases.len());
    assert!(differ.is_empty(), "{}", differ.join("\n"));
    Ok(())
}

fn run(case: &Path) -> Result<String> {
    let text = fs::read_to_string(case.join("input.yaml"))?;
    let mut out = String::new();
    let (objects, findings) = match parse_text("input.yaml", &text) {
        Ok(parsed) => parsed,
        Err(findings) => (Vec::new(), findings),
    };
    for object in &objects {
        writeln!(out, "taken {}", object.reference())?;
    }
    let snapshot = Snapshot::from_objects(objects, findings);
    // As they stand in the file.
    let mut findings = snapshot.findings;
    findings.sort_by_key(|found| {
        found
            .position
            .as_ref()
            .map(|place| (place.line, place.column))
    });
    for finding in &findings {
        writeln!(out, "{}", shown(finding))?;
    }
    Ok(out)
}

fn shown(finding: &Finding) -> String {
    let place = finding.position.as_ref().map(ToString::to_string);
    let object = finding.object.as_ref().map(ToString::to_string);
    let text = format!(
        "{} {} [{}] ({}) {}\n    {}",
        place.unwrap_or_default(),
        finding.severity,
        finding.code,
        object.unwrap_or_default(),
        finding.message,
        finding.help,
    );
    text.trim_end().to_owned()
}
