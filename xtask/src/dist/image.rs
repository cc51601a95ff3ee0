//! An image of containers: one layer with one program, and the documents that describe it.
//!
//! The layout is OCI's; a manifest.json beside it is what `docker load` reads. The same program gives
//! the same bytes: nothing in it is the time, the user or the machine.

use std::io::Write as _;

use anyhow::{Context as _, Result};
use flate2::{Compression, GzBuilder};
use oci_spec::image::{
    ConfigBuilder, Descriptor, DescriptorBuilder, Digest, ImageConfigurationBuilder,
    ImageIndexBuilder, ImageManifestBuilder, MediaType, OciLayoutBuilder, RootFsBuilder,
    Sha256Digest,
};
use serde::Serialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::name::Name;

/// What goes into it.
pub(super) struct Program<'a> {
    /// The static binary.
    pub(super) bytes: &'a [u8],
    /// Its version.
    pub(super) version: &'a str,
    /// Its architecture, as Rust names it.
    pub(super) architecture: &'a str,
}

/// Where the program is in the image.
const PATH: &str = "steer";

/// The whole image as a tar archive.
pub(super) fn archive(program: &Program<'_>, name: &Name) -> Result<Vec<u8>> {
    let layer = tarball(&[(PATH, program.bytes, 0o755)])?;
    let packed = packed(&layer)?;
    let config = config(program, &layer)?;
    let described = |kind, bytes: &[u8]| descriptor(kind, bytes);
    let layer = described(MediaType::ImageLayerGzip, &packed)?;
    let manifest = ImageManifestBuilder::default()
        .schema_version(2u32)
        .media_type(MediaType::ImageManifest)
        .config(described(MediaType::ImageConfig, &config)?)
        .layers([layer.clone()])
        .build()?;
    let manifest = document(&manifest)?;
    let mut top = described(MediaType::ImageManifest, &manifest)?;
    top.set_annotations(Some(name.annotations()));
    let index = ImageIndexBuilder::default()
        .schema_version(2u32)
        .media_type(MediaType::ImageIndex)
        .manifests([top.clone()])
        .build()?;
    let layout = OciLayoutBuilder::default()
        .image_layout_version("1.0.0")
        .build()?;
    let docker = json!([{
        "Config": blob(described(MediaType::ImageConfig, &config)?.digest()),
        "RepoTags": [name.to_string()],
        "Layers": [blob(layer.digest())],
    }]);
    tarball(&[
        (&blob(&digest(&config)?), &config, 0o644),
        (&blob(layer.digest()), &packed, 0o644),
        (&blob(top.digest()), &manifest, 0o644),
        ("index.json", &document(&index)?, 0o644),
        ("manifest.json", &document(&docker)?, 0o644),
        ("oci-layout", &document(&layout)?, 0o644),
    ])
}

fn config(program: &Program<'_>, layer: &[u8]) -> Result<Vec<u8>> {
    let labels = [
        ("org.opencontainers.image.title", "steer"),
        ("org.opencontainers.image.version", program.version),
        ("org.opencontainers.image.licenses", "Apache-2.0"),
        (
            "org.opencontainers.image.source",
            env!("CARGO_PKG_REPOSITORY"),
        ),
    ];
    let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let run = ConfigBuilder::default()
        .entrypoint([format!("/{PATH}")])
        .labels(labels)
        .build()?;
    let root = RootFsBuilder::default()
        .typ("layers")
        .diff_ids([digest(layer)?.to_string()])
        .build()?;
    let config = ImageConfigurationBuilder::default()
        .architecture(oci_spec::image::Arch::from(architecture(
            program.architecture,
        )))
        .os(oci_spec::image::Os::Linux)
        .config(run)
        .rootfs(root)
        .build()?;
    document(&config)
}

/// JSON with its fields in order, which those of a hash map are not.
fn document(value: &impl Serialize) -> Result<Vec<u8>> {
    Ok(serde_json::to_value(value)?.to_string().into_bytes())
}

