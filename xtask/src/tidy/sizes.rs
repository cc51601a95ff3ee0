//! Files and functions that are longer than they should be: shown, never a failure.

use syn::{spanned::Spanned as _, visit::Visit};

use super::{Problem, paths::for_tests, tree::Tree};

const FILE_LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 70;

/// Notes on what is long, without tests.
pub(super) fn long(tree: &Tree) -> Vec<Problem> {
    let mut notes = Vec::new();
    for (path, file) in tree.rust() {
        let mut visitor = Visitor {
            long: Vec::new(),
            tests: 0,
        };
        visitor.visit_file(file);
        let all = tree.text(path).unwrap_or_default().lines().count();
        let lines = all.saturating_sub(visitor.tests);
        if lines > FILE_LINES_MAX {
            notes.push(Problem::new(path, 1, format!("{lines} lines")));
        }
        for (line, name, lines) in visitor.long {
            notes.push(Problem::new(
                path,
                line,
                format!("fn {name} has {lines} lines"),
            ));
        }
    }
    notes
}

struct Visitor {
    long: Vec<(usize, String, usize)>,
    tests: usize,
}

impl Visitor {
    fn function(&mut self, signature: &syn::Signature, whole: proc_macro2::Span) {
        let first = signature.fn_token.span().start().line;
        let lines = whole.end().line + 1 - first;
        if lines > FUNCTION_LINES_MAX {
            self.long.push((first, signature.ident.to_string(), lines));
        }
    }
}

impl<'ast> Visit<'ast> for Visitor {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if for_tests(&item.attrs) {
            self.tests += item.span().end().line + 1 - item.span().start().line;
        } else {
            syn::visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.sig, item.span());
        syn::visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(&item.sig, item.span());
        syn::visit::visit_impl_item_fn(self, item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree::tree;

    #[test]
    fn long_functions_and_files_are_noted() {
        let body = "    f();\n".repeat(FUNCTION_LINES_MAX);
        let tests = format!(
            "#[cfg(test)]\nmod tests {{\n{}}}\n",
            "// x\n".repeat(FILE_LINES_MAX)
        );
        let text = format!("fn short() {{}}\nimpl X {{\nfn long() {{\n{body}}}\n}}\n{tests}");
        let filler = "// x\n".repeat(FILE_LINES_MAX + 1);
        let notes = long(&tree(&[("a.rs", &text), ("b.rs", &filler)]));
        let shown: Vec<String> = notes.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["a.rs:3: fn long has 72 lines", "b.rs:1: 401 lines"]);
    }
}
