//! The normal form of manifests: fields in order, no comments, one document after the other, as
//! `steer install` prints them.

use anyhow::{Context as _, Result};
use serde_json::Value;

/// The documents of a text, written anew.
pub(super) fn form(text: &str) -> Result<String> {
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(text).context("what helm renders is no YAML")?;
    let written: Result<Vec<String>, _> = documents
        .iter()
        .filter(|document| !document.is_null())
        .map(serde_saphyr::to_string)
        .collect();
    Ok(written?.join("---\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_empty_documents_go_and_fields_are_in_order() {
        let text = "---\n# Source: x\nkind: A\napiVersion: v1\n---\n# nothing\n---\nb: [1, 'yes', \"10%\"]\na: {}\n";
        assert_eq!(
            form(text).unwrap(),
            "apiVersion: v1\nkind: A\n---\na: {}\nb:\n- 1\n- \"yes\"\n- 10%\n"
        );
    }
}
