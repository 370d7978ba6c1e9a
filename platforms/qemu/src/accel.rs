//! Which accelerator? Probed, not assumed: there are hosts whose `/dev/kvm` opens and yet can't run a guest, or only
//! hundreds of times slower than the CPU.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::Duration;

use kolea_model::Firmware;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use crate::arch::{Arch, host_arch};
use crate::cache::Cache;
use crate::command_line::{Accelerator, accelerator_args};
use crate::options::Accel;
use crate::probe_guest::CpuClock;
use crate::{QemuError, probe_guest, process, tools};

/// KVM's guest has to be through within this time, the start of QEMU and of the BIOS (0.2 s) included.
const KVM_DEADLINE: Duration = Duration::from_secs(3);
/// The emulated guest's (0.3 s on an idle host); without an answer, [`DEFAULT_FACTOR`] applies.
const TCG_DEADLINE: Duration = Duration::from_secs(15);
/// A guest under KVM that takes more than this times what the CPU itself takes is interpreted by the host.
const KVM_SLOWEST: f64 = 10.0;
/// The part of an emulated boot's CPU time that goes into translated code (measured with a Debian guest: 36 %); the rest,
/// translation and device models, has no counterpart under KVM. So a boot slows down by more than a tight loop does.
const TRANSLATED_PART: f64 = 0.36;
/// Bounds of the measured factor. Emulation that seems to be faster than this was measured on a disturbed host.
const FACTORS: std::ops::RangeInclusive<f64> = 4.0..=20.0;
/// Time-out factor of emulation where it can't be measured: other guests than x86_64, and hosts too busy to probe.
const DEFAULT_FACTOR: f64 = 10.0;

/// The accelerator of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// It.
    pub accelerator: Accelerator,
    /// Why it, in plain words.
    pub reason: String,
    /// What every time limit is multiplied with.
    pub timeout_factor: f64,
}

/// Why KVM can't be used.
#[derive(Clone, Debug)]
struct Unusable {
    reason: String,
    /// Whether it would be the same at the next run: being too slow may be due to a busy host.
    lasting: bool,
}

/// What is cached.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Kvm {
    works: bool,
    reason: String,
}

/// Decides, with a guest if the answer is not known yet. `dir` is for the guest's disk.
pub async fn choose(
    wanted: Accel,
    arch: Arch,
    qemu: &Path,
    dir: &Path,
    cache: &Cache,
) -> Result<Choice, QemuError> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let key = format!(
        "{}|{}|{}",
        tools::fingerprint(qemu).unwrap_or_default(),
        boot.trim(),
        arch.name()
    );
    let no_kvm = match wanted {
        Accel::Tcg => "asked for by --accel tcg".to_owned(),
        Accel::Auto | Accel::Kvm => match kvm(arch, qemu, dir, cache, &key).await {
            Ok(reason) => {
                return Ok(Choice {
                    accelerator: Accelerator::Kvm,
                    reason,
                    timeout_factor: 1.0,
                });
            }
            Err(reason) if wanted == Accel::Kvm => return Err(QemuError::Kvm(reason)),
            Err(reason) => format!("KVM does not work: {reason}"),
        },
    };
    let timeout_factor = match cache.get("tcg-time-out-factor", &key) {
        Some(factor) => factor,
        None => tcg_factor(arch, qemu, dir, cache, &key).await,
    };
    Ok(Choice {
        accelerator: Accelerator::Tcg,
        reason: no_kvm,
        timeout_factor,
    })
}

/// Whether KVM works, and how we know.
async fn kvm(
    arch: Arch,
    qemu: &Path,
    dir: &Path,
    cache: &Cache,
    key: &str,
) -> Result<String, String> {
    if !arch.is_host() {
        return Err(format!(
            "an {} host cannot run {} guests with it",
            host_arch(),
            arch.name()
        ));
    }
    // Cheap, and may change at any time: never cached.
    File::options()
        .read(true)
        .write(true)
        .open("/dev/kvm")
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => "there is no /dev/kvm".to_owned(),
            io::ErrorKind::PermissionDenied => {
                "no permission to use /dev/kvm (is the user in the group kvm?)".to_owned()
            }
            _ => format!("/dev/kvm cannot be opened: {error}"),
        })?;
    if let Some(Kvm { works, reason }) = cache.get("kvm", key) {
        return if works { Ok(reason) } else { Err(reason) };
    }
    let result = match arch {
        Arch::X86_64 => kvm_guest(qemu, dir).await,
        Arch::Aarch64 | Arch::Ppc64le | Arch::S390x => kvm_starts(arch, qemu).await,
    };
    match result {
        Ok(reason) => {
            let (works, reason_kept) = (true, reason.clone());
            cache.put(
                "kvm",
                key,
                Kvm {
                    works,
                    reason: reason_kept,
                },
            );
            Ok(reason)
        }
        Err(Unusable { reason, lasting }) => {
            if lasting {
                cache.put(
                    "kvm",
                    key,
                    Kvm {
                        works: false,
                        reason: reason.clone(),
                    },
                );
            }
            Err(reason)
        }
    }
}

async fn kvm_guest(qemu: &Path, dir: &Path) -> Result<String, Unusable> {
    let took = run_guest(Accelerator::Kvm, qemu, dir, KVM_DEADLINE).await?;
    let native = native_time().await;
    let ratio = took.as_secs_f64() / native.as_secs_f64().max(1e-6);
    if ratio > KVM_SLOWEST {
        return Err(Unusable {
            reason: format!("a test guest ran {ratio:.0} times slower than the host"),
            lasting: false,
        });
    }
    Ok("a test guest ran with KVM".to_owned())
}

