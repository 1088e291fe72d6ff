//! From two containers' observations to what differs, and whether that is meant.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::accepted;
use super::names::Names;
use super::observations::{Call, Observation, Observations};
use crate::failure::{Failure, Result};

/// Whose ids a container of corten had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ids {
    /// The host's, as docker's containers have them.
    Host,
    /// Its own, corten's default.
    Own,
}

/// One call that became something else under corten: the verdicts, or where these agree the outcomes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Difference {
    call: Call,
    docker: String,
    corten: String,
}

/// The containers in which a difference was seen.
type Seen = BTreeMap<String, BTreeSet<Ids>>;

/// All differences of a run.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// By the reason that accepts them.
    meant: BTreeMap<&'static str, BTreeMap<Difference, Seen>>,
    unmeant: BTreeMap<Difference, Seen>,
    setups: BTreeSet<String>,
}

impl Findings {
    /// Adds what differs in one setup; that the two sides made different calls is a failure.
    pub(super) fn add(
        &mut self,
        (setup, ids): (&str, Ids),
        docker: &Observations,
        corten: &Observations,
        names: &Names,
    ) -> Result<()> {
        if !docker.keys().eq(corten.keys()) {
            return Err(Failure::new(format!("{setup}: the two sides did not make the same calls")));
        }
        self.setups.insert(setup.to_owned());
        for ((call, theirs), ours) in docker.iter().zip(corten.values()) {
            if theirs == ours {
                continue;
            }
            let difference = Difference {
                call: call.clone(),
                docker: said(theirs, ours.verdict == theirs.verdict),
                corten: said(ours, ours.verdict == theirs.verdict),
            };
            let said = (difference.docker.as_str(), difference.corten.as_str());
            let place = match accepted::find(call, names.of(call), said, ids == Ids::Own) {
                Some(entry) => self.meant.entry(entry.reason).or_default(),
                None => &mut self.unmeant,
            };
            place.entry(difference).or_default().entry(setup.to_owned()).or_default().insert(ids);
        }
        Ok(())
    }

    /// How many differences nobody has accepted.
    pub(super) fn unmeant(&self) -> usize {
        self.unmeant.len()
    }

    /// The interfaces with differences that nobody has accepted.
    pub(super) fn unmeant_interfaces(&self) -> BTreeSet<&str> {
        self.unmeant.keys().map(|difference| difference.call.interface.as_str()).collect()
    }

    /// Every difference, the accepted ones below their reasons.
    pub(super) fn render(&self, names: &Names) -> String {
        let mut text = String::new();
        for (reason, differences) in &self.meant {
            writeln!(text, "meant: {reason}").ok();
            text.push_str(&self.table(differences, names));
        }
        if !self.unmeant.is_empty() {
            text.push_str("NOT MEANT, for all that dev/xtask/src/seccomp/accepted.rs says:\n");
            text.push_str(&self.table(&self.unmeant, names));
        }
        text
    }

    /// A line for each pair of verdicts and set of containers, with all calls they concern.
    fn table(&self, differences: &BTreeMap<Difference, Seen>, names: &Names) -> String {
        let mut lines: BTreeMap<(&str, &str, &str, &Seen), Vec<&Call>> = BTreeMap::new();
        for (difference, seen) in differences {
            let Difference { call, docker, corten } = difference;
            lines.entry((&call.interface, docker, corten, seen)).or_default().push(call);
        }
        let mut text = String::new();
        for ((interface, docker, corten, seen), calls) in lines {
            let calls = list(&calls, names);
            let wherever = self.describe(seen);
            writeln!(text, "  {interface}: docker {docker}, corten {corten}: {calls} [{wherever}]").ok();
        }
        text
    }

