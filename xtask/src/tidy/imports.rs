//! Who may name what: the pipeline is pure until its last step, and only `kernel` knows aya.

use super::{Problem, paths::named, tree::Tree};

/// Modules of `steer-userspace`, and what they must not name.
struct Rule {
    modules: &'static [&'static str],
    except: &'static [&'static str],
    forbidden: &'static [&'static str],
    why: &'static str,
}

/// What turns text into rows: functions of their input.
const PURE: &[&str] = &[
    "source",
    "desired",
    "image",
    "plan",
    "live",
    "finding",
    "install",
    "requests",
    "access_log",
    "telemetry",
];

const RULES: [Rule; 10] = [
    Rule {
        modules: PURE,
        except: &[
            "source::files",
            "source::kubernetes",
            "install::server",
            "access_log::writer",
        ],
        forbidden: &[
            "std::env",
            "std::fs",
            "std::process",
            "std::thread",
            "std::time::Instant",
            "std::time::SystemTime",
            "libc",
            "nix",
            "notify",
            "tokio",
        ],
        why: "a function of its input has no I/O, no clock and no threads",
    },
    Rule {
        modules: &[""],
        except: &["kernel"],
        forbidden: &["aya", "aya_obj"],
        why: "only kernel/ knows aya",
    },
    Rule {
        modules: &[""],
        except: &["source::kubernetes", "feedback", "install::server"],
        forbidden: &["kube"],
        why: "only source/kubernetes, feedback and install/server.rs talk to an API server",
    },
    Rule {
        modules: &["source"],
        except: &[],
        forbidden: &[
            "crate::desired",
            "crate::image",
            "crate::plan",
            "crate::live",
        ],
        why: "source says what was written, not what it means",
    },
    Rule {
        modules: &["desired"],
        except: &[],
        forbidden: &[
            "crate::image",
            "crate::live",
            "crate::plan",
            "steer_common::Endpoint",
            "steer_common::Route",
            "steer_common::ServiceKey",
            "steer_common::endpoint",
            "steer_common::flow",
            "steer_common::logic",
            "steer_common::service::Route",
            "steer_common::service::RowId",
            "steer_common::service::ServiceKey",
            "steer_common::service::SplitId",
        ],
        why: "desired knows nothing of maps",
    },
    Rule {
        modules: &["image", "plan"],
        except: &[],
        forbidden: &["crate::source"],
        why: "image and plan know nothing of what was written",
    },
    Rule {
        modules: &["image"],
        except: &[],
        forbidden: &["crate::plan", "crate::live"],
        why: "an image does not know how it is reached",
    },
    Rule {
        modules: PURE,
        except: &["source::files", "source::kubernetes"],
        forbidden: &[
            "crate::kernel",
            "crate::node",
            "crate::control",
            "crate::proxy",
            "crate::cli",
        ],
        why: "the pipeline knows nothing of what drives it",
    },
    Rule {
        modules: &["kernel"],
        except: &[],
        forbidden: &[
            "crate::source",
            "crate::control",
            "crate::proxy",
            "crate::cli",
        ],
        why: "kernel/ applies rows, whoever asks",
    },
    Rule {
        modules: &["dashboard"],
        except: &[],
        forbidden: &[
            "crate::desired",
            "crate::image",
            "crate::kernel",
            "crate::live",
            "crate::plan",
        ],
        why: "the dashboard shows what agents tell",
    },
];

const SOURCES: &str = "steer-userspace/src/";

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (path, file) in tree.rust() {
        let Some(module) = module(path) else { continue };
        let paths = named(file, &module);
        for rule in RULES.iter().filter(|rule| rule.holds_for(&module)) {
            for forbidden in rule.forbidden {
                let broken = paths.iter().filter(|path| path.is_in(forbidden));
                problems.extend(broken.map(|found| {
                    Problem::new(path, found.line, format!("names {forbidden}: {}", rule.why))
                }));
            }
        }
    }
    problems.sort();
    problems.dedup();
    problems
}

impl Rule {
    fn holds_for(&self, module: &[&str]) -> bool {
        let within = |prefix: &&str| {
            let mut parts = module.iter();
            prefix.is_empty() || prefix.split("::").all(|part| parts.next() == Some(&part))
        };
        self.modules.iter().any(within) && !self.except.iter().any(within)
    }
}

/// The module of a file of the library; nothing for tests.
fn module(path: &str) -> Option<Vec<&str>> {
    let inside = path.strip_prefix(SOURCES)?.strip_suffix(".rs")?;
    let mut parts: Vec<&str> = inside.split('/').collect();
    if parts.contains(&"tests") {
        return None;
    }
    if matches!(parts.last(), Some(&("mod" | "lib" | "main"))) {
        parts.pop();
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree;

    fn found(path: &str, text: &str) -> Vec<String> {
        tree::found(check, &[(&format!("{SOURCES}{path}"), text)])
    }

    #[test]
    fn pure_modules_do_no_io() {
        assert_eq!(
            found(
                "desired/lower.rs",
                "fn f() {}\nuse std::{fs, time::SystemTime};"
            ),
            [
                "steer-userspace/src/desired/lower.rs:2: names std::fs: a function of its input \
                 has no I/O, no clock and no threads",
                "steer-userspace/src/desired/lower.rs:2: names std::time::SystemTime: a function \
                 of its input has no I/O, no clock and no threads",
            ]
        );
        assert!(found("source/files.rs", "use std::fs;").is_empty());
        assert!(found("control/mod.rs", "use std::fs;").is_empty());
        assert!(found("desired/tests.rs", "use std::fs;").is_empty());
    }

    #[test]
    fn only_kernel_names_aya() {
        assert_eq!(found("control/engine.rs", "fn f(x: aya::Ebpf) {}").len(), 1);
        assert_eq!(found("lib.rs", "use aya::Ebpf;").len(), 1);
        assert!(found("kernel/load.rs", "use aya::Ebpf;").is_empty());
    }

    #[test]
    fn the_pipeline_has_one_direction() {
        assert_eq!(found("source/mod.rs", "use crate::desired::X;").len(), 1);
        assert_eq!(
            found("image/mod.rs", "use crate::{source::X, desired::Y};").len(),
            1
        );
        assert_eq!(
            found("image/model.rs", "use super::super::source::X;").len(),
            1
        );
        assert_eq!(
            found("desired/model.rs", "use steer_common::service::Route;").len(),
            1
        );
        assert!(found("desired/model.rs", "use steer_common::Port;").is_empty());
        assert!(found("image/compile.rs", "use crate::desired::X;").is_empty());
        assert!(found("plan/adopt.rs", "use crate::live::Live;").is_empty());
        assert_eq!(found("source/mod.rs", "use crate::live::Live;").len(), 1);
    }
}
