//! The row types are plain data: fixed layout, every bit pattern valid, no padding.
//! That they have no padding is asserted by their sizes beside each type.

use crate::{
    endpoint::Endpoint,
    flow::{Affinity, AffinityKey, Member, MemberKey, Origin, ReplyKey},
    index::Bucket,
    service::{Route, Source},
};

// SAFETY: `repr(C)`, integers and arrays of integers only, no padding.
unsafe impl aya::Pod for Bucket {}
// SAFETY: as above.
unsafe impl aya::Pod for Route {}
// SAFETY: as above.
unsafe impl aya::Pod for Source {}
// SAFETY: as above.
unsafe impl aya::Pod for Endpoint {}
// SAFETY: as above.
unsafe impl aya::Pod for Origin {}
// SAFETY: as above.
unsafe impl aya::Pod for ReplyKey {}
// SAFETY: as above.
unsafe impl aya::Pod for AffinityKey {}
// SAFETY: as above.
unsafe impl aya::Pod for Affinity {}
// SAFETY: as above.
unsafe impl aya::Pod for MemberKey {}
// SAFETY: as above.
unsafe impl aya::Pod for Member {}
