//! Who the network namespaces are.

use std::sync::Arc;

use steer_common::{addr::PodAddrs, egress::Mode, service::Source as SourceRow};

use super::{Layout, Stages};
use crate::{
    image::Image,
    plan::{judged::Judging, step::Step},
};

impl Layout {
    /// Whom the egress guard judges.
    pub(super) fn judging(&self) -> Judging {
        let rows = self.egress.rows();
        rows.settings.on.then(|| {
            let sources = self.sources.iter();
            sources
                .map(|(&cookie, (_, row))| {
                    let policy = rows.policies.get(&row.policy.number());
                    let open = policy.is_some_and(|policy| policy.mode() == Mode::Open);
                    (cookie, !open)
                })
                .collect()
        })
    }

    pub(super) fn plan_sources(&mut self, image: &Image, steps: &mut Stages) {
        let gone: Vec<u64> = self
            .sources
            .keys()
            .filter(|cookie| !image.sources.contains_key(cookie))
            .copied()
            .collect();
        for cookie in gone {
            if let Some((old, _)) = self.sources.remove(&cookie) {
                self.tables.workloads.release(&old.pod);
                steps.clear.push(Step::RemoveSource { cookie });
            }
        }
        for (&cookie, source) in &image.sources {
            if self
                .sources
                .get(&cookie)
                .is_some_and(|(old, _)| old == source)
            {
                continue;
            }
            let workload = self.tables.workloads.hold(&Arc::new(source.pod.clone()));
            let policy = self.egress.policy(&source.policy);
            let addresses = source.addresses.iter().copied().map(Into::into);
            let row = SourceRow::new(cookie, source.class, policy, workload)
                .behind(source.interface)
                .at(PodAddrs::new(addresses));
            if let Some((old, _)) = self.sources.insert(cookie, (source.clone(), row)) {
                self.tables.workloads.release(&old.pod);
            }
            steps.sources.push(Step::SetSource {
                cookie,
                source: row,
            });
        }
    }
}
