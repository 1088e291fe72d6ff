//! Images that corten carries inside itself: `hello-world`, a program assembled here from bytes (architecture D14).
//!
//! One comes into the store when it is first used and its name is not taken; from then on it is an image like
//! any other. The same corten makes the same image ID everywhere.

use std::env::consts;

use corten_spec::image_config::ContainerConfig;
use corten_spec::{Platform, Reference};
use corten_store::ImportOptions;

use crate::{Engine, Error};

const HELLO_WORLD: &str = "docker.io/library/hello-world:latest";
/// A fixed moment, so that the ID is the same everywhere.
const CREATED: &str = "2026-01-01T00:00:00Z";
/// What history shows.
const COMMENT: &str = "(built-in)";

const GREETING: &str = "Hello from corten!

This text was written by a program in a container, so your installation works.

What has just happened:
 1. corten looked for the image hello-world, did not need a registry for it, and found the copy
    that it carries inside its own binary (later runs find it in the store).
 2. It made a container of that image: namespaces of its own (root in there is an ordinary
    user out here), a filter for system calls, a writable layer above the image's one file.
 3. It ran /hello in there, a program of little more than a kilobyte, and handed its output to you.
 4. The program ended, and no process of corten stays behind: there is no daemon.

To go on, bring in a root file system of your own and get a shell in it:
    corten import debian.tar debian
    corten run -it --rm debian bash
";

/// Brings the built-in image that `name` means into the store; false where there is none of that name.
///
/// Takes the images lock: the caller must not hold it.
pub fn provide(engine: &Engine, name: &str) -> Result<bool, Error> {
    let reference = match Reference::parse(name) {
        Ok(reference) if reference.to_string() == HELLO_WORLD => reference,
        _ => return Ok(false),
    };
    let Some(program) = Machine::host().map(|machine| machine.hello(GREETING)) else { return Ok(false) };
    let layer = corten_store::program_tar("hello", &program);
    let options = ImportOptions {
        config: ContainerConfig {
            cmd: Some(vec!["/hello".to_owned()]),
            env: vec!["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()],
            working_dir: "/".to_owned(),
            ..ContainerConfig::default()
        },
        message: COMMENT.to_owned(),
        platform: Platform::host(),
        created: CREATED.to_owned(),
        reference: Some(reference),
    };
    engine.store().import_image(&mut layer.as_slice(), &options)?;
    Ok(true)
}

#[derive(Debug, Clone, Copy)]
enum Machine {
    X86,
    Arm,
}

/// Where the file is mapped. Aligned for kernels with pages of 64 KiB too.
const BASE: u64 = 0x40_0000;
const ALIGNMENT: u64 = 0x1_0000;
/// ELF header and two program headers.
const HEADERS: usize = 64 + 2 * 56;

impl Machine {
    fn host() -> Option<Self> {
        match consts::ARCH {
            "x86_64" => Some(Self::X86),
            "aarch64" => Some(Self::Arm),
            _ => None,
        }
    }

    /// A static program that writes `text` to its standard output in one call and exits with 0.
    fn hello(self, text: &str) -> Vec<u8> {
        // Lengths are constants of this file, a few hundred bytes: no conversion below can cut one.
        let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
        let code = match self {
            Self::X86 => x86_code(length),
            Self::Arm => arm_code(length),
        };
        let number: u16 = match self {
            Self::X86 => 62,
            Self::Arm => 183,
        };
        let total = (HEADERS + code.len() + text.len()) as u64;
        let mut file = Vec::with_capacity(HEADERS + code.len() + text.len());
        // e_ident: 64 bits, little-endian, version 1, System V.
        file.extend_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        file.extend_from_slice(&2_u16.to_le_bytes()); // ET_EXEC
        file.extend_from_slice(&number.to_le_bytes());
        file.extend_from_slice(&1_u32.to_le_bytes());
        for offset in [BASE + HEADERS as u64, 64, 0] {
            file.extend_from_slice(&offset.to_le_bytes()); // entry, program headers, no sections
        }
        file.extend_from_slice(&0_u32.to_le_bytes());
        for size in [64_u16, 56, 2, 0, 0, 0] {
            file.extend_from_slice(&size.to_le_bytes());
        }
        // PT_LOAD, readable and executable, the whole file; PT_GNU_STACK, not executable.
        segment(&mut file, (1, 5), [0, BASE, BASE, total, total, ALIGNMENT]);
        segment(&mut file, (0x6474_e551, 6), [0, 0, 0, 0, 0, 16]);
        file.extend_from_slice(&code);
        file.extend_from_slice(text.as_bytes());
        file
    }
}

fn segment(file: &mut Vec<u8>, (kind, flags): (u32, u32), numbers: [u64; 6]) {
    file.extend_from_slice(&kind.to_le_bytes());
    file.extend_from_slice(&flags.to_le_bytes());
    for number in numbers {
        file.extend_from_slice(&number.to_le_bytes());
    }
}

/// write(1, text, length); exit(0). The text follows the code.
fn x86_code(length: u16) -> Vec<u8> {
    let mut code = vec![0xbf, 1, 0, 0, 0]; // mov edi, 1
    code.extend_from_slice(&[0x48, 0x8d, 0x35]); // lea rsi, [rip + 23]: what is left of the code
    code.extend_from_slice(&23_u32.to_le_bytes());
    code.push(0xba); // mov edx, length
    code.extend_from_slice(&u32::from(length).to_le_bytes());
    code.extend_from_slice(&[0xb8, 1, 0, 0, 0]); // mov eax, 1 (write)
    code.extend_from_slice(&[0x0f, 0x05]); // syscall
    code.extend_from_slice(&[0x31, 0xff]); // xor edi, edi
    code.extend_from_slice(&[0xb8, 60, 0, 0, 0]); // mov eax, 60 (exit)
    code.extend_from_slice(&[0x0f, 0x05]); // syscall
    code.extend_from_slice(&[0x0f, 0x0b]); // ud2, never reached
    code
}

/// As [`x86_code`], in eight instructions of four bytes.
fn arm_code(length: u16) -> Vec<u8> {
    let instructions: [u32; 8] = [
        0xd280_0020,                            // mov x0, #1
        0x1000_00e1,                            // adr x1, #28: what is left of the code
        0xd280_0002 | (u32::from(length) << 5), // mov x2, #length
        0xd280_0808,                            // mov x8, #64 (write)
        0xd400_0001,                            // svc #0
        0xd280_0000,                            // mov x0, #0
        0xd280_0ba8,                            // mov x8, #93 (exit)
        0xd400_0001,                            // svc #0
    ];
    instructions.iter().flat_map(|instruction| instruction.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use corten_spec::Digest;

    #[test]
    fn programs_are_small_and_hold_their_text_behind_their_code() {
        for (machine, code) in [(Machine::X86, 35), (Machine::Arm, 32)] {
            let file = machine.hello(GREETING);
            assert!(file.len() < 4096, "{}", file.len());
            assert_eq!(&file[HEADERS + code..], GREETING.as_bytes());
        }
        // lea is relative to the instruction behind it, which begins at byte 12.
        assert_eq!(x86_code(1).len() - 12, 23);
        // adr is relative to itself, the second instruction.
        assert_eq!(arm_code(1).len() - 4, 28);
    }

    #[test]
    fn the_bytes_never_change_by_accident() {
        let digest = |machine: Machine| Digest::of(&machine.hello("x")).hex()[..16].to_owned();
        assert_eq!(
            (digest(Machine::X86), digest(Machine::Arm)),
            ("3ef48cf2268d97a9".to_owned(), "bafee9503f0cc794".to_owned())
        );
    }
}
