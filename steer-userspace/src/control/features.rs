//! What this kernel lacks, as findings.

use crate::{
    finding::{Finding, codes},
    kernel::Features,
};

/// What follows from what the kernel has not.
pub(super) fn findings(features: Features) -> Vec<Finding> {
    let missing = [(!features.tcx).then_some(codes::NO_TCX)];
    missing.into_iter().flatten().filter_map(told).collect()
}

fn told(id: &'static str) -> Option<Finding> {
    let code = codes::ALL.iter().find(|code| code.id == id)?;
    Some(Finding {
        severity: code.severity,
        code: id,
        object: None,
        position: None,
        field: String::new(),
        message: code.title.to_owned(),
        help: code.help.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_found() {
        let found = |tcx| {
            findings(Features {
                netns_fields: None,
                v6_only_bit: 1,
                tcx,
            })
        };
        assert_eq!(found(true), []);
        let codes: Vec<_> = found(false).iter().map(|finding| finding.code).collect();
        assert_eq!(codes, [codes::NO_TCX]);
    }
}
