//! Documents: every page is reached from the README, and no link is broken.

use std::collections::BTreeSet;

use super::{
    Problem,
    tree::{Tree, folder, has_extension, normal},
};

/// Where a reader starts.
const START: &str = "README.md";

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    if tree.text(START).is_none() {
        return vec![Problem::new(START, 1, "there is no README")];
    }
    let mut problems = Vec::new();
    let mut reached = BTreeSet::new();
    let mut waiting = vec![START.to_owned()];
    while let Some(page) = waiting.pop() {
        if reached.insert(page.clone()) {
            let links = links(tree.text(&page).unwrap_or_default());
            let local = links.into_iter().filter(|(_, target)| !is_remote(target));
            for (line, target) in local {
                let file = target.split('#').next().unwrap_or_default();
                let path = normal(&format!("{}/{file}", folder(&page)));
                if file.is_empty() {
                    continue;
                }
                if has_extension(&path, "md") && tree.text(&path).is_some() {
                    waiting.push(path);
                } else if !exists(tree, &path) {
                    problems.push(Problem::new(
                        &page,
                        line,
                        format!("links to {target}, which is not there"),
                    ));
                }
            }
        }
    }
    let pages = tree
        .files()
        .map(|(path, _)| path)
        .filter(|path| is_page(path));
    problems.extend(
        pages
            .filter(|page| !reached.contains(*page))
            .map(|page| Problem::new(page, 1, format!("no page that {START} leads to links here"))),
    );
    problems
}

/// Pages for readers: those at the top and in docs.
fn is_page(path: &str) -> bool {
    has_extension(path, "md") && (!path.contains('/') || path.starts_with("docs/"))
}

fn is_remote(target: &str) -> bool {
    target.contains("://") || target.starts_with("mailto:")
}

/// True for a file and for a folder that holds one.
fn exists(tree: &Tree, path: &str) -> bool {
    let inside = format!("{path}/");
    tree.text(path).is_some()
        || tree.files().any(|(file, _)| file.starts_with(&inside))
        || crate::workspace::root().join(path).is_file()
}

/// Targets of `[text](target)`, with their lines; code blocks are left out.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut code = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            code = !code;
        }
        if code {
            continue;
        }
        for (at, _) in line.match_indices("](") {
            let rest = &line[at + 2..];
            if let Some((target, _)) = rest.split_once(')') {
                let target = target.split_whitespace().next().unwrap_or_default();
                found.push((index + 1, target.to_owned()));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree;

    #[test]
    fn pages_are_reached_and_links_hold() {
        let files = [
            (
                "README.md",
                "[docs](docs/README.md) [x](https://x/y.md) [here](#up)\n[no](nowhere-at-all.md)",
            ),
            (
                "docs/README.md",
                "[cli](reference/cli.md#agent) [examples](../examples)\n```\n[a](b)\n```",
            ),
            ("docs/reference/cli.md", ""),
            ("docs/lost.md", ""),
            ("examples/a.yaml", ""),
            ("tests/data/notes.md", ""),
        ];
        assert_eq!(
            tree::found(check, &files),
            [
                "README.md:2: links to nowhere-at-all.md, which is not there",
                "docs/lost.md:1: no page that README.md leads to links here",
            ]
        );
    }

    #[test]
    fn a_readme_is_needed() {
        assert_eq!(
            tree::found(check, &[("docs/a.md", "")]),
            ["README.md:1: there is no README"]
        );
    }
}
