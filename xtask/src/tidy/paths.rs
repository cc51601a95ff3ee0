//! Every path that a Rust file names outside its tests, as seen from the crate's top.

use proc_macro2::{TokenStream, TokenTree};
use syn::{Attribute, UseTree, spanned::Spanned as _, visit::Visit};

/// A path such as `std::fs::read`, and its line.
pub(super) struct Named {
    pub(super) segments: Vec<String>,
    pub(super) line: usize,
}

impl Named {
    /// True if the path is `prefix`, or lies in it.
    pub(super) fn is_in(&self, prefix: &str) -> bool {
        let mut segments = self.segments.iter();
        prefix
            .split("::")
            .all(|wanted| segments.next().is_some_and(|found| found == wanted))
    }
}

/// The paths of a file whose module is `module` (without `crate`).
pub(super) fn named(file: &syn::File, module: &[&str]) -> Vec<Named> {
    let module = module.iter().map(|&part| part.to_owned()).collect();
    let mut visitor = Visitor {
        module,
        named: Vec::new(),
    };
    visitor.visit_file(file);
    visitor.named
}

/// True if something is only compiled for tests.
pub(super) fn for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .parse_args::<syn::Ident>()
                .is_ok_and(|what| what == "test")
    })
}

struct Visitor {
    module: Vec<String>,
    named: Vec<Named>,
}

impl Visitor {
    fn add(&mut self, segments: Vec<String>, line: usize) {
        let segments = self.resolved(segments);
        self.named.push(Named { segments, line });
    }

    /// Replaces `self` and `super` by what they stand for.
    fn resolved(&self, segments: Vec<String>) -> Vec<String> {
        let up = segments
            .iter()
            .take_while(|part| *part == "super" || *part == "self")
            .count();
        if up == 0 {
            return segments;
        }
        let supers = segments
            .iter()
            .take(up)
            .filter(|part| *part == "super")
            .count();
        let kept = self.module.len().saturating_sub(supers);
        std::iter::once("crate".to_owned())
            .chain(self.module.iter().take(kept).cloned())
            .chain(segments.into_iter().skip(up))
            .collect()
    }

    fn add_use(&mut self, before: &[String], tree: &UseTree) {
        let with = |ident: &syn::Ident| {
            before
                .iter()
                .cloned()
                .chain([ident.to_string()])
                .collect::<Vec<String>>()
        };
        match tree {
            UseTree::Path(path) => self.add_use(&with(&path.ident), &path.tree),
            UseTree::Name(name) => self.add(with(&name.ident), line(&name.ident)),
            UseTree::Rename(rename) => self.add(with(&rename.ident), line(&rename.ident)),
            UseTree::Glob(glob) => self.add(before.to_vec(), glob.span().start().line),
            UseTree::Group(group) => {
                for item in &group.items {
                    self.add_use(before, item);
                }
            }
        }
    }

    /// Paths in the arguments of a macro, which are not parsed.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let (mut colons, mut at) = (0, 0);
        for token in tokens {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.add_if_any(std::mem::take(&mut path), at);
                    }
                    at = line(&ident);
                    path.push(ident.to_string());
                    colons = 0;
                }
                other => {
                    self.add_if_any(std::mem::take(&mut path), at);
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.add_tokens(group.stream());
                    }
                }
            }
        }
        self.add_if_any(path, at);
    }

    fn add_if_any(&mut self, path: Vec<String>, line: usize) {
        if path.len() > 1 {
            self.add(path, line);
        }
    }
}

impl<'ast> Visit<'ast> for Visitor {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !for_tests(&item.attrs) {
            self.add_use(&[], &item.tree);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if for_tests(&item.attrs) {
            return;
        }
        self.module.push(item.ident.to_string());
        syn::visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !for_tests(&item.attrs) {
            syn::visit::visit_item_fn(self, item);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string())
            .collect();
        self.add(segments, path.span().start().line);
        syn::visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        self.add_tokens(item.tokens.clone());
        syn::visit::visit_macro(self, item);
    }
}

fn line(ident: &proc_macro2::Ident) -> usize {
    ident.span().start().line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<String> {
        let file = syn::parse_file(text).expect("Rust");
        named(&file, &["image", "compile"])
            .iter()
            .map(|path| path.segments.join("::"))
            .collect()
    }

    #[test]
    fn paths_are_seen_resolved() {
        assert_eq!(
            paths("use std::{fs, io::{self, Read}};"),
            ["std::fs", "std::io::self", "std::io::Read"]
        );
        assert_eq!(
            paths("use super::model::Row;"),
            ["crate::image::model::Row"]
        );
        assert_eq!(
            paths("mod inner { use super::super::x::Y; }"),
            ["crate::image::x::Y"]
        );
        assert_eq!(paths("use self::a::*;"), ["crate::image::compile::a"]);
    }

    #[test]
    fn expressions_and_macros_are_read() {
        let found = paths("fn f() { std::fs::read(p); assert!(x(aya::Ebpf::load(1)), y); }");
        assert!(found.contains(&"std::fs::read".to_owned()), "{found:?}");
        assert!(found.contains(&"aya::Ebpf::load".to_owned()), "{found:?}");
    }

    #[test]
    fn tests_are_left_out() {
        assert!(paths("#[cfg(test)] mod tests { use std::fs; }").is_empty());
        assert!(paths("#[cfg(test)] use std::fs;").is_empty());
    }
}
