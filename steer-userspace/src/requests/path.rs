//! What becomes of a request's path and authority.

use regex::Regex;

use super::{matching::Match, text::Text};
use crate::source::istio::Rewrite as Written;

/// `rewrite`, made ready.
#[derive(Clone, Debug, Default)]
pub struct Rewrite {
    uri: Option<String>,
    by_regex: Option<(Regex, String)>,
    /// Host or :authority.
    pub authority: Option<String>,
}

impl Rewrite {
    pub(super) fn new(written: Option<&Written>) -> Result<Self, regex::Error> {
        let Some(written) = written else {
            return Ok(Self::default());
        };
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let by_regex = written.uri_regex_rewrite.as_ref().map(|found| {
            let pattern = Regex::new(&found.pattern)?;
            Ok::<_, regex::Error>((pattern, with_groups(&found.rewrite)))
        });
        Ok(Self {
            uri: given(&written.uri),
            by_regex: by_regex.transpose()?,
            authority: given(&written.authority),
        })
    }

    /// The path that is asked for instead; `None` if it stays.
    pub(super) fn path(&self, matched: Option<&Match>, path: &str) -> Option<String> {
        if let Some(uri) = &self.uri {
            return Some(replace(matched, path, uri));
        }
        let (pattern, rewrite) = self.by_regex.as_ref()?;
        Some(pattern.replace_all(path, rewrite).into_owned())
    }
}

/// What replaces the prefix that matched; a path that matched otherwise is replaced as a whole.
pub(super) fn replace(matched: Option<&Match>, path: &str, by: &str) -> String {
    let root = Text::Prefix("/".to_owned());
    let uri = matched.and_then(|matched| matched.uri.as_ref());
    let old = uri.unwrap_or(&root).replaced(path);
    let rest = path.get(old.len()..).unwrap_or_default();
    format!("{by}{rest}")
}

/// RE2 writes groups as `\1`.
fn with_groups(rewrite: &str) -> String {
    let mut out = String::with_capacity(rewrite.len());
    let mut chars = rewrite.chars();
    while let Some(next) = chars.next() {
        match next {
            '$' => out.push_str("$$"),
            '\\' => match chars.next() {
                Some(digit) if digit.is_ascii_digit() => out.push_str(&format!("${{{digit}}}")),
                Some(other) => out.push(other),
                None => {}
            },
            other => out.push(other),
        }
    }
    out
}
