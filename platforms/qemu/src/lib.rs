//! Machines in QEMU: the accelerator probe, the command line, disks, the monitor and the supervision of processes.

mod accel;
mod arch;
mod cache;
mod command_line;
mod console;
mod error;
mod esp;
mod image;
mod oom;
mod options;
mod probe_guest;
mod process;
mod pumps;
mod qmp;
mod supervisor;
mod tools;
mod workdir;

pub use error::QemuError;
pub use options::{Accel, QemuOptions};
