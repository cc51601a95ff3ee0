//! Every `unsafe` says who guarantees it.

use syn::{spanned::Spanned as _, visit::Visit};

use super::{Problem, tree::Tree};

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (path, file) in tree.rust() {
        let lines: Vec<&str> = tree.text(path).unwrap_or_default().lines().collect();
        let mut visitor = Visitor {
            starts: Vec::new(),
            found: Vec::new(),
        };
        visitor.visit_file(file);
        for Unsafe { start, line } in visitor.found {
            if !is_explained(&lines, start, line) {
                problems.push(Problem::new(path, line, "unsafe without a SAFETY comment"));
            }
        }
    }
    problems
}

/// True if a comment says so between the top of the comments above `start` and `line`; lines
/// count from one.
fn is_explained(lines: &[&str], start: usize, line: usize) -> bool {
    let above = lines
        .iter()
        .take(start.saturating_sub(1))
        .rev()
        .take_while(|text| matches!(text.trim_start().get(..2), Some("//" | "#[")));
    let within = lines.iter().take(line).skip(start.saturating_sub(1));
    above.chain(within).any(|text| {
        text.split_once("//")
            .is_some_and(|(_, comment)| comment.contains("SAFETY:"))
    })
}

/// An unsafe block or impl, and where the statement begins that holds it.
struct Unsafe {
    start: usize,
    line: usize,
}

struct Visitor {
    starts: Vec<usize>,
    found: Vec<Unsafe>,
}

impl Visitor {
    fn within(&mut self, start: usize, visit: impl FnOnce(&mut Self)) {
        self.starts.push(start);
        visit(self);
        self.starts.pop();
    }

    fn add(&mut self, line: usize) {
        self.found.push(Unsafe {
            start: self.starts.last().copied().unwrap_or(line),
            line,
        });
    }
}

impl<'ast> Visit<'ast> for Visitor {
    fn visit_stmt(&mut self, stmt: &'ast syn::Stmt) {
        self.within(stmt.span().start().line, |this| {
            syn::visit::visit_stmt(this, stmt);
        });
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        self.within(arm.span().start().line, |this| {
            syn::visit::visit_arm(this, arm);
        });
    }

    fn visit_field_value(&mut self, field: &'ast syn::FieldValue) {
        let start = field.span().start().line;
        self.within(start, |this| {
            syn::visit::visit_field_value(this, field);
        });
    }

    fn visit_item(&mut self, item: &'ast syn::Item) {
        self.within(item.span().start().line, |this| {
            syn::visit::visit_item(this, item);
        });
    }

    fn visit_expr_unsafe(&mut self, block: &'ast syn::ExprUnsafe) {
        self.add(block.unsafe_token.span().start().line);
        syn::visit::visit_expr_unsafe(self, block);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if let Some(token) = &item.unsafety {
            self.add(token.span().start().line);
        }
        syn::visit::visit_item_impl(self, item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree;

    fn lines(text: &str) -> Vec<usize> {
        check(&tree::tree(&[("a.rs", text)]))
            .iter()
            .map(|problem| problem.line)
            .collect()
    }

    #[test]
    fn an_unexplained_block_is_found() {
        assert_eq!(lines("fn f() {\n    g();\n    unsafe { g() }\n}"), [3]);
        assert_eq!(
            lines("// Not about safety.\nunsafe impl Send for X {}"),
            [2]
        );
        // The comment of one statement does not cover the next.
        assert_eq!(
            lines("fn f() {\n // SAFETY: a.\n unsafe { g() };\n unsafe { h() };\n}"),
            [4]
        );
    }

    #[test]
    fn an_explained_block_is_not() {
        assert!(
            lines("fn f() {\n    // SAFETY: fine.\n    // Truly.\n    unsafe { g() }\n}")
                .is_empty()
        );
        assert!(
            lines("fn f() {\n // SAFETY: fine.\n a\n .b()\n .map(|x| unsafe { g(x) });\n}")
                .is_empty()
        );
        assert!(lines("// SAFETY: plain data.\n#[cfg(x)]\nunsafe impl Pod for X {}").is_empty());
    }
}
