//! Who the network namespaces are.

use std::sync::Arc;

use steer_common::{addr::PodAddrs, egress::Mode, service::Source as SourceRow};

use super::{Layout, Stages, moves::Move};
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

    /// Plans who they will be; says who gets another policy.
    pub(super) fn plan_sources(&mut self, image: &Image, steps: &mut Stages) -> Vec<Move> {
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
        let mut moves = Vec::new();
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
            let old = self.sources.insert(cookie, (source.clone(), row));
            moves.extend(Move::of_source(
                cookie,
                old.as_ref().map(|(_, row)| row),
                row,
            ));
            if let Some((old, _)) = old {
                self.tables.workloads.release(&old.pod);
            }
            steps.sources.push(Step::SetSource {
                cookie,
                source: row,
            });
        }
        moves
    }
}
