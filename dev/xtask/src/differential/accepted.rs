//! The differences that are meant, each with its reason.
//!
//! In the table a reason begins with `= `; below it are the lines it is about, each after the aspect that differs:
//! `stderr: run --name *`. A `*` is any text. What a line is not listed for still fails.

use super::compare::Aspect;
use crate::failure::{Failure, Result};

#[derive(Debug)]
pub(super) struct Table(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    reason: String,
    aspect: Aspect,
    pattern: String,
}

impl Table {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut entries = Vec::new();
        let mut reason = None;
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if let Some(found) = line.strip_prefix("= ") {
                reason = Some(found.to_owned());
                continue;
            }
            let broken = || Failure::new(format!("differential: accepted: {line:?} is no `aspect: pattern`"));
            let (aspect, pattern) = line.split_once(": ").ok_or_else(broken)?;
            let aspect = Aspect::ALL.into_iter().find(|known| known.name() == aspect).ok_or_else(broken)?;
            let reason = reason
                .clone()
                .ok_or_else(|| Failure::new(format!("differential: accepted: {line:?} has no reason")))?;
            entries.push(Entry { reason, aspect, pattern: pattern.to_owned() });
        }
        Ok(Self(entries))
    }

    /// Which entries accept that this line differs in this.
    pub(super) fn find(&self, line: &str, aspect: Aspect) -> Vec<usize> {
        let meant = |entry: &Entry| entry.aspect == aspect && matches(&entry.pattern, line);
        self.0.iter().enumerate().filter(|(_, entry)| meant(entry)).map(|(at, _)| at).collect()
    }

    pub(super) fn none_used(&self) -> Vec<bool> {
        vec![false; self.0.len()]
    }

    pub(super) fn unused(&self, used: &[bool]) -> Vec<String> {
        let stale = self.0.iter().zip(used).filter(|(_, used)| !**used);
        stale
            .map(|(entry, _)| format!("{}: {} ({})", entry.aspect.name(), entry.pattern, entry.reason))
            .collect()
    }
}

/// Whether `text` is `pattern`, in which a `*` is any text.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, rest)) => text.strip_prefix(head).is_some_and(|tail| {
            (0..=tail.len()).filter(|at| tail.is_char_boundary(*at)).any(|at| matches(rest, &tail[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::{Table, matches};
    use crate::differential::compare::Aspect;

    #[test]
    fn patterns() {
        assert!(matches("ps", "ps"));
        assert!(!matches("ps", "ps -a"));
        assert!(matches("ps*", "ps"));
        assert!(matches("run * box", "run --rm box"));
        assert!(!matches("run * box", "run --rm tub"));
    }

    #[test]
    fn an_entry_accepts_its_aspect_only_and_is_missed_when_unused() {
        let table = Table::parse("= a reason\nstderr: ps *\ncode: ps x\n").expect("table");
        assert_eq!(table.find("ps x", Aspect::Stderr), [0]);
        assert_eq!(table.find("ps x", Aspect::Stdout), Vec::<usize>::new());
        assert_eq!(table.unused(&[true, false]), ["code: ps x (a reason)"]);
        assert!(Table::parse("stderr: ps\n").is_err());
        assert!(Table::parse("= why\nps\n").is_err());
    }
}
