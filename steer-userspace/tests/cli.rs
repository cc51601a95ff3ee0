//! The command `steer` as a shell sees it: what it prints where, and how it ends. Nothing here
//! needs privileges, or an agent.

use std::{
    fs,
    io::Read as _,
    path::Path,
    process::{Command, Output, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

const SERVICE: &str = "\
apiVersion: v1
kind: Service
metadata: {name: catalog, namespace: shop}
spec:
  clusterIP: 10.200.1.92
  ports: [{name: http, port: 80, targetPort: 3000}]
  selector: {app: catalog}
";

const POD: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: catalog-v1, namespace: shop, labels: {app: catalog}}
status:
  phase: Running
  conditions: [{type: Ready, status: 'True'}]
  podIP: 10.10.0.12
";

/// A VirtualService that leads to a host.
fn rule(host: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\n\
         kind: VirtualService\n\
         metadata: {{name: catalog, namespace: shop}}\n\
         spec: {{hosts: [catalog], http: [{{route: [{{destination: {{host: {host}}}}}]}}]}}\n"
    )
}

/// Commands with a directory of their own, in which nothing is pinned.
struct Stage {
    directory: tempfile::TempDir,
}

impl Stage {
    fn new(documents: &[&str]) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        fs::write(directory.path().join("a.yaml"), documents.join("---\n"))?;
        Ok(Self { directory })
    }

    fn command(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_steer"));
        command
            .args(words.split_whitespace())
            .current_dir(self.directory.path())
            .env("STEER_PINS", self.directory.path().join("pins"))
            .env("STEER_STATE", self.directory.path().join("state"))
            .env_remove("STEER_CGROUP")
            .env_remove("NO_COLOR")
            .env_remove("CLICOLOR_FORCE");
        command
    }

    fn run(&self, words: &str) -> Result<Ended> {
        let output = self.command(words).output().context("running steer")?;
        Ended::new(&output)
    }
}

struct Ended {
    code: i32,
    out: String,
    err: String,
}

impl Ended {
    fn new(output: &Output) -> Result<Self> {
        Ok(Self {
            code: output.status.code().context("ended by a signal")?,
            out: String::from_utf8(output.stdout.clone())?,
            err: String::from_utf8(output.stderr.clone())?,
        })
    }
}

#[test]
fn wrong_usage_is_2() -> Result<()> {
    let stage = Stage::new(&[])?;
    for words in [
        "",
        "nonsense",
        "get",
        "get nonsense",
        "get services -o xml",
        "explain -",
        "plan",
        "agent",
        "check --failure-threshold fatal",
        "plan -f a.yaml --client nobody",
    ] {
        let ended = stage.run(words)?;
        assert_eq!(ended.code, 2, "steer {words}: {}{}", ended.out, ended.err);
        assert!(
            ended.out.is_empty() && !ended.err.is_empty(),
            "steer {words}"
        );
    }
    Ok(())
}

#[test]
fn help_is_no_failure_and_teaches() -> Result<()> {
    let stage = Stage::new(&[])?;
    for words in [
        "--help",
        "get --help",
        "get routes --help",
        "explain --help",
    ] {
        let ended = stage.run(words)?;
        assert_eq!((ended.code, ended.err.as_str()), (0, ""), "steer {words}");
    }
    let help = stage.run("--help")?.out;
    assert!(
        help.contains("Examples:") && help.contains("Exit codes:"),
        "{help}"
    );
    assert!(stage.run("--version")?.out.starts_with("steer "));
    Ok(())
}

#[test]
fn paths_that_are_not_there_are_2() -> Result<()> {
    let stage = Stage::new(&[])?;
    for words in ["check -f nothing.yaml", "plan -f nothing.yaml"] {
        let ended = stage.run(words)?;
        assert_eq!(ended.code, 2, "steer {words}");
        assert!(
            ended
                .err
                .starts_with("steer: reading nothing.yaml: No such file"),
            "{}",
            ended.err
        );
    }
    Ok(())
}

