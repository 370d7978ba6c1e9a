//! The engine over the fake platform: what it does on good days, on bad days, and when it is told to stop.

mod bad_days;
mod check;
mod good_days;
mod random;
mod rig;
mod stopping;
