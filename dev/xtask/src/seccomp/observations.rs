//! What the probe printed in one container.

use std::collections::BTreeMap;
use std::fmt;

use crate::failure::{Failure, Result};

/// One system call that was made: interface, number, and what its arguments were.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Call {
    pub(super) interface: String,
    pub(super) number: u32,
    /// `-`, or `name=value`.
    pub(super) variant: String,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Observation {
    /// `pass`, an errno, or the signal that the filter killed with.
    pub(super) verdict: String,
    /// What the kernel answered when it was carried out.
    pub(super) outcome: String,
}

/// Everything seen in one container.
pub(super) type Observations = BTreeMap<Call, Observation>;

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.interface, self.number, self.variant)
    }
}

/// Reads `INTERFACE NUMBER VARIANT VERDICT OUTCOME` lines.
pub(super) fn parse(text: &str) -> Result<Observations> {
    let mut observations = Observations::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [interface, number, variant, verdict, outcome] = words[..] else {
            return Err(Failure::new(format!("the probe printed {line:?}")));
        };
        let number = number.parse().map_err(|_| Failure::new(format!("the probe printed {line:?}")))?;
        let call = Call { interface: interface.to_owned(), number, variant: variant.to_owned() };
        let observation = Observation { verdict: verdict.to_owned(), outcome: outcome.to_owned() };
        if observations.insert(call, observation).is_some() {
            return Err(Failure::new(format!("the probe printed a second {line:?}")));
        }
    }
    if observations.is_empty() { Err(Failure::new("the probe printed nothing")) } else { Ok(observations) }
}

#[cfg(test)]
mod tests {
    use super::{Call, Observation, parse};

    #[test]
    fn lines_are_calls_with_what_became_of_them() {
        let parsed = parse("x86_64 41 family=0x28 EPERM EPERM\ni386 1 - pass exits\n").unwrap();
        let call = |interface: &str, number, variant: &str| Call {
            interface: interface.to_owned(),
            number,
            variant: variant.to_owned(),
        };
        let seen = |verdict: &str, outcome: &str| Observation {
            verdict: verdict.to_owned(),
            outcome: outcome.to_owned(),
        };
        let expected = [
            (call("i386", 1, "-"), seen("pass", "exits")),
            (call("x86_64", 41, "family=0x28"), seen("EPERM", "EPERM")),
        ];
        assert_eq!(parsed.into_iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn other_lines_are_named() {
        let check = |text, message: &str| assert_eq!(parse(text).unwrap_err().to_string(), message);
        check("", "the probe printed nothing");
        check("x86_64 1 - pass", "the probe printed \"x86_64 1 - pass\"");
        check("x86_64 one - pass ok", "the probe printed \"x86_64 one - pass ok\"");
        check("x32 1 - pass ok\nx32 1 - pass ok", "the probe printed a second \"x32 1 - pass ok\"");
    }
}
