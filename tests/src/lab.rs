//! A lab: raised by a builder, taken down without a trace.

use std::{
    collections::BTreeMap,
    env, fs,
    net::IpAddr,
    process,
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    dirs::{Dirs, Lock},
    mounts, need,
    pod::Pod,
    record::{HostRecord, Kind, Record},
};

mod wiring;

pub use wiring::Network;

/// Set to 1, labs outlive their tests, for a look at what went wrong.
pub const KEEP: &str = "STEER_LAB_KEEP";

/// How long a name may be held by somebody who does not own the lab.
const CLAIM_MAX: Duration = Duration::from_millis(500);

/// Name of the node among the hosts.
pub const NODE: &str = "node";

/// A host to be raised.
#[derive(Clone, Debug)]
pub struct HostSpec {
    /// Its name, unique in the lab.
    pub name: String,
    /// A pod or a machine outside.
    pub kind: Kind,
    /// Kubernetes namespace; its search domains follow from it.
    pub namespace: String,
    /// Labels of the pod.
    pub labels: BTreeMap<String, String>,
    /// Its addresses, of both families if it is to speak both.
    pub addresses: Vec<IpAddr>,
}

impl HostSpec {
    /// A pod of the namespace `default`.
    pub fn pod(name: &str, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        Self {
            name: name.to_owned(),
            kind: Kind::Pod,
            namespace: "default".to_owned(),
            labels: BTreeMap::new(),
            addresses: addresses.into_iter().collect(),
        }
    }

    /// A machine of another network, behind the node.
    pub fn outside(name: &str, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        Self {
            kind: Kind::Outside,
            ..Self::pod(name, addresses)
        }
    }
}

/// A lab in the making.
#[derive(Clone, Debug)]
pub struct Builder {
    name: String,
    network: Network,
    hosts: Vec<HostSpec>,
}

impl Builder {
    /// Adds a host.
    #[must_use]
    pub fn host(mut self, spec: HostSpec) -> Self {
        self.hosts.push(spec);
        self
    }

    /// Adds several hosts.
    #[must_use]
    pub fn hosts(mut self, specs: impl IntoIterator<Item = HostSpec>) -> Self {
        self.hosts.extend(specs);
        self
    }

    /// Pods resolve names there; the address of the service `kube-dns` if not said.
    #[must_use]
    pub fn nameserver(mut self, address: IpAddr) -> Self {
        self.network.nameserver = address;
        self
    }

    /// Raises it. What a crashed lab of this name left is removed first.
    pub fn build(self) -> Result<Lab> {
        need::check()?;
        let dirs = Dirs::new(&self.name)?;
        let lock = claim(&dirs)?;
        clear(&dirs)?;
        // From here on, dropping the lab removes whatever was made.
        let mut lab = Lab {
            record: Record {
                owner: process::id(),
                ..Record::default()
            },
            network: self.network,
            hosts: Vec::new(),
            lock: Some(lock),
            dirs,
        };
        lab.found()?;
        for spec in self.hosts {
            lab.add(spec)?;
        }
        Ok(lab)
    }
}

/// A lab that stands. Dropped by its owner, it is gone.
#[derive(Debug)]
pub struct Lab {
    dirs: Dirs,
    record: Record,
    network: Network,
    hosts: Vec<Pod>,
    /// The owner holds it; who only visits does not.
    lock: Option<Lock>,
}

impl Lab {
    /// Starts the making of a lab.
    pub fn builder(name: &str) -> Builder {
        Builder {
            name: name.to_owned(),
            network: Network::default(),
            hosts: Vec::new(),
        }
    }

