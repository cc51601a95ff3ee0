//! Any text is a configuration or is refused with a place: nothing panics, and a snapshot that is
//! made step by step is the one that is made at once.
#![no_main]

use libfuzzer_sys::fuzz_target;
use steer::source::{Snapshot, files::parse_text};

fuzz_target!(|text: &str| {
    match parse_text("fuzz.yaml", text) {
        Err(findings) => assert!(findings.iter().all(|found| found.position.is_some())),
        Ok((objects, findings)) => {
            let at_once = Snapshot::from_objects(objects.clone(), findings.clone());
            let (first, rest) = objects.split_at(objects.len() / 2);
            let by_steps = Snapshot::from_objects(first.iter().cloned(), Vec::new()).replaced(
                std::iter::empty(),
                rest.iter().cloned(),
                findings,
            );
            assert_eq!(at_once.services, by_steps.services);
            assert_eq!(at_once.virtual_services, by_steps.virtual_services);
        }
    }
});
