//! What tells one build's idea of the default policy from another's, whatever version both claim to be.
//!
//! Compiled programs are kept beyond the process that made them; a corrected policy must not find the old ones.

/// Of everything that the default policy's programs are made from.
pub const FINGERPRINT: u64 = {
    const SOURCES: [&[u8]; 10] = [
        include_bytes!("default.rs"),
        include_bytes!("profile.rs"),
        include_bytes!("compile.rs"),
        include_bytes!("emit.rs"),
        include_bytes!("tables_x86_64.rs"),
        include_bytes!("tables_x32.rs"),
        include_bytes!("tables_i386.rs"),
        include_bytes!("tables_aarch64.rs"),
        include_bytes!("tables_arm.rs"),
        include_bytes!("../capabilities.rs"),
    ];
    let mut hash = BASIS;
    let mut index = 0;
    while index < SOURCES.len() {
        hash = fold(hash, SOURCES[index]);
        index += 1;
    }
    hash
};

/// FNV-1a's offset basis for 64 bits.
const BASIS: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a: no secret is kept by it, it only has to differ.
const fn fold(mut hash: u64, bytes: &[u8]) -> u64 {
    const PRIME: u64 = 0x0100_0000_01b3;
    let mut index = 0;
    while index < bytes.len() {
        hash = (hash ^ bytes[index] as u64).wrapping_mul(PRIME);
        index += 1;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::{BASIS, FINGERPRINT, fold};

    #[test]
    fn every_byte_counts() {
        let check = |text: &str, expected: u64| assert_eq!(fold(BASIS, text.as_bytes()), expected);
        check("", 0xcbf2_9ce4_8422_2325);
        check("a", 0xaf63_dc4c_8601_ec8c);
        check("foobar", 0x8594_4171_f739_67e8);
        assert_ne!(FINGERPRINT, BASIS);
    }
}
