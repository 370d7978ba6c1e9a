//! The name that the program was called by. Called as `kola` (by a symlink, say), it is kola: the same commands, and kola's
//! defaults and exit codes where they differ.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::OnceLock;

use kolea_model::ExitCode;

/// What the program was called as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Program {
    /// By its own name, or any other.
    #[default]
    Kolea,
    /// As `kola`.
    Kola,
}

static CALLED_AS: OnceLock<Program> = OnceLock::new();

impl Program {
    /// By the first word of the command line; the whole process goes by it from then on.
    pub fn called_as(arg0: Option<&OsStr>) -> Program {
        let is_kola = arg0
            .and_then(|arg0| Path::new(arg0).file_name())
            .is_some_and(|name| name == "kola");
        let program = if is_kola {
            Program::Kola
        } else {
            Program::Kolea
        };
        *CALLED_AS.get_or_init(|| program)
    }

    /// What the process goes by.
    pub fn current() -> Program {
        CALLED_AS.get().copied().unwrap_or_default()
    }

    /// The name that messages begin with.
    pub fn name(self) -> &'static str {
        match self {
            Program::Kolea => "kolea",
            Program::Kola => "kola",
        }
    }

    /// The exit status: kola knows 0, 1 and 77 only, and scripts written for it look for no others.
    pub fn status(self, code: ExitCode) -> u8 {
        match (self, code) {
            (Program::Kola, ExitCode::Usage | ExitCode::Infra | ExitCode::NoTests) => {
                ExitCode::Fail as u8
            }
            (_, code) => code as u8,
        }
    }
}

/// Prints on standard output. Whoever reads it may have gone (`kolea run | head -1`): that changes nothing of what the command does.
pub fn say(text: impl std::fmt::Display) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// One line on standard error about something that does not keep the command from going on.
pub fn warn(message: impl std::fmt::Display) {
    eprintln!("{}: warning: {message}", Program::current().name());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kola_has_three_exit_codes_and_the_shells_for_signals() {
        let codes = [
            (ExitCode::Pass, 0),
            (ExitCode::Fail, 1),
            (ExitCode::Usage, 1),
            (ExitCode::Infra, 1),
            (ExitCode::NoTests, 1),
            (ExitCode::WarnOnly, 77),
            (ExitCode::Interrupted, 130),
        ];
        for (code, status) in codes {
            assert_eq!(Program::Kola.status(code), status);
            assert_eq!(Program::Kolea.status(code), code as u8);
        }
    }
}
