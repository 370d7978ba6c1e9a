//! Machines in QEMU: the accelerator probe, the command line, disks, the monitor and the supervision of processes.

mod accel;
mod arch;
mod cache;
mod command_line;
mod console;
mod error;
mod esp;
mod image;
mod launch;
mod machine;
mod oom;
mod options;
mod platform;
mod probe_guest;
mod process;
mod pumps;
mod qmp;
mod signs;
mod supervisor;
mod tools;
mod workdir;

pub use error::QemuError;
pub use machine::QemuMachine;
pub use options::{Accel, QemuOptions, TemplateCache};
pub use platform::QemuPlatform;
