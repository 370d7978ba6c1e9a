//! Machines in QEMU: the accelerator probe, the command line, disks, the monitor and the supervision of processes.

mod arch;
mod cache;
mod command_line;
mod error;
mod esp;
mod image;
mod options;
mod qmp;
mod tools;
mod workdir;

pub use error::QemuError;
pub use options::{Accel, QemuOptions};
