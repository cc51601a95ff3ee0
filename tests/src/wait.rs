//! Waiting for something to become so.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

/// How often it is looked.
const PAUSE: Duration = Duration::from_millis(2);

/// Asks until there is an answer; the last complaint is told when there is none in time.
pub fn until<T>(
    most: Duration,
    what: &str,
    mut ask: impl FnMut() -> Result<Result<T, String>>,
) -> Result<T> {
    let started = Instant::now();
    loop {
        let complaint = match ask()? {
            Ok(found) => return Ok(found),
            Err(complaint) => complaint,
        };
        if started.elapsed() > most {
            bail!("waited {most:?} for {what}: {complaint}");
        }
        thread::sleep(PAUSE);
    }
}
