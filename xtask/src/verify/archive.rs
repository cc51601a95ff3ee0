//! What a guest has for files: the runner as its first process, the programs and libraries that tests
//! start, and modules in the order in which they are loaded.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};

use super::{
    BINARIES, Programs,
    kernels::{Image, folder},
};
use crate::{
    process::{answer, find},
    workspace::root,
};

/// Where the programs of the tests lie in a guest.
pub(super) const HOME: &str = "/opt/steer";
/// Real clients and servers that the tests start.
const TOOLS: [&str; 5] = ["sleep", "nginx", "dnsmasq", "curl", "openssl"];
/// What the lab and the guard need of the kernel, which distributions build as modules. A kernel that
/// has one built in has no such file.
const MODULES: [&str; 4] = ["veth", "sch_ingress", "cls_bpf", "act_bpf"];
/// What the tests read, where they were built.
const SOURCES: [&str; 2] = ["tests/suite/kernel", "examples/bookstore"];

/// Packs the files of a guest; says where the archive is.
pub(super) fn pack(name: &str, image: &Image, programs: &Programs) -> Result<PathBuf> {
    let place = folder().join("guest");
    if place.exists() {
        fs::remove_dir_all(&place)?;
    }
    let files = Files { place };
    files.programs(programs)?;
    files.tools()?;
    files.python()?;
    files.settings()?;
    files.modules(image)?;
    let archive = folder().join(format!("{name}.cpio"));
    files.archive(&archive)?;
    fs::remove_dir_all(&files.place)?;
    Ok(archive)
}

/// The files, before they are packed.
struct Files {
    place: PathBuf,
}

impl Files {
    fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.place.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Copies a file, following links.
    fn copy(&self, from: &Path, to: &Path) -> Result<PathBuf> {
        let to = self.at(to);
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::copy(from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
        Ok(to)
    }

    /// Copies a program with its libraries, without what only debuggers read.
    fn program(&self, from: &Path, to: &Path) -> Result<()> {
        let copied = self.copy(from, to)?;
        run_quietly(Command::new("strip").arg("--strip-debug").arg(&copied))?;
        for library in libraries(from) {
            self.copy(&library, &library)?;
        }
        Ok(())
    }

    fn programs(&self, programs: &Programs) -> Result<()> {
        for name in BINARIES {
            self.program(programs.binary(name)?, &Path::new(HOME).join(name))?;
        }
        // Programs of tests lie one directory further down.
        for (name, path) in &programs.suites {
            self.program(path, &Path::new(HOME).join("deps").join(name))?;
        }
        symlink(Path::new(HOME).join("steer-verify"), self.at("/init"))?;
        for folder in SOURCES {
            self.tree(&root().join(folder), &[])?;
        }
        Ok(())
    }

    fn tools(&self) -> Result<()> {
        for name in TOOLS {
            let path = find(name).with_context(|| format!("{name} is not installed"))?;
            self.program(&path, &Path::new("/usr/bin").join(name))?;
        }
        Ok(())
    }

    /// The system's Python, with its standard library: not one of an environment, which is a script.
    fn python(&self) -> Result<()> {
        let python = Path::new("/usr/bin/python3");
        let ask = "import sysconfig; print(sysconfig.get_path('stdlib'))";
        let library = answer(Command::new(python).args(["-I", "-c", ask]))
            .context("/usr/bin/python3 is missing; type: apt-get install python3")?;
        let library = Path::new(library.trim());
        self.program(python, python)?;
        self.tree(
            library,
            &[
                "test",
                "__pycache__",
                "idlelib",
                "tkinter",
                "lib2to3",
                "ensurepip",
            ],
        )
    }

    fn tree(&self, from: &Path, without: &[&str]) -> Result<()> {
        for entry in fs::read_dir(from)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default();
            if without.iter().any(|other| name == *other) {
                continue;
            }
            if path.is_dir() {
                self.tree(&path, without)?;
            } else {
                let library = path.extension().is_some_and(|extension| extension == "so");
                let copied = self.copy(&path, &path)?;
                if library {
                    for needed in libraries(&copied) {
                        self.copy(&needed, &needed)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// What programs read of a machine; pods put files of their own over some.
    fn settings(&self) -> Result<()> {
        for (path, text) in [
            ("/etc/resolv.conf", ""),
            ("/etc/hosts", "127.0.0.1 localhost\n"),
            ("/etc/passwd", "root:x:0:0::/:/bin/sh\n"),
            ("/etc/group", "root:x:0:\n"),
            ("/etc/nsswitch.conf", "hosts: files dns\n"),
        ] {
            let path = self.at(path);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(path, text)?;
        }
        for directory in ["/modules", "/tmp", "/var/log/nginx", "/var/lib/nginx"] {
            fs::create_dir_all(self.at(directory))?;
        }
        Ok(())
    }

    fn modules(&self, image: &Image) -> Result<()> {
        for (number, name) in MODULES.iter().enumerate() {
            let Some(found) = module(&image.modules, name)? else {
                continue;
            };
            let to = self.at(format!("/modules/{number}-{name}.ko"));
            if found.extension().is_some_and(|extension| extension == "xz") {
                let out = File::create(to)?;
                run_quietly(Command::new("xz").arg("-dc").arg(&found).stdout(out))?;
            } else {
                fs::copy(&found, to)?;
            }
        }
        Ok(())
    }

    fn archive(&self, to: &Path) -> Result<()> {
        let mut list = String::new();
        names(&self.place, Path::new("."), &mut list)?;
        let names = folder().join("names");
        fs::write(&names, list)?;
        run_quietly(
            Command::new("cpio")
                .args(["--create", "--format=newc", "--quiet", "--owner=0:0"])
                .current_dir(&self.place)
                .stdin(File::open(&names)?)
                .stdout(File::create(to)?),
        )?;
        fs::remove_file(names)?;
        Ok(())
    }
}

/// A module by its name, however deep.
fn module(folder: &Path, name: &str) -> Result<Option<PathBuf>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        // Links lead to sources that were not unpacked.
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            if let Some(found) = module(&path, name)? {
                return Ok(Some(found));
            }
        } else if path
            .file_name()
            .and_then(|file| file.to_str()?.split_once('.'))
            .is_some_and(|(stem, end)| stem == name && matches!(end, "ko" | "ko.xz"))
        {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// The libraries that a program is loaded with, the loader among them.
fn libraries(program: &Path) -> BTreeSet<PathBuf> {
    let said = answer(Command::new("ldd").arg(program)).unwrap_or_default();
    let path = |line: &str| {
        let found = line.split_whitespace().find(|word| word.starts_with('/'))?;
        Some(PathBuf::from(found))
    };
    said.lines().filter_map(path).collect()
}

/// Every name below a directory, a directory before what is in it.
fn names(place: &Path, below: &Path, list: &mut String) -> Result<()> {
    for entry in fs::read_dir(place.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        let Some(name) = path.to_str() else {
            bail!("{} is no name for an archive", path.display());
        };
        list.push_str(name);
        list.push('\n');
        if entry.file_type()?.is_dir() {
            names(place, &path, list)?;
        }
    }
    Ok(())
}

fn run_quietly(command: &mut Command) -> Result<()> {
    let status = command.stderr(Stdio::null()).status();
    let program = command.get_program().to_string_lossy().into_owned();
    let status = status.with_context(|| format!("cannot run {program}"))?;
    ensure!(status.success(), "{program} ended with {status}");
    Ok(())
}
