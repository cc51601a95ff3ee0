//! `steer top` on a real terminal: tmux types keys and reads the screen.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use libtest_mimic::Trial;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use steer_tests::{
    client::{Running, Storm, Until},
    harness::test,
    lab::Lab,
    topology::{self, catalog},
    wait,
};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("top::ninety_and_ten_stand_on_the_screen", on_screen),
        test("top::signals_give_the_terminal_back", signals),
        test("top::without_a_terminal_it_looks_once", once),
    ]
}

/// How long the screen may take: the machine may be busy.
const SHOWN_MAX: Duration = Duration::from_mins(1);

/// Asks now and then, and not all the time: each look is a process.
fn eventually<T>(what: &str, mut look: impl FnMut() -> Result<Result<T, String>>) -> Result<T> {
    wait::until(SHOWN_MAX, what, || {
        thread::sleep(Duration::from_millis(50));
        look()
    })
}

/// The bookstore, split nine to one.
fn raise(purpose: &str) -> Result<Lab> {
    let lab = topology::bookstore_for_storms(&Lab::fresh_name(purpose))?;
    for step in ["destination-rule.yaml", "split-90-10.yaml"] {
        let path = topology::bookstore_directory().join("steps").join(step);
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        lab.configure(step, &text)?;
    }
    Ok(lab)
}

/// Two hundred connections a second.
fn traffic(lab: &Lab) -> Result<Running> {
    let storm = Storm {
        until: Until::Told,
        rate: Some(200),
        ..Storm::new(catalog(), 0)
    };
    storm.start(lab.pod("client")?)
}

/// A terminal on the node of a lab, with a shell in it.
struct Terminal<'a> {
    lab: &'a Lab,
    socket: PathBuf,
}

impl<'a> Terminal<'a> {
    fn open(lab: &'a Lab, width: u16, height: u16) -> Result<Self> {
        let socket = lab.dirs().run().join("tmux");
        let this = Self { lab, socket };
        let (width, height) = (width.to_string(), height.to_string());
        let mut command = this.command()?;
        command.args(["-f", "/dev/null", "new-session", "-d"]);
        // Two words are run as they are, one by a shell.
        command.args(["-x", &width, "-y", &height, "sh", "-i"]);
        command.env("PS1", "prompt> ");
        run(command)?;
        Ok(this)
    }

    fn command(&self) -> Result<Command> {
        let mut command = self.lab.node()?.command("tmux")?;
        command.arg("-S").arg(&self.socket).stdin(Stdio::null());
        Ok(command)
    }

    fn keys(&self, keys: &[&str]) -> Result<()> {
        let mut command = self.command()?;
        command.arg("send-keys").args(keys);
        run(command).map(drop)
    }

    fn screen(&self) -> Result<String> {
        let mut command = self.command()?;
        command.args(["capture-pane", "-p"]);
        run(command)
    }

    /// Whether a program has the alternate screen.
    fn is_taken(&self) -> Result<bool> {
        let mut command = self.command()?;
        command.args(["display-message", "-p", "#{alternate_on}"]);
        Ok(run(command)?.trim() == "1")
    }

    /// Types the command line of `steer top`.
    fn start_top(&self, arguments: &str) -> Result<()> {
        let command = self.lab.steer("top")?;
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let words: Vec<String> = words
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        let line = format!("{} {arguments}", words.join(" "));
        self.keys(&[&line, "Enter"])
    }

    /// Waits until the screen fits.
    fn until(&self, what: &str, fits: impl Fn(&str) -> bool) -> Result<String> {
        eventually(what, || {
            let screen = self.screen()?;
            Ok(if fits(&screen) {
                Ok(screen)
            } else {
                Err(screen)
            })
        })
    }

    /// The shell has the terminal again: it echoes, and lines end.
    fn ensure_sane(&self) -> Result<()> {
        self.until("a prompt", |screen| {
            let last = screen.trim_end().lines().last();
            last.is_some_and(|line| line.trim_end().ends_with("prompt>"))
        })?;
        ensure!(!self.is_taken()?, "the alternate screen is still there");
        self.keys(&[
            "stty -a | tr ';' '\\n' | grep -c -w -e -echo -e -icanon; echo do''ne",
            "Enter",
        ])?;
        let screen = self.until("the answer of stty", |screen| {
            screen.lines().any(|line| line.trim() == "done")
        })?;
        let lines: Vec<&str> = screen.lines().map(str::trim).collect();
        let end = lines.iter().rposition(|&line| line == "done");
        let count = end.and_then(|end| lines.get(end.checked_sub(1)?));
        ensure!(count == Some(&"0"), "the terminal is raw:\n{screen}");
        Ok(())
    }

    /// The process of `steer top` in it.
    fn process(&self) -> Result<Pid> {
        let mut command = self.command()?;
        command.args(["display-message", "-p", "#{pane_pid}"]);
        let shell = run(command)?;
        let shell = shell.trim();
        let children = fs::read_to_string(format!("/proc/{shell}/task/{shell}/children"))?;
        let child = children.split_whitespace().next();
        Ok(Pid::from_raw(
            child.context("the shell runs something")?.parse()?,
        ))
    }
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        let end = || -> Result<()> {
            let mut command = self.command()?;
            command.arg("kill-server");
            run(command).map(drop)
        };
        // A server that is gone needs no end.
        let _ended = end();
    }
}