/// As Go names it, and so everybody who runs containers.
fn architecture(rust: &str) -> &str {
    match rust {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn descriptor(kind: MediaType, bytes: &[u8]) -> Result<Descriptor> {
    Ok(DescriptorBuilder::default()
        .media_type(kind)
        .size(u64::try_from(bytes.len())?)
        .digest(digest(bytes)?)
        .build()?)
}

fn digest(bytes: &[u8]) -> Result<Digest> {
    let digest: Sha256Digest = sha256(bytes).parse().context("a digest of SHA-256")?;
    Ok(digest.into())
}

fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where a blob is in the layout.
fn blob(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.digest())
}

/// Files in an archive, owned by root, at no time.
fn tarball(files: &[(&str, &[u8], u32)]) -> Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, bytes, mode) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(u64::try_from(bytes.len())?);
        header.set_mode(*mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        archive.append_data(&mut header, path, *bytes)?;
    }
    Ok(archive.into_inner()?)
}

fn packed(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut writer = GzBuilder::new()
        .mtime(0)
        .write(Vec::new(), Compression::best());
    writer.write_all(bytes)?;
    Ok(writer.finish()?)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, io::Read as _};

    use flate2::read::GzDecoder;
    use serde_json::Value;

    use super::*;

    const PROGRAM: Program<'static> = Program {
        bytes: b"\x7fELF and so on",
        version: "1.2.3",
        architecture: "x86_64",
    };

    fn made() -> Vec<u8> {
        archive(&PROGRAM, &"example.org/steer:1.2.3".parse().unwrap()).unwrap()
    }

    /// Files by path, with their modes.
    fn files(archive: &[u8]) -> BTreeMap<String, (u32, Vec<u8>)> {
        let mut archive = tar::Archive::new(archive);
        let mut files = BTreeMap::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            let header = entry.header();
            assert_eq!((header.uid().unwrap(), header.mtime().unwrap()), (0, 0));
            let path = entry.path().unwrap().display().to_string();
            files.insert(path, (entry.header().mode().unwrap(), bytes));
        }
        files
    }

    fn read(files: &BTreeMap<String, (u32, Vec<u8>)>, path: &str) -> Value {
        serde_json::from_slice(&files[path].1).unwrap()
    }

    /// The blob that a descriptor names; its digest and size hold.
    fn follow<'a>(
        files: &'a BTreeMap<String, (u32, Vec<u8>)>,
        descriptor: &Value,
    ) -> (String, &'a [u8]) {
        let digest = descriptor["digest"].as_str().unwrap();
        let path = format!("blobs/{}", digest.replace(':', "/"));
        let bytes = &files[&path].1;
        assert_eq!(digest, format!("sha256:{}", sha256(bytes)));
        assert_eq!(descriptor["size"].as_u64(), u64::try_from(bytes.len()).ok());
        (path, bytes)
    }

    /// From the index on every digest and size holds, and the layer is the program alone.
    #[test]
    fn everything_is_reached_from_the_index() {
        let files = files(&made());
        assert_eq!(read(&files, "oci-layout")["imageLayoutVersion"], "1.0.0");
        let index = read(&files, "index.json");
        let top = &index["manifests"][0];
        assert_eq!(
            top["annotations"]["io.containerd.image.name"],
            "example.org/steer:1.2.3"
        );
        let (_, manifest) = follow(&files, top);
        let manifest: Value = serde_json::from_slice(manifest).unwrap();
        let (config_path, config) = follow(&files, &manifest["config"]);
        let (layer_path, packed) = follow(&files, &manifest["layers"][0]);
        let mut layer = Vec::new();
        GzDecoder::new(packed).read_to_end(&mut layer).unwrap();
        let config: Value = serde_json::from_slice(config).unwrap();
        assert_eq!(config["architecture"], "amd64");
        assert_eq!(config["config"]["Entrypoint"], json!(["/steer"]));
        assert_eq!(
            config["rootfs"]["diff_ids"],
            json!([format!("sha256:{}", sha256(&layer))])
        );
        let inside = self::files(&layer);
        let expected = (0o755, PROGRAM.bytes.to_vec());
        assert_eq!(inside, BTreeMap::from([("steer".to_owned(), expected)]));
        // What docker reads leads to the same.
        let docker = read(&files, "manifest.json");
        assert_eq!(
            docker,
            json!([{
                "Config": config_path, "Layers": [layer_path],
                "RepoTags": ["example.org/steer:1.2.3"],
            }])
        );
        assert_eq!(files.len(), 6);
    }

    #[test]
    fn the_same_program_gives_the_same_bytes() {
        assert_eq!(made(), made());
        let other = Program {
            version: "1.2.4",
            ..PROGRAM
        };
        let other = archive(&other, &"example.org/steer:1.2.3".parse().unwrap());
        assert_ne!(made(), other.unwrap());
    }
}
