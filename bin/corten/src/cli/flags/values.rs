//! Values as docker writes them: sizes, ulimits, device rates, key=value pairs.

use corten_engine::containers::spec::Ulimit;

/// Reads `64m`, `1.5g`, `100`, `2GiB`: bytes, with binary units (docker's go-units RAMInBytes).
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let invalid = || format!("invalid size: '{text}'");
    let lower = text.trim().to_ascii_lowercase();
    let end = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
    let (number, unit) = lower.split_at(end);
    let number: f64 = number.parse().map_err(|_| invalid())?;
    let unit = unit.trim().trim_end_matches("ib").trim_end_matches('b');
    let shift = match unit {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        "p" => 50,
        _ => return Err(invalid()),
    };
    let bytes = number * 2_f64.powi(shift);
    if !(0.0..9.2e18).contains(&bytes) {
        return Err(invalid());
    }
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to be in range just above"
    )]
    Ok(bytes as u64)
}

/// As [`parse_size`], with -1 for no limit.
pub(super) fn parse_limit(text: &str) -> Result<i64, String> {
    if text == "-1" {
        return Ok(-1);
    }
    i64::try_from(parse_size(text)?).map_err(|_| format!("invalid size: '{text}'"))
}

/// Reads `--cpus`: a decimal number of CPUs, in billionths.
pub(super) fn parse_cpus(text: &str) -> Result<u64, String> {
    let invalid = || {
        format!(
            "invalid argument \"{text}\" for \"--cpus\" flag: failed to parse {text} as a rational number"
        )
    };
    let cpus: f64 = text.parse().map_err(|_| invalid())?;
    if !cpus.is_finite() {
        return Err(invalid());
    }
    if !(0.0..1e6).contains(&cpus) {
        // More than any machine has: refused where it is known how many there are.
        return Ok(u64::MAX);
    }
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to be in range just above"
    )]
    Ok((cpus * 1e9).round() as u64)
}

/// Reads `nofile=1024:2048`.
pub(super) fn parse_ulimit(text: &str) -> Result<Ulimit, String> {
    let wrong = |reason: &str| format!("invalid argument \"{text}\" for \"--ulimit\" flag: {reason}");
    let (name, values) =
        text.split_once('=').ok_or_else(|| wrong(&format!("invalid ulimit argument: {text}")))?;
    if corten_sys::rlimit::number(name).is_none() {
        return Err(wrong(&format!("invalid ulimit type: {name}")));
    }
    let value = |text: &str| match text.parse::<i64>() {
        _ if text == "unlimited" => Ok(-1),
        Ok(value) if value >= -1 => Ok(value),
        _ => Err(wrong(&format!("strconv.ParseInt: parsing \"{text}\": invalid syntax"))),
    };
    let parts: Vec<&str> = values.split(':').collect();
    let (soft, hard) = match parts.as_slice() {
        [both] => (value(both)?, value(both)?),
        [soft, hard] => (value(soft)?, value(hard)?),
        _ => {
            let reason = "can only have up to two, `soft[:hard]`";
            return Err(wrong(&format!("too many limit value arguments - {values}, {reason}")));
        }
    };
    let order = "ulimit soft limit must be less than or equal to hard limit:";
    match (soft, hard) {
        (-1, hard) if hard != -1 => {
            return Err(wrong(&format!("{order} soft: -1 (unlimited), hard: {hard}")));
        }
        (soft, hard) if hard != -1 && soft > hard => {
            return Err(wrong(&format!("{order} {soft} > {hard}")));
        }
        _ => {}
    }
    // -1 is the kernel's "no limit", all bits set.
    let (soft, hard) = (soft.cast_unsigned(), hard.cast_unsigned());
    Ok(Ulimit { name: name.to_owned(), soft, hard })
}

/// Splits `key=value`; a key alone has an empty value.
pub(super) fn pair(text: &str) -> (String, String) {
    match text.split_once('=') {
        Some((key, value)) => (key.to_owned(), value.to_owned()),
        None => (text.to_owned(), String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let cases =
            [("100", 100), ("64m", 64 << 20), ("1.5g", 3 << 29), ("2GiB", 2 << 30), ("3 kb", 3072), ("0", 0)];
        for (text, expected) in cases {
            assert_eq!(parse_size(text), Ok(expected), "{text}");
        }
        for text in ["", "m", "-1", "1x", "1..2", "99999999p", "1e3"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ulimits_and_cpus() {
        let ulimit = parse_ulimit("nofile=1:2").unwrap();
        assert_eq!((ulimit.soft, ulimit.hard), (1, 2));
        assert_eq!(parse_ulimit("core=-1").unwrap().hard, u64::MAX);
        for text in ["nofile", "nope=1", "nofile=x", "nofile=3:2"] {
            assert!(parse_ulimit(text).is_err(), "{text}");
        }
        assert_eq!(parse_cpus("1.5"), Ok(1_500_000_000));
        assert_eq!(parse_cpus("-1"), Ok(u64::MAX));
        assert!(parse_cpus("x").is_err());
    }
}
