//! The syntax of names: hosts, namespaces, labels, headers. Each function says what is wrong.

use std::net::IpAddr;

/// What is wrong with a name; the rest of a sentence that begins with it.
pub type Verdict = Result<(), String>;

const LABEL_MAX: usize = 63;
const DOMAIN_MAX: usize = 255;

/// A DNS label (RFC 1123), as namespaces and subsets are named.
pub fn is_label(text: &str) -> bool {
    let edge = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    (1..=LABEL_MAX).contains(&bytes.len())
        && bytes.first().copied().is_some_and(edge)
        && bytes.last().copied().is_some_and(edge)
        && bytes.iter().all(|&byte| edge(byte) || byte == b'-')
}

/// Labels with dots between them, as objects are named.
pub fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

/// One part of a domain, or the name of a subset; capital letters are put up with.
pub fn is_domain_part(text: &str) -> bool {
    let bytes = text.as_bytes();
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    bytes.len() <= LABEL_MAX
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes
            .iter()
            .all(|&byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// A part in which everything is allowed: `*`, `*foo`, `*-foo`, or no wildcard at all.
fn is_wildcard_part(text: &str) -> bool {
    let Some(rest) = text.strip_prefix('*') else {
        return is_domain_part(text);
    };
    rest.is_empty() || is_domain_part(rest.strip_prefix('-').unwrap_or(rest))
}

/// A fully qualified name; a dot at its end is allowed.
pub fn fqdn(name: &str) -> Verdict {
    not_empty_not_long(name)?;
    parts(name)
}

/// A name that may begin with a wildcard.
pub fn wildcard_domain(name: &str) -> Verdict {
    not_empty_not_long(name)?;
    let (first, rest) = name
        .split_once('.')
        .map_or((name, None), |(first, rest)| (first, Some(rest)));
    if !is_wildcard_part(first) {
        return Err(format!(
            "is not a host name: {first:?} is not a part of one"
        ));
    }
    rest.map_or(Ok(()), parts)
}

/// The host of a VirtualService that is bound to gateways: no addresses; for TLS also the names
/// that gateways between networks use (`outbound_.80_.v1_.catalog.shop.svc.cluster.local`).
pub fn gateway_domain(name: &str, is_sni: bool) -> Verdict {
    if is_sni && name.starts_with("outbound_.") {
        return outbound(name);
    }
    if name.parse::<IpAddr>().is_ok() {
        return Err("is an address: gateways choose by name".to_owned());
    }
    wildcard_domain(name)
}

fn outbound(name: &str) -> Verdict {
    let wrong = || "is no name of the form outbound_.PORT_.SUBSET_.HOST".to_owned();
    let mut rest = name.splitn(4, '.').skip(1);
    let port = rest.next().and_then(|part| part.strip_suffix('_'));
    let subset = rest.next().and_then(|part| part.strip_suffix('_'));
    let host = rest.next();
    port.filter(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
        .ok_or_else(wrong)?;
    subset
        .filter(|subset| subset.is_empty() || is_label(subset))
        .ok_or_else(wrong)?;
    fqdn(host.ok_or_else(wrong)?)
}

fn not_empty_not_long(name: &str) -> Verdict {
    if name.is_empty() {
        return Err("is empty".to_owned());
    }
    if name.len() > DOMAIN_MAX {
        return Err(format!("is longer than {DOMAIN_MAX} characters"));
    }
    Ok(())
}

fn parts(name: &str) -> Verdict {
    let name = name.strip_suffix('.').unwrap_or(name);
    if let Some(part) = name.split('.').find(|part| !is_domain_part(part)) {
        return Err(format!("is not a host name: {part:?} is not a part of one"));
    }
    let last = name.rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("is not a host name: {last} is a number"));
    }
    Ok(())
}

/// The value of a Kubernetes label.
pub fn is_label_value(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let edge = |found: Option<&u8>| found.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.is_empty()
        || bytes.len() <= LABEL_MAX
            && edge(bytes.first())
            && edge(bytes.last())
            && text.bytes().all(inner)
}

/// The name of a Kubernetes label: `name` or `prefix/name`.
pub fn is_label_name(text: &str) -> bool {
    let (prefix, name) = text
        .split_once('/')
        .map_or((None, text), |(prefix, name)| (Some(prefix), name));
    !name.is_empty() && is_label_value(name) && prefix.is_none_or(|prefix| fqdn(prefix).is_ok())
}

/// The name of a port, as Kubernetes has it.
pub fn port_name(text: &str) -> Verdict {
    if is_label(text) {
        Ok(())
    } else {
        Err("is not the name of a port: use lower-case letters, digits and -".to_owned())
    }
}

const PSEUDO_HEADERS: [&str; 5] = [":method", ":scheme", ":authority", ":path", ":status"];

/// The name of an HTTP header, or a pseudo header.
pub fn header_name(text: &str) -> Verdict {
    if PSEUDO_HEADERS.contains(&text) {
        return Ok(());
    }
    header_token(text)
}

/// The name of an HTTP header.
pub fn header_token(text: &str) -> Verdict {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    if text.bytes().all(token) {
        Ok(())
    } else {
        Err("is not the name of a header".to_owned())
    }
}

/// The name of a header that is changed: the authority may be, other pseudo headers not.
pub fn changed_header(text: &str, is_request: bool) -> Verdict {
    let lower = text.to_ascii_lowercase();
    let is_authority = lower == "host" || lower == ":authority";
    if (lower.starts_with(':') || lower == "host") && !(is_request && is_authority) {
        return Err("cannot be changed".to_owned());
    }
    header_name(text)
}

/// Whether a header names the host that is asked for.
pub fn is_authority(name: &str) -> bool {
    name.eq_ignore_ascii_case("host") || name.eq_ignore_ascii_case(":authority")
}

/// The value of a header that is set: `%` begins `%%` or a variable such as `%START_TIME%`.
pub fn header_value(text: &str) -> Verdict {
    let is_control = |byte: u8| (byte < b' ' && byte != b'\t') || byte == 0x7f;
    if text.bytes().any(is_control) {
        return Err("has control characters".to_owned());
    }
    let mut rest = text;
    while let Some(start) = rest.find('%') {
        rest = &rest[start + 1..];
        let end = rest
            .find('%')
            .ok_or_else(|| "has a single %: write %%".to_owned())?;
        let variable = &rest[..end];
        if !variable.is_empty() && !is_variable(variable) {
            return Err(format!("has %{variable}%, which is no variable: write %%"));
        }
        rest = &rest[end + 1..];
    }
    Ok(())
}

/// `NAME`, `NAME(argument)`, `NAME(argument):length`.
fn is_variable(text: &str) -> bool {
    let name_end = text
        .find(|c: char| !c.is_ascii_uppercase() && !c.is_ascii_digit() && c != '_')
        .unwrap_or(text.len());
    let (name, rest) = text.split_at(name_end);
    let rest = match rest.strip_prefix('(') {
        Some(argument) => match argument.rfind(')') {
            Some(end) => &argument[end + 1..],
            None => return false,
        },
        None => rest,
    };
    let length = rest.strip_prefix(':').map_or(rest.is_empty(), |length| {
        !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit())
    });
    !name.is_empty() && length
}

