//! The staking module as a whole: one file a subject.

mod elections;
mod evidence;
mod lifecycle;
mod reveals;
mod rewards;
mod ring;
mod world;
