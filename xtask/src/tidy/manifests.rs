//! Dependencies: each with its reason, each used, and none in `steer-common` but aya.

use super::{
    Problem,
    tree::{Tree, folder, has_extension},
};

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    let shared = entries(tree, "Cargo.toml", "[workspace.dependencies]");
    for entry in shared.iter().filter(|entry| !entry.is_explained) {
        let what = format!("{} has no comment line with its reason", entry.name);
        problems.push(Problem::new("Cargo.toml", entry.line, what));
    }
    let mut used = Vec::new();
    for (manifest, _) in tree
        .files()
        .filter(|(path, _)| path.ends_with("/Cargo.toml"))
    {
        for section in [
            "[dependencies]",
            "[dev-dependencies]",
            "[build-dependencies]",
        ] {
            for entry in entries(tree, manifest, section) {
                if !is_named(tree, folder(manifest), &entry.name) {
                    let what = format!("{} is not used by the code", entry.name);
                    problems.push(Problem::new(manifest, entry.line, what));
                }
                if manifest == "steer-common/Cargo.toml"
                    && section == "[dependencies]"
                    && entry.name != "aya"
                {
                    let what = format!("steer-common depends on {}: aya is all it may", entry.name);
                    problems.push(Problem::new(manifest, entry.line, what));
                }
                used.push(entry.name);
            }
        }
    }
    for entry in shared.iter().filter(|entry| !used.contains(&entry.name)) {
        let what = format!("{} is used by no package", entry.name);
        problems.push(Problem::new("Cargo.toml", entry.line, what));
    }
    problems
}

struct Entry {
    name: String,
    line: usize,
    is_explained: bool,
}

/// The dependencies of one section. A comment explains the entries that follow it without a gap;
/// our own crates explain themselves.
fn entries(tree: &Tree, manifest: &str, section: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    let (mut inside, mut commented) = (false, false);
    for (index, line) in tree
        .text(manifest)
        .unwrap_or_default()
        .lines()
        .map(str::trim)
        .enumerate()
    {
        if line.starts_with('[') {
            inside = line == section;
            commented = false;
        } else if line.is_empty() {
            commented = false;
        } else if line.starts_with('#') {
            commented = true;
        } else if inside && let Some((key, value)) = line.split_once('=') {
            let name = key.trim().trim_end_matches(".workspace").to_owned();
            let is_explained = commented || value.contains("path = ") || value.contains('#');
            entries.push(Entry {
                name,
                line: index + 1,
                is_explained,
            });
        }
    }
    entries
}

/// True if a source of the package names the crate.
fn is_named(tree: &Tree, package: &str, dependency: &str) -> bool {
    let name = dependency.replace('-', "_");
    let sources = tree.files().filter(|(path, _)| {
        has_extension(path, "rs")
            && path
                .strip_prefix(package)
                .is_some_and(|rest| rest.starts_with('/'))
    });
    let boundary = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && c != '_');
    sources.into_iter().any(|(_, text)| {
        text.match_indices(&name).any(|(at, _)| {
            boundary(text[..at].chars().next_back())
                && boundary(text[at + name.len()..].chars().next())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree;

    #[test]
    fn dependencies_are_explained_and_used() {
        let files = [
            (
                "Cargo.toml",
                "[workspace.dependencies]\nown = { path = \"own\" }\n# Errors.\nthiserror = \"2\"\n\
                 anyhow = \"1\"\n\nbare = \"3\"\n# Nobody's.\nidle = \"1\"\n",
            ),
            (
                "own/Cargo.toml",
                "[dependencies]\nthiserror.workspace = true\nanyhow = { workspace = true }\n\
                 bare.workspace = true\nown.workspace = true\n",
            ),
            (
                "own/src/lib.rs",
                "use thiserror::Error; fn f() -> anyhow::Result<own::X> { barely() }",
            ),
        ];
        assert_eq!(
            tree::found(check, &files),
            [
                "Cargo.toml:7: bare has no comment line with its reason",
                "own/Cargo.toml:4: bare is not used by the code",
                "Cargo.toml:9: idle is used by no package",
            ]
        );
    }

    #[test]
    fn steer_common_stands_alone() {
        let files = [
            (
                "steer-common/Cargo.toml",
                "[dependencies]\naya = { optional = true }\nserde = \"1\"\n",
            ),
            (
                "steer-common/src/lib.rs",
                "use aya::Pod; use serde::Serialize;",
            ),
        ];
        let found = tree::found(check, &files);
        assert_eq!(
            found,
            ["steer-common/Cargo.toml:3: steer-common depends on serde: aya is all it may"]
        );
    }
}
