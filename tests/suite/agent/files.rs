//! Files that change, in every way that editors, `kubectl` and kubelets change them.

use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::symlink,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Result, anyhow, ensure};
use libtest_mimic::Trial;
use steer_tests::{harness::test, lab::Lab};

use crate::stage::{
    ROUTE, Stage, dial, ensure_ninety_ten, is_applied, raise_lab, route, rows, split, status, to,
    wait_for,
};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("files::edited_renamed_removed_and_added", edits),
        test("files::a_config_map_is_swapped", config_map),
        test("files::one_file_and_a_directory_below", shapes),
        test("files::half_a_file_is_never_applied", halves),
        test("files::others_are_applied_meanwhile", meanwhile),
    ]
}

fn edits() -> Result<()> {
    let stage = Stage::raise("edits")?;
    let lab = &stage.lab;
    let config = lab.dirs().config();
    // In place.
    fs::write(config.join(ROUTE), split([80, 20]))?;
    stage.await_weights(&[80, 20])?;
    // As editors do: another file, renamed over it, and the old one kept beside it.
    let (swap, backup) = (config.join(".route.yaml.swp"), config.join("route.yaml~"));
    fs::write(&swap, split([70, 30]))?;
    fs::hard_link(config.join(ROUTE), &backup)?;
    fs::rename(&swap, config.join(ROUTE))?;
    stage.await_weights(&[70, 30])?;
    fs::remove_file(&backup)?;
    // Under another name.
    fs::rename(config.join(ROUTE), config.join("other.yml"))?;
    fs::write(config.join("other.yml"), split([60, 40]))?;
    stage.await_weights(&[60, 40])?;
    // Away: the service itself, both pods alike.
    fs::remove_file(config.join("other.yml"))?;
    stage.await_weights(&[100])?;
    let halves = dial(lab, 10)?;
    ensure!(halves.get("catalog-v2") == Some(&5), "{halves:?}");
    // Back again.
    stage.split([90, 10])?;
    ensure_ninety_ten(lab)
}

/// A directory as the kubelet mounts a ConfigMap: names lead through `..data`, which is swapped.
fn config_map() -> Result<()> {
    let stage = Stage::raise("configmap")?;
    let lab = &stage.lab;
    let config = lab.dirs().config();
    let version = |name: &str, weights: [u32; 2]| -> Result<()> {
        fs::create_dir(config.join(name))?;
        fs::write(config.join(name).join(ROUTE), split(weights))?;
        symlink(name, config.join("..data_tmp"))?;
        Ok(fs::rename(
            config.join("..data_tmp"),
            config.join("..data"),
        )?)
    };
    version("..2026_1", [80, 20])?;
    fs::remove_file(config.join(ROUTE))?;
    symlink("..data/route.yaml", config.join(ROUTE))?;
    stage.await_weights(&[80, 20])?;
    for (number, weight) in (2..8).zip([70, 60, 50, 40, 30, 20]) {
        version(&format!("..2026_{number}"), [weight, 100 - weight])?;
        stage.await_weights(&[weight, 100 - weight])?;
        fs::remove_dir_all(config.join(format!("..2026_{}", number - 1)))?;
    }
    ensure!(is_applied(&status(lab)?), "{}", status(lab)?);
    Ok(())
}

/// A file that is named by itself, and directories that appear below one.
fn shapes() -> Result<()> {
    let lab = raise_lab("shapes")?;
    let alone = lab.dirs().run().join("alone.yaml");
    fs::rename(lab.dirs().config().join(ROUTE), &alone)?;
    let argument = alone.display().to_string();
    let agent = lab.agent_with(&["--config", &argument])?;
    let stage = Stage { lab, agent };
    stage.await_weights(&[90, 10])?;
    fs::write(&alone, split([80, 20]))?;
    stage.await_weights(&[80, 20])?;
    let fresh = stage.lab.dirs().run().join("fresh");
    fs::write(&fresh, split([70, 30]))?;
    fs::rename(&fresh, &alone)?;
    stage.await_weights(&[70, 30])?;
    // It moves into a directory that is made only now.
    let below = stage.lab.dirs().config().join("team/catalog");
    fs::create_dir_all(&below)?;
    fs::write(&alone, "")?;
    fs::write(below.join(ROUTE), split([60, 40]))?;
    stage.await_weights(&[60, 40])?;
    fs::write(below.join(ROUTE), split([50, 50]))?;
    stage.await_weights(&[50, 50])
}

/// Writes `text` to the route in small pieces over `lasting`, and closes the file. It says so before it does: seen
/// from outside, a file that is still open may be closed already.
fn write_slowly(lab: &Lab, text: &str, lasting: Duration, closes: &AtomicBool) -> Result<()> {
    let mut file = File::create(lab.dirs().config().join(ROUTE))?;
    let pieces: Vec<&[u8]> = text.as_bytes().chunks(40).collect();
    let pause = lasting / u32::try_from(pieces.len())?;
    for piece in pieces {
        file.write_all(piece)?;
        file.flush()?;
        thread::sleep(pause);
    }
    closes.store(true, Ordering::SeqCst);
    drop(file);
    Ok(())
}

/// Longer than the agent goes without reading, so that it reads in the middle.
const SLOW: Duration = Duration::from_secs(7);

fn halves() -> Result<()> {
    let stage = Stage::raise("halves")?;
    let lab = &stage.lab;
    let before = rows(lab)?;
    // Cut between two documents, half of it says that everything goes to v2.
    let other = route("zzz", "catalog", &[to("v2", 1)]);
    let text = format!("{other}---\n{}", split([50, 50]));
    let closes = AtomicBool::new(false);
    let mut changes = 0_u32;
    thread::scope(|scope| -> Result<()> {
        let writer = scope.spawn(|| write_slowly(lab, &text, SLOW, &closes));
        while !writer.is_finished() {
            let same = rows(lab)? == before && is_applied(&status(lab)?);
            // What was read before the file was closed; afterwards it may be applied at once.
            changes += u32::from(!same && !closes.load(Ordering::SeqCst));
            thread::sleep(Duration::from_millis(20));
        }
        writer.join().map_err(|_| anyhow!("the writer panicked"))?
    })?;
    ensure!(changes == 0, "half a file was applied or refused");
    // Whole, it says fifty-fifty: of the two for one host the first by name decides.
    stage.await_weights(&[50, 50])
}

fn meanwhile() -> Result<()> {
    let stage = Stage::raise("meanwhile")?;
    let lab = &stage.lab;
    let webapp = route("webapp", "webapp", &[to("v1", 1)]);
    let closes = AtomicBool::new(false);
    let applied = thread::scope(|scope| -> Result<bool> {
        let writer = scope.spawn(|| {
            let lasting = Duration::from_secs(2);
            write_slowly(lab, &split([50, 50]), lasting, &closes)
        });
        thread::sleep(Duration::from_millis(200));
        let before = status(lab)?["generation"].as_u64();
        lab.configure("webapp.yaml", &webapp)?;
        wait_for(lab, |status| status["generation"].as_u64() > before)?;
        let early = !closes.load(Ordering::SeqCst);
        let ended = writer.join();
        ended.map_err(|_| anyhow!("the writer panicked"))??;
        Ok(early)
    })?;
    ensure!(applied, "a file waited for another that was being written");
    wait_for(lab, is_applied)?;
    stage.await_weights(&[50, 50])
}
