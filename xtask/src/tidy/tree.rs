//! The files of the checkout, read once.

use std::{collections::BTreeMap, fs, process::Command};

use anyhow::{Context as _, Result};

use crate::{process::answer, workspace::root};

/// Text files by path from the top, and the syntax of the Rust ones.
pub(super) struct Tree {
    texts: BTreeMap<String, String>,
    syntax: BTreeMap<String, syn::File>,
}

impl Tree {
    /// Every file that git knows or would add.
    pub(super) fn of_checkout() -> Result<Self> {
        let list = answer(Command::new("git").current_dir(root()).args([
            "ls-files",
            "--cached",
            "--others",
            "--exclude-standard",
        ]))
        .context("git does not list the files of this checkout")?;
        // A file that is deleted but not yet committed is listed too; one that is not text is
        // of no interest.
        let texts = list.lines().filter_map(|path| {
            fs::read_to_string(root().join(path))
                .ok()
                .map(|text| (path.to_owned(), text))
        });
        Self::new(texts)
    }

    pub(super) fn new(texts: impl IntoIterator<Item = (String, String)>) -> Result<Self> {
        let texts: BTreeMap<String, String> = texts.into_iter().collect();
        let mut syntax = BTreeMap::new();
        for (path, text) in texts.iter().filter(|(path, _)| has_extension(path, "rs")) {
            let file = syn::parse_file(text).with_context(|| format!("cannot parse {path}"))?;
            syntax.insert(path.clone(), file);
        }
        Ok(Self { texts, syntax })
    }

    pub(super) fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str()))
    }

    pub(super) fn rust(&self) -> impl Iterator<Item = (&str, &syn::File)> {
        self.syntax.iter().map(|(path, file)| (path.as_str(), file))
    }

    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.texts.get(path).map(String::as_str)
    }

    pub(super) fn syntax(&self, path: &str) -> Option<&syn::File> {
        self.syntax.get(path)
    }
}

pub(super) fn has_extension(path: &str, extension: &str) -> bool {
    path.rsplit_once('.')
        .is_some_and(|(_, found)| found == extension)
}

/// A path without `.` and `..`.
pub(super) fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The folder of a path, empty at the top.
pub(super) fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

#[cfg(test)]
pub(super) fn tree(files: &[(&str, &str)]) -> Tree {
    let owned = files
        .iter()
        .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
    Tree::new(owned).expect("sources that parse")
}

/// The problems a rule finds, as printed.
#[cfg(test)]
pub(super) fn found(rule: fn(&Tree) -> Vec<super::Problem>, files: &[(&str, &str)]) -> Vec<String> {
    rule(&tree(files)).iter().map(ToString::to_string).collect()
}
