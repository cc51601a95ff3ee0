//! Tables, JSON and YAML on standard output; colours only where they are seen and wanted.

use std::io::{self, Write as _};

use clap::builder::styling::{AnsiColor, Style};
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use super::args::Format;

/// As it should be.
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
/// Worth a look.
pub(super) const CAREFUL: Style = AnsiColor::Yellow.on_default();
/// Not as it should be.
pub(super) const BAD: Style = AnsiColor::Red.on_default();
/// A heading.
pub(super) const HEADING: Style = Style::new().bold();

/// A row of a listing.
pub(super) trait Row: Serialize {
    /// The headers; those of `wide` follow those of the narrow table.
    fn headers(wide: bool) -> Vec<&'static str>;
    /// The cells, in the order of the headers.
    fn cells(&self, wide: bool) -> Vec<String>;
}

/// The text of a listing.
pub(super) fn listing<R: Row>(rows: &[R], format: Format, headers: bool) -> anyhow::Result<String> {
    match format {
        Format::Table => Ok(table(rows, false, headers)),
        Format::Wide => Ok(table(rows, true, headers)),
        Format::Json | Format::Yaml => document(&rows, format),
    }
}

/// The text of an answer that people read as `text`, and programs as a document.
pub(super) fn answer<T: Serialize>(
    value: &T,
    format: Format,
    text: impl FnOnce(&T, bool) -> String,
) -> anyhow::Result<String> {
    match format {
        Format::Table => Ok(text(value, false)),
        Format::Wide => Ok(text(value, true)),
        Format::Json | Format::Yaml => document(value, format),
    }
}

/// A value as JSON, or else as YAML.
fn document<T: Serialize>(value: &T, format: Format) -> anyhow::Result<String> {
    if format == Format::Json {
        return Ok(serde_json::to_string_pretty(value)? + "\n");
    }
    Ok(serde_saphyr::to_string(value)?)
}

/// `text` in a style.
pub(super) fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// Writes text; its styles only to a terminal, and not against `NO_COLOR`.
pub(super) fn write(text: &str) -> anyhow::Result<()> {
    let mut out = anstream::AutoStream::auto(io::stdout().lock());
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// Tells people something that is not part of the output.
pub(super) fn remark(text: &str) {
    let mut out = anstream::AutoStream::auto(io::stderr().lock());
    // Nobody is left to be told if standard error is closed.
    let _told = writeln!(out, "{text}");
}

/// `1 route`, `2 routes`.
pub(super) fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// Aligned columns without lines, five blanks between them, as istioctl has it.
pub(super) fn table<R: Row>(rows: &[R], wide: bool, headers: bool) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    if headers {
        table.set_header(R::headers(wide));
    }
    table.add_rows(rows.iter().map(|row| row.cells(wide)));
    for column in table.column_iter_mut() {
        column.set_padding((0, 5));
    }
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Pair(&'static str, u32);

    impl Row for Pair {
        fn headers(wide: bool) -> Vec<&'static str> {
            if wide {
                vec!["NAME", "COUNT"]
            } else {
                vec!["NAME"]
            }
        }

        fn cells(&self, wide: bool) -> Vec<String> {
            let mut cells = vec![self.0.to_owned()];
            cells.extend(wide.then(|| self.1.to_string()));
            cells
        }
    }

    #[test]
    fn columns_are_five_blanks_apart() {
        let rows = [Pair("a", 1), Pair("longer", 20)];
        let listed = |format, headers| listing(&rows, format, headers).unwrap();
        assert_eq!(listed(Format::Table, true), "NAME\na\nlonger\n");
        assert_eq!(
            listed(Format::Wide, true),
            "NAME       COUNT\na          1\nlonger     20\n"
        );
        assert_eq!(listed(Format::Table, false), "a\nlonger\n");
    }

    #[test]
    fn nothing_is_still_a_listing() {
        let none: [Pair; 0] = [];
        let listed = |format| listing(&none, format, true).unwrap();
        assert_eq!(listed(Format::Table), "NAME\n");
        assert_eq!(listed(Format::Json), "[]\n");
        assert_eq!(listed(Format::Yaml), "[]\n");
    }
}
