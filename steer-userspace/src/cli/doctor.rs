//! `steer doctor`: whether this machine can run steer, found out by trying.

use std::{fs, path::PathBuf};

use serde::Serialize;

use super::{
    Exit,
    args::{Doctor, Format},
    output,
};
use crate::kernel::{cgroup, probe};

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Warn,
    Fail,
}

#[derive(Serialize)]
struct Line {
    verdict: Verdict,
    what: &'static str,
    found: String,
    help: &'static str,
}

/// Tries everything and tells.
pub(super) fn run(args: Doctor) -> anyhow::Result<Exit> {
    let mut lines = vec![kernel(), privileges(), btf(), bpffs()];
    let (line, root) = hierarchy(args.cgroup);
    lines.push(line);
    lines.push(programs());
    if let Some(root) = root {
        lines.push(others(&root));
    }
    match args.output.output {
        Format::Json | Format::Yaml => output::document(&lines, args.output.output)?,
        Format::Table | Format::Wide => output::write(&lines.iter().map(text).collect::<String>())?,
    }
    let failed = lines.iter().any(|line| line.verdict == Verdict::Fail);
    Ok(if failed {
        Exit::Unsupported
    } else {
        Exit::Done
    })
}

fn text(line: &Line) -> String {
    let verdict = match line.verdict {
        Verdict::Ok => "ok  ",
        Verdict::Warn => "warn",
        Verdict::Fail => "FAIL",
    };
    let help = if line.verdict == Verdict::Ok {
        String::new()
    } else {
        format!("\n       {}", line.help)
    };
    format!("{verdict}  {}: {}{help}\n", line.what, line.found)
}

fn line(what: &'static str, result: Result<String, String>, help: &'static str) -> Line {
    let (verdict, found) = match result {
        Ok(found) => (Verdict::Ok, found),
        Err(found) => (Verdict::Fail, found),
    };
    Line {
        verdict,
        what,
        found,
        help,
    }
}

/// Shown, never compared: features decide.
fn kernel() -> Line {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    line("kernel", Ok(format!("Linux {}", release.trim())), "")
}

fn privileges() -> Line {
    let is_root = nix::unistd::geteuid().is_root();
    let found = if is_root {
        Ok("root".to_owned())
    } else {
        Err(format!("uid {}", nix::unistd::geteuid()))
    };
    line(
        "privileges",
        found,
        "run as root, or in a privileged container: loading programs needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON",
    )
}

fn btf() -> Line {
    let path = "/sys/kernel/btf/vmlinux";
    let found = if fs::metadata(path).is_ok() {
        Ok(format!("type information at {path}"))
    } else {
        Err(format!("{path} is missing"))
    };
    line(
        "BTF",
        found,
        "the kernel must be built with CONFIG_DEBUG_INFO_BTF=y",
    )
}

fn bpffs() -> Line {
    let path = std::path::Path::new("/sys/fs/bpf");
    if probe::is_bpffs(path) {
        line(
            "BPF file system",
            Ok(format!("mounted at {}", path.display())),
            "",
        )
    } else {
        Line {
            verdict: Verdict::Warn,
            what: "BPF file system",
            found: format!("not mounted at {}", path.display()),
            help: "the agent mounts it when it starts; or: mount -t bpf bpf /sys/fs/bpf",
        }
    }
}

fn hierarchy(wanted: Option<PathBuf>) -> (Line, Option<PathBuf>) {
    let found = wanted
        .map_or_else(cgroup::root, Ok)
        .and_then(|path| cgroup::open(&path).map(|_| path));
    let help = "mount a cgroup v2 hierarchy: mount -t cgroup2 none /sys/fs/cgroup/unified";
    match found {
        Ok(path) => {
            let hybrid = if path == std::path::Path::new("/sys/fs/cgroup") {
                ""
            } else {
                " (not at /sys/fs/cgroup: a hybrid host, or a part of the hierarchy)"
            };
            (
                line("cgroup v2", Ok(format!("{}{hybrid}", path.display())), help),
                Some(path),
            )
        }
        Err(error) => (line("cgroup v2", Err(error.to_string()), help), None),
    }
}

/// Versions are not compared: the programs are loaded, and let go again.
fn programs() -> Line {
    let found = probe::load()
        .map(|count| format!("{count} programs load"))
        .map_err(|error| format!("{:#}", anyhow::Error::from(error)));
    line(
        "programs",
        found,
        "Linux 6.1 or later with CONFIG_BPF_SYSCALL and CONFIG_CGROUP_BPF loads them",
    )
}

/// Other socket load balancers on the same hooks would see connections before or after steer.
fn others(root: &std::path::Path) -> Line {
    match probe::others(root) {
        Ok(names) if names.is_empty() => line(
            "other programs",
            Ok("none on the same hooks".to_owned()),
            "",
        ),
        Ok(names) => Line {
            verdict: Verdict::Warn,
            what: "other programs",
            found: names.join(", "),
            help: "they run beside steer, in the order in which they were attached: make sure that only one of them chooses endpoints",
        },
        Err(error) => Line {
            verdict: Verdict::Warn,
            what: "other programs",
            found: format!("cannot be listed: {error}"),
            help: "run as root",
        },
    }
}
