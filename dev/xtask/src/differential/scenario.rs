//! A scenario: command lines that begin from one image and nothing else. Pure text.
//!
//! `== name` begins one, `#` a comment; every other line is a command line without the program's name. Words are quoted
//! as in a shell, `{dir}` is the side's own directory, and `< path` at the end is stdin.

use crate::failure::{Failure, Result};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scenario {
    pub(super) name: String,
    pub(super) lines: Vec<Line>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// As it is written, which is what the accepted differences are matched with.
    pub(super) text: String,
    pub(super) words: Vec<String>,
    /// The file that is stdin.
    pub(super) stdin: Option<String>,
}

pub(super) fn parse(text: &str) -> Result<Vec<Scenario>> {
    let mut scenarios: Vec<Scenario> = Vec::new();
    for text in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = text.strip_prefix("== ") {
            scenarios.push(Scenario { name: name.to_owned(), lines: Vec::new() });
            continue;
        }
        let scenario = scenarios
            .last_mut()
            .ok_or_else(|| Failure::new(format!("differential: {text:?} is in no scenario")))?;
        scenario.lines.push(line(text)?);
    }
    Ok(scenarios)
}

fn line(text: &str) -> Result<Line> {
    let mut words = split(text)?;
    let at = words.iter().position(|word| word == "<");
    let stdin = match at {
        Some(at) => words.drain(at..).nth(1),
        None => None,
    };
    Ok(Line { text: text.to_owned(), words, stdin })
}

/// Words as a shell's quotes make them; nothing else of a shell.
fn split(text: &str) -> Result<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in text.chars() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err(Failure::new(format!("differential: a quote is open in {text:?}")));
    }
    words.extend(word);
    Ok(words)
}

/// A scenario of one line.
pub(super) fn control(text: &str) -> Scenario {
    let words = split(text).unwrap_or_default();
    let line = Line { text: text.to_owned(), words, stdin: None };
    Scenario { name: "control".to_owned(), lines: vec![line] }
}

#[cfg(test)]
mod tests {
    use super::{parse, split};

    fn check(text: &str, expected: &[&str]) {
        assert_eq!(split(text).expect("words"), expected, "{text}");
    }

    #[test]
    fn words() {
        check("run --rm box true", &["run", "--rm", "box", "true"]);
        check("sh -c 'echo \"a b\"'", &["sh", "-c", "echo \"a b\""]);
        check("--name '' x", &["--name", "", "x"]);
        check("a=\"b c\"d", &["a=b cd"]);
        assert!(split("a 'b").is_err());
    }

    #[test]
    fn scenarios() {
        let parsed = parse("# hint\n== one\nps\n\n== two\nimport - x < {dir}/box.tar\n").expect("scenarios");
        assert_eq!(parsed.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["one", "two"]);
        assert_eq!(parsed[1].lines[0].words, ["import", "-", "x"]);
        assert_eq!(parsed[1].lines[0].stdin.as_deref(), Some("{dir}/box.tar"));
        assert!(parse("ps\n").is_err());
    }
}
