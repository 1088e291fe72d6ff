//! Enough of ELF64 to say whether a binary is static and where it is loaded.

use crate::failure::{Failure, Result};

const ET_EXEC: u16 = 2;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;

/// What the header and the program headers say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Linkage {
    /// Asks for a dynamic loader (`PT_INTERP`).
    pub(crate) interpreter: bool,
    /// Has a dynamic section (`PT_DYNAMIC`): dynamic, or static-pie.
    pub(crate) dynamic: bool,
    /// Loaded at a fixed address (`ET_EXEC`), so that nothing is relocated at start.
    pub(crate) fixed: bool,
}

impl Linkage {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self> {
        // e_ident: magic, ELFCLASS64 (2), little endian (1).
        if bytes.get(..6) != Some(b"\x7fELF\x02\x01".as_slice()) {
            return Err(Failure::new("not a little-endian ELF64 file"));
        }
        let offset =
            usize::try_from(u64_at(bytes, 32)?).map_err(|_| Failure::new("program headers out of range"))?;
        let size = usize::from(u16_at(bytes, 54)?);
        let count = usize::from(u16_at(bytes, 56)?);
        let mut linkage = Self { interpreter: false, dynamic: false, fixed: u16_at(bytes, 16)? == ET_EXEC };
        for index in 0..count {
            match u32_at(bytes, offset + index * size)? {
                PT_INTERP => linkage.interpreter = true,
                PT_DYNAMIC => linkage.dynamic = true,
                _ => {}
            }
        }
        Ok(linkage)
    }

    /// Runs on any Linux of its architecture: no loader, no shared library.
    pub(crate) fn is_static(self) -> bool {
        !self.interpreter && !self.dynamic
    }
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N]> {
    bytes
        .get(at..at + N)
        .and_then(|slice| slice.try_into().ok())
        .ok_or_else(|| Failure::new("truncated ELF file"))
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16> {
    field(bytes, at).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32> {
    field(bytes, at).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Result<u64> {
    field(bytes, at).map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::Linkage;

    fn image(kind: u16, headers: &[u32]) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01".to_vec();
        bytes.resize(64, 0);
        bytes[16..18].copy_from_slice(&kind.to_le_bytes());
        bytes[32..40].copy_from_slice(&64u64.to_le_bytes());
        bytes[54..56].copy_from_slice(&56u16.to_le_bytes());
        bytes[56..58].copy_from_slice(&u16::try_from(headers.len()).unwrap().to_le_bytes());
        for header in headers {
            let mut entry = [0u8; 56];
            entry[..4].copy_from_slice(&header.to_le_bytes());
            bytes.extend_from_slice(&entry);
        }
        bytes
    }

    #[test]
    fn linkage_is_read_from_the_program_headers() {
        let check = |kind, headers: &[u32], is_static, fixed| {
            let linkage = Linkage::parse(&image(kind, headers)).unwrap();
            assert_eq!((linkage.is_static(), linkage.fixed), (is_static, fixed));
        };
        check(2, &[1, 1, 4], true, true);
        check(3, &[1, 2], false, false);
        check(3, &[3, 1, 2], false, false);
    }

    #[test]
    fn broken_files_are_refused() {
        assert!(Linkage::parse(b"#!/bin/sh\n").is_err());
        let mut cut = image(2, &[1, 1]);
        cut.truncate(100);
        assert_eq!(Linkage::parse(&cut).unwrap_err().to_string(), "truncated ELF file");
    }
}
