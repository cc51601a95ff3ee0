//! Commands that look for an agent, where none is.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use serde_json::Value;
use steer::control::Lock;

use super::stage::Stage;

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

/// `unload` leaves alone what a running agent needs.
#[test]
fn unload_asks_to_stop_the_agent_first() -> Result<()> {
    let stage = Stage::new(&[])?;
    let state = stage.directory.path().join("state");
    let lock = Lock::take(&state)?;
    fs::write(state.join("names.jsonl"), "")?;
    let ended = stage.run("unload")?;
    assert_eq!((ended.code, ended.out.as_str()), (1, ""));
    let expected = format!("steer: an agent runs (pid {})", std::process::id());
    assert!(ended.err.starts_with(&expected), "{}", ended.err);
    assert!(state.join("names.jsonl").exists());
    drop(lock);
    assert_eq!(stage.run("unload")?.code, 0);
    assert!(!state.exists());
    let lock = Lock::take(&state)?;
    assert_eq!(stage.run("unload --force")?.code, 0);
    drop(lock);
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
