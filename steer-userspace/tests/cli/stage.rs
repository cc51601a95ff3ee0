//! Commands that are run in a directory of their own.

use std::{
    fs,
    process::{Command, Output},
};

use anyhow::{Context as _, Result};

/// Commands with a directory of their own, in which nothing is pinned.
pub(super) struct Stage {
    pub(super) directory: tempfile::TempDir,
}

impl Stage {
    pub(super) fn new(documents: &[&str]) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        fs::write(directory.path().join("a.yaml"), documents.join("---\n"))?;
        Ok(Self { directory })
    }

    pub(super) fn command(&self, words: &str) -> Command {
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

    pub(super) fn run(&self, words: &str) -> Result<Ended> {
        let output = self.command(words).output().context("running steer")?;
        Ended::new(&output)
    }
}

/// How a command ended.
pub(super) struct Ended {
    pub(super) code: i32,
    pub(super) out: String,
    pub(super) err: String,
}

impl Ended {
    pub(super) fn new(output: &Output) -> Result<Self> {
        Ok(Self {
            code: output.status.code().context("ended by a signal")?,
            out: String::from_utf8(output.stdout.clone())?,
            err: String::from_utf8(output.stderr.clone())?,
        })
    }
}
