//! What the hooks share: the socket's address, the maps behind the decision, counting, verdicts.

pub(crate) mod count;
pub(crate) mod kernel_maps;
pub(crate) mod origin;
pub(crate) mod sock;
pub(crate) mod verdict;
pub(crate) mod words;
