//! Configurations that are wrong: what is said, and that nothing changes.

use std::{fs, os::unix::fs::symlink, path::PathBuf, process::Command, time::Duration};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use serde_json::Value;
use steer_tests::{
    agent::Agent,
    client::{Storm, Until, tally},
    harness::test,
    lab::Lab,
    need,
};

use crate::{
    stage::{
        ROUTE, Stage, catalog, dial, ensure_ninety_ten, is_applied, is_refused, istio, raise_lab,
        route, rows, split, status, to, wait_for, wait_long_for,
    },
    table,
};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("configuration::what_is_refused_changes_nothing", refused),
        test("configuration::what_is_taken_is_told", taken),
        test("configuration::a_file_that_may_not_be_read", forbidden),
        test("configuration::more_services_than_fit", too_many),
        test("configuration::refused_from_the_start", from_the_start),
    ]
}

/// The file that is wrong.
const BAD: &str = "bad.yaml";

/// Makes the configuration wrong.
type Spoil = Box<dyn Fn(&Lab) -> Result<()>>;

/// A way to spoil the configuration, and to mend it.
struct Case {
    title: &'static str,
    spoil: Spoil,
    mend: fn(&Lab) -> Result<()>,
}

impl Case {
    /// A file with a text that is wrong.
    fn text(title: &'static str, text: impl Into<String>) -> Self {
        let text = text.into();
        Self::new(title, move |lab| lab.configure(BAD, &text))
    }

    fn new(title: &'static str, spoil: impl Fn(&Lab) -> Result<()> + 'static) -> Self {
        Self {
            title,
            spoil: Box::new(spoil),
            mend: |lab| lab.unconfigure(BAD),
        }
    }
}

fn bad(lab: &Lab) -> PathBuf {
    lab.dirs().config().join(BAD)
}

fn aside(lab: &Lab) -> PathBuf {
    lab.dirs().run().join("aside")
}

/// Swaps the file of the rule with what is aside, at once.
fn exchange(lab: &Lab) -> Result<()> {
    let route = lab.dirs().config().join(ROUTE);
    let flags = RenameFlags::RENAME_EXCHANGE;
    Ok(renameat2(AT_FDCWD, &aside(lab), AT_FDCWD, &route, flags)?)
}

fn refusals() -> Vec<Case> {
    let webapp = |destinations: &[String]| route("webapp", "webapp", destinations);
    let twice = "hosts: [webapp, webapp]\nhttp:\n  - route:\n      - destination: {host: webapp}";
    vec![
        Case::text("broken YAML", "kind: VirtualService\nspec: [hosts: {\n"),
        Case::text(
            "unknown kind",
            istio("VirtualServise", "webapp", "hosts: [webapp]"),
        ),
        Case::text(
            "wrong type",
            webapp(&["{destination: {host: webapp}, weight: many}".to_owned()]),
        ),
        Case::text("weight -1", webapp(&[to("v1", -1), to("v2", 1)])),
        Case::text("all weights zero", webapp(&[to("v1", 0), to("v2", 0)])),
        Case::text(
            "17 destinations",
            webapp(&(1..18).map(|weight| to("v1", weight)).collect::<Vec<_>>()),
        ),
        Case::text(
            "a host twice in one VirtualService",
            istio("VirtualService", "webapp", twice),
        ),
        Case::text("an object twice", split([50, 50])),
        Case {
            mend: exchange,
            ..Case::new("a file replaced by a directory", |lab| {
                fs::create_dir(aside(lab))?;
                exchange(lab)
            })
        },
        Case::new("a file that is not UTF-8", |lab| {
            Ok(fs::write(bad(lab), b"kind: \xff\n")?)
        }),
        Case::new("a link to nothing", |lab| Ok(symlink("nothing", bad(lab))?)),
    ]
}

