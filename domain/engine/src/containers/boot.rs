//! What a boot starts, and how the host's shutdown ends it: the restart policies beyond the life of their keepers.

use std::collections::HashSet;
use std::os::fd::OwnedFd;

use corten_sys::process::{self, Cloned};
use corten_sys::{exec, fs};

use super::record::ContainerRecord;
use super::spec::Restart;
use super::stop::{self, StopOptions};
use super::{lookup, state};
use crate::{Engine, Error};

/// So many containers are stopped at once.
const AT_ONCE: usize = 64;

/// The containers that should run and do not, in the order in which they are to be started: the oldest first, but none
/// before one whose namespaces it joins.
///
/// `always` means always, as docker has it; `unless-stopped` heeds the user's last word; `on-failure` is no matter of a
/// boot.
pub fn due(engine: &Engine) -> Result<Vec<ContainerRecord>, Error> {
    let mut due = Vec::new();
    for record in lookup::list(engine)?.into_iter().rev() {
        if wants_boot(&record) && state::read(engine, &record)?.run.is_none() {
            due.push(record);
        }
    }
    Ok(in_order(due))
}

/// Says whether a boot is to start the container.
pub fn wants_boot(record: &ContainerRecord) -> bool {
    match record.spec.restart {
        Restart::Always => true,
        Restart::UnlessStopped => !record.stopped_by_user,
        Restart::No | Restart::OnFailure(_) => false,
    }
}

/// Moves those that join others behind them; the order is kept otherwise.
fn in_order(mut waiting: Vec<ContainerRecord>) -> Vec<ContainerRecord> {
    let mut ordered: Vec<ContainerRecord> = Vec::new();
    while !waiting.is_empty() {
        let ids: HashSet<String> = waiting.iter().map(|record| record.id.clone()).collect();
        let waits = |record: &ContainerRecord| record.joins().iter().any(|&id| ids.contains(id));
        let (mut later, now): (Vec<_>, Vec<_>) = waiting.into_iter().partition(waits);
        if now.is_empty() {
            // A circle cannot be made; if there is one, each says why it does not start.
            ordered.append(&mut later);
        }
        ordered.extend(now);
        waiting = later;
    }
    ordered
}

/// Starts a container in a program image of its own, whose keeper is then as small as any; false where that has failed,
/// and said why.
///
/// The caller has one thread.
pub fn start_afresh(engine: &Engine, record: &ContainerRecord) -> Result<bool, Error> {
    let text = |path: &std::path::Path| path.to_string_lossy().into_owned();
    let config = engine.config();
    let (root, run_root) = (text(&config.root), text(&config.run_root));
    let words =
        ["corten", "--root", &root, "--run-root", &run_root, "start", &record.name].map(str::to_owned);
    match process::clone(0, None)? {
        Cloned::Parent { pidfd, .. } => Ok(process::wait(&pidfd)?.code() == 0),
        Cloned::Child => {
            let error = match fs::open("/proc/self/exe") {
                Ok(program) => exec::replace_with(&program, &words, &[]),
                Err(error) => error,
            };
            log::warn!("container {} is not started: {error}", record.name);
            process::exit_now(1)
        }
    }
}

/// Stops everything that runs, those that join others before these, many at once; which of them should run again after
/// the boot stays as it is. Returns the names of those that could not be stopped, and have said why.
///
/// The caller has one thread.
pub fn stop_all(engine: &Engine) -> Result<Vec<String>, Error> {
    let mut failed = Vec::new();
    let mut left = lookup::list_of(engine, fs::list(engine.run().join("containers"))?)?;
    while !left.is_empty() {
        let joined: HashSet<String> =
            left.iter().flat_map(|record| record.joins()).map(str::to_owned).collect();
        let (later, now): (Vec<_>, Vec<_>) = left.into_iter().partition(|record| joined.contains(&record.id));
        // Nobody is left who joins no other: see above.
        let (now, later) = if now.is_empty() { (later, now) } else { (now, later) };
        for together in now.chunks(AT_ONCE) {
            let stopping = together.iter().map(|record| stop_beside(engine, record)).collect::<Vec<_>>();
            for (record, stopped) in together.iter().zip(stopping) {
                if process::wait(stopped?)?.code() != 0 {
                    failed.push(record.name.clone());
                }
            }
        }
        left = later;
    }
    Ok(failed)
}

/// Stops a container in a process of its own, which is returned.
fn stop_beside(engine: &Engine, record: &ContainerRecord) -> Result<OwnedFd, Error> {
    match process::clone(0, None)? {
        Cloned::Parent { pidfd, .. } => Ok(pidfd),
        Cloned::Child => {
            let stopped =
                stop::wind_up(engine, record, &StopOptions::default(), || stop::tell_keeper(engine, record));
            if let Err(error) = &stopped {
                log::warn!("container {} is not stopped: {error}", record.name);
            }
            process::exit_now(i32::from(stopped.is_err()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::spec::Share;
    use super::*;

    fn record(id: &str, joins: &str) -> ContainerRecord {
        let mut record = super::super::list::tests::record();
        id.clone_into(&mut record.id);
        if !joins.is_empty() {
            record.spec.namespaces.pid = Share::Container(joins.to_owned());
        }
        record
    }

    #[test]
    fn who_joins_comes_after_whom_it_joins() {
        let order = |records: &[(&str, &str)]| {
            let records = records.iter().map(|(id, joins)| record(id, joins)).collect();
            in_order(records).iter().map(|record| record.id.clone()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(order(&[("a", ""), ("b", ""), ("c", "")]), "a b c");
        assert_eq!(order(&[("a", "c"), ("b", "a"), ("c", ""), ("d", "gone")]), "c d a b");
        assert_eq!(order(&[("a", "b"), ("b", "a")]), "a b");
    }

    #[test]
    fn whom_a_boot_starts() {
        let wants = |restart, stopped_by_user| {
            let mut record = record("a", "");
            (record.spec.restart, record.stopped_by_user) = (restart, stopped_by_user);
            wants_boot(&record)
        };
        assert_eq!([wants(Restart::Always, false), wants(Restart::Always, true)], [true, true]);
        assert_eq!(
            [wants(Restart::UnlessStopped, false), wants(Restart::UnlessStopped, true)],
            [true, false]
        );
        assert_eq!([wants(Restart::No, false), wants(Restart::OnFailure(0), false)], [false, false]);
    }
}
