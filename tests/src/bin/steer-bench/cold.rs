//! From parsed to in the kernel: a large cluster at once, then one weight of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};

use anyhow::{Context as _, Result, bail, ensure};
use steer::{
    control::{Applied, Engine},
    desired::{Lowering, Settings},
    image::Compiler,
    kernel::Pins,
    source::{Object, Snapshot, files::parse_text, istio::VirtualService},
};
use steer_common::limits::SERVICES_MAX;
use steer_tests::lab::Lab;

use crate::{
    cluster::{self, CHANGED, ENDPOINTS, SERVICES},
    images,
    report::{Report, median, say},
};

pub(crate) fn run(full: bool, report: &mut Report) -> Result<()> {
    let rounds = if full { 15 } else { 3 };
    let services = cluster::services();
    let plain = load(&[&services, &cluster::split(CHANGED, 900)], rounds)?;
    let many: String = (0..SERVICES)
        .map(|number| cluster::split(number, 900))
        .collect();
    load(&[&services, &many], rounds)?;
    report.at_most("apply.cold_ms", plain, 300.0);
    Ok(())
}

/// Milliseconds of each part, by name, over several rounds.
#[derive(Default)]
struct Parts(BTreeMap<&'static str, Vec<f64>>);

impl Parts {
    fn add(&mut self, part: &'static str, ms: f64) {
        self.0.entry(part).or_default().push(ms);
    }

    fn median(&self, part: &str) -> f64 {
        self.0.get(part).map_or(f64::NAN, |values| median(values))
    }

    fn text(&self) -> String {
        let part = |name: &str| format!("{name} {:.1}", self.median(name));
        ["lowered", "compiled", "planned and written", "all"]
            .map(part)
            .join(", ")
    }
}

/// The median of milliseconds from a snapshot to the kernel, after printing where they go.
fn load(texts: &[&str], rounds: usize) -> Result<f64> {
    let started = Instant::now();
    let snapshot = parse(texts)?;
    ensure!(
        snapshot.services.len() == SERVICES as usize,
        "not all services were parsed"
    );
    let routes = snapshot.virtual_services.len();
    say(&format!(
        "{SERVICES} services, {} endpoints, {routes} VirtualServices: parsed in {:.0} ms; then in ms, medians of {rounds}:",
        SERVICES * ENDPOINTS,
        ms(started)
    ));
    let lab = Lab::builder(&Lab::fresh_name("bench-apply")).build()?;
    let (mut cold, mut warm) = (Parts::default(), Parts::default());
    let mut starts = Vec::new();
    for round in 0..rounds {
        let started = Instant::now();
        let cgroup = lab.dirs().cluster_cgroup();
        let mut stages = Stages {
            lowering: Lowering::new(Settings::default()),
            compiler: Compiler::default(),
            engine: images::engine(&lab, cgroup.path(), SERVICES_MAX)?,
        };
        starts.push(ms(started));
        stages.apply(&snapshot, &mut cold)?;
        let mut changed = snapshot.clone();
        let fresh = parse(&[&cluster::split(CHANGED, 899 - u32::try_from(round)?)])?;
        for rule in fresh.virtual_services {
            let same = |old: &&mut Arc<_>| same_name(old, &rule);
            let place = changed.virtual_services.iter_mut().find(same);
            *place.context("the VirtualService is there")? = rule;
        }
        let applied = stages.apply(&changed, &mut warm)?;
        let services = applied.services_changed;
        ensure!(services == 1, "{services} services changed, not one");
        drop(stages);
        Pins::new(lab.dirs().pins()).remove()?;
    }
    say(&format!(
        "  programs and empty maps: {:.1}",
        median(&starts)
    ));
    say(&format!("  cold:       {}", cold.text()));
    say(&format!("  one weight: {}", warm.text()));
    Ok(cold.median("all"))
}

fn same_name(one: &Object<VirtualService>, other: &Object<VirtualService>) -> bool {
    one.age_key() == other.age_key()
}

fn parse(texts: &[&str]) -> Result<Snapshot> {
    let (mut objects, mut findings) = (Vec::new(), Vec::new());
    for text in texts {
        match parse_text("cluster.yaml", text) {
            Ok((more, found)) => {
                objects.extend(more);
                findings.extend(found);
            }
            Err(found) => bail!("{found:?}"),
        }
    }
    Ok(Snapshot::from_objects(objects, findings))
}

/// What a snapshot goes through; each part remembers the one before.
struct Stages {
    lowering: Lowering,
    compiler: Compiler,
    engine: Engine,
}

impl Stages {
    fn apply(&mut self, snapshot: &Snapshot, parts: &mut Parts) -> Result<Applied> {
        let started = Instant::now();
        let desired = self.lowering.lower(snapshot, &BTreeSet::new());
        let lowered = ms(started);
        let image = self.compiler.compile(&desired, &BTreeMap::new());
        let compiled = ms(started);
        let applied = self.engine.apply(image)?;
        let all = ms(started);
        parts.add("lowered", lowered);
        parts.add("compiled", compiled - lowered);
        parts.add("planned and written", all - compiled);
        parts.add("all", all);
        Ok(applied)
    }
}

fn ms(started: Instant) -> f64 {
    started.elapsed().as_secs_f64() * 1e3
}
