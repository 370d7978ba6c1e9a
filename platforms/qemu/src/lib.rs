//! Machines in QEMU: the accelerator probe, the command line, disks, the monitor and the supervision of processes.

mod arch;
mod command_line;
mod error;
mod options;
mod qmp;

pub use error::QemuError;
pub use options::{Accel, QemuOptions};
