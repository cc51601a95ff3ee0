//! Commands: printed before they run, with their failure as an error.

use std::{
    ffi::OsStr,
    fmt::Write as _,
    io::{BufRead as _, BufReader, IsTerminal as _},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

/// Colours `text` where a person reads it.
pub(crate) fn paint(code: &str, text: &str) -> String {
    if colours() {
        format!("\x1b[{code}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}

/// True if standard error is a terminal that shows colours.
pub(crate) fn colours() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// One line of progress, on standard error like cargo's own.
pub(crate) fn say(text: &str) {
    eprintln!("{} {text}", paint("1;36", "xtask:"));
}

/// Prints the command and runs it to its end.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    announce(command);
    let status = command
        .status()
        .with_context(|| format!("cannot run {}", program(command)))?;
    if !status.success() {
        bail!("{} ended with {status}", program(command));
    }
    Ok(())
}

/// Prints the command and becomes it, so that signals and the exit status are its own.
pub(crate) fn exec(command: &mut Command) -> Result<()> {
    announce(command);
    let error = command.exec();
    Err(error).with_context(|| format!("cannot run {}", program(command)))
}

/// Prints the command, runs it, and hands on each line of its standard output. True on success.
pub(crate) fn lines(command: &mut Command, mut each: impl FnMut(&str)) -> Result<bool> {
    announce(command);
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {}", program(command)))?;
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).split(b'\n') {
            each(&String::from_utf8_lossy(
                &line.context("cannot read its output")?,
            ));
        }
    }
    Ok(child.wait()?.success())
}

/// The standard output of a question, or nothing if it cannot be asked or fails.
pub(crate) fn answer(command: &mut Command) -> Option<String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Where a program is found: on PATH, or where root's programs live.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|file| file.is_file())
}

/// PATH with directories put before it.
pub(crate) fn path_with(first: &[PathBuf]) -> Result<std::ffi::OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(first.iter().cloned().chain(std::env::split_paths(&path)))
        .context("PATH cannot be extended")
}

/// True if this process may do what only root may.
pub(crate) fn is_root() -> bool {
    answer(Command::new("id").arg("-u")).is_some_and(|id| id.trim() == "0")
}

/// `program`, through sudo if this process is not root: only what needs root gets it.
pub(crate) fn as_root(program: &Path) -> Command {
    if is_root() {
        return Command::new(program);
    }
    let mut sudo = Command::new("sudo");
    sudo.arg("--preserve-env=STEER_BIN,STEER_VERIFY_SUITES,STEER_FULL,STEER_NO_SKIP,STEER_ENVOY,RUST_LOG,RUST_BACKTRACE,NO_COLOR");
    sudo.arg(program);
    sudo
}

fn announce(command: &Command) {
    eprintln!("{}", paint("2", &shown(command)));
}

/// The command as one would type it.
fn shown(command: &Command) -> String {
    let mut text = String::from("$");
    if let Some(directory) = command.get_current_dir() {
        let _infallible = write!(text, " cd {} &&", directory.display());
    }
    for (name, value) in command.get_envs() {
        // PATH is long and says little.
        if let Some(value) = value.filter(|_| name != "PATH") {
            let _infallible = write!(text, " {}={}", name.display(), quoted(value));
        }
    }
    for word in std::iter::once(command.get_program()).chain(command.get_args()) {
        let _infallible = write!(text, " {}", quoted(word));
    }
    text
}

fn program(command: &Command) -> String {
    Path::new(command.get_program())
        .file_name()
        .unwrap_or_default()
        .display()
        .to_string()
}

fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is printed can be pasted into a shell.
    #[test]
    fn a_command_is_shown_as_typed() {
        let mut command = Command::new("cargo");
        command
            .arg("build")
            .arg("--cfg")
            .arg("it's \"x\"")
            .env("A", "1 2")
            .current_dir("sub");
        assert_eq!(
            shown(&command),
            r#"$ cd sub && A='1 2' cargo build --cfg 'it'\''s "x"'"#
        );
    }
}
