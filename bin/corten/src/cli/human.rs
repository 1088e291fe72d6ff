//! Sizes and times in docker's words (go-units), and the layout of Go's tabwriter.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A gap between columns, and the least width of a column with its gap, as docker sets its tabwriter.
const GAP: usize = 3;
const LEAST: usize = 10;

/// Bytes with decimal units and three digits: `187MB`, `4.5kB`, `0B`.
pub(crate) fn size(bytes: u64) -> String {
    decimal(bytes, 3)
}

/// Bytes with binary units and four digits: `31.2GiB`.
pub(crate) fn binary_size(bytes: u64) -> String {
    scaled(bytes, 1024.0, 4, &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"])
}

fn decimal(bytes: u64, digits: usize) -> String {
    scaled(bytes, 1000.0, digits, &["B", "kB", "MB", "GB", "TB", "PB", "EB"])
}

#[allow(clippy::cast_precision_loss, reason = "at most four digits are shown")]
fn scaled(bytes: u64, base: f64, digits: usize, units: &[&str]) -> String {
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= base && unit + 1 < units.len() {
        value /= base;
        unit += 1;
    }
    let mut text = significant(value, digits);
    // 999.9 kB is 1 MB; docker shows 1e+03kB.
    if base <= 1000.0 && text.parse().is_ok_and(|shown: f64| shown >= base) && unit + 1 < units.len() {
        text = significant(1.0, digits);
        unit += 1;
    }
    format!("{text}{}", units[unit])
}

/// Go's `%.{digits}g` for numbers from 0 to a few thousands: so many significant digits, no trailing zeros.
fn significant(value: f64, digits: usize) -> String {
    let whole = match value {
        value if value >= 1000.0 => 4,
        value if value >= 100.0 => 3,
        value if value >= 10.0 => 2,
        _ => 1,
    };
    let text = format!("{value:.*}", digits.saturating_sub(whole));
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A length of time: `2 minutes`, `About an hour`, `3 weeks`.
pub(crate) fn duration(seconds: i64) -> String {
    let (minutes, hours) = (seconds / 60, (seconds + 1800) / 3600);
    match () {
        () if seconds < 1 => "Less than a second".to_owned(),
        () if seconds == 1 => "1 second".to_owned(),
        () if seconds < 60 => format!("{seconds} seconds"),
        () if minutes == 1 => "About a minute".to_owned(),
        () if minutes < 60 => format!("{minutes} minutes"),
        () if hours == 1 => "About an hour".to_owned(),
        () if hours < 48 => format!("{hours} hours"),
        () if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        () if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        () if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        () => format!("{} years", seconds / 3600 / 24 / 365),
    }
}

/// A moment that a record has in nanoseconds since 1970.
pub(crate) fn timestamp(nanos: i64) -> Timestamp {
    Timestamp::from_nanosecond(nanos.into()).unwrap_or_default()
}

/// How long ago a moment was: `2 minutes ago`.
pub(crate) fn since(moment: Timestamp, now: Timestamp) -> String {
    format!("{} ago", duration(now.as_second() - moment.as_second()))
}

/// A moment as Go prints it, in the caller's time zone: `2026-01-02 03:04:05 +0000 UTC`.
pub(crate) fn moment(moment: Timestamp) -> String {
    moment.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S %z %Z").to_string()
}

/// Lays lines out in columns: cells end at tabs, the last cell of a line belongs to no column.
///
/// A column is as wide as its widest cell in the lines around that have it, as in Go's tabwriter.
pub(crate) fn align(text: &str) -> String {
    align_wide(text, LEAST)
}

/// As [`align`] with another least width.
pub(crate) fn align_wide(text: &str, least: usize) -> String {
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
    let mut widths: Vec<Vec<usize>> = lines.iter().map(|cells| vec![0; cells.len() - 1]).collect();
    for first in 0..lines.len() {
        for column in 0..widths[first].len() {
            if widths[first][column] > 0 {
                continue;
            }
            let block = widths[first..].iter().take_while(|widths| widths.len() > column).count();
            let cells = lines[first..first + block].iter().map(|cells| cells[column].chars().count() + GAP);
            let width = cells.max().unwrap_or(0).max(least);
            widths[first..first + block].iter_mut().for_each(|widths| widths[column] = width);
        }
    }
    let mut out = String::with_capacity(text.len() * 2);
    for (cells, widths) in lines.iter().zip(&widths) {
        for (column, cell) in cells.iter().enumerate() {
            out.push_str(cell);
            let width = widths.get(column).copied().unwrap_or(0);
            out.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.chars().count())));
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let cases = [
            (0, "0B"),
            (999, "999B"),
            (1000, "1kB"),
            (4_261_502, "4.26MB"),
            (186_900_000, "187MB"),
            (12_300_000, "12.3MB"),
            (999_900, "1MB"),
            (1_500_000_000, "1.5GB"),
        ];
        for (bytes, expected) in cases {
            assert_eq!(size(bytes), expected);
        }
        assert_eq!(binary_size(33_500_000_000), "31.2GiB");
        assert_eq!(binary_size(1023 << 20), "1023MiB");
    }

    #[test]
    fn durations() {
        let cases = [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (120, "2 minutes"),
            (3599, "59 minutes"),
            (3600, "About an hour"),
            (5400, "2 hours"),
            (47 * 3600, "47 hours"),
            (48 * 3600, "2 days"),
            (14 * 86_400, "2 weeks"),
            (60 * 86_400, "2 months"),
            (3 * 365 * 86_400, "3 years"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(duration(seconds), expected, "{seconds}");
        }
    }

    #[test]
    fn columns() {
        assert_eq!(
            align("A\tB\tC\nlonger than ten\tb\tc\n"),
            "A                 B         C\nlonger than ten   b         c\n"
        );
        assert_eq!(align("a\tb\nplain\nccccccccccc\td"), "a         b\nplain\nccccccccccc   d\n");
        assert_eq!(align(""), "");
    }
}
