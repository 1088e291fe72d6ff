//! The memory of the processes an engine keeps for a running container.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::samples::Samples;
use super::setup::{Bench, IMAGE};
use super::table::{Bound, Row, Unit};
use crate::engines::Cli;
use crate::failure::{Failure, Result};
use crate::shell::Cmd;

const CONTAINERS: u32 = 20;

/// Half seconds that the sum may take to stay the same.
const SETTLE: usize = 20;

/// Programs that hold or serve a container. The payload, busybox here, is not the engine's.
const HELPERS: &[&str] = &["corten", "conmon", "containerd-shim-runc-v2"];

pub(super) fn idle(bench: &Bench) -> Result<Vec<Row>> {
    let mut ours = None;
    let mut rows = Vec::new();
    for cli in bench.clis() {
        let samples = Samples::new(vec![per_container(cli)?]).ok_or_else(|| Failure::new("no sample"))?;
        let ours = ours.get_or_insert_with(|| samples.clone()).clone();
        let (peer, bound) = if cli.name == "corten" {
            (None, Bound::Most(150.0))
        } else {
            (Some((cli.name.to_owned(), samples)), Bound::Shown)
        };
        rows.push(Row { case: "idle-memory".to_owned(), unit: Unit::Kibibytes, ours, peer, bound });
    }
    Ok(rows)
}

/// KiB of PSS per container, after each had an exec and its log read.
fn per_container(cli: &Cli) -> Result<f64> {
    let before = helpers();
    let mut sleepers = Vec::new();
    for number in 0..CONTAINERS {
        let name = format!("idle-{number}");
        sleepers.push(cli.start_sleeper(&name, IMAGE)?);
        cli.cmd(&["exec", &name, "true"]).read()?;
        cli.cmd(&["logs", &name]).read()?;
    }
    // Idle is who has done nothing for a while: helpers give memory back after a second of that.
    let mut total = sum(&before);
    for _ in 0..SETTLE {
        Cmd::new("sleep").arg("0.5").read()?;
        let now = sum(&before);
        if std::mem::replace(&mut total, now) == now {
            break;
        }
    }
    drop(sleepers);
    Ok(f64::from(total) / f64::from(CONTAINERS))
}

/// KiB of PSS of all helpers but those of `before`.
fn sum(before: &BTreeSet<u32>) -> u32 {
    let pss_of = |pid: &u32| pss(&fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?);
    helpers().difference(before).filter_map(pss_of).sum()
}

/// The processes of this moment whose program is one of [`HELPERS`].
pub(super) fn helpers() -> BTreeSet<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &u32| {
        fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| {
            let name = exe.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let running = Path::new("/proc").join(pid.to_string()).join("smaps_rollup").exists();
            // A replaced or unlinked program reads as "corten (deleted)".
            running && HELPERS.contains(&name.trim_end_matches(" (deleted)"))
        })
    })
    .collect()
}

fn pss(smaps_rollup: &str) -> Option<u32> {
    smaps_rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::pss;

    #[test]
    fn pss_is_the_whole_not_a_part() {
        assert_eq!(pss("Rss:  900 kB\nPss:                 123 kB\nPss_Dirty:  7 kB\n"), Some(123));
        assert_eq!(pss("Rss:  900 kB\nPss_Dirty:  7 kB\n"), None);
    }
}
