//! An authority that issues certificates, with openssl.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, ensure};

use crate::need;

/// Certificates and keys in a directory.
pub struct Authority {
    directory: PathBuf,
}

impl Authority {
    /// A new one.
    pub fn new(directory: PathBuf) -> Result<Self> {
        fs::create_dir_all(&directory)?;
        let this = Self { directory };
        let (key, certificate) = (this.path("ca.key"), this.path("ca.crt"));
        openssl(|command| {
            command.args(["-subj", "/CN=steer lab"]);
            command.arg("-keyout").arg(key).arg("-out").arg(certificate);
        })?;
        Ok(this)
    }

    /// Its own certificate.
    pub fn certificate(&self) -> PathBuf {
        self.path("ca.crt")
    }

    /// The key of a name.
    pub fn key_of(&self, name: &str) -> PathBuf {
        self.path(&format!("{name}.key"))
    }

    /// A certificate and a key for a name.
    pub fn issue(&self, name: &str) -> Result<(PathBuf, PathBuf)> {
        let (key, certificate) = (self.key_of(name), self.path(&format!("{name}.crt")));
        openssl(|command| {
            command.arg("-subj").arg(format!("/CN={name}"));
            command
                .arg("-addext")
                .arg(format!("subjectAltName=DNS:{name}"));
            command.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
            command.arg("-CA").arg(self.certificate());
            command.arg("-CAkey").arg(self.path("ca.key"));
            command
                .arg("-keyout")
                .arg(&key)
                .arg("-out")
                .arg(&certificate);
        })?;
        Ok((certificate, key))
    }

    /// A Secret of the gateway's namespace, with what clients must have if they must have something.
    pub fn secret(&self, secret: &str, name: &str, with_ca: bool) -> Result<String> {
        let (certificate, key) = self.issue(name)?;
        let mut entries = vec![("tls.crt", certificate), ("tls.key", key)];
        if with_ca {
            entries.push(("ca.crt", self.certificate()));
        }
        let mut text = format!(
            "apiVersion: v1\nkind: Secret\ntype: kubernetes.io/tls\n\
             metadata: {{name: {secret}, namespace: istio-system}}\nstringData:\n"
        );
        for (entry, path) in entries {
            let pem = fs::read_to_string(path)?.trim_end().replace('\n', "\n    ");
            text += &format!("  {entry}: |\n    {pem}\n");
        }
        Ok(text)
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::new(&self.directory).join(name)
    }
}

/// A key and a certificate of it, as `words` say.
fn openssl(words: impl FnOnce(&mut Command)) -> Result<()> {
    let mut command = Command::new(need::find("openssl")?);
    command.args(["req", "-x509", "-nodes", "-days", "2"]);
    command.args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
    words(&mut command);
    let output = command.output()?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "openssl: {told}");
    Ok(())
}
