//! The decision, pure: everything it looks up comes through a trait.

pub mod decide;
pub mod egress;
pub mod split;

pub use decide::{Decision, Dialled, Door, Maps, Steer, Tables, decide, decide_outside};
pub use egress::{
    EgressMaps, Granted, Grounds, Judgement, Names, Rule, Ruling, Wish, granted, judge, on_port,
    stands,
};