#[test]
fn check_without_findings() -> Result<()> {
    let stage = Stage::new(&[SERVICE, POD])?;
    let ended = stage.run("check -f a.yaml")?;
    assert_eq!((ended.code, ended.out.as_str()), (0, ""));
    assert_eq!(
        ended.err,
        "\u{2714} No validation issues found when analyzing a.yaml.\n"
    );
    let json = stage.run("check -f a.yaml -o json")?;
    assert_eq!((json.code, json.out.as_str()), (0, "[]\n"));
    Ok(())
}

/// A warning fails only if it is asked to; an error always does.
#[test]
fn check_fails_at_its_threshold() -> Result<()> {
    let warned = Stage::new(&[SERVICE, POD, &rule("catalog"), UNREAD])?;
    let ended = warned.run("check -f .")?;
    assert_eq!(ended.code, 0, "{}", ended.out);
    let expected = "Warning [STR0201] (Gateway shop/gate ./a.yaml:";
    assert!(ended.out.starts_with(expected), "{}", ended.out);
    assert_eq!(ended.out.lines().count(), 1, "{}", ended.out);
    for threshold in ["warning", "info"] {
        let words = format!("check -f . --failure-threshold {threshold}");
        assert_eq!(warned.run(&words)?.code, 79);
    }
    let refused = Stage::new(&["kind: [\n"])?;
    let ended = refused.run("check -f a.yaml")?;
    assert_eq!(ended.code, 79);
    assert!(
        ended.out.starts_with("Error [STR0101] (a.yaml:"),
        "{}",
        ended.out
    );
    assert_eq!(ended.out.lines().count(), 1, "{}", ended.out);
    let wide = warned.run("check -f . -o wide")?;
    let help = wide.out.lines().nth(1).unwrap_or_default();
    assert!(help.starts_with("    "), "what to do: {}", wide.out);
    Ok(())
}

const UNREAD: &str = "\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gate, namespace: shop}
spec: {}
";

#[test]
fn findings_are_data_too() -> Result<()> {
    let stage = Stage::new(&[SERVICE, POD, &rule("nobody")])?;
    let ended = stage.run("check -f a.yaml -o json")?;
    let findings: Vec<Value> = serde_json::from_str(&ended.out)?;
    ensure!(findings.len() == 1, "{}", ended.out);
    assert_eq!(findings[0]["code"], "IST0101");
    assert_eq!(findings[0]["object"]["name"], "catalog");
    assert_eq!(findings[0]["position"]["file"], "a.yaml");
    let yaml = stage.run("check -f a.yaml -o yaml")?;
    assert_eq!(yaml.code, ended.code);
    assert!(yaml.out.contains("code: IST0101"), "{}", yaml.out);
    Ok(())
}

#[test]
fn plan_needs_no_kernel() -> Result<()> {
    let stage = Stage::new(&[SERVICE, POD, &rule("catalog")])?;
    let ended = stage.run("plan -f a.yaml -o json")?;
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
    let planned: Value = serde_json::from_str(&ended.out)?;
    assert_eq!(planned["maps"]["SERVICES"], 1);
    assert_eq!(planned["findings"], Value::Array(Vec::new()));
    let route = &planned["routes"][0];
    assert_eq!(route["address"], "10.200.1.92:80");
    assert_eq!(route["virtual_service"], "catalog.shop");
    assert_eq!(route["destinations"][0]["endpoints"][0], "10.10.0.12:3000");
    Ok(())
}

/// What is refused is a plan of nothing, also for programs that read it.
#[test]
fn plan_of_what_is_refused() -> Result<()> {
    let stage = Stage::new(&["kind: [\n"])?;
    let ended = stage.run("plan -f a.yaml -o json")?;
    assert_eq!(ended.code, 79);
    let planned: Value = serde_json::from_str(&ended.out)?;
    assert_eq!(planned["findings"][0]["code"], "STR0101");
    assert_eq!(planned["maps"], Value::Null);
    let ended = stage.run("plan -f a.yaml")?;
    assert_eq!(ended.code, 79);
    assert!(
        ended.out.starts_with("FINDINGS\n  Error [STR0101]"),
        "{}",
        ended.out
    );
    Ok(())
}

