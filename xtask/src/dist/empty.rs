//! Starts an image's program as a container would: in a root that holds nothing but its layer.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result, ensure};
use flate2::read::GzDecoder;
use serde_json::Value;

use crate::process::as_root;

/// What the program says of its version, started from the archive at `image`; `folder` is for the root,
/// and is emptied.
pub(super) fn version(image: &Path, folder: &Path) -> Result<String> {
    let unpacked = folder.join("image");
    let root = folder.join("root");
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(&root)?;
    tar::Archive::new(fs::File::open(image)?).unpack(&unpacked)?;
    for layer in layers(&unpacked)? {
        let packed = fs::File::open(unpacked.join(layer))?;
        tar::Archive::new(GzDecoder::new(packed)).unpack(&root)?;
    }
    let output = start(&root).output().context("cannot run chroot")?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    ensure!(
        output.status.success(),
        "the image's program does not start in an empty root: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    fs::remove_dir_all(folder)?;
    Ok(said)
}

fn start(root: &Path) -> Command {
    let mut command = as_root(Path::new("chroot"));
    command.arg(root).args(["/steer", "--version"]);
    command
}

/// Paths of the layers, by the document that docker reads.
fn layers(unpacked: &Path) -> Result<Vec<String>> {
    let read = fs::read(unpacked.join("manifest.json"))?;
    let images: Value = serde_json::from_slice(&read)?;
    let layers = images[0]["Layers"].as_array().into_iter().flatten();
    Ok(layers
        .filter_map(|layer| layer.as_str().map(str::to_owned))
        .collect())
}
