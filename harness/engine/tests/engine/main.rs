//! The engine over the fake platform: what it does on good days, on bad days, and when it is told to stop.

// The helpers of tests are tests too.
#![allow(clippy::unwrap_used)]

mod bad_days;
mod bad_templates;
mod check;
mod clones;
mod good_days;
mod random;
mod rig;
mod stopping;
mod verifying;
