//! Tables, JSON and YAML on standard output.

use std::io::{self, Write as _};

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use super::args::Format;

/// A row of a listing.
pub(super) trait Row: Serialize {
    /// The headers; those of `wide` follow those of the narrow table.
    fn headers(wide: bool) -> Vec<&'static str>;
    /// The cells, in the order of the headers.
    fn cells(&self, wide: bool) -> Vec<String>;
}

/// Writes a listing.
pub(super) fn listing<R: Row>(rows: &[R], format: Format, headers: bool) -> anyhow::Result<()> {
    match format {
        Format::Table => write(&table(rows, false, headers)),
        Format::Wide => write(&table(rows, true, headers)),
        Format::Json | Format::Yaml => document(&rows, format),
    }
}

/// Writes a value as JSON or YAML; `Table` and `Wide` count as YAML, which people can read.
pub(super) fn document<T: Serialize>(value: &T, format: Format) -> anyhow::Result<()> {
    match format {
        Format::Json => {
            let text = serde_json::to_string_pretty(value)?;
            write(&format!("{text}\n"))
        }
        Format::Table | Format::Wide | Format::Yaml => write(&serde_saphyr::to_string(value)?),
    }
}

/// Writes text.
pub(super) fn write(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// Aligned columns without lines, five blanks between them, as istioctl has it.
fn table<R: Row>(rows: &[R], wide: bool, headers: bool) -> String {
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