    /// The setups, or those that are missing where these are fewer.
    fn describe(&self, seen: &Seen) -> String {
        let whole = |setup: &String| seen.get(setup).is_some_and(|ids| ids.len() == 2);
        let missing: Vec<&str> =
            self.setups.iter().filter(|setup| !whole(setup)).map(String::as_str).collect();
        if missing.is_empty() {
            return "everywhere".to_owned();
        }
        if missing.len() <= seen.len() {
            return format!("everywhere but in: {}", missing.join(", "));
        }
        let one = |(setup, ids): (&String, &BTreeSet<Ids>)| match ids.iter().collect::<Vec<_>>()[..] {
            [Ids::Own] => format!("{setup} with own ids"),
            [Ids::Host] => format!("{setup} with the host's ids"),
            _ => setup.clone(),
        };
        seen.iter().map(one).collect::<Vec<_>>().join(", ")
    }
}

fn said(seen: &Observation, same_verdict: bool) -> String {
    if same_verdict { format!("{} then {}", seen.verdict, seen.outcome) } else { seen.verdict.clone() }
}

/// Names where there are any, with what tells calls of one name apart; runs of numbers as `first-last`.
fn list(calls: &[&Call], names: &Names) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut run: Option<(u32, u32)> = None;
    let show = |(first, last): (u32, u32)| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    };
    for call in calls {
        let name = names.of(call);
        match (name, run) {
            (None, Some((first, last))) if call.number == last + 1 => run = Some((first, call.number)),
            (None, _) => words.extend(run.replace((call.number, call.number)).map(show)),
            (Some(name), _) => {
                words.extend(run.take().map(show));
                let plain = call.variant == "-";
                words.push(if plain { name.to_owned() } else { format!("{name}({})", call.variant) });
            }
        }
    }
    words.extend(run.map(show));
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::{Findings, Ids, Names, Observations};
    use crate::seccomp::observations::parse;

    fn observed(text: &str) -> Observations {
        parse(text).unwrap()
    }

    #[test]
    fn differences_are_listed_with_where_they_were_seen() {
        let names = Names::of_table("x86_64", "    (165, \"mount\"),\n    (425, \"io_uring_setup\"),\n");
        let docker = observed(
            "x86_64 165 - EPERM EPERM\nx86_64 165 a=1 pass ok\nx86_64 425 - pass EFAULT\nx86_64 500 - EPERM EPERM\nx86_64 501 - EPERM EPERM",
        );
        let corten = observed(
            "x86_64 165 - pass EFAULT\nx86_64 165 a=1 pass EIO\nx86_64 425 - EPERM EPERM\nx86_64 500 - ENOSYS ENOSYS\nx86_64 501 - ENOSYS ENOSYS",
        );
        let mut findings = Findings::default();
        findings.add(("plain", Ids::Host), &docker, &corten, &names).unwrap();
        findings.add(("plain", Ids::Own), &docker, &corten, &names).unwrap();
        findings.add(("other", Ids::Host), &docker, &docker, &names).unwrap();
        findings.add(("other", Ids::Own), &docker, &docker, &names).unwrap();
        findings.add(("third", Ids::Own), &docker, &docker, &names).unwrap();
        assert_eq!(findings.unmeant(), 2);
        assert_eq!(findings.unmeant_interfaces().into_iter().collect::<Vec<_>>(), ["x86_64"]);
        let text = findings.render(&names);
        let expected = [
            "  x86_64: docker EPERM, corten ENOSYS: 500-501 [plain]",
            "  x86_64: docker pass, corten EPERM: io_uring_setup [plain]",
            "  x86_64: docker EPERM, corten pass: mount [plain]",
            "  x86_64: docker pass then ok, corten pass then EIO: mount(a=1) [plain]",
        ];
        let mut lines: Vec<&str> = text.lines().filter(|line| line.starts_with("  ")).collect();
        lines.sort_unstable_by_key(|line| expected.iter().position(|other| other == line));
        assert_eq!(lines, expected);
    }

    #[test]
    fn sides_that_did_other_things_are_not_compared() {
        let (one, other) = (observed("x32 1 - pass ok"), observed("x32 2 - pass ok"));
        let failure = Findings::default().add(("s", Ids::Own), &one, &other, &Names::default()).unwrap_err();
        assert_eq!(failure.to_string(), "s: the two sides did not make the same calls");
    }
}
