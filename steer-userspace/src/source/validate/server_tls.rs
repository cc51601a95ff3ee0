//! What becomes of TLS at a server of a Gateway.

use std::collections::BTreeSet;

use super::checks::Checks;
use crate::source::istio::ServerTls;

const MODES: [&str; 6] = [
    "PASSTHROUGH",
    "SIMPLE",
    "MUTUAL",
    "OPTIONAL_MUTUAL",
    "AUTO_PASSTHROUGH",
    "ISTIO_MUTUAL",
];
const VERSIONS: [&str; 5] = ["TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3"];
/// The names that Envoy takes.
const CIPHERS: [&str; 16] = [
    "AES128-GCM-SHA256",
    "AES128-SHA",
    "AES256-GCM-SHA384",
    "AES256-SHA",
    "DES-CBC3-SHA",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES256-SHA",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-SHA",
    "ECDHE-RSA-CHACHA20-POLY1305",
    "ECDHE-PSK-AES128-CBC-SHA",
];

pub(super) fn server_tls(checks: &mut Checks, field: &str, tls: &ServerTls) {
    checks.one_of(&format!("{field}.mode"), tls.mode.as_deref(), &MODES);
    for (name, version) in [
        ("minProtocolVersion", &tls.min_protocol_version),
        ("maxProtocolVersion", &tls.max_protocol_version),
    ] {
        checks.one_of(&format!("{field}.{name}"), version.as_deref(), &VERSIONS);
    }
    ciphers(checks, &format!("{field}.cipherSuites"), &tls.cipher_suites);
    match tls.mode() {
        "ISTIO_MUTUAL" => own(checks, field, tls),
        _ if tls.passes_through() => {
            if tls.names_files() || tls.names_secret() {
                let message = "what passes through needs no certificate here";
                checks.warn(field, message, "leave certificates out");
            }
        }
        mode => ended(checks, field, tls, mode),
    }
}

/// Certificates are the mesh's own.
fn own(checks: &mut Checks, field: &str, tls: &ServerTls) {
    if tls.names_files() || tls.names_secret() {
        let message = "ISTIO_MUTUAL has the certificates of the mesh";
        checks.error(field, message, "leave certificates out");
    }
}

fn ended(checks: &mut Checks, field: &str, tls: &ServerTls, mode: &str) {
    let (certificate, key) = (
        is_given(tls.server_certificate.as_ref()),
        is_given(tls.private_key.as_ref()),
    );
    let several = !tls.tls_certificates.is_empty();
    let ways = [
        is_given(tls.credential_name.as_ref()),
        !tls.credential_names.is_empty(),
        several,
        certificate && key,
    ];
    if ways.into_iter().filter(|way| *way).count() > 1 {
        let message = "it has certificates of several origins";
        let help = "use one of credentialName, credentialNames, tlsCertificates, serverCertificate";
        checks.error(field, message, help);
        return;
    }
    if tls.names_secret() {
        return;
    }
    if several {
        pairs(checks, field, tls);
    } else {
        let needed = [("serverCertificate", certificate), ("privateKey", key)];
        for (name, _) in needed.into_iter().filter(|(_, given)| !given) {
            let help = "name a Secret by credentialName";
            checks.error(format!("{field}.{name}"), "it is missing", help);
        }
    }
    if mode.ends_with("MUTUAL") && !is_given(tls.ca_certificates.as_ref()) {
        let message = "nothing says whose certificates clients may have";
        checks.error(format!("{field}.caCertificates"), message, "name a file");
    }
}

fn pairs(checks: &mut Checks, field: &str, tls: &ServerTls) {
    if tls.tls_certificates.len() > 2 {
        let message = "there are more than two: the first two are used";
        checks.warn(format!("{field}.tlsCertificates"), message, "leave two");
    }
    for (index, pair) in tls.tls_certificates.iter().enumerate() {
        let needed = [
            (
                "serverCertificate",
                is_given(pair.server_certificate.as_ref()),
            ),
            ("privateKey", is_given(pair.private_key.as_ref())),
        ];
        for (name, _) in needed.into_iter().filter(|(_, given)| !given) {
            let field = format!("{field}.tlsCertificates[{index}].{name}");
            checks.error(field, "it is missing", "name a file");
        }
    }
}

fn ciphers(checks: &mut Checks, field: &str, names: &[String]) {
    let mut seen = BTreeSet::new();
    for (index, name) in names.iter().enumerate() {
        let field = format!("{field}[{index}]");
        let plain = name.trim_start_matches(['-', '+', '!']);
        let known = |part: &str| CIPHERS.contains(&part);
        if !plain.trim_matches(['[', ']']).split('|').all(known) {
            let message = format!("{name:?} is no cipher suite that is known here");
            checks.warn(&field, message, "it is left out");
        }
        if !seen.insert(name) {
            let message = format!("{name} is there twice");
            checks.warn(&field, message, "remove one");
        }
    }
}

fn is_given(text: Option<&String>) -> bool {
    text.is_some_and(|text| !text.is_empty())
}
