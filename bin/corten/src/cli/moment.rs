//! Points in time as `--since` and `--until` take them.

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

/// Reads a Go duration before `now` (`10m`, `1h30m`), a date or time in RFC 3339 (parts may be left out, the
/// caller's time zone is the default), or seconds since 1970 with a fraction. In nanoseconds since 1970.
pub(crate) fn parse(text: &str, now: i64) -> Result<i64, String> {
    let wrong = || format!("failed to parse value as time or duration: \"{text}\"");
    if text != "0"
        && let Ok(duration) = duration(text)
    {
        return now.checked_sub(duration).ok_or_else(wrong);
    }
    date(text).or_else(|| unix(text)).ok_or_else(wrong)
}

/// Go's `time.ParseDuration`, in nanoseconds, with its complaints.
pub(crate) fn duration(text: &str) -> Result<i64, String> {
    const UNITS: [(&str, f64); 8] = [
        ("ns", 1.0),
        ("us", 1e3),
        ("µs", 1e3),
        ("μs", 1e3),
        ("ms", 1e6),
        ("s", 1e9),
        ("m", 60e9),
        ("h", 3600e9),
    ];
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    let invalid = || format!("time: invalid duration \"{text}\"");
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(end);
        let number: f64 = number.parse().map_err(|_| invalid())?;
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        if unit.is_empty() {
            return Err(format!("time: missing unit in duration \"{text}\""));
        }
        let known = UNITS.iter().find(|(name, _)| *name == unit);
        let (_, scale) =
            known.ok_or_else(|| format!("time: unknown unit \"{unit}\" in duration \"{text}\""))?;
        total += number * scale;
        rest = after;
    }
    #[allow(clippy::cast_possible_truncation, reason = "checked to be in range")]
    if total < 9.2e18 { Ok((sign * total) as i64) } else { Err(invalid()) }
}

fn date(text: &str) -> Option<i64> {
    let (date, time) = text.split_once('T').unwrap_or((text, ""));
    let (date, time, zone) = match time.find(['Z', '+', '-']) {
        Some(at) => (date, time.get(..at)?, time.get(at..)?),
        None => match date.strip_suffix('Z') {
            Some(date) => (date, time, "Z"),
            None => (date, time, ""),
        },
    };
    let time = match time.len() {
        0 => "00:00:00".to_owned(),
        2 => format!("{time}:00:00"),
        5 => format!("{time}:00"),
        _ => time.to_owned(),
    };
    let civil: DateTime = format!("{date}T{time}").parse().ok()?;
    let zone = match zone {
        "" => TimeZone::system(),
        "Z" => TimeZone::UTC,
        zone => {
            let (hours, minutes) = zone.get(1..)?.split_once(':')?;
            let seconds = hours.parse::<i32>().ok()? * 3600 + minutes.parse::<i32>().ok()? * 60;
            TimeZone::fixed(
                Offset::from_seconds(if zone.starts_with('-') { -seconds } else { seconds }).ok()?,
            )
        }
    };
    civil.to_zoned(zone).ok()?.timestamp().as_nanosecond().try_into().ok()
}

fn unix(text: &str) -> Option<i64> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds: i64 = seconds.parse().ok()?;
    let nanos: i64 = format!("{fraction:0<9}").parse().ok()?;
    seconds.checked_mul(1_000_000_000)?.checked_add(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_refused_in_gos_words() {
        let cases = [
            ("5", "time: missing unit in duration \"5\""),
            ("5d", "time: unknown unit \"d\" in duration \"5d\""),
            ("x", "time: invalid duration \"x\""),
            ("", "time: invalid duration \"\""),
            ("1.2.3s", "time: invalid duration \"1.2.3s\""),
        ];
        for (text, expected) in cases {
            assert_eq!(duration(text), Err(expected.to_owned()));
        }
        assert_eq!(
            [duration("0"), duration("1m.5s"), duration("-2ms")],
            [Ok(0), Ok(60_500_000_000), Ok(-2_000_000)]
        );
    }

    #[test]
    fn durations_dates_and_seconds() {
        const NOW: i64 = 1_795_219_200_000_000_000;
        let cases = [
            ("10m", NOW - 600_000_000_000),
            ("1h30m0.5s", NOW - 5_400_500_000_000),
            ("-1s", NOW + 1_000_000_000),
            ("100ms", NOW - 100_000_000),
            ("2026-11-21T00:00:00Z", NOW),
            ("2026-11-21T02:00:00.000000005+02:00", NOW + 5),
            ("2026-11-20T22:30-01:30", NOW),
            ("2026-11-21T00Z", NOW),
            ("2026-11-21Z", NOW),
            ("1795219200", NOW),
            ("1795219200.25", NOW + 250_000_000),
            ("0", 0),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text, NOW), Ok(expected), "{text}");
        }
        for text in ["", "x", "10", "10x", "2026-13-01", "2026-11-21T25:00:00Z", "1.2.3", "1.0000000001"] {
            assert_eq!(parse(text, NOW).is_err(), text != "10", "{text}");
        }
    }
}
