//! What listeners of a Sidecar and of a Gateway have in common.

use serde::Deserialize;

/// A port of a listener.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ListenerPort {
    /// Its number.
    pub number: u32,
    /// What is spoken on it.
    pub protocol: String,
    /// Its name.
    pub name: String,
    /// Not used here.
    pub target_port: Option<u32>,
}

/// `tls` of a listener.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServerTls {
    /// `SIMPLE`, `MUTUAL` and others.
    pub mode: Option<String>,
    /// Answers plain HTTP with a redirect.
    pub https_redirect: bool,
    /// A file.
    pub server_certificate: Option<String>,
    /// A file.
    pub private_key: Option<String>,
    /// A file.
    pub ca_certificates: Option<String>,
    /// A file.
    pub ca_crl: Option<String>,
    /// A secret, instead of files.
    pub credential_name: Option<String>,
    /// Several of them.
    pub credential_names: Vec<String>,
    /// Several pairs of files.
    pub tls_certificates: Vec<TlsCertificate>,
    /// Names that clients must have one of.
    pub subject_alt_names: Vec<String>,
    /// Hashes of certificates.
    pub verify_certificate_spki: Vec<String>,
    /// Hashes of certificates.
    pub verify_certificate_hash: Vec<String>,
    /// `TLSV1_2` and others.
    pub min_protocol_version: Option<String>,
    /// `TLSV1_3` and others.
    pub max_protocol_version: Option<String>,
    /// Their names.
    pub cipher_suites: Vec<String>,
}

impl ServerTls {
    /// The mode; without one TLS passes through: it is the first word of the API's enumeration.
    pub fn mode(&self) -> &str {
        let mode = self.mode.as_deref().filter(|mode| !mode.is_empty());
        mode.unwrap_or("PASSTHROUGH")
    }

    /// Whether TLS is the business of client and server alone.
    pub fn passes_through(&self) -> bool {
        ["PASSTHROUGH", "AUTO_PASSTHROUGH"].contains(&self.mode())
    }

    /// Whether it names files of certificates.
    pub fn names_files(&self) -> bool {
        let files = [
            &self.server_certificate,
            &self.private_key,
            &self.ca_certificates,
            &self.ca_crl,
        ];
        let mut files = files.into_iter().flatten();
        files.any(|file| !file.is_empty()) || !self.tls_certificates.is_empty()
    }

    /// Whether it names Secrets.
    pub fn names_secret(&self) -> bool {
        let named = self.credential_name.as_ref();
        named.is_some_and(|name| !name.is_empty()) || !self.credential_names.is_empty()
    }
}

/// `tls.tlsCertificates[]`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TlsCertificate {
    /// A file.
    pub server_certificate: Option<String>,
    /// A file.
    pub private_key: Option<String>,
    /// A file.
    pub ca_certificates: Option<String>,
}
