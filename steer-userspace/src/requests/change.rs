//! What becomes of headers: removed, replaced, added, in this order.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::route::Error;
use crate::source::istio::HeaderOperations;

/// Operations on one side's headers, made ready.
#[derive(Clone, Debug, Default)]
pub struct HeaderChange {
    remove: Vec<HeaderName>,
    set: Vec<(HeaderName, HeaderValue)>,
    add: Vec<(HeaderName, HeaderValue)>,
    /// Host or :authority is set.
    pub authority: Option<String>,
}

impl HeaderChange {
    pub(super) fn new(written: Option<&HeaderOperations>) -> Result<Self, Error> {
        let Some(written) = written else {
            return Ok(Self::default());
        };
        let set = written.set.iter();
        let authority = set.clone().find(|(key, _)| is_authority(key));
        let set = set.filter(|(key, _)| !is_authority(key));
        Ok(Self {
            remove: written
                .remove
                .iter()
                .map(|key| name(key))
                .collect::<Result<_, _>>()?,
            set: set
                .map(|(key, text)| pair(key, text))
                .collect::<Result<_, _>>()?,
            add: written
                .add
                .iter()
                .map(|(key, text)| pair(key, text))
                .collect::<Result<_, _>>()?,
            authority: authority.map(|(_, text)| text.clone()),
        })
    }

    /// Makes the change.
    pub fn apply(&self, headers: &mut HeaderMap) {
        for name in &self.remove {
            headers.remove(name);
        }
        for (name, value) in &self.set {
            headers.insert(name, value.clone());
        }
        for (name, value) in &self.add {
            headers.append(name, value.clone());
        }
    }
}

fn is_authority(key: &str) -> bool {
    key == ":authority" || key.eq_ignore_ascii_case("host")
}

fn name(key: &str) -> Result<HeaderName, Error> {
    HeaderName::from_bytes(key.as_bytes()).map_err(|_| Error::Header {
        name: key.to_owned(),
    })
}

fn pair(key: &str, text: &str) -> Result<(HeaderName, HeaderValue), Error> {
    let value = HeaderValue::from_str(text).map_err(|_| Error::Header {
        name: key.to_owned(),
    })?;
    Ok((name(key)?, value))
}
