//! The smallest program that wakes a clone: one process instead of several, and without a dynamic linker, whose work costs
//! an emulated guest more than everything else in it.
//!
//! It reads [`INPUT`] letters, two for each byte (`a` for 0 to `p` for 15, the upper half first), so that a shell can pass
//! them on. The bytes are a `timespec` for `clock_settime(2)`, and a `rand_pool_info` for `RNDADDENTROPY` (random(4)): the number
//! of bits, the number of bytes, the seed. `RNDRESEEDCRNG` then makes the kernel draw a new key from its pool, without which it
//! would go on with the template's for up to a minute. The exit status is the sum of 1 (bad input), 2 (the clock was
//! refused), 4 (the seed was refused) and 8 (drawing a new key was refused).

use chrono::{DateTime, Utc};

/// How many letters the program reads.
const INPUT: usize = 2 * (16 + 8 + SEED);
/// The seed, in bytes.
const SEED: usize = 64;

/// The programs, by what `uname -m` says.
pub(super) fn programs() -> [(&'static str, Vec<u8>); 2] {
    [
        ("x86_64", elf(&X86_64, EM_X86_64)),
        ("aarch64", elf(&AARCH64, EM_AARCH64)),
    ]
}

/// What the program is to read.
pub(super) fn input(now: DateTime<Utc>, seed: &[u8; SEED]) -> String {
    let bits = 8 * SEED as u32;
    let bytes = (now.timestamp().to_le_bytes().into_iter())
        .chain(i64::from(now.timestamp_subsec_nanos()).to_le_bytes())
        .chain(bits.to_le_bytes())
        .chain((SEED as u32).to_le_bytes())
        .chain(seed.iter().copied());
    let letter = |half: u8| char::from(b'a' + half);
    let mut text = String::with_capacity(INPUT);
    for byte in bytes {
        text.push(letter(byte >> 4));
        text.push(letter(byte & 15));
    }
    text
}

const EM_X86_64: u16 = 62;
const EM_AARCH64: u16 = 183;
/// Where the file is loaded.
const BASE: u64 = 0x40_0000;
/// The ELF header, and the header of the one segment (elf(5)).
const HEADERS: u16 = 64 + 56;

/// An executable whose one segment is the file itself. The program keeps its data on the stack.
fn elf(code: &[u8], machine: u16) -> Vec<u8> {
    let length = (usize::from(HEADERS) + code.len()) as u64;
    let mut file = b"\x7fELF\x02\x01\x01".to_vec(); // 64 bits, little-endian, version 1
    file.resize(16, 0);
    let mut put = |bytes: &[u8]| file.extend_from_slice(bytes);
    put(&2_u16.to_le_bytes()); // ET_EXEC
    put(&machine.to_le_bytes());
    put(&1_u32.to_le_bytes());
    put(&(BASE + u64::from(HEADERS)).to_le_bytes()); // entry
    put(&64_u64.to_le_bytes()); // program headers
    put(&0_u64.to_le_bytes()); // section headers
    put(&0_u32.to_le_bytes());
    for half in [64_u16, 56, 1, 64, 0, 0] {
        put(&half.to_le_bytes());
    }
    put(&1_u32.to_le_bytes()); // PT_LOAD
    put(&5_u32.to_le_bytes()); // readable, executable
    for word in [0, BASE, BASE, length, length, 0x1_0000] {
        put(&u64::to_le_bytes(word));
    }
    put(code);
    file
}

/// In GNU assembler's syntax:
///
/// ```text
/// _start: subq    $256, %rsp
///         xorl    %eax, %eax              # read(0, buffer, 176)
///         xorl    %edi, %edi
///         movq    %rsp, %rsi
///         movl    $176, %edx
///         syscall
///         movb    $1, %bl                 # the exit status
///         cmpl    %edx, %eax
///         jne     4f
///         movq    %rsp, %rdi              # two letters a byte, in place
///         movl    $88, %ecx
/// 1:      lodsw                           # the upper half is in al
///         subw    $0x6161, %ax
///         shlb    $4, %al
///         orb     %ah, %al
///         stosb
///         loop    1b
///         xorl    %ebx, %ebx
///         xorl    %edi, %edi              # clock_settime(CLOCK_REALTIME, buffer)
///         movq    %rsp, %rsi
///         movl    $227, %eax
///         syscall
///         testl   %eax, %eax
///         jz      2f
///         orb     $2, %bl
/// 2:      leaq    path(%rip), %rdi        # open(path, O_WRONLY)
///         movl    $1, %esi
///         movl    $2, %eax
///         syscall
///         movl    %eax, %ebp
///         movl    %ebp, %edi              # ioctl(file, RNDADDENTROPY, buffer + 16)
///         movl    $0x40085203, %esi
///         leaq    16(%rsp), %rdx
///         movl    $16, %eax
///         syscall
///         testl   %eax, %eax
///         jz      3f
///         orb     $4, %bl
/// 3:      movl    %ebp, %edi              # ioctl(file, RNDRESEEDCRNG)
///         movl    $0x5207, %esi
///         movl    $16, %eax
///         syscall
///         testl   %eax, %eax
///         jz      4f
///         orb     $8, %bl
/// 4:      movzbl  %bl, %edi               # exit(status)
///         movl    $60, %eax
///         syscall
/// path:   .asciz  "/dev/urandom"
/// ```
const X86_64: [u8; 161] = [
    0x48, 0x81, 0xec, 0x00, 0x01, 0x00, 0x00, 0x31, 0xc0, 0x31, 0xff, 0x48, 0x89, 0xe6, 0xba, 0xb0,
    0x00, 0x00, 0x00, 0x0f, 0x05, 0xb3, 0x01, 0x39, 0xd0, 0x75, 0x6f, 0x48, 0x89, 0xe7, 0xb9, 0x58,
    0x00, 0x00, 0x00, 0x66, 0xad, 0x66, 0x2d, 0x61, 0x61, 0xc0, 0xe0, 0x04, 0x08, 0xe0, 0xaa, 0xe2,
    0xf2, 0x31, 0xdb, 0x31, 0xff, 0x48, 0x89, 0xe6, 0xb8, 0xe3, 0x00, 0x00, 0x00, 0x0f, 0x05, 0x85,
    0xc0, 0x74, 0x03, 0x80, 0xcb, 0x02, 0x48, 0x8d, 0x3d, 0x47, 0x00, 0x00, 0x00, 0xbe, 0x01, 0x00,
    0x00, 0x00, 0xb8, 0x02, 0x00, 0x00, 0x00, 0x0f, 0x05, 0x89, 0xc5, 0x89, 0xef, 0xbe, 0x03, 0x52,
    0x08, 0x40, 0x48, 0x8d, 0x54, 0x24, 0x10, 0xb8, 0x10, 0x00, 0x00, 0x00, 0x0f, 0x05, 0x85, 0xc0,
    0x74, 0x03, 0x80, 0xcb, 0x04, 0x89, 0xef, 0xbe, 0x07, 0x52, 0x00, 0x00, 0xb8, 0x10, 0x00, 0x00,
    0x00, 0x0f, 0x05, 0x85, 0xc0, 0x74, 0x03, 0x80, 0xcb, 0x08, 0x0f, 0xb6, 0xfb, 0xb8, 0x3c, 0x00,
    0x00, 0x00, 0x0f, 0x05, 0x2f, 0x64, 0x65, 0x76, 0x2f, 0x75, 0x72, 0x61, 0x6e, 0x64, 0x6f, 0x6d,
    0x00,
];

/// In GNU assembler's syntax:
///
/// ```text
/// _start: sub     sp, sp, #256
///         mov     x0, #0                  // read(0, buffer, 176)
///         mov     x1, sp
///         mov     x2, #176
///         mov     x8, #63
///         svc     #0
///         mov     x19, #1                 // the exit status
///         cmp     x0, #176
///         b.ne    4f
///         mov     x1, sp                  // two letters a byte, in place
///         mov     x2, sp
///         mov     x3, #88
/// 1:      ldrb    w4, [x1], #1
///         ldrb    w5, [x1], #1
///         sub     w4, w4, #'a'
///         sub     w5, w5, #'a'
///         orr     w4, w5, w4, lsl #4
///         strb    w4, [x2], #1
///         subs    x3, x3, #1
///         b.ne    1b
///         mov     x19, #0
///         mov     x0, #0                  // clock_settime(CLOCK_REALTIME, buffer)
///         mov     x1, sp
///         mov     x8, #112
///         svc     #0
///         cbz     x0, 2f
///         orr     x19, x19, #2
/// 2:      mov     x0, #-100               // openat(AT_FDCWD, path, O_WRONLY)
///         adr     x1, path
///         mov     x2, #1
///         mov     x8, #56
///         svc     #0
///         mov     x20, x0
///         mov     x1, #0x5203             // ioctl(file, RNDADDENTROPY, buffer + 16)
///         movk    x1, #0x4008, lsl #16
///         add     x2, sp, #16
///         mov     x8, #29
///         svc     #0
///         cbz     x0, 3f
///         orr     x19, x19, #4
/// 3:      mov     x0, x20                 // ioctl(file, RNDRESEEDCRNG)
///         mov     x1, #0x5207
///         mov     x8, #29
///         svc     #0
///         cbz     x0, 4f
///         orr     x19, x19, #8
/// 4:      mov     x0, x19                 // exit(status)
///         mov     x8, #93
///         svc     #0
/// path:   .asciz  "/dev/urandom"
/// ```
const AARCH64: [u8; 209] = [
    0xff, 0x03, 0x04, 0xd1, 0x00, 0x00, 0x80, 0xd2, 0xe1, 0x03, 0x00, 0x91, 0x02, 0x16, 0x80, 0xd2,
    0xe8, 0x07, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4, 0x33, 0x00, 0x80, 0xd2, 0x1f, 0xc0, 0x02, 0xf1,
    0xc1, 0x04, 0x00, 0x54, 0xe1, 0x03, 0x00, 0x91, 0xe2, 0x03, 0x00, 0x91, 0x03, 0x0b, 0x80, 0xd2,
    0x24, 0x14, 0x40, 0x38, 0x25, 0x14, 0x40, 0x38, 0x84, 0x84, 0x01, 0x51, 0xa5, 0x84, 0x01, 0x51,
    0xa4, 0x10, 0x04, 0x2a, 0x44, 0x14, 0x00, 0x38, 0x63, 0x04, 0x00, 0xf1, 0x21, 0xff, 0xff, 0x54,
    0x13, 0x00, 0x80, 0xd2, 0x00, 0x00, 0x80, 0xd2, 0xe1, 0x03, 0x00, 0x91, 0x08, 0x0e, 0x80, 0xd2,
    0x01, 0x00, 0x00, 0xd4, 0x40, 0x00, 0x00, 0xb4, 0x73, 0x02, 0x7f, 0xb2, 0x60, 0x0c, 0x80, 0x92,
    0xa1, 0x02, 0x00, 0x10, 0x22, 0x00, 0x80, 0xd2, 0x08, 0x07, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4,
    0xf4, 0x03, 0x00, 0xaa, 0x61, 0x40, 0x8a, 0xd2, 0x01, 0x01, 0xa8, 0xf2, 0xe2, 0x43, 0x00, 0x91,
    0xa8, 0x03, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4, 0x40, 0x00, 0x00, 0xb4, 0x73, 0x02, 0x7e, 0xb2,
    0xe0, 0x03, 0x14, 0xaa, 0xe1, 0x40, 0x8a, 0xd2, 0xa8, 0x03, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4,
    0x40, 0x00, 0x00, 0xb4, 0x73, 0x02, 0x7d, 0xb2, 0xe0, 0x03, 0x13, 0xaa, 0xa8, 0x0b, 0x80, 0xd2,
    0x01, 0x00, 0x00, 0xd4, 0x2f, 0x64, 0x65, 0x76, 0x2f, 0x75, 0x72, 0x61, 0x6e, 0x64, 0x6f, 0x6d,
    0x00,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_input_has_the_layout_of_the_kernel() {
        let now = DateTime::from_timestamp(0x1_0203, 0x1a).unwrap();
        let text = input(now, &[0xf0; SEED]);
        assert_eq!(text.len(), INPUT);
        assert!(text.starts_with("adacabaaaaaaaaaabkaaaaaaaaaaaaaaaaacaaaaeaaaaaaapapa"));
    }

    /// Without privileges the kernel refuses, which is what this host needs: its clock is not to be set.
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    #[test]
    fn the_program_says_what_was_refused() {
        use std::io::Write;
        use std::os::unix::fs::PermissionsExt;
        use std::process::{Command, Stdio};

        let directory = tempfile::tempdir().unwrap();
        let open = |path, mode| {
            let permissions = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(path, permissions).unwrap();
        };
        let path = directory.path().join("wake");
        std::fs::write(&path, &programs()[0].1).unwrap();
        open(directory.path(), 0o755);
        open(&path, 0o755);
        let run = |input: &str| {
            let mut child = Command::new("setpriv")
                .args(["--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"])
                .args(["--reuid=65534", "--clear-groups"])
                .arg(&path)
                .stdin(Stdio::piped())
                .spawn()
                .unwrap();
            let mut stdin = child.stdin.take().unwrap();
            stdin.write_all(input.as_bytes()).unwrap();
            drop(stdin);
            child.wait().unwrap().code()
        };
        // An unprivileged user of this machine can't become another one, and need not.
        let root = std::fs::metadata("/proc/self").is_ok_and(|own| {
            use std::os::unix::fs::MetadataExt;
            own.uid() == 0
        });
        if root {
            assert_eq!(run(&input(Utc::now(), &[7; SEED])), Some(2 + 4 + 8));
            assert_eq!(run("abc"), Some(1));
        }
    }
}
