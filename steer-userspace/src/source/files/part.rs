//! The parts of a file: documents that did not change are kept.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hasher as _},
    sync::Arc,
};

use crate::{
    finding::Finding,
    source::{
        document::{self, Chunk},
        object::Place,
        parse::{Parsed, parse_value},
        rules::Document,
    },
};

/// What one part of a file holds.
#[derive(Debug)]
pub(super) struct Part {
    key: Key,
    pub(super) objects: Vec<Parsed>,
    pub(super) findings: Vec<Finding>,
    /// The text, if there is a rule in it, and no Secret.
    pub(super) rules: Option<Document>,
}

/// Where a part stands, how long it is, and a hash of its text: the same only if it is the same.
type Key = (u32, usize, u64);

fn key(chunk: Chunk<'_>) -> Key {
    let mut hasher = DefaultHasher::new();
    hasher.write(chunk.text.as_bytes());
    (chunk.line, chunk.text.len(), hasher.finish())
}

/// The parts of a text; those that are in `known` are taken from there.
pub(super) fn parts(
    file: &Arc<str>,
    text: &str,
    known: &[Arc<Part>],
) -> Result<Vec<Arc<Part>>, Vec<Finding>> {
    let known: BTreeMap<Key, &Arc<Part>> = known.iter().map(|part| (part.key, part)).collect();
    let (mut parts, mut errors) = (Vec::new(), Vec::new());
    for chunk in document::split(text) {
        let key = key(chunk);
        match known.get(&key) {
            Some(part) => parts.push(Arc::clone(part)),
            None => match parse_chunk(file, chunk) {
                Ok((objects, findings)) => {
                    let secret = |object: &Parsed| matches!(object, Parsed::Secret(_));
                    // What is kept of rules must not hold secrets: a list may hold both.
                    let rules = objects.iter().any(Parsed::is_rule) && !objects.iter().any(secret);
                    let rules = rules.then(|| Document {
                        file: Arc::clone(file),
                        line: chunk.line,
                        text: chunk.text.into(),
                    });
                    parts.push(Arc::new(Part {
                        key,
                        objects,
                        findings,
                        rules,
                    }));
                }
                Err(error) => errors.push(*error),
            },
        }
    }
    if errors.is_empty() {
        Ok(parts)
    } else {
        Err(errors)
    }
}

fn parse_chunk(
    file: &Arc<str>,
    chunk: Chunk<'_>,
) -> Result<(Vec<Parsed>, Vec<Finding>), Box<Finding>> {
    let (mut objects, mut findings) = (Vec::new(), Vec::new());
    for document in document::parse_chunk(file, chunk)? {
        let place = Place {
            file: Arc::clone(file),
            fields: Arc::new(document.fields),
        };
        objects.extend(parse_value(document.value, &place, &mut findings));
    }
    Ok((objects, findings))
}

/// The objects in the text of a file, and what is found in it.
pub fn parse_text(file: &str, text: &str) -> Result<(Vec<Parsed>, Vec<Finding>), Vec<Finding>> {
    let (mut objects, mut findings) = (Vec::new(), Vec::new());
    for part in parts(&file.into(), text, &[])? {
        objects.extend(part.objects.iter().cloned());
        findings.extend(part.findings.iter().cloned());
    }
    Ok((objects, findings))
}
