//! A scripted platform: its machines boot, run tests, hang, panic, reboot and die on cue, in microseconds. The engine's
//! tests and the benchmark of a thousand tests run on it.
//!
//! A fake machine answers the harness's own commands by their labels ([`kolea_machine::Exec::label`]) in the words of
//! the guest agent (kolet), and finds the script for a test by the name that the test's unit carries in `KOLA_TEST`. Its
//! clones have the units that the harness installs, and no others.

mod guest;
mod machine;
mod network;
mod platform;
mod script;
mod template;

pub use machine::FakeMachine;
pub use network::FakeNetwork;
pub use platform::{FakePlatform, Stats};
pub use script::{Boot, Freeze, Rebase, Step};
