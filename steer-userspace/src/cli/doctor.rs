//! `steer doctor`: whether this machine can run steer, found out by trying.

use std::{
    fs,
    path::{Path, PathBuf},
};

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use serde::Serialize;

use super::{
    Exit,
    args::Doctor,
    output::{self, BAD, CAREFUL, GOOD, paint},
};
use crate::kernel::{Features, KernelError, cgroup, privilege, probe};

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Warn,
    Fail,
}

/// One line of the answer.
#[derive(Debug, Serialize)]
struct Line {
    verdict: Verdict,
    what: &'static str,
    found: String,
    /// What to do; empty if there is nothing to do.
    help: String,
}

impl Line {
    fn new(verdict: Verdict, what: &'static str, found: impl Into<String>) -> Self {
        Self {
            verdict,
            what,
            found: found.into(),
            help: String::new(),
        }
    }

    fn ok(what: &'static str, found: impl Into<String>) -> Self {
        Self::new(Verdict::Ok, what, found)
    }

    /// What to do about it.
    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = help.into();
        self
    }
}

/// Tries everything and tells.
pub(super) fn run(args: &Doctor) -> anyhow::Result<Exit> {
    let lines = examine(args.cgroup.as_deref());
    output::write(&output::answer(&lines, args.output.output, |lines, _| {
        text(lines)
    })?)?;
    let failed = lines.iter().any(|line| line.verdict == Verdict::Fail);
    Ok(if failed {
        Exit::Unsupported
    } else {
        Exit::Done
    })
}

fn examine(cgroup: Option<&Path>) -> Vec<Line> {
    let mut lines = vec![kernel(), privileges(), namespaces(), btf(), bpffs()];
    let (line, root) = hierarchy(cgroup);
    lines.push(line);
    if privilege::check("loading programs").is_err() {
        // They would fail for lack of privileges, which says nothing about the machine.
        let untried = |what| Line::new(Verdict::Warn, what, "not tried without privileges");
        lines.extend(["features", "programs", "other programs"].map(untried));
        return lines;
    }
    let features = Features::probe();
    // What is missing explains why nothing would load.
    let enough = features.is_ok();
    lines.push(features_of(features));
    if !enough {
        return lines;
    }
    let loaded = probe::load();
    lines.push(memory(loaded.is_ok()));
    lines.push(programs(loaded));
    lines.extend(root.map(|root| others(&root)));
    lines
}

fn text(lines: &[Line]) -> String {
    let one = |line: &Line| {
        let verdict = match line.verdict {
            Verdict::Ok => paint(GOOD, "ok  "),
            Verdict::Warn => paint(CAREFUL, "warn"),
            Verdict::Fail => paint(BAD, "fail"),
        };
        let help = if line.help.is_empty() {
            String::new()
        } else {
            format!("      {:<16}  {}\n", "", line.help)
        };
        format!("{verdict}  {:<16}  {}\n{help}", line.what, line.found)
    };
    lines.iter().map(one).collect()
}

/// Shown, never compared: features decide.
fn kernel() -> Line {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    Line::ok("kernel", format!("Linux {}", release.trim()))
}

fn privileges() -> Line {
    let what = "privileges";
    let user = nix::unistd::geteuid();
    let user = if user.is_root() {
        "root".to_owned()
    } else {
        format!("uid {user}")
    };
    match privilege::check("loading programs") {
        Ok(()) => Line::ok(what, format!("{user}, may load and attach programs")),
        Err(error) => Line::new(
            Verdict::Fail,
            what,
            format!("{user}, may not load and attach programs"),
        )
        .help(error.to_string()),
    }
}

fn namespaces() -> Line {
    let what = "pods";
    match privilege::may_enter() {
        Ok(true) => Line::ok(what, "network namespaces of others may be entered"),
        Ok(false) => Line::new(
            Verdict::Warn,
            what,
            "network namespaces of others may not be entered: rules for some clients only \
             (sourceLabels, sourceNamespace, exportTo) would not be told apart",
        )
        .help("give the agent CAP_SYS_ADMIN and CAP_SYS_PTRACE"),
        Err(error) => Line::new(Verdict::Warn, what, error.to_string()),
    }
}

fn btf() -> Line {
    let (what, path) = ("type information", "/sys/kernel/btf/vmlinux");
    if fs::metadata(path).is_ok() {
        Line::ok(what, format!("BTF at {path}"))
    } else {
        Line::new(Verdict::Fail, what, format!("{path} is missing"))
            .help("the kernel must be built with CONFIG_DEBUG_INFO_BTF=y, and /sys be mounted")
    }
}

fn bpffs() -> Line {
    let (what, path) = ("BPF file system", Path::new("/sys/fs/bpf"));
    if probe::is_bpffs(path) {
        return Line::ok(what, format!("mounted at {}", path.display()));
    }
    Line::new(
        Verdict::Warn,
        what,
        format!("not mounted at {}", path.display()),
    )
    .help("the agent mounts it when it starts; by hand: mount -t bpf bpf /sys/fs/bpf")
}

