//! What a run of the connect program costs, net of an empty program.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    net::{SocketAddr, UdpSocket},
    os::fd::AsFd as _,
};

use anyhow::{Context as _, Result};
use steer::{
    desired::model::PodRef,
    image::{Image, Source},
    kernel::{Pins, Programs},
};
use steer_common::Proto;
use steer_tests::{cgroup::Cgroup, lab::Lab};

use crate::{
    figures::{Figures, say},
    images,
    stub::Empty,
};

/// A class that some rows are about.
const CLASS: u32 = 7;

/// Counts runs for as long as it is held; the switch is the whole machine's.
struct Counting(String);

const SWITCH: &str = "/proc/sys/kernel/bpf_stats_enabled";

impl Counting {
    fn start() -> Result<Self> {
        let before = fs::read_to_string(SWITCH).context("read kernel.bpf_stats_enabled")?;
        fs::write(SWITCH, "1").context("switch kernel.bpf_stats_enabled on")?;
        Ok(Self(before))
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        // Nothing more can be done about it here.
        let _restored = fs::write(SWITCH, &self.0);
    }
}

/// This process inside a cgroup, for as long as it is held.
struct Inside(std::path::PathBuf);

impl Inside {
    fn enter(cgroup: &Cgroup) -> Result<Self> {
        let own = fs::read_to_string("/proc/self/cgroup")?;
        let own = own
            .lines()
            .find_map(|line| line.strip_prefix("0::/"))
            .unwrap_or_default();
        let back = steer_tests::cgroup::root()?.join(own);
        fs::write(
            cgroup.path().join("cgroup.procs"),
            std::process::id().to_string(),
        )?;
        Ok(Self(back))
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let _back = fs::write(self.0.join("cgroup.procs"), std::process::id().to_string());
    }
}

pub(crate) fn run(full: bool, figures: &mut Figures) -> Result<()> {
    let lab = Lab::builder(&Lab::fresh_name("bench-connect")).build()?;
    let cgroup = Cgroup::create(lab.dirs().cluster_cgroup().path().join("bench"))?;
    let rounds = if full { 9 } else { 3 };
    let _counting = Counting::start()?;
    let empty = {
        let file = File::open(cgroup.path())?;
        let empty = Empty::attach(&file)?;
        let _inside = Inside::enter(&cgroup)?;
        lowest(rounds, 1, |_| 0, || empty.runs())?
    };
    say(&format!(
        "ns a run of steer_connect4 (UDP connect, lowest of {rounds} x 100,000), an empty program: {empty:.1}"
    ));
    let hot_10 = measure(&lab, &cgroup, 10, false, rounds, empty)?;
    for services in [1_000, 10_000] {
        measure(&lab, &cgroup, services, false, rounds, empty)?;
    }
    let hot_100000 = measure(&lab, &cgroup, 100_000, false, rounds, empty)?;
    let classed = measure(&lab, &cgroup, 100_000, true, rounds, empty)?;
    figures.at_most("connect.program_ns_net.hot_10", hot_10, 60.0);
    figures.at_most("connect.program_ns_net.hot_100000", hot_100000, 60.0);
    figures.at_most("connect.program_ns_net.classed_100000", classed, 120.0);
    cgroup.remove()
}

fn measure(
    lab: &Lab,
    cgroup: &Cgroup,
    services: u32,
    classed: bool,
    rounds: u32,
    empty: f64,
) -> Result<f64> {
    let pins = Pins::new(lab.dirs().pins());
    let mut engine = images::engine(lab, cgroup.path(), services.max(100))?;
    engine.apply(&image(services, classed)?)?;
    let programs = Programs::open(&pins)?;
    let _inside = Inside::enter(cgroup)?;
    let counted = || {
        let runs = programs.runs("steer_connect4")?;
        Ok((runs.count, runs.time))
    };
    // Rows of the class stand for an eighth of the services.
    let dialled = if classed { services / 8 } else { services };
    let hot = lowest(rounds, dialled, |_| dialled / 2, counted)? - empty;
    let spread = |n: u32| n.wrapping_mul(2_654_435_761) >> 3;
    let spread = lowest(rounds, dialled, spread, counted)? - empty;
    let kind = if classed {
        ", row of the client's class"
    } else {
        ""
    };
    say(&format!(
        "  {services:>6} services{kind}: hot {hot:.1} net, spread over all {spread:.1} net"
    ));
    drop(engine);
    pins.remove()?;
    Ok(hot)
}

fn image(services: u32, classed: bool) -> Result<Image> {
    let first = SocketAddr::from(([100, 64, 0, 1], 80));
    let mut image = images::many(services, Proto::Udp, first);
    if classed {
        let one = |number| {
            vec![
                (1, vec![SocketAddr::from(([100, 80, 0, 1], 80))]),
                (number % 3 + 1, vec![first]),
            ]
        };
        for number in 0..services {
            let everyone = images::key(number, 0, Proto::Udp);
            if let Some(route) = image.routes.get_mut(&everyone) {
                let mut varies = (**route).clone();
                varies.varies = true;
                *route = varies.into();
            }
            if number < services / 8 {
                let own = images::key(number, CLASS, Proto::Udp);
                image
                    .routes
                    .insert(own, images::route(number, false, &one(number)));
            }
        }
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        let cookie = steer::kernel::netns::cookie(socket.as_fd())?;
        let pod = PodRef {
            namespace: "bench".to_owned(),
            name: "client".to_owned(),
        };
        image.sources = BTreeMap::from([(cookie, Source { class: CLASS, pod })]);
    }
    Ok(image)
}

/// The lowest mean of some rounds of 100,000 connects; `which` chooses the service of each.
fn lowest(
    rounds: u32,
    services: u32,
    which: impl Fn(u32) -> u32,
    counted: impl Fn() -> Result<(u64, std::time::Duration)>,
) -> Result<f64> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    let mut lowest = f64::MAX;
    for _ in 0..rounds {
        let before = counted()?;
        for n in 0..100_000 {
            let number = which(n) % services;
            // Unreachable or not: the program ran before the route is looked for.
            let _outcome = socket.connect((images::address(number), 80));
        }
        let after = counted()?;
        let (count, time) = (after.0 - before.0, after.1.saturating_sub(before.1));
        lowest = lowest.min(time.as_nanos() as f64 / count.max(1) as f64);
    }
    Ok(lowest)
}
