//! The status as people read it.

use steer_common::reason::{Outcome, Reason};

use super::{
    super::{
        output::{BAD, CAREFUL, GOOD, counted, paint},
        text::Text,
    },
    Fill, Told,
};

pub(super) fn text(told: &Told, wide: bool) -> String {
    let unknown = || "unknown".to_owned();
    let agent = match &told.agent.pid {
        Some(pid) => paint(GOOD, &format!("runs (pid {pid})")),
        None => paint(BAD, "does not run"),
    };
    let configuration = match told.agent.configuration.as_deref() {
        Some("refused") => paint(BAD, "refused"),
        Some(state) => paint(GOOD, state),
        None => unknown(),
    };
    let findings: Vec<String> = told
        .findings
        .iter()
        .map(|(level, count)| format!("{count} {level}"))
        .collect();
    let findings = if findings.is_empty() {
        "none".to_owned()
    } else {
        paint(CAREFUL, &findings.join(", ")) + " (`steer check`)"
    };
    let mut lines = vec![
        ("agent", agent),
        ("configuration", configuration),
        ("generation", generation(told)),
        ("findings", findings),
        ("programs", programs(told)),
        ("canary", canary(told)),
    ];
    lines.extend(access_log(told).map(|text| ("access log", text)));
    if !told.mirrored.is_empty() {
        let counts = told.mirrored.iter();
        let counts: Vec<String> = counts
            .map(|(what, count)| format!("{count} {}", what.replace('_', " ")))
            .collect();
        lines.push(("mirrored", counts.join(", ")));
    }
    if wide {
        lines.push(("reads", told.agent.paths.join(", ")));
        lines.push(("cgroup", told.agent.cgroup.clone().unwrap_or_default()));
        lines.push(("written", told.agent.written.clone().unwrap_or_default()));
    }
    let mut text = Text::default();
    for (name, value) in lines {
        text.line(format_args!("{name:<14} {value}"));
    }
    tables(&mut text, told, wide);
    if !told.problems.is_empty() || !told.repaired.is_empty() {
        text.gap();
    }
    for repair in told.repaired.iter().rev().take(3) {
        text.line(format_args!("{} {repair}", paint(CAREFUL, "repaired")));
    }
    for problem in &told.problems {
        text.line(format_args!("{} {problem}", paint(BAD, "problem")));
    }
    text.finish()
}

fn programs(told: &Told) -> String {
    let in_force = told.programs.iter().filter(|found| found.in_force).count();
    let all = counted(told.programs.len(), "program");
    let style = if in_force == told.programs.len() && in_force > 0 {
        GOOD
    } else {
        BAD
    };
    paint(style, &format!("{in_force} of {all} in force"))
}

/// Whether a connection that was made to see it was steered.
fn canary(told: &Told) -> String {
    let style = match told.canary {
        "steered" => GOOD,
        "astray" => BAD,
        _ => CAREFUL,
    };
    paint(style, told.canary)
}

/// What became of lines of the access log, if there were any.
fn access_log(told: &Told) -> Option<String> {
    let count = |name: &str| told.access_log[name].as_u64().unwrap_or_default();
    let (written, lost) = (count("written"), count("lost"));
    let style = if lost > 0 { CAREFUL } else { GOOD };
    let text = format!("{written} lines written, {lost} lost");
    (written + lost > 0).then(|| paint(style, &text))
}

/// Programs if `wide`; maps; reasons that occurred, or all if `wide`.
fn tables(text: &mut Text, told: &Told, wide: bool) {
    if wide {
        text.gap();
        text.heading("PROGRAMS");
        for found in &told.programs {
            let number = found
                .number
                .map_or_else(|| "-".to_owned(), |number| number.to_string());
            let state = if found.in_force {
                "in force"
            } else {
                "not in force"
            };
            text.line(format_args!("  {:<20} {number:>8}  {state}", found.name));
        }
    }
    text.gap();
    text.heading("MAPS (rows in use)");
    for Fill { map, used, rows } in &told.maps {
        text.line(format_args!("  {map:<20} {used:>8} of {rows}"));
    }
    let occurred = |reason: &Reason| told.reasons.get(reason.name()).copied().unwrap_or_default();
    let shown: Vec<&Reason> = Reason::ALL
        .iter()
        .filter(|reason| wide || occurred(reason) > 0)
        .collect();
    if !shown.is_empty() {
        text.gap();
        text.heading("REASONS (since the maps were made)");
    }
    for reason in shown {
        let (name, count) = (reason.name(), occurred(reason));
        let what = outcome(reason.outcome());
        text.line(format_args!("  {name:<20} {count:>8}  {what}"));
    }
}

/// The generation in force, and how it came there.
fn generation(told: &Told) -> String {
    let number = told.generation;
    let mut text = number.map_or_else(|| "unknown".to_owned(), |found| found.to_string());
    if let Some(next) = told.applying {
        text += &format!(", {next} is being applied");
    }
    if let Some(to) = told.rolled_back {
        text += &paint(CAREFUL, &format!(", rolled back to the rules of {to}"));
    }
    text
}

/// A word for what happened.
pub(in crate::cli) fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Steered => "steered",
        Outcome::Untouched => "left as it was",
        Outcome::Refused => "refused",
        Outcome::Restored => "told what it dialled",
        Outcome::Allowed => "let through",
    }
}
