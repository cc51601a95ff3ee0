//! A host of the lab, and running things on it: a pod, the node, or a machine outside.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{Read as _, Seek as _, SeekFrom},
    net::{IpAddr, SocketAddr, TcpStream},
    os::fd::BorrowedFd,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    cgroup::Cgroup,
    dirs::Dirs,
    netns::{self, Namespaces},
    process,
    record::{HostRecord, Kind},
};

/// How long a server may take until it listens.
const LISTENING_MAX: Duration = Duration::from_secs(10);

/// A running host: namespaces, a cgroup and a directory.
#[derive(Debug)]
pub struct Pod {
    record: HostRecord,
    namespaces: Arc<Namespaces>,
    cgroup: Cgroup,
    directory: PathBuf,
    logs: PathBuf,
    children: Mutex<Vec<Child>>,
}

impl Pod {
    /// The host that `record` tells of; its keeper runs.
    pub(crate) fn new(dirs: &Dirs, record: HostRecord) -> Result<Self> {
        let cgroup = cgroup_of(dirs, record.kind, &record.name);
        if !cgroup.processes()?.contains(&record.pause) {
            bail!("the process that keeps {} is gone", record.name);
        }
        Ok(Self {
            namespaces: Arc::new(Namespaces::of(record.pause)?),
            directory: dirs.host(&record.name),
            logs: dirs.logs(),
            children: Mutex::default(),
            cgroup,
            record,
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.record.name
    }

    /// What was written down about it: labels, namespace, addresses.
    pub fn record(&self) -> &HostRecord {
        &self.record
    }

    /// The first IPv4 address.
    pub fn v4(&self) -> Result<IpAddr> {
        self.first(IpAddr::is_ipv4)
            .with_context(|| format!("{} has no IPv4 address", self.name()))
    }

    /// The first IPv6 address.
    pub fn v6(&self) -> Result<IpAddr> {
        self.first(IpAddr::is_ipv6)
            .with_context(|| format!("{} has no IPv6 address", self.name()))
    }

    /// Its cgroup.
    pub fn cgroup(&self) -> &Cgroup {
        &self.cgroup
    }

    /// Its network namespace.
    pub fn net(&self) -> BorrowedFd<'_> {
        self.namespaces.net()
    }

    /// Where its files are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A command that will run on this host: in its namespaces and in its cgroup.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Result<Command> {
        let mut command = Command::new(program);
        process::send_into(&mut command, Arc::clone(&self.namespaces), &self.cgroup)?;
        Ok(command)
    }

    /// Runs a program to its end and hands over what it printed. A failure is an error.
    pub fn run<A: AsRef<OsStr>>(&self, program: &str, arguments: &[A]) -> Result<String> {
        let mut command = self.command(program)?;
        let output = command.args(arguments).stdin(Stdio::null()).output();
        let output = output.with_context(|| format!("run {program} on {}", self.name()))?;
        if !output.status.success() {
            let complaint = String::from_utf8_lossy(&output.stderr);
            bail!(
                "{program} on {}: {}: {}",
                self.name(),
                output.status,
                complaint.trim_end()
            );
        }
        String::from_utf8(output.stdout).with_context(|| format!("{program} printed no UTF-8"))
    }

    /// Runs `work` on a thread in its network namespace, but not in its cgroup: nobody steers it.
    pub fn in_network<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        netns::inside(self.net(), work)
    }

    /// Starts a server that lives as long as the lab. Its output goes to the log `name`.
    pub fn start(&self, name: &str, mut command: Command) -> Result<u32> {
        process::detach(&mut command, &self.log(name))?;
        let child = command
            .spawn()
            .with_context(|| format!("start {name} on {}", self.name()))?;
        let pid = child.id();
        self.adopt(child);
        Ok(pid)
    }

    /// Where the server `name` of this host writes its output.
    pub fn log(&self, name: &str) -> PathBuf {
        self.logs.join(format!("{}.{name}.log", self.name()))
    }

    /// Waits until something accepts TCP connections on `port` of this host.
    pub fn wait_until_listening(&self, port: u16, server: &str) -> Result<()> {
        let address = SocketAddr::new(self.v4().or_else(|_| self.v6())?, port);
        let heard = self.in_network(|| {
            let started = Instant::now();
            while started.elapsed() < LISTENING_MAX {
                if TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok() {
                    return Ok(true);
                }
                thread::sleep(Duration::from_millis(2));
            }
            Ok(false)
        })?;
        if heard {
            return Ok(());
        }
        let log = tail(&self.log(server), 2000).unwrap_or_default();
        bail!(
            "{server} on {} does not listen on {address}: {log}",
            self.name()
        )
    }

    /// Keeps a child, to reap it with the lab.
    pub(crate) fn adopt(&self, child: Child) {
        self.children
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(child);
    }

    /// Reaps the children. They must have been killed.
    pub(crate) fn reap(&self) {
        let mut children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
        for mut child in children.drain(..) {
            // An error means that somebody else reaped it.
            let _ = child.wait();
        }
    }

    fn first(&self, fits: impl Fn(&IpAddr) -> bool) -> Option<IpAddr> {
        self.record.addresses.iter().copied().find(fits)
    }
}

/// The cgroup of a host: what is steered and what is not stand apart.
pub(crate) fn cgroup_of(dirs: &Dirs, kind: Kind, name: &str) -> Cgroup {
    let above = match kind {
        Kind::Node | Kind::Pod => dirs.cluster_cgroup(),
        Kind::Outside => dirs.outside_cgroup(),
    };
    Cgroup::at(above.path().join(name))
}

/// The last `bytes` of a file, for messages.
pub fn tail(path: &Path, bytes: u64) -> Result<String> {
    let mut file = File::open(path)?;
    let length = fs::metadata(path)?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(bytes)))?;
    let mut out = Vec::new();
    file.read_to_end(&mut out)?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}
