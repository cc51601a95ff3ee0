//! Properties of lowering: whatever is written, it does not panic, it gives the same for the same,
//! and what is kept from one snapshot to the next changes nothing.

mod lowering {
    pub(crate) mod objects;
}

use std::collections::{BTreeMap, BTreeSet};

use lowering::objects::{self, Edit};
use proptest::prelude::*;
use steer::{
    desired::{Desired, Lowering, Settings, lower, model::PodRef},
    image,
    requests::listed,
    source::{Snapshot, files::parse_text},
};

/// The configuration, an object a file, as the agent keeps it: what did not change is not parsed
/// again.
#[derive(Default)]
struct Files {
    parsed: BTreeMap<String, Vec<steer::source::parse::Parsed>>,
}

impl Files {
    fn apply(&mut self, edits: &[Edit]) {
        for edit in edits {
            match edit {
                Edit::Write(name, text) => {
                    // What is refused leaves no object behind.
                    let parsed = parse_text(name, text).map(|(objects, _)| objects);
                    self.parsed.insert(name.clone(), parsed.unwrap_or_default());
                }
                Edit::Remove(name) => drop(self.parsed.remove(name)),
            }
        }
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot::from_objects(self.parsed.values().flatten().cloned(), Vec::new())
    }
}

fn same(a: &Desired, b: &Desired) -> Result<(), TestCaseError> {
    prop_assert_eq!(&a.services, &b.services);
    prop_assert_eq!(&a.classes, &b.classes);
    prop_assert_eq!(&a.class_names, &b.class_names);
    prop_assert_eq!(listed(&a.listeners), listed(&b.listeners));
    prop_assert_eq!(&a.findings, &b.findings);
    Ok(())
}

fn local_pods(snapshot: &Snapshot, mask: u8) -> BTreeSet<PodRef> {
    let pods = snapshot.pods.iter().zip(0..);
    pods.filter(|(_, index)| mask & (1 << (index % 8)) != 0)
        .map(|(pod, _)| PodRef {
            namespace: pod.meta.namespace.clone(),
            name: pod.meta.name.clone(),
        })
        .collect()
}

proptest! {
    #[test]
    fn what_is_kept_changes_nothing(
        start in objects::edits(12..24),
        steps in prop::collection::vec((objects::edits(0..3), any::<u8>()), 1..8),
    ) {
        let settings = Settings::default();
        let mut files = Files::default();
        files.apply(&start);
        let mut kept = Lowering::new(settings.clone());
        for (edits, mask) in steps {
            files.apply(&edits);
            let snapshot = files.snapshot();
            let local = local_pods(&snapshot, mask);
            let fresh = lower(&snapshot, &settings, &local);
            same(&kept.lower(&snapshot, &local), &fresh)?;
            same(&lower(&snapshot, &settings, &local), &fresh)?;
            let cookies = (1..).zip(local).collect();
            prop_assert_eq!(image::compile(&fresh, &cookies), image::compile(&fresh, &cookies));
        }
    }
}
