//! Bytes of a client inside a line of text.
//!
//! Envoy writes a header as it is: a quotation mark in `user-agent` ends the field for whoever reads
//! the line. Here it cannot, and nothing can end the line.

use std::{borrow::Cow, fmt::Write as _};

/// The same text, so that it is neither the end of a line nor of a quoted field.
pub(super) fn escaped(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_special) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for found in text.chars() {
        match found {
            '"' | '\\' => out.extend(['\\', found]),
            found if is_special(found) => {
                // Writing to a String cannot fail.
                let _never = if found.is_ascii() {
                    write!(out, "\\x{:02x}", u32::from(found))
                } else {
                    write!(out, "\\u{{{:x}}}", u32::from(found))
                };
            }
            found => out.push(found),
        }
    }
    Cow::Owned(out)
}

/// Quotation marks, and whatever some reader takes for the end of a line.
fn is_special(found: char) -> bool {
    matches!(found, '"' | '\\' | '\u{2028}' | '\u{2029}') || found.is_control()
}
