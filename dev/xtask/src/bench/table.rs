//! The result as a markdown table, with the bound each case has to reach.

use super::samples::{Measured, Samples};

/// What a case has to reach.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Bound {
    /// At most this times the peer.
    Ratio(f64),
    /// At most this, in the unit of the case.
    Most(f64),
    /// Shown beside the others.
    Shown,
}

/// What the values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Milliseconds,
    Kibibytes,
}

/// One line of the table.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) case: String,
    pub(super) unit: Unit,
    pub(super) ours: Samples,
    pub(super) peer: Option<Measured>,
    pub(super) bound: Bound,
}

impl Row {
    /// Whether the bound is reached; `None` where there is nothing to reach.
    pub(super) fn passes(&self) -> Option<bool> {
        match self.bound {
            Bound::Ratio(most) => self.ratio().map(|ratio| ratio <= most),
            Bound::Most(most) => Some(self.ours.median() <= most),
            Bound::Shown => None,
        }
    }

    fn ratio(&self) -> Option<f64> {
        self.peer.as_ref().map(|(_, peer)| self.ours.median() / peer.median())
    }

    fn render(&self) -> String {
        let value = |value: f64| match self.unit {
            Unit::Milliseconds => format!("{value:.2} ms"),
            Unit::Kibibytes => format!("{value:.0} KiB"),
        };
        let dash = || "–".to_owned();
        let (peer, median, p95) = self.peer.as_ref().map_or_else(
            || (dash(), dash(), dash()),
            |(name, samples)| (name.clone(), value(samples.median()), value(samples.p95())),
        );
        let ratio = self.ratio().map_or_else(dash, |ratio| format!("{ratio:.2}"));
        let bound = match self.bound {
            Bound::Ratio(most) => format!("≤ {most} ×"),
            Bound::Most(most) => {
                format!("≤ {most} {}", if self.unit == Unit::Kibibytes { "KiB" } else { "ms" })
            }
            Bound::Shown => dash(),
        };
        let verdict = match self.passes() {
            Some(true) => "pass",
            Some(false) => "MISS",
            None => "",
        };
        let (ours, ours_p95, count) = (value(self.ours.median()), value(self.ours.p95()), self.ours.count());
        format!(
            "| {} | {count} | {ours} | {ours_p95} | {peer} | {median} | {p95} | {ratio} | {bound} | {verdict} |",
            self.case
        )
    }
}

/// Rows for our samples, which come first, against each peer's; the bound counts against `against` only.
pub(super) fn rows(case: &str, measured: Vec<Measured>, against: &str, bound: Bound) -> Vec<Row> {
    let mut measured = measured.into_iter();
    let Some((_, ours)) = measured.next() else {
        return Vec::new();
    };
    let row = |peer: Measured| {
        let bound = if peer.0 == against { bound } else { Bound::Shown };
        Row { case: case.to_owned(), unit: Unit::Milliseconds, ours: ours.clone(), peer: Some(peer), bound }
    };
    measured.map(row).collect()
}

/// As [`rows`], with the bound against the fastest peer.
pub(super) fn rows_against_best(case: &str, measured: Vec<Measured>, bound: Bound) -> Vec<Row> {
    let peers = measured.iter().skip(1);
    let best = peers.min_by(|(_, a), (_, b)| a.median().total_cmp(&b.median())).map(|(name, _)| name.clone());
    rows(case, measured, &best.unwrap_or_default(), bound)
}

pub(super) fn render(rows: &[Row]) -> String {
    let mut text = String::from(
        "| case | runs | corten median | p95 | peer | median | p95 | ratio | bound | |\n\
         |---|---:|---:|---:|---|---:|---:|---:|---|---|\n",
    );
    for row in rows {
        text.push_str(&row.render());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Bound, Row, Samples, Unit, rows, rows_against_best};

    fn samples(value: f64) -> Samples {
        Samples::new(vec![value]).unwrap()
    }

    fn measured() -> Vec<(String, Samples)> {
        [("corten", 3.0), ("podman", 300.0), ("crun", 7.5)]
            .map(|(name, value)| (name.to_owned(), samples(value)))
            .to_vec()
    }

    fn passes(rows: &[Row]) -> Vec<(String, Option<bool>)> {
        rows.iter().map(|row| (row.peer.clone().unwrap().0, row.passes())).collect()
    }

    #[test]
    fn the_bound_counts_against_its_peer_only() {
        let check = |rows: Vec<Row>, podman, crun| {
            assert_eq!(passes(&rows), vec![("podman".to_owned(), podman), ("crun".to_owned(), crun)]);
        };
        check(rows("a", measured(), "crun", Bound::Ratio(0.5)), None, Some(true));
        check(rows("a", measured(), "crun", Bound::Ratio(0.3)), None, Some(false));
        check(rows_against_best("a", measured(), Bound::Ratio(0.1)), None, Some(false));
    }

    #[test]
    fn a_row_shows_both_sides_and_the_verdict() {
        let row = rows("run-true", measured(), "crun", Bound::Ratio(0.5)).pop().unwrap();
        let expected =
            "| run-true | 1 | 3.00 ms | 3.00 ms | crun | 7.50 ms | 7.50 ms | 0.40 | ≤ 0.5 × | pass |";
        assert_eq!(row.render(), expected);
        let memory = Row {
            case: "m".into(),
            unit: Unit::Kibibytes,
            ours: samples(151.0),
            peer: None,
            bound: Bound::Most(150.0),
        };
        assert_eq!(memory.render(), "| m | 1 | 151 KiB | 151 KiB | – | – | – | – | ≤ 150 KiB | MISS |");
    }
}