#[test]
fn without_an_agent_the_answer_is_no() -> Result<()> {
    let stage = Stage::new(&[])?;
    for words in [
        "get services",
        "get routes -o json",
        "status",
        "explain - a:80",
    ] {
        let ended = stage.run(words)?;
        assert_eq!((ended.code, ended.out.as_str()), (1, ""), "steer {words}");
        assert!(
            ended.err.starts_with("steer: nothing is pinned at "),
            "{}",
            ended.err
        );
        assert!(ended.err.contains("start `steer agent`"), "{}", ended.err);
    }
    let ended = stage.run("check")?;
    assert_eq!(ended.code, 2);
    assert!(ended.err.contains("name files with -f"), "{}", ended.err);
    // Whoever looks leaves no trace.
    assert!(!stage.directory.path().join("state").exists());
    Ok(())
}

#[test]
fn unload_of_nothing_is_done_already() -> Result<()> {
    let stage = Stage::new(&[])?;
    let ended = stage.run("unload")?;
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
    assert!(
        ended.out.starts_with("nothing is pinned at "),
        "{}",
        ended.out
    );
    Ok(())
}

/// A directory of somebody else's is no directory of pins, even if it looks like one.
#[test]
fn unload_removes_no_files_of_others() -> Result<()> {
    let stage = Stage::new(&[])?;
    let pins = stage.directory.path().join("pins");
    let file = pins.join("v1/maps/SERVICES");
    fs::create_dir_all(file.parent().context("it has a parent")?)?;
    fs::write(&file, "mine")?;
    let state = stage.directory.path().join("state");
    fs::create_dir(&state)?;
    fs::write(state.join("notes.txt"), "mine")?;
    fs::write(state.join("names.jsonl"), "")?;
    let ended = stage.run("unload")?;
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(
        ended.out.contains("removed 1 file of state"),
        "{}",
        ended.out
    );
    assert!(file.exists() && state.join("notes.txt").exists());
    assert!(!state.join("names.jsonl").exists());
    Ok(())
}

#[test]
fn doctor_says_what_is_lacking() -> Result<()> {
    let stage = Stage::new(&[])?;
    let words = format!("doctor --cgroup {}", stage.directory.path().display());
    let ended = stage.run(&words)?;
    assert_eq!(ended.code, 69, "{}", ended.out);
    assert!(ended.out.contains("fail  cgroup v2"), "{}", ended.out);
    let json = stage.run(&format!("{words} -o json"))?;
    let lines: Vec<Value> = serde_json::from_str(&json.out)?;
    let of = |what: &str| lines.iter().find(|line| line["what"] == what);
    assert_eq!(of("cgroup v2").context("a line")?["verdict"], "fail");
    assert_eq!(of("kernel").context("a line")?["verdict"], "ok");
    Ok(())
}

#[test]
fn completions_and_man_pages() -> Result<()> {
    let stage = Stage::new(&[])?;
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ended = stage.run(&format!("completions {shell}"))?;
        assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{shell}");
        assert!(ended.out.contains("explain"), "{shell}");
    }
    assert!(stage.run("man")?.out.contains(".TH steer 1"));
    assert_eq!(stage.run("man pages")?.code, 0);
    let pages = stage.directory.path().join("pages");
    for page in [
        "steer.1",
        "steer-get.1",
        "steer-get-routes.1",
        "steer-unload.1",
    ] {
        assert!(pages.join(page).exists(), "{page}");
    }
    Ok(())
}

#[test]
fn the_reference_is_written() -> Result<()> {
    let stage = Stage::new(&[])?;
    let ended = stage.run("generate docs --out reference")?;
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
    let reference = stage.directory.path().join("reference");
    for (page, wanted) in [
        ("cli.md", "## `steer get routes`"),
        ("findings.md", "| STR0101 |"),
        ("reasons.md", "| `drawn` |"),
        ("limits.md", "| SERVICES |"),
    ] {
        let text = fs::read_to_string(reference.join(page))?;
        assert!(text.contains(wanted), "{page}");
        // Nothing of this machine, or of this run.
        let here = stage.directory.path().display().to_string();
        assert!(!text.contains(&here), "{page}");
    }
    Ok(())
}

