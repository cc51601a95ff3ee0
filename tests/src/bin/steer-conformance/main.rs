//! Runs tables of cases against steer: what of Istio's and Kubernetes' behaviour it has.
//!
//! One line per table: how many cases passed, failed, and need something that steer refuses.

mod gateway;
mod names;
mod outbound;
mod resources;
mod routes;
mod rules;
mod samples;
mod table;
mod units;
mod unread;
mod validation;

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use steer_tests::{exit, figure::Figure};

use table::{Outcome, Table, Tally};

/// Read case tables and say how many cases of each hold
#[derive(Debug, Parser)]
#[command(name = "steer-conformance")]
struct Args {
    /// The folder of the tables: it has an index.json
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// One JSON object a line, with what failed
    #[arg(long)]
    json: bool,
    /// Also say what failed and what is not supported, and why
    #[arg(long)]
    verbose: bool,
    /// Only these tables (as in index.json)
    tables: Vec<String>,
}

fn main() -> ExitCode {
    exit::report("steer-conformance", run())
}

fn run() -> Result<()> {
    let args = Args::parse();
    let index = table::index(&args.data)?;
    if let Some(unknown) = args
        .tables
        .iter()
        .find(|wanted| index.iter().all(|found| found.table != **wanted))
    {
        bail!("{unknown} is not a table of {}", args.data.display());
    }
    let mut failed = 0;
    let mut figures = Vec::new();
    for entry in &index {
        if !args.tables.is_empty() && !args.tables.contains(&entry.table) {
            continue;
        }
        let table = Table::read(&args.data, entry)?;
        let tally = table.run(judge(&entry.table));
        failed += tally.failed.len();
        if entry.table == "routing/outbound-traffic-policy-matrix" {
            figures.extend([
                Figure::count("egress.matrix_cells", tally.cases()),
                Figure::count("egress.matrix_agree", tally.passed as u64),
            ]);
        }
        tell(&args, entry, &tally).context("write to standard output")?;
    }
    if !args.json {
        for figure in &figures {
            writeln!(io::stdout(), "{figure}").context("write to standard output")?;
        }
    }
    if failed > 0 {
        bail!("{failed} cases failed");
    }
    Ok(())
}

/// What judges the cases of a table.
fn judge(table: &str) -> fn(&Table, &table::Case) -> Result<Outcome> {
    match table {
        "validation/crd-cases" => unread::crd,
        "validation/unit-tables" => units::judge,
        "semantics/host-match" => names::host_match,
        "semantics/host-names" => names::host_names,
        "semantics/virtualhost-domains" => unread::virtual_hosts,
        "semantics/tls-match" => rules::l4_match,
        "semantics/delegate-merge" => rules::delegates,
        "semantics/sidecar-routes" => routes::sidecar,
        "semantics/destinationrule-lookup" => rules::lookup,
        "semantics/destinationrule-merge" => rules::merge,
        "semantics/virtualservice-exportto" => rules::export_to,
        "routing/outbound-traffic-policy-matrix" => outbound::matrix,
        "samples/cases" => samples::judge,
        table if table.starts_with("validation/") => validation::judge,
        "routing/simulation-gateway" => gateway::simulation,
        table if table.starts_with("routing/simulation-") => routes::simulation,
        _ => unread::judge,
    }
}

fn tell(args: &Args, entry: &table::Entry, tally: &Tally) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if args.json {
        return writeln!(out, "{}", tally.json(&entry.table));
    }
    writeln!(
        out,
        "{} passed {} failed {} unsupported {}",
        entry.table,
        tally.passed,
        tally.failed.len(),
        tally.unsupported.len()
    )?;
    if args.verbose {
        for (id, got, want) in &tally.failed {
            writeln!(out, "  failed {id}\n    got  {got}\n    want {want}")?;
        }
        let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (id, reason) in &tally.unsupported {
            reasons.entry(reason).or_default().push(id);
        }
        for (reason, ids) in reasons {
            writeln!(out, "  unsupported {}: {reason}", ids.len())?;
        }
    }
    Ok(())
}
