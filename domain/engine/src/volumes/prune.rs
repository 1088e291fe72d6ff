//! Removing the volumes that no container uses, when the user says so.

use corten_store::volumes::Volume;

use crate::containers;
use crate::containers::size::{self, Measure};
use crate::pins::{self, Pinnable};
use crate::{Engine, Error, events, filter};

/// Which of them; all have to match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PruneFilters {
    /// Those with names as well.
    pub all: bool,
    /// With these labels, of that value where one is given.
    pub labels: Vec<(String, Option<String>)>,
    /// Without these.
    pub without: Vec<(String, Option<String>)>,
}

/// What was removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    pub volumes: Vec<String>,
    /// Bytes of what was in them.
    pub reclaimed: u64,
}

impl PruneFilters {
    /// One with a file system of its own never matches, as in docker: what is in that is not this engine's.
    fn matches(&self, volume: &Volume) -> bool {
        (self.all || volume.anonymous)
            && volume.options.is_empty()
            && filter::labels_match(&volume.labels, &self.labels, &self.without)
    }
}

/// Removes the volumes that no container uses and that match, but for pinned ones. One that cannot be removed is left.
pub fn prune(engine: &Engine, filters: &PruneFilters) -> Result<Pruned, Error> {
    let mut pruned = Pruned::default();
    let mut failure = None;
    let candidates: Vec<Volume> =
        super::list(engine)?.into_iter().filter(|volume| filters.matches(volume)).collect();
    let records = if candidates.is_empty() { Vec::new() } else { containers::list(engine)? };
    for volume in candidates {
        let pinned = || pins::is_pinned(engine, &Pinnable::Volume(volume.name.clone()));
        if records.iter().any(|record| record.uses_volume(&volume.name)) || pinned() {
            continue;
        }
        let bytes = size::tree(&engine.store().volume_data(&volume.name), Measure::Files)?;
        match super::destroy(engine, &volume.name, false) {
            Ok(()) => {
                pruned.volumes.push(volume.name);
                pruned.reclaimed += bytes;
            }
            Err(error) => {
                log::warn!("leaving volume {}: {error}", volume.name);
                failure = Some(error);
            }
        }
    }
    engine.store().empty_trash()?;
    events::pruned(engine, "volume", pruned.reclaimed);
    match failure {
        Some(error) if pruned.volumes.is_empty() => Err(error),
        _ => Ok(pruned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters() {
        let volume = |anonymous, options: &[(&str, &str)]| Volume {
            anonymous,
            labels: [("tier".to_owned(), "front".to_owned())].into(),
            options: options.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect(),
            ..Volume::default()
        };
        let label = |name: &str, value: Option<&str>| vec![(name.to_owned(), value.map(str::to_owned))];
        let all = PruneFilters { all: true, ..PruneFilters::default() };
        let cases = [
            (PruneFilters::default(), true, &[][..], true),
            (PruneFilters::default(), false, &[], false),
            (all.clone(), false, &[], true),
            (all.clone(), false, &[("type", "tmpfs")], false),
            (PruneFilters { labels: label("tier", Some("front")), ..all.clone() }, false, &[], true),
            (PruneFilters { labels: label("tier", Some("back")), ..all.clone() }, false, &[], false),
            (PruneFilters { without: label("tier", None), ..all.clone() }, false, &[], false),
            (PruneFilters { without: label("other", None), ..all }, false, &[], true),
        ];
        for (filters, anonymous, options, expected) in cases {
            assert_eq!(filters.matches(&volume(anonymous, options)), expected, "{filters:?}");
        }
    }
}
