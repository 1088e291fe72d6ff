//! Replaces what must differ between two engines: ids, digests, times, sizes, the name of the program. Pure.

/// Units of sizes, longest first.
const UNITS: [&str; 9] = ["KiB", "MiB", "GiB", "TiB", "kB", "MB", "GB", "TB", "B"];

const SPANS: [&str; 8] = ["second", "minute", "hour", "day", "week", "month", "year", "seconds"];

/// Width of columns and order of blanks are dropped, lines are not.
pub(super) fn text(raw: &str) -> String {
    let lines: Vec<String> = raw.lines().filter(|text| !is_trailer(text)).map(line).collect();
    lines.join("\n").trim().to_owned()
}

/// An advice to read the help, which names the program and moves between releases; what docker's client logs.
fn is_trailer(line: &str) -> bool {
    let line = line.trim();
    if line.starts_with("time=\"") && line.contains(" level=") {
        return true;
    }
    // "SRun" is 28.2's own.
    ["See '", "Run '", "SRun '"].iter().any(|begin| line.starts_with(begin)) && line.contains("--help'")
}

fn line(raw: &str) -> String {
    let named = raw.replace("docker", "corten").replace("Docker", "Corten");
    let words: Vec<String> = named.split_whitespace().map(word).collect();
    spans(&words).join(" ")
}

/// A word with what is in it replaced piece by piece: pieces are runs of what an id, a time or a size is made of.
fn word(raw: &str) -> String {
    let mut done = String::new();
    let mut piece = String::new();
    for c in raw.chars() {
        if c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '-' | '+' | '_') {
            piece.push(c);
        } else {
            done.push_str(&replaced(&piece));
            piece.clear();
            done.push(c);
        }
    }
    done.push_str(&replaced(&piece));
    done
}

fn replaced(piece: &str) -> String {
    // "a: b" and the end of a sentence.
    let bare = piece.trim_end_matches([':', '.']);
    let tail = &piece[bare.len()..];
    let hex = |text: &str, length| {
        text.len() == length && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    if bare.strip_prefix("sha256:").is_some_and(|rest| hex(rest, 64) || hex(rest, 12)) {
        format!("<digest>{tail}")
    } else if hex(bare, 64) || hex(bare, 12) {
        format!("<id>{tail}")
    } else if is_time(bare) {
        format!("<time>{tail}")
    } else if is_size(bare) {
        format!("<size>{tail}")
    } else {
        piece.to_owned()
    }
}

/// `2026-12-01T01:02:03…` and a date alone.
fn is_time(text: &str) -> bool {
    let shape: String = text.chars().take(10).map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    shape == "0000-00-00" && (text.len() == 10 || text.as_bytes()[10] == b'T')
}

fn is_size(text: &str) -> bool {
    UNITS.iter().filter_map(|unit| text.strip_suffix(unit)).any(|number| number.parse::<f64>().is_ok())
}

/// "3 seconds", "About a minute", "Less than a second": one word.
fn spans(words: &[String]) -> Vec<String> {
    let mut done: Vec<String> = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let rest: Vec<&str> = words[at..].iter().map(String::as_str).collect();
        let length = match rest.as_slice() {
            ["Less", "than", "a", unit, ..] if is_span(unit) => 4,
            ["About", "a" | "an", unit, ..] if is_span(unit) => 3,
            [number, unit, ..] if number.parse::<u64>().is_ok() && is_span(unit) => 2,
            _ => 0,
        };
        if length == 0 {
            done.push(words[at].clone());
            at += 1;
        } else {
            done.push("<span>".to_owned());
            at += length;
        }
    }
    done
}

fn is_span(unit: &str) -> bool {
    SPANS.contains(&unit.trim_end_matches('s')) || SPANS.contains(&unit)
}

#[cfg(test)]
mod tests {
    use super::text;

    fn check(raw: &str, expected: &str) {
        assert_eq!(text(raw), expected);
    }

    #[test]
    fn what_must_differ_is_replaced() {
        check("0123456789ab   box  Up 3 seconds", "<id> box Up <span>");
        check("Exited (0) Less than a second ago", "Exited (0) <span> ago");
        check(&format!("sha256:{}", "ab".repeat(32)), "<digest>");
        check("created 2026-12-01T01:02:03.5Z, 2.14MB", "created <time>, <size>");
        check(
            "docker: no 'docker x'\n\nRun 'docker run --help' for more information",
            "corten: no 'corten x'",
        );
    }

    #[test]
    fn what_must_not_is_kept() {
        check("No such container: abc", "No such container: abc");
        check("exit code 137", "exit code 137");
        check("a=12 box:latest", "a=12 box:latest");
    }
}
