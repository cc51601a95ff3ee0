//! The guard of a ground: programs loaded, and the policy in force.

use std::env;

use anyhow::Result;
use steer::{
    control::seed,
    kernel::{Kernel, KernelSettings, Maps, Pins, Undo, netns},
    node::connections::Insider,
    plan::{Capacity, EgressRows, Step},
};
use steer_common::{
    Addr,
    addr::PodAddrs,
    egress::PortRow,
    service::{CLASS_ANYONE, Source},
};
use steer_tests::{lab::Lab, link, pod::Pod, record::Kind};

use crate::{
    ground::ATTACKER,
    rows::{FREE, HELD, rows},
};

/// Set to `off`, nothing guards: every attack must escape.
const GUARD: &str = "STEER_EGRESS_GUARD";

/// A guard. When this is dropped no process keeps it any more, and it stays in force.
pub(crate) struct Guard {
    kernel: Kernel,
    rows: EgressRows,
}

impl Guard {
    /// Puts the policy in force.
    pub(crate) fn start(lab: &Lab) -> Result<Option<Self>> {
        Self::start_without(lab, "nobody")
    }

    /// The same, with one pod that nobody knows.
    pub(crate) fn start_without(lab: &Lab, unknown: &str) -> Result<Option<Self>> {
        if env::var(GUARD).is_ok_and(|value| value == "off") {
            return Ok(None);
        }
        let mut rows = rows()?;
        let mut sources = Vec::new();
        for host in lab.hosts().iter().filter(|host| host.name() != unknown) {
            let cookie = cookie(host)?;
            let policy = if host.name() == ATTACKER { HELD } else { FREE };
            let mut source = Source::new(cookie, CLASS_ANYONE, policy, 0);
            if host.record().kind == Kind::Pod {
                let interface = host.in_network(|| link::index("eth0"))?;
                source = source.behind(interface).at(addrs(host));
            }
            sources.push(Step::SetSource { cookie, source });
        }
        let pods = lab.hosts().iter();
        let known = |host: &&Pod| host.record().kind == Kind::Pod && host.name() != unknown;
        for pod in pods.filter(known) {
            let (index, row) = port(lab, pod)?;
            rows.ports.insert(index, row);
        }
        let dirs = lab.dirs();
        let mut guard = Self {
            kernel: Kernel::start(&KernelSettings {
                pins: Pins::new(dirs.pins()),
                cgroup: dirs.cluster_cgroup().path().to_owned(),
                capacity: Capacity::for_services(100),
            })?,
            rows: EgressRows::default(),
        };
        let interfaces: Vec<u32> = rows.ports.keys().copied().collect();
        guard
            .kernel
            .maps_mut()
            .apply(&sources, &mut Undo::default())?;
        guard.seed(lab, unknown)?;
        guard.put(rows)?;
        let ports = guard.kernel.ports_mut();
        lab.node()?.in_network(|| {
            for index in interfaces {
                ports.guard(index)?;
            }
            Ok(())
        })?;
        Ok(Some(guard))
    }

    /// Puts other rows in force.
    pub(crate) fn put(&mut self, rows: EgressRows) -> Result<()> {
        self.kernel.put_egress(&rows)?;
        self.rows = self.kernel.maps().egress.read()?;
        Ok(())
    }

    /// The rows in force.
    pub(crate) fn rows(&self) -> EgressRows {
        self.rows.clone()
    }

    /// Lets the connections be that the pods have.
    fn seed(&mut self, lab: &Lab, unknown: &str) -> Result<()> {
        let maps = &mut self.kernel.maps_mut().egress;
        for host in lab.hosts().iter().filter(|host| host.name() != unknown) {
            host.in_network(|| Ok(seed(maps, &Insider::here()?)?))?;
        }
        Ok(())
    }
}

/// Forgets what answers have taught, whether or not anybody keeps the guard.
pub(crate) fn forget(lab: &Lab) -> Result<()> {
    let mut maps = Maps::open(&Pins::new(lab.dirs().pins()))?;
    Ok(maps.egress.forget_learned()?)
}

fn cookie(pod: &Pod) -> Result<u64> {
    pod.in_network(|| {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
        Ok(netns::cookie(&socket)?)
    })
}

/// The node's end of a pod's pair of interfaces, and whose it is.
fn port(lab: &Lab, pod: &Pod) -> Result<(u32, PortRow)> {
    let name = format!("veth-{}", pod.name());
    let index = lab.node()?.in_network(|| link::index(&name))?;
    let row = PortRow {
        client: cookie(pod)?,
        policy: if pod.name() == ATTACKER { HELD } else { FREE },
        addrs: addrs(pod),
        ..PortRow::default()
    };
    Ok((index, row))
}

fn addrs(pod: &Pod) -> PodAddrs {
    PodAddrs::new(pod.record().addresses.iter().copied().map(Addr::from))
}
