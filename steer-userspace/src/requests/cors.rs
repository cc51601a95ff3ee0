//! `corsPolicy`: who may ask from a page of somebody else, as Envoy's filter answers it.

use http::{
    HeaderMap, HeaderName, HeaderValue, Method,
    header::{
        ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS,
        ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS,
        ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN,
    },
};

use super::{
    matching::Seen,
    route::Error,
    text::{Text, shown},
};
use crate::source::istio::{CorsPolicy, StringMatch};

/// The policy, made ready.
#[derive(Clone, Debug)]
pub struct Cors {
    origins: Vec<Text>,
    /// What the answer to a preflight says of methods, headers and time.
    preflight: Vec<(HeaderName, HeaderValue)>,
    expose: Option<HeaderValue>,
    credentials: bool,
    forwards: bool,
}

/// What becomes of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CorsAnswer {
    /// It is a preflight, and answered with these headers.
    Preflight(HeaderMap),
    /// It goes on, and its answer has these headers.
    Headers(HeaderMap),
    /// It goes on as it is.
    Nothing,
}

impl Cors {
    pub(super) fn new(written: &CorsPolicy) -> Result<Self, Error> {
        let old = written.allow_origin.iter().map(|origin| StringMatch {
            exact: Some(origin.clone()),
            ..StringMatch::default()
        });
        // The list that is deprecated counts only without the other.
        let old: Vec<StringMatch> = if written.allow_origins.is_empty() {
            old.collect()
        } else {
            Vec::new()
        };
        let origins = written.allow_origins.iter().chain(&old);
        let origins = origins.map(|origin| Text::new(origin, false));
        let age = written.max_age.map(|age| age.nanos / 1_000_000_000);
        let lists = [
            (
                ACCESS_CONTROL_ALLOW_METHODS,
                written.allow_methods.join(","),
            ),
            (
                ACCESS_CONTROL_ALLOW_HEADERS,
                written.allow_headers.join(","),
            ),
            (
                ACCESS_CONTROL_MAX_AGE,
                age.map(|secs| secs.to_string()).unwrap_or_default(),
            ),
        ];
        let said = lists.into_iter().filter(|(_, text)| !text.is_empty());
        let expose = written.expose_headers.join(",");
        Ok(Self {
            origins: origins.collect::<Result<_, _>>()?,
            preflight: said
                .map(|(name, text)| Ok((name.clone(), value(&name, &text)?)))
                .collect::<Result<_, Error>>()?,
            expose: (!expose.is_empty())
                .then(|| value(&ACCESS_CONTROL_EXPOSE_HEADERS, &expose))
                .transpose()?,
            credentials: written.allow_credentials == Some(true),
            forwards: written.unmatched_preflights.as_deref() != Some("IGNORE"),
        })
    }

    /// What becomes of a request. One without an origin, or with another one, goes on as it is; so does a
    /// preflight of another origin, unless it is to be answered here.
    pub fn answer(&self, seen: &Seen<'_>) -> CorsAnswer {
        let Some(origin) = seen.headers.get(ORIGIN).filter(|value| !value.is_empty()) else {
            return CorsAnswer::Nothing;
        };
        let is_preflight = *seen.method == Method::OPTIONS
            && seen
                .headers
                .get(ACCESS_CONTROL_REQUEST_METHOD)
                .is_some_and(|method| !method.is_empty());
        let text = shown(origin);
        // As in Envoy: what takes a star takes every origin.
        let takes = |allowed: &Text| allowed.takes("*") || allowed.takes(&text);
        if !self.origins.iter().any(takes) {
            return if is_preflight && !self.forwards {
                CorsAnswer::Preflight(HeaderMap::new())
            } else {
                CorsAnswer::Nothing
            };
        }
        let mut headers = HeaderMap::new();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        if self.credentials {
            let yes = HeaderValue::from_static("true");
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
        }
        if is_preflight {
            headers.extend(self.preflight.iter().cloned());
            return CorsAnswer::Preflight(headers);
        }
        if let Some(expose) = &self.expose {
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, expose.clone());
        }
        CorsAnswer::Headers(headers)
    }
}

fn value(name: &HeaderName, text: &str) -> Result<HeaderValue, Error> {
    HeaderValue::from_str(text).map_err(|_| Error::Header {
        name: name.to_string(),
    })
}

#[cfg(test)]
mod tests;
