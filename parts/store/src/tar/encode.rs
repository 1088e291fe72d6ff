//! Headers that corten writes: the canonical tar of its own layers, and of what it hands out.
//!
//! Frozen: a layer's diff ID depends on every byte. ustar where all fits, behind one PAX header where it does not, with
//! the records in the order of their keys; whole seconds, no access or change times, no names of owners.

use super::{BLOCK, Entry, Kind};

/// The largest number of seven octal digits.
const OCTAL7: u64 = 0o7_777_777;
/// The largest number of eleven octal digits.
const OCTAL11: u64 = 0o77_777_777_777;

/// The header blocks of an entry; its content, padded to whole blocks, follows.
pub(crate) fn headers(entry: &Entry) -> Vec<u8> {
    let records = records(entry);
    let mut bytes = Vec::with_capacity(BLOCK);
    if !records.is_empty() {
        let extended = Entry { size: records.len() as u64, ..Entry::new(b"pax", Kind::File, 0o644) };
        bytes.extend_from_slice(&block(&extended, b'x'));
        bytes.extend_from_slice(&records);
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    }
    bytes.extend_from_slice(&block(entry, flag(entry.kind)));
    bytes
}

/// How many bytes pad content of this size.
pub(crate) fn padding(size: u64) -> usize {
    usize::try_from(size.next_multiple_of(BLOCK as u64) - size).unwrap_or(0)
}

fn flag(kind: Kind) -> u8 {
    match kind {
        Kind::File => b'0',
        Kind::HardLink => b'1',
        Kind::Symlink => b'2',
        Kind::CharDevice => b'3',
        Kind::BlockDevice => b'4',
        Kind::Directory => b'5',
        Kind::Fifo => b'6',
    }
}

fn records(entry: &Entry) -> Vec<u8> {
    let mut records = Vec::new();
    let number = |value: u64| value.to_string().into_bytes();
    for (name, value) in &entry.xattrs {
        records.push(([b"SCHILY.xattr.", name.as_slice()].concat(), value.clone()));
    }
    if entry.gid > OCTAL7 {
        records.push((b"gid".to_vec(), number(entry.gid)));
    }
    if entry.link.len() > 100 {
        records.push((b"linkpath".to_vec(), entry.link.clone()));
    }
    if !u64::try_from(entry.mtime.0).is_ok_and(|seconds| seconds <= OCTAL11) {
        records.push((b"mtime".to_vec(), entry.mtime.0.to_string().into_bytes()));
    }
    if entry.path.len() > 100 {
        records.push((b"path".to_vec(), entry.path.clone()));
    }
    if entry.size > OCTAL11 {
        records.push((b"size".to_vec(), number(entry.size)));
    }
    if entry.uid > OCTAL7 {
        records.push((b"uid".to_vec(), number(entry.uid)));
    }
    records.sort();
    records.iter().flat_map(|(key, value)| record(key, value)).collect()
}

/// `length key=value\n`, where the length counts itself.
fn record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + length.to_string().len() != length {
        length = rest + length.to_string().len();
    }
    [length.to_string().as_bytes(), b" ", key, b"=", value, b"\n"].concat()
}

fn block(entry: &Entry, flag: u8) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    let octal7 = |value: u64| format!("{:07o}\0", if value > OCTAL7 { 0 } else { value });
    let octal11 = |value: u64| format!("{:011o}\0", if value > OCTAL11 { 0 } else { value });
    put(0, entry.path.get(..100).unwrap_or(&entry.path));
    put(100, octal7(entry.mode.into()).as_bytes());
    put(108, octal7(entry.uid).as_bytes());
    put(116, octal7(entry.gid).as_bytes());
    put(124, octal11(entry.size).as_bytes());
    put(136, octal11(u64::try_from(entry.mtime.0).unwrap_or(0)).as_bytes());
    put(148, b"        ");
    put(156, &[flag]);
    put(157, entry.link.get(..100).unwrap_or(&entry.link));
    put(257, b"ustar\x0000");
    if matches!(entry.kind, Kind::CharDevice | Kind::BlockDevice) {
        put(329, octal7(entry.device.0.into()).as_bytes());
        put(337, octal7(entry.device.1.into()).as_bytes());
    }
    let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tar::reader::Reader;

    fn read_back(entry: &Entry) -> Entry {
        let mut bytes = headers(entry);
        bytes.resize(bytes.len() + 2 * BLOCK, 0);
        Reader::new(&bytes[..]).next().unwrap().unwrap()
    }

    #[test]
    fn what_it_writes_is_read_back() {
        let plain = |path: &[u8], kind| Entry::new(path, kind, 0o4755);
        let entries = [
            plain(b"dir/", Kind::Directory),
            plain(b"\xff\n odd", Kind::Fifo),
            Entry { link: b"/to".to_vec(), ..plain(b"l", Kind::Symlink) },
            Entry { link: vec![b'x'; 300], ..plain(&[b'y'; 300], Kind::Symlink) },
            Entry { link: b"dir/first".to_vec(), ..plain(b"h", Kind::HardLink) },
            Entry { device: (8, 300), ..plain(b"disk", Kind::BlockDevice) },
            Entry { device: (1, 3), uid: 5_000_000, gid: 4_000_000_000, ..plain(b"null", Kind::CharDevice) },
            Entry { mtime: (-5, 0), ..plain(b"old/", Kind::Directory) },
            Entry { mtime: (1 << 34, 0), ..plain(b"late/", Kind::Directory) },
            Entry {
                xattrs: vec![(b"user.a".to_vec(), b"=\n\0".to_vec()), (b"user.b".to_vec(), vec![7; 200])],
                ..plain(b"x/", Kind::Directory)
            },
        ];
        for entry in entries {
            let read = read_back(&entry);
            assert_eq!(format!("{read:?}"), format!("{entry:?}"));
        }
    }

    /// Layers made by earlier versions are to have the same digests for ever.
    #[test]
    fn frozen() {
        use corten_spec::Digest;
        let entry = Entry {
            uid: 1000,
            gid: 50,
            mtime: (1_700_000_000, 0),
            xattrs: vec![(b"user.a".to_vec(), b"1".to_vec())],
            ..Entry::new(&[b'n'; 120], Kind::Directory, 0o1777)
        };
        assert_eq!(
            Digest::of(&headers(&entry)).to_string(),
            "sha256:15b19cbd690c16fa87c558d85f9e2c4a3a20d3180c6a9e9c7f9b4bdcf035c7ee"
        );
    }

    #[test]
    fn a_record_counts_its_own_length() {
        let cases = [(90, 96), (93, 99), (94, 101), (991, 998), (994, 1002)];
        for (value, expected) in cases {
            let record = record(b"k", &vec![b'x'; value]);
            assert_eq!(record.len(), expected, "{value}");
            assert!(record.starts_with(format!("{expected} ").as_bytes()));
        }
    }
}
