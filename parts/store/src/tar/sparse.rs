//! Sparse maps: old GNU (in the header), PAX 0.0 and 0.1 (in records), PAX 1.0 (before the data).

use super::header::number;
use super::pax;

/// Bytes that are really there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

/// The most segments that are accepted: 16 MiB of memory.
pub(crate) const SEGMENT_LIMIT: usize = 1 << 20;

/// Checks order, overlap and sums; `None` where the map contradicts itself, `size` or `stored`.
pub(crate) fn check(segments: &[Segment], size: u64, stored: u64) -> Option<()> {
    let (mut end, mut sum) = (0_u64, 0_u64);
    for segment in segments {
        if segment.offset < end {
            return None;
        }
        end = segment.offset.checked_add(segment.length)?;
        sum = sum.checked_add(segment.length)?;
    }
    (end <= size && sum == stored).then_some(())
}

/// Pairs up offsets and lengths.
pub(crate) fn pairs(numbers: &[u64]) -> Option<Vec<Segment>> {
    if !numbers.len().is_multiple_of(2) || numbers.len() / 2 > SEGMENT_LIMIT {
        return None;
    }
    Some(numbers.chunks_exact(2).map(|pair| Segment { offset: pair[0], length: pair[1] }).collect())
}

/// Appends the old GNU entries of `field`, 24 bytes each, up to the first empty one.
pub(crate) fn old_gnu(field: &[u8], segments: &mut Vec<Segment>) -> Option<()> {
    for entry in field.chunks_exact(24) {
        if entry[0] == 0 {
            break;
        }
        let offset = u64::try_from(number(&entry[..12])?).ok()?;
        let length = u64::try_from(number(&entry[12..])?).ok()?;
        if segments.len() == SEGMENT_LIMIT {
            return None;
        }
        segments.push(Segment { offset, length });
    }
    Some(())
}

/// Reads the map of PAX 1.0 as it grows block by block.
#[derive(Debug, Default)]
pub(crate) struct MapReader {
    line: Vec<u8>,
    count: Option<usize>,
    numbers: Vec<u64>,
}

impl MapReader {
    /// Takes one block. `Some(true)` when the map is complete, `None` where it is malformed.
    pub(crate) fn block(&mut self, block: &[u8]) -> Option<bool> {
        for byte in block {
            if *byte != b'\n' {
                self.line.push(*byte);
                if self.line.len() > 20 {
                    return None;
                }
                continue;
            }
            let value = pax::number(&self.line)?;
            self.line.clear();
            match self.count {
                None => {
                    let count = usize::try_from(value).ok().filter(|count| *count <= SEGMENT_LIMIT)?;
                    self.count = Some(count * 2);
                }
                Some(_) => self.numbers.push(value),
            }
            if self.count == Some(self.numbers.len()) {
                // The rest of the block is padding.
                return Some(true);
            }
        }
        Some(false)
    }

    pub(crate) fn segments(&self) -> Option<Vec<Segment>> {
        pairs(&self.numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_must_agree() {
        let check = |map: &[(u64, u64)], size, stored, expected: bool| {
            let map: Vec<_> =
                map.iter().map(|(offset, length)| Segment { offset: *offset, length: *length }).collect();
            assert_eq!(super::check(&map, size, stored).is_some(), expected, "{map:?}");
        };
        check(&[], 10, 0, true);
        check(&[(0, 5), (10, 5)], 15, 10, true);
        check(&[(0, 5), (10, 0)], 10, 5, true);
        check(&[(0, 5), (4, 5)], 15, 10, false);
        check(&[(0, 5)], 4, 5, false);
        check(&[(0, 5)], 5, 4, false);
        check(&[(u64::MAX, 5)], u64::MAX, 5, false);
    }

    #[test]
    fn pax_1_0() {
        let mut map = MapReader::default();
        assert_eq!(map.block(b"2\n0\n1"), Some(false));
        assert_eq!(map.block(b"0\n100\n5\n\0\0"), Some(true));
        assert_eq!(
            map.segments().unwrap(),
            [Segment { offset: 0, length: 10 }, Segment { offset: 100, length: 5 }]
        );
        assert_eq!(MapReader::default().block(b"10000000\n"), None);
        assert_eq!(MapReader::default().block(b"x\n"), None);
        assert_eq!(MapReader::default().block(b"0\n"), Some(true));
    }
}
