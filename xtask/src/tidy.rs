//! `cargo xtask tidy`: the architecture and the house rules, held by reading our own files.

use std::fmt;

use anyhow::{Result, ensure};

use crate::process::say;

mod imports;
mod manifests;
mod modules;
mod pages;
mod paths;
mod safety;
mod sizes;
mod tree;
mod words;

use tree::Tree;

/// Hold the architecture and the house rules
#[derive(clap::Args)]
pub(crate) struct Args {
    /// List files and functions that are longer than they should be; they are no failure
    #[arg(long)]
    pub(crate) sizes: bool,
}

/// Something that a rule forbids, and where.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Problem {
    file: String,
    line: usize,
    what: String,
}

impl Problem {
    fn new(file: &str, line: usize, what: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line,
            what: what.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, what } = self;
        write!(f, "{file}:{line}: {what}")
    }
}

const RULES: [fn(&Tree) -> Vec<Problem>; 6] = [
    imports::check,
    manifests::check,
    modules::check,
    pages::check,
    safety::check,
    words::check,
];

pub(crate) fn run(args: &Args) -> Result<()> {
    let tree = Tree::of_checkout()?;
    let mut problems: Vec<Problem> = RULES.iter().flat_map(|rule| rule(&tree)).collect();
    problems.sort();
    for problem in &problems {
        println!("{problem}");
    }
    let long = sizes::long(&tree);
    if args.sizes {
        for note in &long {
            println!("{note}");
        }
    } else if !long.is_empty() {
        say(&format!(
            "{} long files and functions: cargo xtask tidy --sizes",
            long.len()
        ));
    }
    ensure!(problems.is_empty(), "{} rules are broken", problems.len());
    say(&format!("tidy: {} files", tree.files().count()));
    Ok(())
}
