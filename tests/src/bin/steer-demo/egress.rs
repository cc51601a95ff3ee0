//! S11 and S12: pods reach what the registry names and nothing else, and a name is added.

use std::{process::Stdio, thread, time::Duration};

use anyhow::{Context as _, Result};
use steer_tests::topology::{ELSEWHERE_NAME, OUTSIDE_NAME};

use crate::{
    clients::{self, Connections, now_ns},
    knock::Knock,
    stage::wait_for,
    tally::Tally,
    walk::{CATALOG, STEPS, Walk},
};

/// What curl exits with when it could not connect.
const NOT_CONNECTED: i32 = 7;
/// From a file that changes to a first connection that is let through: what is aimed at, on a machine
/// that does nothing else.
const IN_FORCE_GOAL: Duration = Duration::from_millis(10);

/// How long a client is refused before the file comes.
const KNOCKING: Duration = Duration::from_millis(100);

/// How often the file is written and taken back.
const ROUNDS: usize = 5;

/// How an attempt of curl's went.
struct Attempt {
    code: i32,
    took: Duration,
}

/// One writing of the file.
struct Round {
    /// Attempts that were refused before one was let through.
    refused: u64,
    /// From the write to that one.
    took: Duration,
}

impl Walk<'_> {
    /// Egress, refused and then allowed.
    pub(crate) fn egress(&mut self) -> Result<()> {
        self.registry_only()?;
        self.service_entry()
    }

    fn registry_only(&mut self) -> Result<()> {
        self.report.step(
            "S11",
            "outboundTrafficPolicy REGISTRY_ONLY: webapp calls a host that nobody declared",
        )?;
        let elsewhere = format!("https://{ELSEWHERE_NAME}/");
        let before = self.tried("webapp", &elsewhere)?;
        let file = format!("{STEPS}/registry-only.yaml");
        let took = self.stage.apply_and_wait(&file)?;
        self.in_force(&file, took)?;
        let after = self.tried("webapp", &elsewhere)?;
        self.report.check(
            "before the file it answers, after it the connection is refused",
            before.code == 0 && after.code == NOT_CONNECTED,
        )?;
        self.report.check(
            "the refusal comes at once",
            after.took < Duration::from_secs(1),
        )?;
        let curl = clients::curl(self.client()?, CATALOG, 20, Connections::Fresh)?;
        self.measured("curl, client -> catalog", &curl)?;
        self.report.check(
            "what the registry names is reached as before",
            Tally::of(&curl).total() == 20,
        )
    }

    fn service_entry(&mut self) -> Result<()> {
        self.report.step(
            "S12",
            "a ServiceEntry names one host outside, on port 80: forum reaches it",
        )?;
        let url = format!("http://{OUTSIDE_NAME}/");
        let before = self.tried("forum", &url)?;
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            self.stage.take_back("service-entry.yaml")?;
            rounds.push(self.knock(&format!("{STEPS}/service-entry.yaml"))?);
        }
        self.let_through(&rounds)?;
        let after = self.tried("forum", &url)?;
        self.report.check(
            "refused before the file, answered after it",
            before.code == NOT_CONNECTED && after.code == 0,
        )?;
        self.listed()?;
        let mut others = Vec::new();
        for url in [
            format!("https://{OUTSIDE_NAME}/"),
            format!("https://{ELSEWHERE_NAME}/"),
            format!("http://{ELSEWHERE_NAME}/"),
        ] {
            others.push(self.tried("forum", &url)?.code);
        }
        self.report.check(
            "everything else is still refused: the same host on another port, another host on the same",
            others == [NOT_CONNECTED; 3],
        )
    }

    /// Judges that each round was refused and then let through. How fast is only said: other work on the
    /// machine may make every round slow.
    fn let_through(&mut self, rounds: &[Round]) -> Result<()> {
        let mut took: Vec<_> = rounds.iter().map(|round| round.took).collect();
        took.sort();
        let fastest = took.first().copied().unwrap_or(Duration::MAX);
        let median = took.get(took.len() / 2).copied().unwrap_or(Duration::MAX);
        self.report.measured(&format!(
            "of {ROUNDS} rounds, the file taken back between them: the fastest {:.1} ms, the median {:.1} ms \
             (goal: {:.0} ms)",
            milliseconds(fastest),
            milliseconds(median),
            milliseconds(IN_FORCE_GOAL)
        ))?;
        self.report.check(
            "in each round refused until the write, and let through after it",
            rounds.iter().all(|round| round.refused > 0),
        )
    }

    /// Writes a file while a client in forum resolves and connects all the time, until it is let through.
    fn knock(&mut self, file: &str) -> Result<Round> {
        // The last dot: no search domain is tried before.
        let knock = Knock::start(self.stage.pod("forum")?, &format!("{OUTSIDE_NAME}."), 80)?;
        thread::sleep(KNOCKING);
        let written_ns = now_ns()?;
        let took = self.stage.apply_and_wait(file)?;
        self.in_force(file, took)?;
        let through = knock.wait()?;
        let took = Duration::from_nanos(through.through_ns.saturating_sub(written_ns));
        self.report.measured(&format!(
            "python3 in forum, which resolves and connects all the time: refused {} times, let through \
             {:.1} ms after the write",
            through.refused,
            milliseconds(took)
        ))?;
        Ok(Round {
            refused: through.refused,
            took,
        })
    }

    /// What listings say of the name.
    fn listed(&mut self) -> Result<()> {
        // The agent resolves it as well, and not within the milliseconds above.
        wait_for("the endpoints of the ServiceEntry", || {
            Ok(!self.stage.get("endpoints", OUTSIDE_NAME)?.is_empty())
        })?;
        self.asked(&["get", "endpoints", OUTSIDE_NAME])?;
        self.asked(&["get", "egress", OUTSIDE_NAME])?;
        self.asked(&["get", "names", OUTSIDE_NAME])?;
        self.asked(&[
            "explain",
            "istioinaction/forum",
            &format!("{OUTSIDE_NAME}:80"),
        ])?;
        self.asked(&[
            "explain",
            "istioinaction/forum",
            &format!("{ELSEWHERE_NAME}:443"),
        ])?;
        let cluster = format!("outbound|80||{OUTSIDE_NAME}");
        let endpoints = self.stage.get("endpoints", OUTSIDE_NAME)?;
        let healthy = |row: &&serde_json::Value| {
            row["cluster"] == cluster.as_str() && row["status"] == "HEALTHY"
        };
        let healthy = endpoints.iter().filter(healthy).count();
        self.report.check(
            &format!("{cluster} has the addresses that the name resolves to"),
            healthy == 2,
        )
    }

    fn in_force(&mut self, file: &str, took: Duration) -> Result<()> {
        self.report.applied(&format!(
            "{file}; the agent reported it in force {:.1} ms after the write",
            milliseconds(took)
        ))
    }

    /// One request of curl's from a pod.
    fn tried(&mut self, pod: &str, url: &str) -> Result<Attempt> {
        let mut command = self.stage.pod(pod)?.command("curl")?;
        command.args(["-sS", "-k", "--max-time", "5", "-o", "/dev/null"]);
        // As curl counts it: on a busy machine its start takes longer than all else.
        command.args(["-w", "%{time_total}"]);
        let output = command.arg(url).stdin(Stdio::null()).output()?;
        let seconds = str::from_utf8(&output.stdout)?;
        let seconds = seconds
            .parse()
            .with_context(|| format!("curl says {seconds:?}"))?;
        let took = Duration::try_from_secs_f64(seconds)?;
        let code = output.status.code().context("curl was ended by a signal")?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        let said = if code == 0 {
            "answered"
        } else {
            complaint.trim_end()
        };
        let milliseconds = milliseconds(took);
        self.report
            .measured(&format!("{pod}, curl {url}: {said} ({milliseconds:.0} ms)"))?;
        Ok(Attempt { code, took })
    }
}

fn milliseconds(took: Duration) -> f64 {
    took.as_secs_f64() * 1e3
}
