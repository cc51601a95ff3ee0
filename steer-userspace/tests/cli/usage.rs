//! Words that were typed, right and wrong; what is printed where.

use std::{io::Read as _, process::Stdio};

use anyhow::{Context as _, Result};

use super::stage::{Ended, Stage};

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

fn starts_a_command(typed: &str) -> bool {
    typed
        .chars()
        .next()
        .is_some_and(|first| first.is_ascii_lowercase())
}
