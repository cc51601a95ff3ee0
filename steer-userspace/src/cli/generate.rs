//! What is made from the definition of the command and from the code: completions, man pages,
//! pages of the reference.

use std::{fs, path::Path};

use anyhow::Context as _;
use clap::CommandFactory as _;
use steer_common::{
    index, limits,
    reason::{Outcome, Reason},
};

use super::{
    Args, Exit,
    args::{Completions, Generate, Man},
    output,
};

/// Writes completions of a shell.
pub(super) fn completions(args: &Completions) -> anyhow::Result<Exit> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "steer", &mut text);
    output::write(&String::from_utf8(text)?)?;
    Ok(Exit::Done)
}

/// Writes man pages.
pub(super) fn man(args: &Man) -> anyhow::Result<Exit> {
    if let Some(directory) = &args.directory {
        fs::create_dir_all(directory)
            .with_context(|| format!("creating {}", directory.display()))?;
        clap_mangen::generate_to(Args::command(), directory)
            .with_context(|| format!("writing into {}", directory.display()))?;
    } else {
        let mut text = Vec::new();
        clap_mangen::Man::new(Args::command()).render(&mut text)?;
        output::write(&String::from_utf8(text)?)?;
    }
    Ok(Exit::Done)
}

/// Writes the generated pages of the reference.
pub(super) fn docs(args: &Generate) -> anyhow::Result<Exit> {
    let pages = [
        ("cli.md", cli()),
        ("reasons.md", reasons()),
        ("limits.md", limits_page()),
        ("findings.md", findings()),
    ];
    fs::create_dir_all(&args.out).with_context(|| format!("creating {}", args.out.display()))?;
    for (name, text) in pages {
        write(&args.out.join(name), &text)?;
    }
    Ok(Exit::Done)
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

fn cli() -> String {
    let mut text = String::from(
        "# Command line\n\nGenerated from the definition of the command (`cargo xtask docs`).\n\n\
         Exit codes: 0 done; 1 the answer is no; 2 wrong usage or unreadable input; 69 not supported \
         on this kernel or machine; 79 findings at error level.\n",
    );
    let mut command = Args::command().max_term_width(100).term_width(100);
    command.build();
    section(&mut text, &mut command, "steer");
    text
}

fn section(text: &mut String, command: &mut clap::Command, name: &str) {
    let help = command
        .clone()
        .color(clap::ColorChoice::Never)
        .render_long_help()
        .to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    text.push_str(&format!(
        "\n## `{name}`\n\n```text\n{}\n```\n",
        lines.join("\n").trim_end()
    ));
    for sub in command
        .get_subcommands_mut()
        .filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
    {
        let name = format!("{name} {}", sub.get_name());
        section(text, sub, &name);
    }
}

fn reasons() -> String {
    let mut text = String::from(
        "# Reasons\n\nGenerated from the code (`cargo xtask docs`). Every exit of every program has one; \
         `steer status` shows how often each was taken on this node.\n\n\
         | number | reason | outcome | meaning |\n| --- | --- | --- | --- |\n",
    );
    for reason in Reason::ALL {
        let outcome = match reason.outcome() {
            Outcome::Steered => "steered",
            Outcome::Untouched => "left alone",
            Outcome::Refused => "refused",
            Outcome::Restored => "restored",
        };
        text.push_str(&format!(
            "| {} | `{}` | {outcome} | {} |\n",
            reason.index(),
            reason.name(),
            reason.help()
        ));
    }
    text
}

fn limits_page() -> String {
    let capacity = crate::plan::Capacity::for_services(limits::SERVICES_MAX);
    let route = size_of::<steer_common::Route>();
    let mib = |bytes: u64| format!("{:.1} MiB", precise(bytes) / f64::from(1 << 20));
    let rows = [
        (
            "SERVICES",
            index::buckets(capacity.keys),
            size_of::<index::Bucket>(),
            "buckets of seven slots; two keys a bucket on average when full",
        ),
        (
            "ROUTES",
            capacity.rows,
            route,
            "one a service address, port and class, and one eighth spare",
        ),
        (
            "ENDPOINTS",
            capacity.endpoints,
            size_of::<steer_common::Endpoint>(),
            "four a service port on average",
        ),
        ("TICKETS", capacity.rows, 8, "one a route"),
        (
            "COUNTERS",
            capacity.counters,
            8,
            "two a service port on average; for each CPU",
        ),
        ("SOURCES", capacity.sources, 20, "pods of this node"),
        (
            "UDP_REPLY",
            limits::UDP_REPLIES_MAX,
            56,
            "unconnected UDP sockets; the least recently used goes",
        ),
        (
            "AFFINITY",
            limits::AFFINITY_MAX,
            48,
            "clients with sessionAffinity; the least recently used goes",
        ),
    ];
    let mut text = format!(
        "# Limits\n\nGenerated from the code (`cargo xtask docs`).\n\n\
         - A route has at most {} destinations; more is refused.\n\
         - {} service ports (addresses times ports) fit by default; `--max-services` changes it, and \
         the maps with it. More is refused, and the last good configuration stays in force.\n\
         - The weights of a route, divided by their greatest common divisor, sum to at most {}.\n\n\
         | map | rows | bytes a row | size | what for |\n| --- | --- | --- | --- | --- |\n",
        limits::DESTINATIONS_MAX,
        limits::SERVICES_MAX,
        limits::WEIGHT_SUM_MAX,
    );
    for (name, count, size, what) in rows {
        let bytes = u64::from(count) * size as u64;
        text.push_str(&format!(
            "| {name} | {count} | {size} | {} | {what} |\n",
            mib(bytes)
        ));
    }
    text
}

#[expect(
    clippy::cast_precision_loss,
    reason = "sizes of maps stay far below 2^52"
)]
fn precise(bytes: u64) -> f64 {
    bytes as f64
}

fn findings() -> String {
    let mut text = String::from(
        "# Findings\n\nGenerated from the code (`cargo xtask docs`). What was read and is refused, not \
         enforced, or enforced in part. Codes that begin with IST are those of `istioctl analyze`.\n\n\
         | code | what it says |\n| --- | --- |\n",
    );
    for (code, title) in crate::finding::CODES {
        text.push_str(&format!("| {code} | {title} |\n"));
    }
    text
}