/// A status that an answer may have.
pub fn http_status(status: i64) -> Verdict {
    if (200..=600).contains(&status) {
        Ok(())
    } else {
        Err(format!("{status} is not between 200 and 599"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_domains_with_a_wildcard_in_front() {
        for name in ["a", "a.b", "a.b.", "*", "*.b", "*-a.b", "*a", "A.b", "1.b"] {
            assert_eq!(wildcard_domain(name), Ok(()), "{name}");
        }
        for name in [
            "", "a..b", "-a.b", "a.*", "a*.b", "a!b", "a_b.c", "x.1", ".",
        ] {
            assert!(wildcard_domain(name).is_err(), "{name}");
        }
        assert!(fqdn("*.b").is_err() && wildcard_domain(&"x".repeat(64)).is_err());
        assert!(wildcard_domain(&"x.".repeat(200)).is_err());
    }

    #[test]
    fn gateways_take_no_addresses_but_names_of_clusters() {
        assert!(gateway_domain("1.1.1.1", false).is_err());
        assert_eq!(
            gateway_domain("outbound_.80_._.e2e.foobar.mesh", true),
            Ok(())
        );
        for name in [
            "outbound_.x_._.e2e.mesh",
            "outbound_.80_._",
            "outbound_.0_._.a",
        ] {
            assert!(gateway_domain(name, true).is_err(), "{name}");
        }
    }

    #[test]
    fn percent_signs_of_headers_are_variables() {
        for value in ["", "100%%", "%HOSTNAME%", "a %REQ(x-y):12% b", "%A(b)%%%"] {
            assert_eq!(header_value(value), Ok(()), "{value}");
        }
        for value in [
            "%",
            "a\nb",
            "100%",
            "abcd%oij",
            "%START_TIME%%",
            "%a b%",
            "%A(b%",
        ] {
            assert!(header_value(value).is_err(), "{value}");
        }
    }

    #[test]
    fn headers_are_tokens_or_pseudo_headers() {
        for name in ["x-a", "X_A!", ":path"] {
            assert_eq!(header_name(name), Ok(()), "{name}");
        }
        for name in ["", "a b", "::", ":other"] {
            assert!(header_name(name).is_err(), "{name}");
        }
        assert!(header_token(":path").is_err() && header_token("*").is_ok());
        assert!(changed_header(":authority", true).is_ok() && changed_header("x", false).is_ok());
        assert!(changed_header("Host", false).is_err() && changed_header(":path", true).is_err());
    }

    #[test]
    fn labels_are_those_of_kubernetes() {
        assert!(is_label("v1") && !is_label("V1") && !is_label("") && !is_label("a_"));
        assert!(is_label_name("app") && is_label_name("a.b/App_1") && !is_label_name("a.b/"));
        assert!(is_label_value("") && is_label_value("V1_x.y") && !is_label_value("-v"));
    }
}
