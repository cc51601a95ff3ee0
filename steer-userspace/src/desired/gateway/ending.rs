//! TLS that ends at the gateway: with the certificate of a Secret. Without a good one, connections to
//! that server are refused, and others are not concerned.

use std::sync::Arc;

use super::servers::Placed;
use crate::{
    certificates::{Clients, Ending, Error, Pem, Versions},
    desired::{codes, report::Report},
    source::{Object, Snapshot, core::Secret, istio::ServerTls},
};

/// Where a Secret has the certificates of an authority.
const AUTHORITY: [&str; 2] = ["cacert", "ca.crt"];

/// What limits whose certificates clients may have, and is not enforced: nobody is let in instead.
fn unenforced_limits(tls: &ServerTls) -> Option<&'static str> {
    let limits = [
        ("subjectAltNames", !tls.subject_alt_names.is_empty()),
        (
            "verifyCertificateSpki",
            !tls.verify_certificate_spki.is_empty(),
        ),
        (
            "verifyCertificateHash",
            !tls.verify_certificate_hash.is_empty(),
        ),
    ];
    let mut asked = limits.into_iter().filter(|(_, asked)| *asked);
    asked.next().map(|(field, _)| field)
}

/// How TLS ends at a server; `None` refuses its connections, and a finding says why.
pub(super) fn of(
    snapshot: &Snapshot,
    placed: Placed<'_>,
    tls: &ServerTls,
    report: &mut Report,
) -> Option<Ending> {
    let mut refuse = |field: &str, message: String, help: &str| {
        let field = placed.field(&format!("tls.{field}"));
        let message = format!("{message}: connections to this server are refused");
        let gateway = &**placed.gateway;
        report.add(gateway, &field, codes::GATEWAY_CERTIFICATE, message, help);
        None
    };
    if tls.mode() == "ISTIO_MUTUAL" {
        let message = "there are no certificates of the mesh".to_owned();
        return refuse("mode", message, "use SIMPLE or MUTUAL with credentialName");
    }
    if let Some(field) = unenforced_limits(tls) {
        let message = format!("{field} is not enforced");
        return refuse(field, message, "limit clients by the Secret's cacert");
    }
    let several = tls.credential_names.first();
    let name = tls.credential_name.as_ref().filter(|name| !name.is_empty());
    let Some(name) = name.or(several) else {
        let message = "files of certificates are not read".to_owned();
        let help = "put them into a Secret, and name it by credentialName";
        return refuse("serverCertificate", message, help);
    };
    let namespace = placed.door.service.meta.namespace.as_str();
    let Some(secret) = secret(snapshot, namespace, name) else {
        let message = format!("there is no Secret {namespace}/{name}");
        let help = "create it in the namespace of the gateway's Service, where the agent may read \
                    Secrets (`steer agent --gateway-secrets NAMESPACE`)";
        return refuse("credentialName", message, help);
    };
    match ending(snapshot, secret, tls) {
        Ok(ending) => Some(ending),
        Err(error) => {
            let message = format!("the Secret {namespace}/{name} cannot be used: {error}");
            let help =
                "it needs tls.crt and tls.key (or cert and key), and for MUTUAL ca.crt or cacert";
            refuse("credentialName", message, help)
        }
    }
}

fn ending(snapshot: &Snapshot, secret: &Object<Secret>, tls: &ServerTls) -> Result<Ending, Error> {
    let entry = |names: &[&str]| secret.spec.first(names);
    let pem = Pem {
        certificate: entry(&["cert", "tls.crt"]).ok_or(Error::NoCertificate)?,
        key: entry(&["key", "tls.key"]).ok_or(Error::NoKey)?,
    };
    let beside = format!("{}-cacert", secret.meta.name);
    let beside = self::secret(snapshot, &secret.meta.namespace, &beside);
    let authority = entry(&AUTHORITY).or_else(|| beside?.spec.first(&AUTHORITY));
    let crl = entry(&["ca.crl"]).or_else(|| beside?.spec.first(&["ca.crl"]));
    let clients = match tls.mode() {
        "MUTUAL" | "OPTIONAL_MUTUAL" => Some(Clients {
            authority: authority.ok_or(Error::NoAuthority)?,
            crl,
            optional: tls.mode() == "OPTIONAL_MUTUAL",
        }),
        _ => None,
    };
    let versions = Versions {
        least: tls.min_protocol_version.as_deref(),
        most: tls.max_protocol_version.as_deref(),
    };
    Ending::new(pem, clients, versions)
}

fn secret<'s>(
    snapshot: &'s Snapshot,
    namespace: &str,
    name: &str,
) -> Option<&'s Arc<Object<Secret>>> {
    let all = &snapshot.secrets;
    let found = all.binary_search_by(|secret| {
        let meta = &secret.meta;
        (meta.namespace.as_str(), meta.name.as_str()).cmp(&(namespace, name))
    });
    found.ok().map(|index| &all[index])
}
