//! PAX extended headers: `length key=value\n` records, strictly read.

/// The records of one extended header that corten honours; later ones win.
#[derive(Debug, Default, Clone)]
pub(crate) struct Records {
    pub(crate) path: Option<Vec<u8>>,
    pub(crate) link: Option<Vec<u8>>,
    pub(crate) size: Option<u64>,
    pub(crate) uid: Option<u64>,
    pub(crate) gid: Option<u64>,
    pub(crate) mtime: Option<(i64, u32)>,
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) sparse: SparseRecords,
}

/// What the three PAX sparse formats of GNU tar record.
#[derive(Debug, Default, Clone)]
pub(crate) struct SparseRecords {
    pub(crate) major: Option<u64>,
    pub(crate) minor: Option<u64>,
    pub(crate) name: Option<Vec<u8>>,
    pub(crate) real_size: Option<u64>,
    /// `GNU.sparse.map` of 0.1, or the offset and numbytes pairs of 0.0 in order.
    pub(crate) map: Option<Vec<u64>>,
}

impl Records {
    /// Reads a whole extended header; `None` where it is malformed.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut records = Self::default();
        let mut rest = bytes;
        // Some writers pad with NULs.
        while !rest.is_empty() && rest.iter().any(|b| *b != 0) {
            let (key, value, after) = record(rest)?;
            records.apply(key, value)?;
            rest = after;
        }
        Some(records)
    }

    fn apply(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        let text = || (!value.contains(&0)).then(|| (!value.is_empty()).then(|| value.to_vec()));
        // An empty value takes the record back.
        let decimal = || if value.is_empty() { Some(None) } else { number(value).map(Some) };
        match key {
            b"path" => self.path = text()?,
            b"linkpath" => self.link = text()?,
            b"size" => self.size = decimal()?,
            b"uid" => self.uid = decimal()?,
            b"gid" => self.gid = decimal()?,
            b"mtime" => self.mtime = if value.is_empty() { None } else { Some(time(value)?) },
            b"GNU.sparse.major" => self.sparse.major = decimal()?,
            b"GNU.sparse.minor" => self.sparse.minor = decimal()?,
            b"GNU.sparse.name" => self.sparse.name = text()?,
            b"GNU.sparse.size" | b"GNU.sparse.realsize" => self.sparse.real_size = decimal()?,
            b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => {
                let map = self.sparse.map.get_or_insert_default();
                // Offsets and lengths take turns.
                if map.len().is_multiple_of(2) != (key == b"GNU.sparse.offset") {
                    return None;
                }
                map.push(number(value)?);
            }
            b"GNU.sparse.map" => {
                self.sparse.map = Some(value.split(|b| *b == b',').map(number).collect::<Option<_>>()?);
            }
            _ => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    if name.is_empty() || name.contains(&0) {
                        return None;
                    }
                    self.xattrs.retain(|(have, _)| have != name);
                    self.xattrs.push((name.to_vec(), value.to_vec()));
                }
            }
        }
        Some(())
    }
}

/// Splits the first record off: key, value, the rest.
fn record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let blank = bytes.iter().take(10).position(|b| *b == b' ')?;
    let length = usize::try_from(number(&bytes[..blank])?).ok()?;
    if length < blank + 3 || length > bytes.len() {
        return None;
    }
    let (record, rest) = bytes.split_at(length);
    let body = record[blank + 1..].strip_suffix(b"\n")?;
    let equals = body.iter().position(|b| *b == b'=')?;
    (equals > 0).then(|| (&body[..equals], &body[equals + 1..], rest))
}

/// Reads plain decimal digits.
pub(crate) fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(text).ok()?.parse().ok().filter(|value| i64::try_from(*value).is_ok())
}

/// Reads `[-]seconds[.fraction]`; what is finer than a nanosecond is cut off.
fn time(text: &[u8]) -> Option<(i64, u32)> {
    let (negative, text) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut halves = text.splitn(2, |b| *b == b'.');
    let seconds = i64::try_from(number(halves.next()?)?).ok()?;
    let mut nanoseconds = 0_u32;
    if let Some(fraction) = halves.next() {
        if !fraction.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let digits = fraction.iter().copied().chain(std::iter::repeat(b'0')).take(9);
        nanoseconds = digits.fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    }
    Some(match (negative, nanoseconds) {
        (false, _) => (seconds, nanoseconds),
        (true, 0) => (-seconds, 0),
        (true, _) => (-seconds - 1, 1_000_000_000 - nanoseconds),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_records() {
        let records = Records::parse(b"9 path=a\n12 size=007\n22 mtime=12.500000000\n").unwrap();
        assert_eq!(records.path.as_deref(), Some(&b"a"[..]));
        assert_eq!((records.size, records.mtime), (Some(7), Some((12, 500_000_000))));
        let records = Records::parse(b"9 path=a\n9 path=b\n8 path=\n").unwrap();
        assert_eq!(records.path, None);
        let records = Records::parse(b"25 SCHILY.xattr.user.a=\n\n\0\0\0").unwrap();
        assert_eq!(records.xattrs, vec![(b"user.a".to_vec(), b"\n".to_vec())][..]);
    }

    #[test]
    fn refuses_malformed_records() {
        let bad: [&[u8]; 13] = [
            b"8 path=a\n",
            b"99 path=a\n",
            b"9 path=a ",
            b"9 patha=\n9 path",
            b"path=a\n",
            b"9  ath=a\n x",
            b"11 path=a\0\n",
            b"10 size=x\n",
            b"11 size=-1\n",
            b"3 =\n",
            b"5 =a\n",
            b"29 size=99999999999999999999\n",
            b"25 GNU.sparse.numbytes=1\n",
        ];
        for bytes in bad {
            assert!(Records::parse(bytes).is_none(), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn times() {
        assert_eq!(time(b"-1.25"), Some((-2, 750_000_000)));
        assert_eq!(time(b"-3"), Some((-3, 0)));
        assert_eq!(time(b"1.1234567899"), Some((1, 123_456_789)));
        assert_eq!(time(b"1.x"), None);
        assert_eq!(time(b""), None);
    }
}
