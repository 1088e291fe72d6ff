//! Removing every container that does not run.

use super::record::ContainerRecord;
use super::remove::{self, RemoveOptions};
use super::state::{self, Status};
use super::{lookup, size};
use crate::pins::{self, Pinnable};
use crate::{Engine, Error, events, filter};

/// Which of them; all have to match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PruneFilters {
    /// Created before this moment, in nanoseconds since 1970.
    pub until: Option<i64>,
    /// With these labels, of that value where one is given.
    pub labels: Vec<(String, Option<String>)>,
    /// Without these.
    pub without: Vec<(String, Option<String>)>,
}

/// What was removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// The ids.
    pub containers: Vec<String>,
    /// Bytes of their own layers.
    pub reclaimed: u64,
}

impl PruneFilters {
    fn matches(&self, record: &ContainerRecord) -> bool {
        self.until.is_none_or(|until| record.created < until)
            && filter::labels_match(&record.labels, &self.labels, &self.without)
    }
}

/// Removes the containers that do not run and match; their volumes stay. One that cannot be removed, or runs by now, is
/// left. Sweeps once at the end.
pub fn prune(engine: &Engine, filters: &PruneFilters) -> Result<Pruned, Error> {
    let mut pruned = Pruned::default();
    let mut failure = None;
    for record in lookup::list(engine)?.into_iter().filter(|record| filters.matches(record)) {
        match remove_one(engine, &record) {
            Ok(Some(bytes)) => {
                pruned.containers.push(record.id);
                pruned.reclaimed += bytes;
            }
            Ok(None) => {}
            Err(error) => {
                log::warn!("leaving container {}: {error}", record.id);
                failure = Some(error);
            }
        }
    }
    super::sweep(engine)?;
    events::pruned(engine, "container", pruned.reclaimed);
    // Only where there was nothing else to tell.
    match failure {
        Some(error) if pruned.containers.is_empty() => Err(error),
        _ => Ok(pruned),
    }
}

/// The bytes of a container that was removed; `None` for one that runs, is pinned or gone.
fn remove_one(engine: &Engine, record: &ContainerRecord) -> Result<Option<u64>, Error> {
    if pins::is_pinned(engine, &Pinnable::Container(record.id.clone())) {
        return Ok(None);
    }
    let at_rest = |status| matches!(status, Status::Created | Status::Exited);
    let status = state::read(engine, record)?.status;
    if !at_rest(status) || status == Status::Created && is_being_started(engine, record)? {
        return Ok(None);
    }
    let bytes = size::size(engine, record)?.own;
    match remove::remove(engine, record, RemoveOptions::default()) {
        Ok(()) => Ok(Some(bytes)),
        Err(_) if !ContainerRecord::exists(engine, &record.id)? => Ok(None),
        Err(_) if !at_rest(state::read(engine, record)?.status) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Says whether the command that has made it is there and about to start it.
fn is_being_started(engine: &Engine, record: &ContainerRecord) -> Result<bool, Error> {
    let owner = engine.store().name_owner(&record.name)?;
    Ok(owner.is_some_and(|owner| owner.boot == engine.boot() && owner.creator.is_alive()))
}

#[cfg(test)]
mod tests {
    use super::super::list::tests::record;
    use super::*;

    #[test]
    fn filters() {
        // Created at 0, with the label tier=front.
        let label = |name: &str, value: Option<&str>| vec![(name.to_owned(), value.map(str::to_owned))];
        let none = PruneFilters::default();
        let cases = [
            (none.clone(), true),
            (PruneFilters { until: Some(1), ..none.clone() }, true),
            (PruneFilters { until: Some(0), ..none.clone() }, false),
            (PruneFilters { labels: label("tier", None), ..none.clone() }, true),
            (PruneFilters { labels: label("tier", Some("front")), ..none.clone() }, true),
            (PruneFilters { labels: label("tier", Some("back")), ..none.clone() }, false),
            (PruneFilters { without: label("tier", None), ..none.clone() }, false),
            (PruneFilters { without: label("tier", Some("back")), ..none.clone() }, true),
            (PruneFilters { without: label("other", None), ..none }, true),
        ];
        for (filters, expected) in cases {
            assert_eq!(filters.matches(&record()), expected, "{filters:?}");
        }
    }
}