/// A reader that goes away is no failure.
#[test]
fn a_closed_pipe_is_no_failure() -> Result<()> {
    let stage = Stage::new(&[])?;
    let mut child = stage
        .command("completions bash")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    // Nobody reads: the pipe is closed before or while it is written to.
    drop(child.stdout.take());
    let mut err = String::new();
    let stderr = child.stderr.as_mut().context("it is piped")?;
    stderr.read_to_string(&mut err)?;
    let status = child.wait()?;
    assert_eq!((status.code(), err.as_str()), (Some(0), ""));
    Ok(())
}

/// Colours are for terminals, unless they are asked for.
#[test]
fn colours_are_for_terminals() -> Result<()> {
    let stage = Stage::new(&["kind: [\n"])?;
    let printed = |forced: &str, refused: &str| -> Result<String> {
        let output = stage
            .command("check -f a.yaml")
            .env("CLICOLOR_FORCE", forced)
            .env("NO_COLOR", refused)
            .output()?;
        Ok(Ended::new(&output)?.out)
    };
    assert!(!stage.run("check -f a.yaml")?.out.contains('\u{1b}'));
    assert!(printed("1", "")?.contains("\u{1b}[31mError"));
    assert!(!printed("0", "1")?.contains('\u{1b}'));
    Ok(())
}

/// Everything that people may type in the examples of the help can be parsed.
#[test]
fn examples_of_the_help_can_be_typed() -> Result<()> {
    let stage = Stage::new(&[])?;
    let mut count = 0;
    for words in ["", "get", "check", "plan", "explain", "completions", "man"] {
        let help = stage.run(&format!("{words} --help"))?.out;
        let examples = help
            .lines()
            .filter_map(|line| line.strip_prefix("  steer "));
        for example in examples {
            // Two blanks begin the remark, a pipe or a redirection ends the command.
            let typed = example.split("  ").next().unwrap_or_default();
            let typed = typed.split(['|', '>']).next().unwrap_or_default();
            if typed.trim().is_empty() || !starts_a_command(typed) {
                continue;
            }
            let ended = stage.run(&format!("{typed} --help"))?;
            assert_eq!(ended.code, 0, "steer {typed}: {}", ended.err);
            count += 1;
        }
    }
    assert!(count >= 15, "{count} examples");
    Ok(())
}

fn starts_a_command(typed: &str) -> bool {
    typed
        .chars()
        .next()
        .is_some_and(|first| first.is_ascii_lowercase())
}

/// The paths of the tests do not reach the real agent's.
#[test]
fn the_stage_is_apart() -> Result<()> {
    let stage = Stage::new(&[])?;
    let err = stage.run("get services")?.err;
    let pins = stage.directory.path().join("pins");
    assert!(err.contains(&*pins.to_string_lossy()), "{err}");
    assert!(!pins.starts_with(Path::new("/sys/fs/bpf")));
    Ok(())
}

/// `unload` leaves alone what a running agent needs.
#[test]
fn unload_asks_to_stop_the_agent_first() -> Result<()> {
    let stage = Stage::new(&[])?;
    let state = stage.directory.path().join("state");
    let lock = steer::control::Lock::take(&state)?;
    fs::write(state.join("names.jsonl"), "")?;
    let ended = stage.run("unload")?;
    assert_eq!((ended.code, ended.out.as_str()), (1, ""));
    let expected = format!("steer: an agent runs (pid {})", std::process::id());
    assert!(ended.err.starts_with(&expected), "{}", ended.err);
    assert!(state.join("names.jsonl").exists());
    drop(lock);
    assert_eq!(stage.run("unload")?.code, 0);
    assert!(!state.exists());
    let lock = steer::control::Lock::take(&state)?;
    assert_eq!(stage.run("unload --force")?.code, 0);
    drop(lock);
    Ok(())
}
