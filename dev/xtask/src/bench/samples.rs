//! Measuring: entrants take turns, so that a change of the machine's mood hits them alike.

use std::time::{Duration, Instant};

use crate::failure::{Failure, Result};
use crate::shell::Cmd;

/// The values of one entrant, sorted; milliseconds or KiB.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Samples(Vec<f64>);

impl Samples {
    /// `None` if there are none.
    pub(super) fn new(mut values: Vec<f64>) -> Option<Self> {
        values.sort_unstable_by(f64::total_cmp);
        (!values.is_empty()).then_some(Self(values))
    }

    pub(super) fn median(&self) -> f64 {
        let middle = self.0.len() / 2;
        if self.0.len().is_multiple_of(2) {
            f64::midpoint(self.0[middle - 1], self.0[middle])
        } else {
            self.0[middle]
        }
    }

    /// The value that 95 of 100 do not exceed (nearest rank).
    pub(super) fn p95(&self) -> f64 {
        let rank = (self.0.len() * 95).div_ceil(100);
        self.0[rank.max(1) - 1]
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }
}

/// One side of a comparison: called with the number of the round, returns the value measured.
pub(super) struct Entrant<'a> {
    name: String,
    measure: Box<dyn FnMut(usize) -> Result<f64> + 'a>,
}

impl<'a> Entrant<'a> {
    pub(super) fn new(name: &str, measure: impl FnMut(usize) -> Result<f64> + 'a) -> Self {
        Self { name: name.to_owned(), measure: Box::new(measure) }
    }
}

/// The samples of one entrant, by name.
pub(super) type Measured = (String, Samples);

/// Lets the entrants take turns, each round starting with another one, after one round that does not count.
pub(super) fn interleave(rounds: usize, mut entrants: Vec<Entrant<'_>>) -> Result<Vec<Measured>> {
    let mut values = vec![Vec::with_capacity(rounds); entrants.len()];
    let count = entrants.len();
    for round in 0..=rounds {
        for turn in 0..count {
            let index = (turn + round) % count;
            let entrant = &mut entrants[index];
            let value = (entrant.measure)(round)
                .map_err(|failure| Failure::new(format!("{}: {failure}", entrant.name)))?;
            if round > 0 {
                values[index].push(value);
            }
        }
    }
    entrants
        .into_iter()
        .zip(values)
        .map(|(entrant, values)| {
            Ok((entrant.name, Samples::new(values).ok_or_else(|| Failure::new("no rounds"))?))
        })
        .collect()
}

/// Runs a command that must succeed, output dropped, and returns its milliseconds from spawn to exit.
pub(super) fn time(cmd: Cmd) -> Result<f64> {
    let line = cmd.line();
    let cmd = cmd.silent();
    let begin = Instant::now();
    let status = cmd.status()?;
    let took = begin.elapsed();
    if status.success() { Ok(milliseconds(took)) } else { Err(Failure::new(format!("{line}: {status}"))) }
}

pub(super) fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::{Entrant, Samples, interleave};

    #[test]
    fn median_and_p95_are_by_rank() {
        let check = |values: &[f64], median: f64, p95: f64| {
            let samples = Samples::new(values.to_vec()).unwrap();
            assert_eq!((samples.median(), samples.p95()), (median, p95));
        };
        check(&[3.0], 3.0, 3.0);
        check(&[4.0, 1.0], 2.5, 4.0);
        check(&[9.0, 1.0, 5.0], 5.0, 9.0);
        check(&(1..=100).map(f64::from).collect::<Vec<_>>(), 50.5, 95.0);
        assert_eq!(Samples::new(Vec::new()), None);
    }

    #[test]
    fn entrants_take_turns_and_the_first_round_does_not_count() {
        let order = RefCell::new(String::new());
        let entrant = |name: &'static str, value: f64| {
            let order = &order;
            Entrant::new(name, move |round| {
                order.borrow_mut().push_str(name);
                Ok(if round == 0 { 1000.0 } else { value })
            })
        };
        let measured = interleave(2, vec![entrant("a", 1.0), entrant("b", 2.0)]).unwrap();
        let medians: Vec<_> = measured
            .iter()
            .map(|(name, samples)| (name.as_str(), samples.median(), samples.count()))
            .collect();
        assert_eq!(medians, vec![("a", 1.0, 2), ("b", 2.0, 2)]);
        assert_eq!(order.into_inner(), "abbaab");
    }
}