/// For architectures without a test guest: QEMU has to start a paused machine with KVM. Its monitor, on standard input
/// and output, greets when the machine has been made.
async fn kvm_starts(arch: Arch, qemu: &Path) -> Result<String, Unusable> {
    let greeting = |byte| byte == b'{';
    run(qemu, &paused(arch), KVM_DEADLINE, greeting, |_| true).await?;
    Ok("QEMU started a machine with KVM".to_owned())
}

/// The arguments of a machine that only starts, with the options that machines get.
fn paused(arch: Arch) -> Vec<OsString> {
    let machine = arch.machine_type(Firmware::Uefi);
    let options = arch.machine_options(Accelerator::Kvm);
    let mut args = strings(&["-machine", &format!("{machine}{options}")]);
    args.extend(accelerator_args(arch, Accelerator::Kvm));
    let memory = arch.memory_mib(Some(64), None).to_string();
    args.extend(strings(&["-m", &memory, "-nodefaults", "-display", "none"]));
    args.extend(strings(&["-S", "-qmp", "stdio"]));
    args
}

/// What an emulated boot takes, as a multiple of one under KVM.
async fn tcg_factor(arch: Arch, qemu: &Path, dir: &Path, cache: &Cache, key: &str) -> f64 {
    if arch != Arch::X86_64 || !arch.is_host() {
        return DEFAULT_FACTOR;
    }
    match run_guest(Accelerator::Tcg, qemu, dir, TCG_DEADLINE).await {
        Ok(took) => {
            let native = native_time().await;
            let factor = factor(took, native);
            tracing::debug!(?took, ?native, factor, "emulation measured");
            cache.put("tcg-time-out-factor", key, factor);
            factor
        }
        Err(Unusable { reason, .. }) => {
            tracing::warn!("cannot measure how slow emulation is: {reason}");
            DEFAULT_FACTOR
        }
    }
}

/// One decimal is all that the measurement is good for.
fn factor(emulated: Duration, native: Duration) -> f64 {
    let ratio = emulated.as_secs_f64() / native.as_secs_f64().max(1e-6);
    ((ratio / TRANSLATED_PART).clamp(*FACTORS.start(), *FACTORS.end()) * 10.0).round() / 10.0
}

async fn native_time() -> Duration {
    tokio::task::spawn_blocking(probe_guest::native_time)
        .await
        .unwrap_or_default()
}

/// Runs the test guest with the options that machines get, and returns the CPU time that its loop took.
async fn run_guest(
    accelerator: Accelerator,
    qemu: &Path,
    dir: &Path,
    deadline: Duration,
) -> Result<Duration, Unusable> {
    let disk = tempfile::NamedTempFile::new_in(dir)
        .and_then(|file| fs::write(file.path(), probe_guest::boot_sector()).map(|()| file))
        .map_err(|error| Unusable {
            reason: format!(
                "the test guest cannot be written to {}: {error}",
                dir.display()
            ),
            lasting: false,
        })?;
    let mut args = strings(&["-machine", "pc"]);
    args.extend(accelerator_args(Arch::X86_64, accelerator));
    args.extend(strings(&["-m", "64", "-nodefaults", "-nographic"]));
    args.extend(strings(&["-chardev", "stdio,id=probe,signal=off"]));
    args.extend(strings(&probe_guest::DEVICES));
    args.push("-drive".into());
    args.push(crate::command_line::with_path(
        "if=floppy,format=raw,readonly=on,file=",
        disk.path().as_os_str(),
    ));
    run(
        qemu,
        &args,
        deadline,
        |byte| byte == probe_guest::START,
        |byte| byte == probe_guest::END,
    )
    .await
}

/// Runs QEMU until its standard output has said `start` and then `end`, and returns the CPU time that it took between them.
async fn run(
    qemu: &Path,
    args: &[OsString],
    deadline: Duration,
    start: impl Fn(u8) -> bool,
    end: impl Fn(u8) -> bool,
) -> Result<Duration, Unusable> {
    let mut child = process::spawn(qemu, args, Vec::new())
        .await
        .map_err(|error| Unusable {
            reason: format!("{} cannot be started: {error}", qemu.display()),
            lasting: false,
        })?;
    let (Some(mut stdout), Some(mut stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(Unusable {
            reason: "QEMU has no output".to_owned(),
            lasting: false,
        });
    };
    let pid = child.id().unwrap_or_default();
    let conversation = async {
        let mut started = None;
        while let Ok(byte) = stdout.read_u8().await {
            match started.take() {
                None if start(byte) => started = Some(CpuClock::of_process(pid)),
                Some(clock) if end(byte) => return Some(clock.elapsed()),
                started_before => started = started_before,
            }
        }
        None
    };
    match timeout(deadline, conversation).await {
        Ok(Some(took)) => {
            let _ = child.kill().await; // it may have ended by itself
            Ok(took)
        }
        Ok(None) => {
            let mut words = Vec::new();
            let _ = timeout(deadline, stderr.read_to_end(&mut words)).await;
            let status = child
                .wait()
                .await
                .map_or_else(|error| error.to_string(), |status| status.to_string());
            Err(Unusable {
                reason: format!(
                    "QEMU ended at once ({status}): {}",
                    tools::last_words(&words)
                ),
                lasting: true,
            })
        }
        Err(_) => {
            let _ = child.kill().await; // and reaped; it was not going to end
            Err(Unusable {
                reason: format!(
                    "a test guest was not through after {} s",
                    deadline.as_secs()
                ),
                lasting: false,
            })
        }
    }
}

fn strings(args: &[&str]) -> Vec<OsString> {
    args.iter().map(OsString::from).collect()
}

#[cfg(test)]
#[path = "accel_tests.rs"]
mod tests;