fn run(mut command: Command) -> Result<String> {
    let output = command.output().context("run tmux")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "tmux: {}", complaint.trim_end());
    Ok(String::from_utf8(output.stdout)?)
}

/// The share and the weight that the screen has for a destination.
fn share(screen: &str, destination: &str) -> Option<(f64, f64)> {
    let line = screen
        .lines()
        .find(|line| line.starts_with("catalog.istioinaction:80") && line.contains(destination))?;
    let percents: Vec<f64> = line
        .split_whitespace()
        .filter_map(|word| word.strip_suffix('%')?.parse().ok())
        .collect();
    match percents.as_slice() {
        [share, weight] => Some((*share, *weight)),
        _ => None,
    }
}

/// Nine of ten and one of ten, as near as a second of some two hundred connections can be.
fn is_split(screen: &str) -> bool {
    let near = |found: Option<(f64, f64)>, wanted: f64| {
        found.is_some_and(|(share, weight)| (share - wanted).abs() <= 1.0 && weight == wanted)
    };
    near(share(screen, "version-v1"), 90.0) && near(share(screen, "version-v2"), 10.0)
}

fn on_screen() -> Result<()> {
    let lab = raise("top")?;
    let agent = lab.agent()?;
    let storm = traffic(&lab)?;
    let terminal = Terminal::open(&lab, 80, 24)?;
    terminal.start_top("")?;
    let screen = terminal.until("90 and 10", is_split)?;
    ensure!(terminal.is_taken()?, "it has a screen of its own");
    let head = screen.lines().next().unwrap_or_default();
    ensure!(
        head.contains("generation 1") && head.contains("applied") && head.contains("refused 0/s"),
        "{head}"
    );
    terminal.keys(&["/", "forum", "Enter"])?;
    terminal.until("only the forum", |screen| {
        screen.contains("forum.istioinaction:80") && !screen.contains("catalog.istioinaction")
    })?;
    terminal.keys(&["Escape"])?;
    terminal.until("all again", is_split)?;
    terminal.keys(&["?"])?;
    terminal.until("help", |screen| screen.contains("A key takes this away."))?;
    terminal.keys(&["p"])?;
    terminal.until("the tables again", |screen| screen.contains("SERVICE"))?;
    // The kernel counts on when nobody steers it.
    agent.stop()?;
    terminal.until("an agent that does not run, and the split", |screen| {
        screen.contains("no agent runs") && is_split(screen)
    })?;
    terminal.keys(&["q"])?;
    terminal.ensure_sane()?;
    storm.finish()?;
    Ok(())
}

fn signals() -> Result<()> {
    let lab = raise("top-signals")?;
    let agent = lab.agent()?;
    let terminal = Terminal::open(&lab, 100, 30)?;
    for end in [None, Some(Signal::SIGTERM), Some(Signal::SIGINT)] {
        terminal.keys(&["clear", "Enter"])?;
        terminal.start_top("-d 0.5")?;
        terminal.until("routes", |screen| {
            screen.contains("catalog.istioinaction:80")
        })?;
        match end {
            None => terminal.keys(&["C-c"])?,
            Some(signal) => kill(terminal.process()?, signal)?,
        }
        terminal
            .ensure_sane()
            .with_context(|| format!("after {end:?}"))?;
    }
    agent.stop()?;
    Ok(())
}

fn once() -> Result<()> {
    let lab = raise("top-once")?;
    let agent = lab.agent_with(&["--metrics", "127.0.0.1:15020"])?;
    let storm = traffic(&lab)?;
    let look = |arguments: &[&str]| -> Result<String> {
        let output = lab.steer("top")?.args(arguments).output()?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{complaint}");
        Ok(String::from_utf8(output.stdout)?)
    };
    let plain = eventually("90 and 10", || {
        let text = look(&[])?;
        Ok(if is_split(&text) { Ok(text) } else { Err(text) })
    })?;
    ensure!(!plain.contains('\u{1b}'), "a pipe gets no escapes: {plain}");
    let told = eventually("connections of the client", || {
        let told: Value = serde_json::from_str(&look(&["--once", "-o", "json"])?)?;
        let routes = told["routes"].as_array().context("routes")?;
        let v1 = routes.iter().find(|row| row["destination"] == "version-v1");
        let v1 = v1.context("version-v1 is there")?;
        let Some(share) = v1["share"].as_f64() else {
            bail!("nobody connected: {told:#}");
        };
        ensure!((share - 90.0).abs() <= 1.0, "{told:#}");
        let sources = told["sources"].as_array().context("sources")?;
        let client = sources.iter().find(|row| {
            row["source"] == "istioinaction/client" && row["to"] == "catalog.istioinaction v1"
        });
        // The kernel's records are read some times a second.
        let rate = client.and_then(|row| row["connections_per_second"].as_f64());
        Ok(match rate.filter(|&rate| rate > 0.0) {
            Some(_) => Ok(told),
            None => Err(format!("{told:#}")),
        })
    })?;
    ensure!(
        told["metrics"] == true && told["agent_runs"] == true,
        "{told:#}"
    );
    storm.finish()?;
    agent.stop()?;
    Ok(())
}