    /// A name that no other lab on this machine has.
    pub fn fresh_name(purpose: &str) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        format!("{purpose}-{}-{count}", process::id())
    }

    /// Visits a lab that another process raised.
    pub fn open(name: &str) -> Result<Self> {
        let dirs = Dirs::new(name)?;
        if !dirs.run().exists() {
            bail!("there is no lab {name}");
        }
        let record = Record::read(&dirs)?;
        let hosts = record
            .hosts
            .iter()
            .map(|host| Pod::new(&dirs, host.clone()));
        let hosts = hosts
            .collect::<Result<_>>()
            .with_context(|| format!("open the lab {name}"))?;
        Ok(Self {
            network: Network::default(),
            lock: None,
            dirs,
            record,
            hosts,
        })
    }

    /// Lets the lab live on when this process ends; `sweep` takes it down.
    pub fn keep(mut self) -> Result<()> {
        self.outlive()
    }

    /// Takes the lab `name` down, unless a living process owns it.
    pub fn sweep(name: &str) -> Result<()> {
        let dirs = Dirs::new(name)?;
        let _lock = hold(&dirs)?;
        clear(&dirs)?;
        dirs.remove()
    }

    /// Takes down every lab whose owner died and that was not meant to outlive it. Says which.
    pub fn sweep_stale() -> Result<Vec<String>> {
        let mut swept = Vec::new();
        for name in Dirs::names()? {
            let dirs = Dirs::new(&name)?;
            let Some(_lock) = dirs.lock()? else { continue };
            if Record::read(&dirs).is_ok_and(|record| record.persistent) {
                continue;
            }
            clear(&dirs)?;
            dirs.remove()?;
            swept.push(name);
        }
        Ok(swept)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.dirs.name()
    }

    /// Its places: configuration, pins, state, logs.
    pub fn dirs(&self) -> &Dirs {
        &self.dirs
    }

    /// Every host, the node first.
    pub fn hosts(&self) -> &[Pod] {
        &self.hosts
    }

    /// The host `name`.
    pub fn pod(&self, name: &str) -> Result<&Pod> {
        let found = self.hosts.iter().find(|host| host.name() == name);
        found.with_context(|| format!("the lab {} has no host {name}", self.name()))
    }

    /// The node.
    pub fn node(&self) -> Result<&Pod> {
        self.pod(NODE)
    }

    /// Adds a host to a lab that stands.
    pub fn add(&mut self, spec: HostSpec) -> Result<&Pod> {
        if self.pod(&spec.name).is_ok() {
            bail!("the lab has a host {} already", spec.name);
        }
        let pod = wiring::raise(&self.dirs, &self.network, &self.hosts, spec)?;
        self.enlist(pod)
    }

    /// Takes a host away: its processes end, and its network with them.
    pub fn remove(&mut self, name: &str) -> Result<()> {
        let found = self.hosts.iter().position(|host| host.name() == name);
        let host = self
            .hosts
            .remove(found.with_context(|| format!("the lab has no host {name}"))?);
        host.cgroup().kill()?;
        host.reap();
        host.cgroup().remove()?;
        self.record.hosts.retain(|record| record.name != name);
        self.record.write(&self.dirs)
    }

    /// Makes what every lab has: directories, the file system for pins, cgroups, the node.
    fn found(&mut self) -> Result<()> {
        for directory in [self.dirs.state(), self.dirs.config(), self.dirs.logs()] {
            fs::create_dir_all(directory)?;
        }
        self.record.write(&self.dirs)?;
        mounts::mount_bpf(&self.dirs.bpf())?;
        let node = wiring::raise_node(&self.dirs, &self.network)?;
        self.enlist(node)?;
        Ok(())
    }

    fn enlist(&mut self, pod: Pod) -> Result<&Pod> {
        self.record.hosts.push(HostRecord::clone(pod.record()));
        self.hosts.push(pod);
        self.record.write(&self.dirs)?;
        self.hosts.last().context("a host was just added")
    }

    fn outlive(&mut self) -> Result<()> {
        self.record.persistent = true;
        self.record.write(&self.dirs)?;
        self.lock = None;
        Ok(())
    }

    fn take_down(&self) -> Result<()> {
        self.dirs.cgroup().kill()?;
        for host in &self.hosts {
            host.reap();
        }
        clear(&self.dirs)?;
        self.dirs.remove()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if self.lock.is_none() {
            return;
        }
        if env::var(KEEP).is_ok_and(|value| value == "1") && self.outlive().is_ok() {
            return;
        }
        if let Err(error) = self.take_down() {
            // Nobody can be told otherwise; the next sweep finds it by its directory.
            let _ = fs::write(
                self.dirs.run().join("take-down.error"),
                format!("{error:#}"),
            );
        }
    }
}

/// Becomes the owner of the lab's name, if no such lab is up.
fn claim(dirs: &Dirs) -> Result<Lock> {
    let lock = hold(dirs)?;
    if Record::read(dirs).is_ok_and(|record| record.persistent) {
        bail!("the lab {} is up already", dirs.name());
    }
    Ok(lock)
}

/// Holds the lab's name.
fn hold(dirs: &Dirs) -> Result<Lock> {
    let started = Instant::now();
    loop {
        if let Some(lock) = dirs.lock()? {
            return Ok(lock);
        }
        // Who sweeps a lab holds its lock for a moment, and so does a process that was forked by an
        // owner who died before it became another program.
        if started.elapsed() > CLAIM_MAX {
            let (name, owner) = (dirs.name(), owner(dirs));
            bail!("the lab {name} belongs to the living process {owner}");
        }
        thread::sleep(Duration::from_millis(5));
    }
}

fn owner(dirs: &Dirs) -> u32 {
    Record::read(dirs).map_or(0, |record| record.owner)
}

/// Removes everything of a lab but its directory, which is left empty and locked.
fn clear(dirs: &Dirs) -> Result<()> {
    dirs.cgroup().kill()?;
    mounts::unmount_bpf(&dirs.bpf())?;
    dirs.cgroup().remove()?;
    for entry in fs::read_dir(dirs.run())? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
