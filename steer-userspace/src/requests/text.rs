//! How a string is compared.

use std::borrow::Cow;

use http::HeaderValue;
use regex::Regex;

use crate::source::istio::StringMatch;

/// One comparison, made ready.
#[derive(Clone, Debug)]
pub(super) enum Text {
    /// The same.
    Exact(String),
    /// The same, whatever the case.
    ExactAnyCase(String),
    /// Begins so.
    Prefix(String),
    /// Begins so, whatever the case.
    PrefixAnyCase(String),
    /// All of it fits.
    Regex(Regex),
    /// It is there.
    Present,
}

impl Text {
    /// As written; regular expressions take the whole value. `any_case` is for the first two kinds only.
    pub(super) fn new(written: &StringMatch, any_case: bool) -> Result<Self, regex::Error> {
        Ok(match (&written.exact, &written.prefix, &written.regex) {
            (Some(exact), ..) if any_case => Self::ExactAnyCase(exact.clone()),
            (Some(exact), ..) => Self::Exact(exact.clone()),
            (_, Some(prefix), _) if any_case => Self::PrefixAnyCase(prefix.clone()),
            (_, Some(prefix), _) => Self::Prefix(prefix.clone()),
            (_, _, Some(regex)) if regex != "*" => {
                Self::Regex(Regex::new(&format!(r"\A(?:{regex})\z"))?)
            }
            _ => Self::Present,
        })
    }

    /// Whether a value that is there fits.
    pub(super) fn takes(&self, value: &str) -> bool {
        match self {
            Self::Exact(exact) => value == exact,
            Self::ExactAnyCase(exact) => value.eq_ignore_ascii_case(exact),
            Self::Prefix(prefix) => value.starts_with(prefix.as_str()),
            Self::PrefixAnyCase(prefix) => value
                .get(..prefix.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(prefix)),
            Self::Regex(regex) => regex.is_match(value),
            Self::Present => true,
        }
    }

    /// The part of a path that this is about, for what replaces it: the prefix, or all of it.
    pub(super) fn replaced<'p>(&self, path: &'p str) -> &'p str {
        match self {
            Self::Prefix(prefix) | Self::PrefixAnyCase(prefix) => {
                path.get(..prefix.len()).unwrap_or(path)
            }
            _ => path,
        }
    }
}

/// A header as text; what is no UTF-8 is compared as far as it can be shown.
pub(super) fn shown(value: &HeaderValue) -> Cow<'_, str> {
    String::from_utf8_lossy(value.as_bytes())
}