fn refused() -> Result<()> {
    let stage = Stage::raise("refused")?;
    let lab = &stage.lab;
    let storm = Storm {
        until: Until::Told,
        rate: Some(200),
        ..Storm::new(catalog(), 0)
    };
    let running = storm.start(lab.pod("webapp")?)?;
    for case in refusals() {
        let before = rows(lab)?;
        let refused = stage
            .after(|| (case.spoil)(lab), is_refused)
            .with_context(|| format!("{} is not refused", case.title))?;
        table::check(
            case.title,
            "refused",
            &table::findings(lab, &refused, "error"),
        )?;
        ensure!(rows(lab)? == before, "{} changed something", case.title);
        stage
            .after(|| (case.mend)(lab), is_applied)
            .with_context(|| format!("{} is mended", case.title))?;
        ensure!(
            rows(lab)? == before,
            "{} changed something when mended",
            case.title
        );
    }
    let attempts = running.finish()?;
    let found = tally(&attempts);
    let [first, second] = ["catalog-v1", "catalog-v2"].map(|name| found.get(name).copied());
    let (first, second) = (first.unwrap_or_default(), second.unwrap_or_default());
    // The only client: every ten in a row are nine and one.
    let is_exact = second.abs_diff(first / 9) <= 1 && first > 100;
    ensure!(is_exact && found.len() == 2, "{found:?}");
    // The agent still takes what is right.
    stage.split([50, 50])
}

fn taken() -> Result<()> {
    let stage = Stage::raise("taken")?;
    let lab = &stage.lab;
    let young = route("young", "catalog", &[to("v2", 1)]);
    let cases = [
        (
            "unknown field",
            istio(
                "VirtualService",
                "webapp",
                "hosts: [webapp]\nhttp:\n  - rout: []\n    route:\n      - destination: {host: webapp}",
            ),
        ),
        (
            "a kind that is not enforced yet",
            istio("EnvoyFilter", "entrance", "configPatches: []"),
        ),
        // Of the same age, so the names decide: catalog comes before young.
        ("a host in two VirtualServices", young),
    ];
    for (title, text) in cases {
        let before = rows(lab)?;
        let warned = stage.after(
            || lab.configure(BAD, &text),
            |status| is_applied(status) && status.to_string().contains(BAD),
        )?;
        table::check(
            title,
            "taken, the rest is enforced",
            &table::findings(lab, &warned, "warning"),
        )?;
        ensure_ninety_ten(lab).with_context(|| title)?;
        if title != "unknown field" {
            ensure!(rows(lab)? == before, "{title} changed something");
        }
        stage.after(
            || lab.unconfigure(BAD),
            |status| !status.to_string().contains(BAD),
        )?;
    }
    refused_shares(&stage)
}

/// What does not exist refuses its share of the connections, and no other.
fn refused_shares(stage: &Stage) -> Result<()> {
    let lab = &stage.lab;
    let nobody = "{destination: {host: nobody}, weight: 1}".to_owned();
    let cases = [("unknown subset", to("v9", 1)), ("unknown host", nobody)];
    for (title, destination) in cases {
        let text = route("catalog", "catalog", &[to("v1", 3), destination]);
        let warned = stage.after(
            || lab.configure(ROUTE, &text),
            |status| is_applied(status) && status.to_string().contains("are refused"),
        )?;
        table::check(
            title,
            "taken, its share of the connections is refused",
            &table::findings(lab, &warned, "warning"),
        )?;
        let found = dial(lab, 8)?;
        ensure!(
            found.get("catalog-v1") == Some(&6) && found.get("ECONNREFUSED") == Some(&2),
            "{title}: {found:?}"
        );
        stage.after(
            || lab.configure(ROUTE, &split([90, 10])),
            |status| !status.to_string().contains("are refused"),
        )?;
        stage.await_weights(&[90, 10])?;
    }
    Ok(())
}

