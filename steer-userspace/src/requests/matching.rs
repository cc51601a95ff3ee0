//! Whether a match takes a request. Conditions within one hold together; its static part has been
//! looked at before.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, Method};

use super::{route::Error, text::Text, text::shown};
use crate::{
    desired::matching::RESERVED_HEADERS,
    source::istio::{HttpMatch, StringMatch},
};

/// What is seen of a request.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'r> {
    /// Its method.
    pub method: &'r Method,
    /// Its path, without the query.
    pub path: &'r str,
    /// What follows the `?`.
    pub query: Option<&'r str>,
    /// `http` or `https`.
    pub scheme: &'r str,
    /// Host or :authority, with its port, as sent.
    pub authority: &'r str,
    /// Its headers.
    pub headers: &'r HeaderMap,
}

/// A match, made ready.
#[derive(Clone, Debug)]
pub(super) struct Match {
    pub(super) name: Option<String>,
    pub(super) uri: Option<Text>,
    scheme: Option<Text>,
    method: Option<Text>,
    authority: Option<Text>,
    headers: Vec<(HeaderName, Text)>,
    without: Vec<(HeaderName, Text)>,
    query: Vec<(String, Text)>,
}

impl Match {
    /// As written.
    pub(super) fn new(written: &HttpMatch) -> Result<Self, Error> {
        let text = |found: &Option<StringMatch>| {
            let text = found.as_ref().map(|found| Text::new(found, false));
            text.transpose()
        };
        let uri = written.uri.as_ref();
        let uri = uri.map(|uri| Text::new(uri, written.ignore_uri_case));
        let query = written.query_params.iter();
        let query = query.map(|(key, found)| Ok((key.clone(), Text::new(found, false)?)));
        Ok(Self {
            name: written.name.clone(),
            uri: uri.transpose()?,
            scheme: text(&written.scheme)?,
            method: text(&written.method)?,
            authority: text(&written.authority)?,
            headers: named(&written.headers)?,
            without: named(&written.without_headers)?,
            query: query.collect::<Result<_, regex::Error>>()?,
        })
    }

    /// Whether it takes a request.
    pub(super) fn takes(&self, seen: &Seen<'_>) -> bool {
        let holds = |text: &Option<Text>, value| text.as_ref().is_none_or(|text| text.takes(value));
        holds(&self.uri, seen.path)
            && holds(&self.scheme, seen.scheme)
            && holds(&self.method, seen.method.as_str())
            && holds(&self.authority, seen.authority)
            && self.headers.iter().all(|(name, text)| {
                value(seen.headers, name).is_some_and(|value| text.takes(&value))
            })
            && self.without.iter().all(|(name, text)| {
                // A header that is not there is an empty one, unless its presence is asked for.
                match (value(seen.headers, name), text) {
                    (None, Text::Present) => true,
                    (found, text) => !text.takes(&found.unwrap_or_default()),
                }
            })
            && self.query.iter().all(|(key, text)| {
                parameter(seen.query, key).is_some_and(|value| text.takes(value))
            })
    }
}

fn named(
    written: &std::collections::BTreeMap<String, StringMatch>,
) -> Result<Vec<(HeaderName, Text)>, Error> {
    let looked_at = written
        .iter()
        .filter(|(key, _)| !RESERVED_HEADERS.contains(&key.as_str()));
    let ready = looked_at.map(|(key, found)| {
        let name = HeaderName::from_bytes(key.as_bytes());
        let name = name.map_err(|_| Error::Header { name: key.clone() })?;
        Ok((name, Text::new(found, false)?))
    });
    ready.collect()
}

/// The value of a header; of several, all of them, with commas.
fn value<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<Cow<'h, str>> {
    let mut all = headers.get_all(name).iter();
    let first = shown(all.next()?);
    Some(all.fold(first, |joined, next| {
        Cow::Owned(format!("{joined},{}", shown(next)))
    }))
}

/// The first value of a parameter, as sent.
fn parameter<'q>(query: Option<&'q str>, key: &str) -> Option<&'q str> {
    query?.split('&').find_map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (name == key).then_some(value)
    })
}
