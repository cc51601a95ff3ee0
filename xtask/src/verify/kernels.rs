//! The kernels: Debian's own packages, found through this machine's own package sources when they are
//! wanted, and kept below `target`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    process::{answer, run, say},
    workspace::root,
};

/// A kernel to look at.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kernel {
    /// Too old: refused in one sentence.
    V5_10,
    V6_1,
    V6_12,
    Newest,
    /// That of this machine.
    Running,
}

const ALL: [Kernel; 5] = [
    Kernel::V5_10,
    Kernel::V6_1,
    Kernel::V6_12,
    Kernel::Newest,
    Kernel::Running,
];

impl Kernel {
    /// As it is asked for.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::V5_10 => "5.10",
            Self::V6_1 => "6.1",
            Self::V6_12 => "6.12",
            Self::Newest => "newest",
            Self::Running => "running",
        }
    }

    /// Whether steer must refuse it.
    pub(crate) const fn is_too_old(self) -> bool {
        matches!(self, Self::V5_10)
    }

    /// Whether a version of a package is one of it.
    fn is(self, version: &str) -> bool {
        match self {
            Self::Newest => true,
            Self::Running => false,
            Self::V5_10 | Self::V6_1 | Self::V6_12 => version
                .strip_prefix(self.name())
                .is_some_and(|rest| rest.starts_with('.')),
        }
    }
}

/// Those that were named; all if none was.
pub(crate) fn wanted(names: &[String]) -> Result<Vec<Kernel>> {
    if names.is_empty() {
        return Ok(ALL.to_vec());
    }
    let find = |name: &String| {
        let known = || ALL.map(Kernel::name).join(", ");
        let found = ALL.into_iter().find(|kernel| kernel.name() == name);
        found.with_context(|| format!("there is no kernel {name}; there are: {}", known()))
    };
    names.iter().map(find).collect()
}

/// A kernel on this machine's disk.
pub(crate) struct Image {
    pub(crate) kernel: PathBuf,
    pub(crate) modules: PathBuf,
}

/// Where everything of this command is kept.
pub(super) fn folder() -> PathBuf {
    root().join("target/verify")
}

/// Fetches a kernel, unless it is here already.
pub(crate) fn fetch(kernel: Kernel) -> Result<Image> {
    let folder = folder().join(kernel.name());
    if let Some(image) = unpacked(&folder) {
        return Ok(image);
    }
    let sources = Sources::prepare()?;
    let fresh = self::folder().join(format!("{}.new", kernel.name()));
    if fresh.exists() {
        fs::remove_dir_all(&fresh)?;
    }
    fs::create_dir_all(&fresh)?;
    for package in sources.packages(kernel)? {
        sources.unpack(&package, &fresh)?;
    }
    ensure!(unpacked(&fresh).is_some(), "the packages hold no kernel");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::rename(&fresh, &folder)?;
    unpacked(&folder).context("the kernel is gone again")
}

/// Kernels lie in `/boot`, or beside their modules since the packages were split.
fn unpacked(folder: &Path) -> Option<Image> {
    let modules = ["lib/modules", "usr/lib/modules"]
        .into_iter()
        .filter_map(|path| fs::read_dir(folder.join(path)).ok())
        .flatten()
        .find_map(|entry| Some(entry.ok()?.path()))?;
    let beside = Some(modules.join("vmlinuz")).filter(|path| path.is_file());
    let kernel = beside.or_else(|| {
        let boot = fs::read_dir(folder.join("boot")).ok()?;
        boot.filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| {
                path.file_name()
                    .is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz"))
            })
    })?;
    Some(Image { kernel, modules })
}

/// The package that leads to the kernels for guests, of every release.
const META: &str = "linux-image-cloud-amd64";
const SUITES: [&str; 4] = ["bullseye", "bookworm", "trixie", "sid"];
const SECURED: [&str; 3] = ["bullseye", "bookworm", "trixie"];

/// Lists of packages of their own: the machine's are left as they are.
struct Sources {
    config: PathBuf,
}

