//! `steer-lab`: labs for people. `up`, then `shell` or `exec`, then `down`.

use std::{
    env,
    ffi::OsString,
    io::{self, Write as _},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result, bail};
use clap::{Parser, Subcommand};
use steer_tests::{
    dirs::Dirs,
    exit,
    lab::Lab,
    record::{HostRecord, Record},
    topology,
};

/// The name of a lab if none is given.
const DEFAULT: &str = "default";

/// Labs of network namespaces.
#[derive(Debug, Parser)]
#[command(name = "steer-lab")]
struct Args {
    #[command(subcommand)]
    command: Command,
    /// Name of the lab
    #[arg(long, global = true, default_value = DEFAULT)]
    name: String,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Raise the bookstore of the examples; it stays until `down`
    Up,
    /// Raise the bookstore and hold it until standard input ends
    Hold,
    /// Start the agent of a lab on its configuration
    Agent,
    /// Copy files into the configuration that the agent watches
    Apply {
        /// Kubernetes or Istio YAML
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Take files out of the configuration
    Remove {
        /// Names, as `apply` took them
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Run a command on a host of the lab
    Exec {
        /// The host: a pod, `node` or `outside`
        host: String,
        /// The command
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
    /// A shell on a host of the lab
    Shell {
        /// The host: a pod, `node` or `outside`
        #[arg(default_value = "client")]
        host: String,
    },
    /// Run `steer` on the maps of the lab's agent
    Steer {
        /// Subcommand and arguments
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Take a lab down, also what a crash left of it
    Down,
    /// List the labs and their hosts
    List,
}

fn main() -> ExitCode {
    exit::report("steer-lab", run())
}

fn run() -> Result<()> {
    let Args { command, name } = Args::parse();
    match command {
        Command::Up => up(&name),
        Command::Hold => hold(&name),
        Command::Agent => {
            let agent = Lab::open(&name)?.agent()?;
            say(&format!(
                "the agent runs, process {}, log {}",
                agent.pid(),
                agent.log().display()
            ))?;
            agent.leave();
            Ok(())
        }
        Command::Apply { files } => apply(&Lab::open(&name)?, &files),
        Command::Remove { files } => {
            let lab = Lab::open(&name)?;
            files
                .iter()
                .try_for_each(|file| lab.unconfigure(file_name(file)?))
        }
        Command::Exec { host, command } => exec(&Lab::open(&name)?, &host, &command),
        Command::Shell { host } => {
            let shell = env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into());
            exec(&Lab::open(&name)?, &host, &[shell])
        }
        Command::Steer { arguments } => {
            let arguments: Option<Vec<&str>> = arguments.iter().map(|word| word.to_str()).collect();
            let arguments = arguments.context("arguments of steer are UTF-8")?;
            let (subcommand, rest) = arguments
                .split_first()
                .context("steer needs a subcommand")?;
            let mut command = Lab::open(&name)?.steer(subcommand)?;
            Err(command.args(rest).exec()).context("run steer")
        }
        Command::Down => down(&name),
        Command::List => list(),
    }
}

fn up(name: &str) -> Result<()> {
    let lab = topology::bookstore(name)?;
    let config = lab.dirs().config();
    let hosts: Vec<_> = lab
        .hosts()
        .iter()
        .map(|host| host.record().clone())
        .collect();
    lab.keep()?;
    show(name, &config, &hosts)
}

fn hold(name: &str) -> Result<()> {
    let lab = topology::bookstore(name)?;
    let hosts: Vec<_> = lab
        .hosts()
        .iter()
        .map(|host| host.record().clone())
        .collect();
    show(name, &lab.dirs().config(), &hosts)?;
    io::copy(&mut io::stdin().lock(), &mut io::sink()).context("wait for the end")?;
    Ok(())
}

fn down(name: &str) -> Result<()> {
    let dirs = Dirs::new(name)?;
    if !dirs.run().exists() && !dirs.cgroup().path().exists() {
        bail!("there is no lab {name}");
    }
    Lab::sweep(name)
}

fn show(name: &str, config: &Path, hosts: &[HostRecord]) -> Result<()> {
    let config = config.display();
    say(&format!(
        "the lab {name} is up; its configuration is {config}"
    ))?;
    for host in hosts {
        let addresses: Vec<_> = host.addresses.iter().map(ToString::to_string).collect();
        say(&format!("  {:12} {}", host.name, addresses.join(" ")))?;
    }
    Ok(())
}

fn apply(lab: &Lab, files: &[PathBuf]) -> Result<()> {
    for file in files {
        let text =
            std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
        lab.configure(file_name(file)?, &text)?;
    }
    Ok(())
}

fn file_name(path: &Path) -> Result<&str> {
    let name = path.file_name().and_then(|name| name.to_str());
    name.with_context(|| format!("{} has no name", path.display()))
}

fn exec(lab: &Lab, host: &str, words: &[OsString]) -> Result<()> {
    let Some((program, arguments)) = words.split_first() else {
        bail!("no command");
    };
    let mut command = lab.pod(host)?.command(program)?;
    command.args(arguments);
    // So that `steer` typed there speaks of this lab.
    command.env("STEER_PINS", lab.dirs().pins());
    command.env("STEER_STATE", lab.dirs().state());
    Err(command.exec()).with_context(|| format!("run {}", program.display()))
}

fn list() -> Result<()> {
    for name in Dirs::names()? {
        let Ok(record) = Record::read(&Dirs::new(&name)?) else {
            say(&format!("{name}  unreadable"))?;
            continue;
        };
        let kind = if record.persistent {
            "kept"
        } else {
            "of a process"
        };
        say(&format!(
            "{name}  {kind}  owner {}  {} hosts",
            record.owner,
            record.hosts.len()
        ))?;
    }
    Ok(())
}

fn say(line: &str) -> Result<()> {
    writeln!(io::stdout().lock(), "{line}").context("write to standard output")
}