fn hierarchy(wanted: Option<&Path>) -> (Line, Option<PathBuf>) {
    let what = "cgroup v2";
    let found = wanted
        .map_or_else(cgroup::root, |path| Ok(path.to_owned()))
        .and_then(|path| cgroup::open(&path).map(|_| path));
    match found {
        Ok(path) => {
            let usual = wanted.is_some() || path == Path::new("/sys/fs/cgroup");
            let hybrid = if usual {
                ""
            } else {
                ", beside cgroup v1 (a hybrid host)"
            };
            let line = Line::ok(what, format!("{}{hybrid}", path.display()));
            (line, Some(path))
        }
        Err(error) => {
            let help = "mount one, e.g. mount -t cgroup2 none /sys/fs/cgroup/unified, or name a \
                        directory of it with --cgroup";
            let line = Line::new(Verdict::Fail, what, said(error)).help(help);
            (line, None)
        }
    }
}

/// Only kernels that account maps to the limit fail to load because of it.
fn memory(loads: bool) -> Line {
    let what = "locked memory";
    match getrlimit(Resource::RLIMIT_MEMLOCK) {
        Ok((RLIM_INFINITY, _)) => Line::ok(what, "no limit"),
        Ok((limit, _)) if loads => Line::ok(
            what,
            format!(
                "limit {} KiB, which programs and maps did not hit",
                limit / 1024
            ),
        ),
        Ok((limit, _)) => Line::new(Verdict::Warn, what, format!("limit {} KiB", limit / 1024))
            .help("before Linux 5.11 maps count: ulimit -l unlimited"),
        Err(errno) => Line::new(Verdict::Warn, what, format!("cannot be asked for: {errno}")),
    }
}

/// What the programs are loaded and attached by. Versions are not compared.
fn features_of(found: Result<Features, KernelError>) -> Line {
    let what = "features";
    match found {
        Ok(features) => {
            let namespaces = if features.netns_fields.is_some() {
                "by the kernel's own fields (no bpf_get_netns_cookie for packets)"
            } else {
                "by bpf_get_netns_cookie"
            };
            let interfaces = if features.tcx {
                "by tcx links"
            } else {
                "by clsact filters (no tcx)"
            };
            Line::ok(
                what,
                format!("packets are told apart {namespaces}, interfaces guarded {interfaces}"),
            )
        }
        Err(error) => Line::new(Verdict::Fail, what, said(error))
            .help("a later kernel; docs/reference/kernels.md lists those that were tested"),
    }
}

/// Versions are not compared: the programs are loaded, and let go again.
fn programs(loaded: Result<Vec<probe::Loaded>, KernelError>) -> Line {
    let what = "programs";
    match loaded {
        Ok(loaded) => Line::ok(what, format!("{} load, with their maps", loaded.len())),
        Err(error) => Line::new(Verdict::Fail, what, said(error))
            .help("Linux 6.1 or later with CONFIG_BPF_SYSCALL and CONFIG_CGROUP_BPF loads them"),
    }
}

/// Other socket load balancers on the same hooks would see connections before or after steer.
fn others(root: &Path) -> Line {
    let what = "other programs";
    match probe::others(root) {
        Ok(found) if found.is_empty() => Line::ok(what, "none on the same hooks"),
        Ok(found) => {
            let names: Vec<String> = found
                .iter()
                .map(|(name, hooks)| format!("{name} ({})", hooks.join(", ")))
                .collect();
            Line::new(Verdict::Warn, what, names.join(", ")).help(
                "they run beside steer, in the order in which they were attached: let only one \
                 of them choose endpoints (bpftool cgroup tree shows them)",
            )
        }
        Err(error) => Line::new(
            Verdict::Warn,
            what,
            format!("cannot be listed: {}", said(error)),
        ),
    }
}

/// An error and its causes.
fn said(error: KernelError) -> String {
    format!("{:#}", anyhow::Error::from(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_to_do() {
        let lines = [
            Line::ok("kernel", "Linux 6.18"),
            Line::new(Verdict::Fail, "cgroup v2", "none").help("mount one"),
        ];
        let text = text(&lines);
        assert_eq!(
            anstream::adapter::strip_str(&text).to_string(),
            "ok    kernel            Linux 6.18\n\
             fail  cgroup v2         none\n                        mount one\n"
        );
    }

    /// Whatever the machine, each line is there once, and a failure says what to do.
    #[test]
    fn everything_is_examined() {
        let lines = examine(Some(Path::new("/proc")));
        let names: Vec<&str> = lines.iter().map(|line| line.what).collect();
        assert!(names.contains(&"cgroup v2") && names.contains(&"features"));
        let failed = lines.iter().filter(|line| line.verdict == Verdict::Fail);
        let failed: Vec<&Line> = failed.collect();
        // /proc is no cgroup.
        assert!(failed.iter().any(|line| line.what == "cgroup v2"));
        assert!(
            failed.iter().all(|line| !line.help.is_empty()),
            "{failed:?}"
        );
    }
}
