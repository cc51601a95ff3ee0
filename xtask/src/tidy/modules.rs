//! Dead files: Rust sources that no crate compiles.

use std::collections::BTreeSet;

use syn::{Expr, Item, Lit, Meta};

use super::{
    Problem,
    tree::{Tree, folder, normal},
};

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let mut alive = BTreeSet::new();
    for (manifest, text) in tree
        .files()
        .filter(|(path, _)| path.ends_with("Cargo.toml"))
    {
        for root in roots(tree, folder(manifest), text) {
            let children = folder(&root).to_owned();
            follow(tree, &root, &children, &mut alive);
        }
    }
    let dead = tree.rust().filter(|(path, _)| !alive.contains(*path));
    dead.map(|(path, _)| Problem::new(path, 1, "no crate compiles this file"))
        .collect()
}

/// The files a package starts from: what cargo finds by itself, and what the manifest names.
fn roots(tree: &Tree, package: &str, manifest: &str) -> Vec<String> {
    let inside = |path: &str| normal(&format!("{package}/{path}"));
    let mut roots = vec![
        inside("src/lib.rs"),
        inside("src/main.rs"),
        inside("build.rs"),
    ];
    for kind in ["src/bin", "tests", "benches", "examples"] {
        let kind = inside(kind);
        let found = tree.rust().map(|(path, _)| path.to_owned());
        roots.extend(found.filter(|path| {
            folder(path) == kind || (folder(folder(path)) == kind && path.ends_with("/main.rs"))
        }));
    }
    let mut section = "";
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
        } else if matches!(
            section,
            "[lib]" | "[[bin]]" | "[[test]]" | "[[bench]]" | "[[example]]"
        ) && let Some(path) = line
            .strip_prefix("path = \"")
            .and_then(|rest| rest.split('"').next())
        {
            roots.push(inside(path));
        }
    }
    roots
}

/// Marks a file and its `mod` children, which are looked for in the folder `children`.
fn follow(tree: &Tree, path: &str, children: &str, alive: &mut BTreeSet<String>) {
    let Some(file) = tree.syntax(path) else {
        return;
    };
    if alive.insert(path.to_owned()) {
        follow_items(tree, path, &file.items, children, alive);
    }
}

fn follow_items(
    tree: &Tree,
    path: &str,
    items: &[Item],
    children: &str,
    alive: &mut BTreeSet<String>,
) {
    for item in items {
        let Item::Mod(module) = item else { continue };
        let name = module.ident.to_string();
        let below = normal(&format!("{children}/{name}"));
        if let Some((_, items)) = &module.content {
            follow_items(tree, path, items, &below, alive);
        } else if let Some(named) = path_attribute(module) {
            let file = normal(&format!("{}/{named}", folder(path)));
            follow(tree, &file, folder(&file), alive);
        } else {
            follow(tree, &format!("{below}.rs"), &below, alive);
            follow(tree, &format!("{below}/mod.rs"), &below, alive);
        }
    }
}

/// The file of `#[path = "…"]`.
fn path_attribute(module: &syn::ItemMod) -> Option<String> {
    module
        .attrs
        .iter()
        .find_map(|attribute| match &attribute.meta {
            Meta::NameValue(pair) if pair.path.is_ident("path") => match &pair.value {
                Expr::Lit(syn::ExprLit {
                    lit: Lit::Str(text),
                    ..
                }) => Some(text.value()),
                _ => None,
            },
            _ => None,
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree;

    #[test]
    fn reached_files_are_alive() {
        let files = [
            ("Cargo.toml", "[workspace]"),
            (
                "a/Cargo.toml",
                "[[test]]\nname = \"lab\"\npath = \"suite/lab/main.rs\"",
            ),
            (
                "a/src/lib.rs",
                "mod one; mod two; mod inline { mod deep; } #[path = \"odd.rs\"] mod x;",
            ),
            ("a/src/one.rs", "mod below;"),
            ("a/src/one/below.rs", ""),
            ("a/src/two/mod.rs", "mod beside;"),
            ("a/src/two/beside.rs", ""),
            ("a/src/inline/deep.rs", ""),
            ("a/src/odd.rs", ""),
            ("a/src/bin/tool.rs", ""),
            ("a/suite/lab/main.rs", "mod udp;"),
            ("a/suite/lab/udp.rs", ""),
            ("a/build.rs", ""),
        ];
        assert_eq!(tree::found(check, &files), [""; 0]);
    }

    #[test]
    fn a_file_that_nobody_names_is_dead() {
        let files = [
            ("a/Cargo.toml", ""),
            ("a/src/lib.rs", "mod one;"),
            ("a/src/one.rs", ""),
            ("a/src/two.rs", ""),
        ];
        assert_eq!(
            tree::found(check, &files),
            ["a/src/two.rs:1: no crate compiles this file"]
        );
    }
}
