//! Certificates and keys, made ready to end TLS with. A function of its input; nothing shows a key.

use std::{fmt, io::Cursor, sync::Arc};

use rustls::{
    RootCertStore, ServerConfig, SupportedProtocolVersion,
    crypto::{CryptoProvider, ring},
    pki_types::{
        CertificateDer, CertificateRevocationListDer, PrivateKeyDer,
        pem::{self, PemObject as _},
    },
    server::{NoClientAuth, WebPkiClientVerifier, danger::ClientCertVerifier},
    version::{TLS12, TLS13},
};

/// Why TLS cannot end here. None of these holds anything of a Secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no certificate.
    #[error("it has no certificate")]
    NoCertificate,
    /// There is no key.
    #[error("it has no key")]
    NoKey,
    /// Nothing says whose certificates clients may have.
    #[error("it has no certificate of an authority for clients")]
    NoAuthority,
    /// This is not PEM.
    #[error("its {what} is not PEM")]
    Pem {
        /// Which part.
        what: &'static str,
    },
    /// Certificate and key do not go together, or cannot be used.
    #[error("certificate and key cannot be used together")]
    Pair,
    /// The authority's certificates cannot be used.
    #[error("the certificates of the authority cannot be used")]
    Authority,
    /// No version is left.
    #[error("no version of TLS is between the least and the most")]
    Versions,
}

/// A certificate with its chain, and its key.
#[derive(Clone, Copy)]
pub struct Pem<'a> {
    /// The chain.
    pub certificate: &'a [u8],
    /// The key.
    pub key: &'a [u8],
}

/// Whose certificates clients may have.
#[derive(Clone, Copy)]
pub struct Clients<'a> {
    /// Certificates of authorities.
    pub authority: &'a [u8],
    /// What they took back.
    pub crl: Option<&'a [u8]>,
    /// Whether clients without one are let in.
    pub optional: bool,
}

/// The versions of TLS, as Istio writes them.
#[derive(Clone, Copy, Default)]
pub struct Versions<'a> {
    /// The least.
    pub least: Option<&'a str>,
    /// The most.
    pub most: Option<&'a str>,
}

/// How TLS ends.
#[derive(Clone)]
pub struct Ending {
    server: Arc<ServerConfig>,
}

impl fmt::Debug for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ending")
    }
}

impl Ending {
    /// Makes certificates ready.
    pub fn new(
        pem: Pem<'_>,
        clients: Option<Clients<'_>>,
        versions: Versions<'_>,
    ) -> Result<Self, Error> {
        let provider = Arc::new(ring::default_provider());
        let chain: Vec<CertificateDer<'static>> = all(pem.certificate, "certificate")?;
        if chain.is_empty() {
            return Err(Error::NoCertificate);
        }
        let key = PrivateKeyDer::from_pem_slice(pem.key);
        let key = key.map_err(|_| Error::Pem { what: "key" })?;
        let verifier = verifier(clients, &provider)?;
        let versions = versions.taken()?;
        let builder = ServerConfig::builder_with_provider(provider);
        let builder = builder
            .with_protocol_versions(&versions)
            .map_err(|_| Error::Versions)?;
        let server = builder
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key);
        Ok(Self {
            server: Arc::new(server.map_err(|_| Error::Pair)?),
        })
    }

    /// For connections that speak one of these protocols inside, the first they both know.
    pub fn speaking(&self, protocols: &[&[u8]]) -> Arc<ServerConfig> {
        let mut server = (*self.server).clone();
        server.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Arc::new(server)
    }
}

impl Versions<'_> {
    fn taken(self) -> Result<Vec<&'static SupportedProtocolVersion>, Error> {
        let with_12 = self.least != Some("TLSV1_3");
        let with_13 = !self
            .most
            .is_some_and(|most| ["TLSV1_0", "TLSV1_1", "TLSV1_2"].contains(&most));
        let too_old = self
            .most
            .is_some_and(|most| ["TLSV1_0", "TLSV1_1"].contains(&most));
        let known = [(&TLS13, with_13), (&TLS12, with_12 && !too_old)];
        let taken = known.into_iter().filter(|(_, taken)| *taken);
        let taken: Vec<_> = taken.map(|(version, _)| version).collect();
        if taken.is_empty() {
            return Err(Error::Versions);
        }
        Ok(taken)
    }
}

fn verifier(
    clients: Option<Clients<'_>>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, Error> {
    let Some(clients) = clients else {
        return Ok(Arc::new(NoClientAuth));
    };
    let mut roots = RootCertStore::empty();
    for certificate in all(clients.authority, "authority")? {
        roots.add(certificate).map_err(|_| Error::Authority)?;
    }
    let crls: Vec<CertificateRevocationListDer<'static>> =
        all(clients.crl.unwrap_or_default(), "crl")?;
    let builder =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let builder = builder.with_crls(crls);
    let builder = if clients.optional {
        builder.allow_unauthenticated()
    } else {
        builder
    };
    builder.build().map_err(|_| Error::Authority)
}

fn all<T: pem::PemObject>(text: &[u8], what: &'static str) -> Result<Vec<T>, Error> {
    let found = T::pem_reader_iter(Cursor::new(text));
    found
        .collect::<Result<_, _>>()
        .map_err(|_| Error::Pem { what })
}