impl Sources {
    /// Fetches the lists from where this machine has its packages from.
    fn prepare() -> Result<Self> {
        let folder = folder().join("apt");
        for part in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(folder.join(part))?;
        }
        let at = folder.display();
        fs::write(folder.join("status"), "")?;
        fs::write(folder.join("sources.list"), sources()?)?;
        let config = folder.join("apt.conf");
        let text = format!(
            "Dir::Etc::sourcelist \"{at}/sources.list\";\nDir::Etc::sourceparts \"-\";\n\
             Dir::State \"{at}\";\nDir::State::lists \"{at}/lists\";\n\
             Dir::State::status \"{at}/status\";\nDir::Cache \"{at}/cache\";\n\
             Acquire::Languages \"none\";\nAPT::Sandbox::User \"root\";\n"
        );
        fs::write(&config, text)?;
        let sources = Self { config };
        say("fetching lists of packages (network)");
        run(sources.apt("apt-get").args(["-qq", "update"]))
            .context("the lists of Debian's packages cannot be fetched")?;
        Ok(sources)
    }

    fn apt(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("APT_CONFIG", &self.config).env("LC_ALL", "C");
        command
    }

    /// The packages that hold a kernel and its modules.
    fn packages(&self, kernel: Kernel) -> Result<Vec<String>> {
        let said = answer(self.apt("apt-cache").args(["madison", META])).unwrap_or_default();
        let version = said
            .lines()
            .filter_map(|line| line.split('|').nth(1))
            .map(str::trim)
            .find(|version| kernel.is(version))
            .with_context(|| format!("no package {META} of Linux {}", kernel.name()))?;
        let images = self.depends(META, version)?;
        let image = images
            .iter()
            .find(|name| name.starts_with("linux-image-"))
            .with_context(|| format!("{META} {version} leads to no kernel"))?;
        let parts: Vec<String> = self
            .depends(image, version)?
            .into_iter()
            .filter(|name| {
                ["linux-binary-", "linux-modules-"]
                    .iter()
                    .any(|part| name.starts_with(part))
            })
            .map(|name| format!("{name}={version}"))
            .collect();
        if parts.is_empty() {
            return Ok(vec![format!("{image}={version}")]);
        }
        Ok(parts)
    }

    fn depends(&self, package: &str, version: &str) -> Result<Vec<String>> {
        let wanted = format!("{package}={version}");
        let said = answer(self.apt("apt-cache").args(["show", &wanted]))
            .with_context(|| format!("there is no package {wanted}"))?;
        Ok(depends(&said))
    }

    fn unpack(&self, package: &str, to: &Path) -> Result<()> {
        let folder = folder().join("packages");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        run(self
            .apt("apt-get")
            .current_dir(&folder)
            .args(["-qq", "download", package]))?;
        for entry in fs::read_dir(&folder)? {
            run(Command::new("dpkg-deb")
                .arg("-x")
                .arg(entry?.path())
                .arg(to))?;
        }
        fs::remove_dir_all(&folder)?;
        Ok(())
    }
}

/// Names of what a package depends on, as `apt-cache show` says it.
fn depends(said: &str) -> Vec<String> {
    let line = said.lines().find_map(|line| line.strip_prefix("Depends: "));
    let one = |part: &str| part.trim().split(' ').next().map(str::to_owned);
    line.unwrap_or_default()
        .split(',')
        .filter_map(one)
        .collect()
}

/// A sources list of the releases that have the kernels, from this machine's own archives.
fn sources() -> Result<String> {
    let format = "$(LABEL) $(REPO_URI)";
    let said = answer(Command::new("apt-get").args(["indextargets", "--format", format]));
    let said = said.context("this machine has no apt-get: kernels come as Debian's packages")?;
    let archive = |label: &str| {
        let mut lines = said.lines();
        lines.find_map(|line| line.strip_prefix(label)?.strip_prefix(' '))
    };
    let Some(main) = archive("Debian") else {
        bail!("the package sources of this machine name no archive of Debian's");
    };
    let mut lines: Vec<String> = SUITES
        .map(|suite| format!("deb {main} {suite} main\n"))
        .into();
    if let Some(security) = archive("Debian-Security") {
        lines.extend(SECURED.map(|suite| format!("deb {security} {suite}-security main\n")));
    }
    Ok(lines.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_belong_to_kernels() {
        assert!(Kernel::V6_1.is("6.1.192-2") && !Kernel::V6_1.is("6.12.118-1"));
        assert!(Kernel::V6_12.is("6.12.118-1") && Kernel::Newest.is("7.2.13-1"));
    }

    #[test]
    fn what_a_package_depends_on() {
        let said =
            "Package: a\nDepends: linux-base (= 7.2), linux-image-7.2 (= 7.2), kmod\nSize: 1\n";
        assert_eq!(depends(said), ["linux-base", "linux-image-7.2", "kmod"]);
    }

    #[test]
    fn kernels_are_known_by_name() {
        assert_eq!(wanted(&[]).unwrap().len(), ALL.len());
        let one = wanted(&["6.1".to_owned()]).unwrap();
        assert!(one == [Kernel::V6_1]);
        assert!(wanted(&["2.6".to_owned()]).is_err());
    }
}
