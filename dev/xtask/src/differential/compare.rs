//! In what two answers differ, and how that reads.

use std::fmt::Write as _;

use super::side::Answer;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aspect {
    Code,
    Stdout,
    Stderr,
}

impl Aspect {
    pub(super) const ALL: [Self; 3] = [Self::Code, Self::Stdout, Self::Stderr];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }

    fn of(self, answer: &Answer) -> String {
        match self {
            Self::Code => answer.code.to_string(),
            Self::Stdout => answer.stdout.clone(),
            Self::Stderr => answer.stderr.clone(),
        }
    }
}

pub(super) fn differences(theirs: &Answer, ours: &Answer) -> Vec<Aspect> {
    Aspect::ALL.into_iter().filter(|aspect| aspect.of(theirs) != aspect.of(ours)).collect()
}

/// The line and, for each of `aspects`, what both said.
pub(super) fn render(
    scenario: &str,
    line: &str,
    aspects: &[Aspect],
    theirs: &Answer,
    ours: &Answer,
) -> String {
    let mut text = format!("{scenario}: {line}\n");
    for aspect in aspects {
        for (who, answer) in [("docker", theirs), ("corten", ours)] {
            let said = aspect.of(answer).replace('\n', "\n                ");
            writeln!(text, "  {} {who}: {said}", aspect.name()).ok();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Aspect, differences, render};
    use crate::differential::side::Answer;

    fn answer(code: i32, stdout: &str, stderr: &str) -> Answer {
        Answer { code, stdout: stdout.to_owned(), stderr: stderr.to_owned() }
    }

    #[test]
    fn each_aspect_is_seen_alone() {
        let one = answer(0, "a", "b");
        assert_eq!(differences(&one, &one), []);
        assert_eq!(differences(&one, &answer(1, "a", "b")), [Aspect::Code]);
        assert_eq!(differences(&one, &answer(0, "", "b")), [Aspect::Stdout]);
        assert_eq!(differences(&one, &answer(0, "a", "c")), [Aspect::Stderr]);
    }

    #[test]
    fn a_difference_names_both() {
        let text = render("s", "ps", &[Aspect::Code], &answer(0, "", ""), &answer(1, "", ""));
        assert_eq!(text, "s: ps\n  code docker: 0\n  code corten: 1\n");
    }
}
