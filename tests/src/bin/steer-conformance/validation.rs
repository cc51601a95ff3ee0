//! Verdicts of validation: valid or not, and whether there is a warning.

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::{
    resources::Read,
    table::{Case, Outcome, Table},
};

pub(crate) fn judge(_: &Table, case: &Case) -> Result<Outcome> {
    let read = Read::values([&case["resource"]]);
    if let Some(what) = read.unread() {
        return Ok(Outcome::Unsupported(what));
    }
    let want = &case["expect"];
    let wants_valid = want["valid"].as_bool().context("expect.valid")?;
    // Of most cases, upstream checked one part only, and the verdict holds for that part.
    let part = case["unit_path"]
        .as_str()
        .filter(|_| case["whole_resource"] == json!(false));
    let part = part
        .and_then(|path| path.split(' ').next())
        .unwrap_or_default();
    let (errors, warnings) = (read.errors(part), read.warnings());
    let is_valid = errors.is_empty();
    if wants_valid && !is_valid && case["has_null"] == json!(true) {
        return Ok(Outcome::Unsupported("null in place of a value".to_owned()));
    }
    // A warning is expected of valid resources only where the table says so; of refused ones
    // upstream's table says nothing that a user would see.
    let warns = want["warning"].as_bool().filter(|_| wants_valid);
    if is_valid == wants_valid && warns.is_none_or(|warns| warns != warnings.is_empty()) {
        return Ok(Outcome::Passed);
    }
    let got = json!({"valid": is_valid, "errors": errors, "warnings": warnings});
    Ok(Outcome::Failed {
        got,
        want: want.clone(),
    })
}
