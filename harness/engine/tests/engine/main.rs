//! The engine over the fake platform: what it does on good days, on bad days, and when it is told to stop.

// The helpers of tests are tests too.
#![allow(clippy::unwrap_used)]

mod bad_days;
mod bad_templates;
mod check;
mod clones;
mod clusters;
mod distro;
mod good_days;
mod ports;
mod preparing;
mod random;
mod rig;
mod shells;
mod stopping;
mod verdicts;
mod verifying;
