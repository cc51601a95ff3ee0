//! The page of the chart's values, from the comments of values.yaml.

use anyhow::{Result, ensure};

/// Where it is kept.
pub(super) const PAGE: &str = "docs/reference/values.md";

const HEAD: &str = "\
# Values of the Helm chart

Generated from [values.yaml](../../deploy/helm/steer/values.yaml) (`cargo xtask manifests`). Helm refuses other
values, and values of another kind, by [values.schema.json](../../deploy/helm/steer/values.schema.json).

| Value | Default | What |
| --- | --- | --- |
";

/// A value: where it is, what it is by default, and what is said of it.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    path: String,
    default: String,
    what: String,
}

/// The page.
pub(super) fn page(text: &str) -> Result<String> {
    let entries = entries(text);
    let bare: Vec<&str> = entries
        .iter()
        .filter(|entry| entry.what.is_empty())
        .map(|entry| entry.path.as_str())
        .collect();
    ensure!(
        bare.is_empty(),
        "values.yaml says nothing of {}",
        bare.join(", ")
    );
    let rows = entries.iter().map(|entry| {
        format!(
            "| `{}` | `{}` | {} |\n",
            entry.path, entry.default, entry.what
        )
    });
    Ok(HEAD.to_owned() + &rows.collect::<String>())
}

/// Every value that is no group of others, with the comment before it.
fn entries(text: &str) -> Vec<Entry> {
    let mut found = Vec::new();
    let mut groups: Vec<(usize, String)> = Vec::new();
    let mut what = String::new();
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        let line = line.trim();
        if let Some(comment) = line.strip_prefix("# ") {
            let gap = if what.is_empty() { "" } else { " " };
            what = what + gap + comment;
        } else if let Some(item) = line.strip_prefix("- ") {
            // A list is told in one piece with the line that names it.
            if let Some((_, path)) = groups.last() {
                let default = format!("[{{{item}}}]");
                let said = std::mem::take(&mut what);
                found.push(entry(path.clone(), default, said));
            }
        } else if let Some((key, value)) = line.split_once(':') {
            groups.retain(|(depth, _)| *depth < indent);
            let path = match groups.last() {
                Some((_, group)) => format!("{group}.{key}"),
                None => key.to_owned(),
            };
            if value.trim().is_empty() {
                groups.push((indent, path));
            } else {
                let said = std::mem::take(&mut what);
                found.push(entry(path, value.trim().to_owned(), said));
            }
        } else {
            what.clear();
        }
    }
    found
}

fn entry(path: String, default: String, what: String) -> Entry {
    Entry {
        path,
        default,
        what: what.replace('|', "\\|"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_told_with_its_group() {
        let text = "# One\na: 1\n\nb:\n  # Two,\n  # and more\n  c: \"\"\n  d:\n    # Three\n    e: {}\n\
                    # Four\nf:\n  - operator: Exists\n";
        let told: Vec<String> = entries(text)
            .iter()
            .map(|entry| format!("{} {} {}", entry.path, entry.default, entry.what))
            .collect();
        assert_eq!(
            told,
            [
                "a 1 One",
                "b.c \"\" Two, and more",
                "b.d.e {} Three",
                "f [{operator: Exists}] Four"
            ]
        );
    }

    #[test]
    fn a_value_without_a_word_is_named() {
        let error = page("# One\na: 1\n\nb: 2\n").unwrap_err().to_string();
        assert_eq!(error, "values.yaml says nothing of b");
    }
}
