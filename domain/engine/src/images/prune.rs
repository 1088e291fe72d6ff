//! Removing images that nothing needs.

use std::collections::HashMap;

use corten_spec::Reference;

use super::list::{self, Filters, Listed};
use super::remove::{self, Removal, RemoveOptions};
use crate::error::ErrorKind;
use crate::{Engine, Error, events, filter, undo};

/// Which images; all have to match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PruneFilters {
    /// Only those without a tag; otherwise all that no container uses.
    pub dangling_only: bool,
    /// Made before this moment, in nanoseconds since 1970.
    pub until: Option<i64>,
    /// With these labels, of that value where one is given.
    pub labels: Vec<(String, Option<String>)>,
    /// Without these.
    pub without: Vec<(String, Option<String>)>,
}

/// What was removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    pub removals: Vec<Removal>,
    /// Bytes of the layers that went.
    pub reclaimed: u64,
}

impl PruneFilters {
    fn matches(&self, listed: &Listed) -> bool {
        let labels = &listed.image.config.config.labels;
        let made = listed.created.map_or(0, |created| created.as_nanosecond());
        (!self.dangling_only || listed.tags.is_empty())
            && self.until.is_none_or(|until| made < i128::from(until))
            && filter::labels_match(labels, &self.labels, &self.without)
    }
}

/// Removes the images that match and that no container and no other image needs. One that cannot be removed is left.
/// Blocking.
pub fn prune(engine: &Engine, filters: &PruneFilters) -> Result<Pruned, Error> {
    let images = list::list(engine, &Filters::default())?;
    let sizes: HashMap<String, u64> =
        list::list(engine, &Filters { intermediate: true, ..Filters::default() })?
            .iter()
            .flat_map(|listed| &listed.image.layers)
            .map(|layer| (layer.diff_id.to_string(), layer.size))
            .collect();
    let mut pruned = Pruned::default();
    for listed in images.iter().filter(|listed| filters.matches(listed)) {
        let mut names: Vec<String> =
            listed.tags.iter().chain(&listed.digests).map(Reference::familiar).collect();
        if listed.tags.is_empty() {
            // What has digests alone goes as a whole.
            names = vec![listed.image.id.to_string()];
        }
        for name in names {
            match remove::remove(engine, &name, RemoveOptions::default()) {
                Ok(removals) => pruned.removals.extend(removals),
                // Needed after all, or gone with the name before.
                Err(error) if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::NotFound) => {}
                Err(error) => log::warn!("leaving image {name}: {error}"),
            }
        }
    }
    for removal in &pruned.removals {
        if let Removal::Deleted(digest) = removal {
            pruned.reclaimed += sizes.get(digest).copied().unwrap_or(0);
        }
    }
    remove::collect(engine)?;
    undo::tidy(engine)?;
    events::pruned(engine, "image", pruned.reclaimed);
    Ok(pruned)
}
