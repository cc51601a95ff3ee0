//! The page of the reference.

use std::{env, fmt::Write as _, fs};

use super::endpoint::{How, Phase};

const PAGE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../docs/reference/faults-of-requests.md"
);
const START: &str = "<!-- table -->\n";

/// Compares the table of the page with what was seen.
pub(super) fn check(rows: &[(Phase, How, Vec<String>)]) {
    let mut table = String::from(
        "| The endpoint | GET, HTTP/1.1 | GET, HTTP/2 | POST, HTTP/1.1 | POST, HTTP/2 |\n\
         | --- | --- | --- | --- | --- |\n",
    );
    for (phase, how, cells) in rows {
        let does = if matches!(how, How::Dies) {
            "dies"
        } else {
            "hangs"
        };
        let cells = cells.join(" | ");
        writeln!(table, "| {does} {} | {cells} |", name(*phase)).unwrap();
    }
    let page = fs::read_to_string(PAGE).unwrap();
    let (text, found) = page.split_once(START).unwrap();
    if env::var_os("BLESS").is_some() {
        fs::write(PAGE, format!("{text}{START}{table}")).unwrap();
        return;
    }
    assert_eq!(found, table, "BLESS=1 writes the page");
}

fn name(phase: Phase) -> &'static str {
    match phase {
        Phase::Connect => "before it listens",
        Phase::Accept => "once it is connected to",
        Phase::RequestHead => "after the request's head",
        Phase::RequestBody => "in the request's body",
        Phase::Answer => "after the request",
        Phase::ResponseHead => "in the answer's head",
        Phase::ResponseBody => "in the answer's body",
        Phase::Idle => "after another request on the same connection",
        Phase::Refused | Phase::Goes | Phase::Reset => unreachable!("it is not on the page"),
    }
}
