//! The files of the page, as they are served.

/// A file.
pub(super) struct File {
    pub(super) kind: &'static str,
    pub(super) text: &'static str,
}

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// The file at a path.
pub(super) fn file(path: &str) -> Option<File> {
    let (kind, text) = match path {
        "/" => ("text/html; charset=utf-8", include_str!("page/index.html")),
        "/style.css" => ("text/css; charset=utf-8", include_str!("page/style.css")),
        "/icon.svg" => ("image/svg+xml", include_str!("page/icon.svg")),
        "/main.js" => (SCRIPT, include_str!("page/main.js")),
        "/lane.js" => (SCRIPT, include_str!("page/lane.js")),
        "/curves.js" => (SCRIPT, include_str!("page/curves.js")),
        "/details.js" => (SCRIPT, include_str!("page/details.js")),
        "/table.js" => (SCRIPT, include_str!("page/table.js")),
        "/text.js" => (SCRIPT, include_str!("page/text.js")),
        _ => return None,
    };
    Some(File { kind, text })
}
