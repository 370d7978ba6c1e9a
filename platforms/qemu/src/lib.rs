//! Machines in QEMU: the accelerator probe, the command line, disks, the monitor and the supervision of processes.

mod accel;
mod arch;
mod cache;
mod channels;
mod command_line;
mod console;
mod disk;
mod error;
mod esp;
mod files;
mod image;
mod launch;
mod machine;
mod machine_type;
mod oom;
mod options;
mod platform;
mod probe_guest;
mod process;
mod pumps;
mod qmp;
mod signs;
mod start;
mod steps;
mod supervisor;
mod templates;
mod tools;
mod unmet;
mod workdir;

pub use error::QemuError;
pub use machine::QemuMachine;
pub use options::{Accel, QemuOptions, TemplateCache};
pub use platform::QemuPlatform;
pub use unmet::unmet;
