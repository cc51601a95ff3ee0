//! Whether the kernel still does what was asked: what somebody else detached or changed is put right,
//! and told.

use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

use crate::{
    control::{Engine, EngineError},
    image::Image,
};

/// How often programs are looked for.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How often maps are looked through, at most.
const READ_EVERY: Duration = Duration::from_secs(4);
/// Of a processor's time, looking through the maps may take this part: meanwhile nothing else is done.
const PART: u32 = 200;
/// How many repairs are remembered.
const REMEMBERED: usize = 20;

/// What was put right.
#[derive(Debug, Default)]
pub(super) struct Truth {
    /// The latest last.
    repairs: Vec<String>,
    /// When the maps may be looked through again.
    next: Option<Instant>,
}

impl Truth {
    /// What was put right, the latest last.
    pub(super) fn repairs(&self) -> &[String] {
        &self.repairs
    }

    /// Looks, and puts right; true if something was.
    pub(super) fn look(&mut self, engine: &mut Engine, image: &Image) -> Result<bool, EngineError> {
        let mut found = Vec::new();
        for program in engine.put_back()? {
            found.push(format!(
                "{program} was detached by somebody else, and is attached again"
            ));
        }
        if self.next.is_none_or(|next| next <= Instant::now()) {
            let began = busy();
            for (map, rows) in engine.put_right(image)? {
                found.push(format!(
                    "{rows} rows of {map} were changed by somebody else, and are as asked again"
                ));
            }
            let rest = READ_EVERY.max(busy().saturating_sub(began) * PART);
            self.next = Some(Instant::now() + rest);
        }
        for repair in &found {
            tracing::warn!(repair = %repair, "somebody else changed the kernel; it is put right");
        }
        let any = !found.is_empty();
        let now = jiff::Timestamp::now();
        self.repairs
            .extend(found.into_iter().map(|what| format!("{now} {what}")));
        let over = self.repairs.len().saturating_sub(REMEMBERED);
        self.repairs.drain(..over);
        Ok(any)
    }
}

/// How long this thread has had a processor. What others do on the machine does not count: repairs must not
/// be rarer for it.
fn busy() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}