/// Root may read everything; a root without that capability may not.
fn forbidden() -> Result<()> {
    let lab = raise_lab("forbidden")?;
    let inner = lab.agent_command()?;
    let mut command = lab.node()?.command(need::find("setpriv")?)?;
    command.args(["--bounding-set", "-dac_override,-dac_read_search", "--"]);
    command.arg(inner.get_program()).args(inner.get_args());
    let _agent = Agent::start(lab.node()?, command)?;
    ensure_ninety_ten(&lab)?;
    let before = rows(&lab)?;
    lab.configure(BAD, &route("webapp", "webapp", &[to("v1", 1)]))?;
    wait_for(&lab, is_applied)?;
    let path = bad(&lab);
    let own = |owner: &str, mode: &str| -> Result<()> {
        let done = Command::new("chown")
            .arg(owner)
            .arg(&path)
            .status()?
            .success()
            && Command::new("chmod")
                .arg(mode)
                .arg(&path)
                .status()?
                .success();
        ensure!(done, "chown {owner}, chmod {mode}");
        Ok(())
    };
    lab.unconfigure(BAD)?;
    wait_for(&lab, |status| !status.to_string().contains(BAD))?;
    fs::write(lab.dirs().run().join(BAD), "")?;
    fs::rename(lab.dirs().run().join(BAD), &path)?;
    own("65534", "0600")?;
    let refused = wait_for(&lab, is_refused)?;
    table::check(
        "a file that may not be read",
        "refused",
        &table::findings(&lab, &refused, "error"),
    )?;
    ensure_ninety_ten(&lab)?;
    own("0", "0644")?;
    wait_for(&lab, is_applied)?;
    ensure!(rows(&lab)?.sources == before.sources);
    Ok(())
}

/// A configuration of so many services.
fn services(count: u32) -> String {
    let service = |index: u32| {
        let [_, a, b, c] = index.to_be_bytes();
        format!(
            "- apiVersion: v1\n  kind: Service\n  metadata: {{name: s{index}, namespace: many}}\n  \
             spec: {{clusterIP: 10.{}.{b}.{c}, ports: [{{name: http, port: 80}}]}}\n",
            201 + u32::from(a)
        )
    };
    let items: String = (1..=count).map(service).collect();
    format!("apiVersion: v1\nkind: List\nitems:\n{items}")
}

/// How long a hundred thousand services may take a program that was not optimised.
const PARSED_MAX: Duration = Duration::from_mins(5);

fn too_many() -> Result<()> {
    let full = std::env::var("STEER_FULL").is_ok_and(|value| value == "1");
    let most = if full { 100_000 } else { 10 };
    let lab = Lab::builder(&Lab::fresh_name("many")).build()?;
    let most_text = most.to_string();
    let _agent = lab.agent_with(&["--max-services", &most_text])?;
    let apply = |count: u32, fits: fn(&Value) -> bool| {
        lab.configure("services.yaml", &services(count))?;
        wait_long_for(&lab, PARSED_MAX, fits)
    };
    apply(most, |status| {
        is_applied(status) && status["generation"].as_u64() > Some(1)
    })?;
    let before = rows(&lab)?;
    let refused = apply(most + 1, is_refused)?;
    let said = table::findings(&lab, &refused, "error");
    ensure!(rows(&lab)? == before, "it changed something");
    if full {
        ensure!(
            said[0].contains("100000 rows and this configuration needs 100001"),
            "{said:?}"
        );
    } else {
        table::check("more services than fit", "refused", &said)?;
    }
    apply(most, is_applied)?;
    ensure!(rows(&lab)? == before, "it changed something");
    Ok(())
}

/// An agent that starts on a broken file waits until it is mended.
fn from_the_start() -> Result<()> {
    let lab = raise_lab("start")?;
    lab.configure(BAD, "kind: [\n")?;
    let _agent = lab.agent()?;
    ensure!(is_refused(&status(&lab)?), "{}", status(&lab)?);
    ensure!(
        !dial(&lab, 2)?.contains_key("catalog-v1"),
        "steered by what?"
    );
    lab.unconfigure(BAD)?;
    wait_for(&lab, is_applied)?;
    ensure_ninety_ten(&lab)
}
