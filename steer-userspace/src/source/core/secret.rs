//! Secret (`v1`): certificates and keys that gateways end TLS with. Nothing shows what is in it.

use std::{collections::BTreeMap, fmt};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use crate::source::object::Kind;

/// Of `data` and `stringData`, what gateways use; the rest is not kept.
const KEPT: [&str; 7] = [
    "ca.crl", "ca.crt", "cacert", "cert", "key", "tls.crt", "tls.key",
];

/// The content of a Secret.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret {
    data: BTreeMap<&'static str, Vec<u8>>,
}

impl Kind for Secret {
    const KIND: &'static str = "Secret";
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.data.keys()).finish()
    }
}

impl Secret {
    /// From an object; what is wrong is the path of a field, never its value.
    pub(in crate::source) fn new(object: &Value) -> Result<Self, String> {
        let mut data = BTreeMap::new();
        for field in ["data", "stringData"] {
            let Some(values) = object.get(field).filter(|values| !values.is_null()) else {
                continue;
            };
            let values = values.as_object().ok_or_else(|| field.to_owned())?;
            for (name, value) in values {
                let Some(kept) = KEPT.into_iter().find(|kept| kept == name) else {
                    continue;
                };
                let wrong = || format!("{field}.{name}");
                let text = value.as_str().ok_or_else(wrong)?;
                let bytes = match field {
                    "data" => STANDARD.decode(text.trim()).map_err(|_| wrong())?,
                    _ => text.as_bytes().to_vec(),
                };
                data.insert(kept, bytes);
            }
        }
        Ok(Self { data })
    }

    /// The first of these entries that there is.
    pub fn first(&self, names: &[&str]) -> Option<&[u8]> {
        let mut found = names.iter().filter_map(|&name| self.data.get(name));
        found.next().map(Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_shows_what_is_in_it() {
        let secret = Secret::new(&json!({
            "data": {"tls.crt": "Y2VydA==", "other": "eA=="},
            "stringData": {"tls.key": "hidden"},
        }))
        .unwrap();
        assert_eq!(secret.first(&["cert", "tls.crt"]), Some(b"cert".as_slice()));
        assert_eq!(secret.first(&["other"]), None);
        assert_eq!(format!("{secret:?}"), r#"{"tls.crt", "tls.key"}"#);
        for wrong in [
            json!({"data": {"tls.key": "hidden!"}}),
            json!({"data": {"tls.key": 1}}),
        ] {
            assert_eq!(Secret::new(&wrong).unwrap_err(), "data.tls.key");
        }
        assert_eq!(Secret::new(&json!({"data": "hidden"})).unwrap_err(), "data");
    }
}
