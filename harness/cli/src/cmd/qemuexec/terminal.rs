//! Standard input and output as they were before QEMU had them.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};
use nix::unistd::{getpgrp, tcgetpgrp};

/// How they were set. QEMU makes them raw and non-blocking, for everybody who has them open, and undoes that only if it ends by
/// itself.
#[derive(Debug)]
pub struct Terminal {
    mode: Option<Termios>,
    input: Option<OFlag>,
    output: Option<OFlag>,
}

impl Terminal {
    /// As they are now.
    pub fn save() -> Terminal {
        Terminal {
            mode: tcgetattr(io::stdin()).ok(),
            input: flags(io::stdin().as_fd()),
            output: flags(io::stdout().as_fd()),
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // What cannot be set any more is gone, and needs no setting.
        let (input, output) = (io::stdin(), io::stdout());
        for (fd, flags) in [(input.as_fd(), self.input), (output.as_fd(), self.output)] {
            if let Some(flags) = flags {
                let _ = fcntl(fd, FcntlArg::F_SETFL(flags));
            }
        }
        // In the background, setting it would stop us.
        let in_front = tcgetpgrp(&input).is_ok_and(|group| group == getpgrp());
        if let Some(mode) = self.mode.as_ref().filter(|_| in_front) {
            let _ = tcsetattr(&input, SetArg::TCSANOW, mode);
        }
    }
}

fn flags(fd: BorrowedFd<'_>) -> Option<OFlag> {
    fcntl(fd, FcntlArg::F_GETFL)
        .ok()
        .map(OFlag::from_bits_truncate)
}
