//! The smallest guest that proves an accelerator: a boot sector that says `S`, computes, says `E` and ends its machine.

use std::hint::black_box;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How often the loop runs: 0.1 s of CPU time when emulated.
const ITERATIONS: u32 = 6_000_000;

/// Said when the loop starts.
pub const START: u8 = b'S';
/// Said when the loop has ended.
pub const END: u8 = b'E';

/// QEMU's debug console, which the guest speaks to, and the port whose writing ends the machine.
pub const DEVICES: [&str; 4] = [
    "-device",
    "isa-debugcon,chardev=probe,iobase=0xe9",
    "-device",
    "isa-debug-exit,iobase=0xf4,iosize=1",
];

/// 16-bit code for address 0x7c00. In GNU assembler's syntax:
///
/// ```text
///         cli
///         xorw  %ax, %ax
///         movw  %ax, %ds
///         movw  %ax, %ss
///         movw  $0x7000, %sp          # not in the page of the code: TCG would watch it for changes
///         movw  $0x1000, %ax          # data at 0x10000
///         movw  %ax, %es
///         movw  $0xe9, %dx
///         movb  $'S', %al
///         outb  %al, %dx
///         movl  $ITERATIONS, %ecx
///         movl  $1, %eax
/// 1:      imull $1664525, %eax, %eax  # the generator of Numerical Recipes
///         addl  $1013904223, %eax
///         movl  %eax, %ebx
///         shrl  $16, %ebx
///         andw  $0x0ffc, %bx
///         call  3f
///         decl  %ecx
///         jnz   1b
///         movw  $0xe9, %dx
///         movb  $'E', %al
///         outb  %al, %dx
///         movw  $0xf4, %dx
///         outb  %al, %dx              # ends QEMU
/// 2:      hlt
///         jmp   2b
/// 3:      addl  %es:(%bx), %eax
///         movl  %eax, %es:(%bx)
///         ret
/// ```
const BEFORE_COUNT: [u8; 23] = [
    0xfa, 0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xd0, 0xbc, 0x00, 0x70, 0xb8, 0x00, 0x10, 0x8e, 0xc0, 0xba,
    0xe9, 0x00, 0xb0, START, 0xee, 0x66, 0xb9,
];
const AFTER_COUNT: [u8; 61] = [
    0x66, 0xb8, 0x01, 0x00, 0x00, 0x00, 0x66, 0x69, 0xc0, 0x0d, 0x66, 0x19, 0x00, 0x66, 0x05, 0x5f,
    0xf3, 0x6e, 0x3c, 0x66, 0x89, 0xc3, 0x66, 0xc1, 0xeb, 0x10, 0x81, 0xe3, 0xfc, 0x0f, 0xe8, 0x11,
    0x00, 0x66, 0x49, 0x75, 0xe1, 0xba, 0xe9, 0x00, 0xb0, END, 0xee, 0xba, 0xf4, 0x00, 0xee, 0xf4,
    0xeb, 0xfd, 0x26, 0x66, 0x03, 0x07, 0x26, 0x66, 0x89, 0x07, 0xc3, 0x00, 0x00,
];

/// The boot sector, the image of a floppy disk.
pub fn boot_sector() -> [u8; 512] {
    let mut sector = [0; 512];
    let code = BEFORE_COUNT
        .into_iter()
        .chain(ITERATIONS.to_le_bytes())
        .chain(AFTER_COUNT);
    for (byte, value) in sector.iter_mut().zip(code) {
        *byte = value;
    }
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    sector
}

/// Measures CPU time rather than time: hosts that run tests are busy. The kernel counts it for every thread, in
/// nanoseconds, in the first field of `schedstat`.
#[derive(Debug)]
pub struct CpuClock {
    files: Vec<PathBuf>,
    used: Option<Duration>,
    wall: Instant,
}

impl CpuClock {
    /// Starts a clock for one thread, given its `schedstat`.
    fn start(file: PathBuf) -> CpuClock {
        CpuClock::of(vec![file])
    }

    /// Starts a clock for all threads that a process has now.
    pub fn of_process(pid: u32) -> CpuClock {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task"));
        CpuClock::of(
            tasks
                .into_iter()
                .flatten()
                .flatten()
                .map(|task| task.path().join("schedstat"))
                .collect(),
        )
    }

    fn of(files: Vec<PathBuf>) -> CpuClock {
        CpuClock {
            used: used(&files),
            files,
            wall: Instant::now(),
        }
    }

    /// What has been used since; the time itself on kernels that don't count.
    pub fn elapsed(&self) -> Duration {
        match (self.used, used(&self.files)) {
            (Some(before), Some(now)) if now > before => now.saturating_sub(before),
            _ => self.wall.elapsed(),
        }
    }
}

fn used(files: &[PathBuf]) -> Option<Duration> {
    let mut sum = None;
    for file in files {
        // A thread that has ended has no file any more.
        let Ok(text) = std::fs::read_to_string(file) else {
            continue;
        };
        let nanoseconds = text.split_whitespace().next()?.parse().ok()?;
        sum = Some(sum.unwrap_or_default() + Duration::from_nanos(nanoseconds));
    }
    sum
}

/// CPU time that the host takes for the guest's loop: the best of three.
pub fn native_time() -> Duration {
    (0..3).map(|_| native_loop()).min().unwrap_or_default()
}

fn native_loop() -> Duration {
    let clock = CpuClock::start("/proc/thread-self/schedstat".into());
    let mut memory = [0_u32; 0x400];
    let mut x = 1_u32;
    // By a pointer that the optimiser knows nothing of: the guest calls as well.
    let step = black_box(step as fn(&mut [u32; 0x400], u32) -> u32);
    for _ in 0..ITERATIONS {
        x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        x = step(&mut memory, x);
    }
    black_box(x);
    clock.elapsed()
}

fn step(memory: &mut [u32; 0x400], x: u32) -> u32 {
    let cell = &mut memory[(x >> 18) as usize & 0x3ff];
    *cell = cell.wrapping_add(x);
    *cell
}
