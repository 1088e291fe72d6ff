//! What the store occupies, by what it is for: all of it, so that the sum is what `du` says of the root.

use std::collections::{HashMap, HashSet};

use corten_spec::{DiffId, ImageId};
use corten_store::volumes::Volume;
use corten_sys::fs;

use crate::containers::list::{self, ListOptions, ListedContainer};
use crate::containers::size::{self, Measure};
use crate::images::{self, Listed};
use crate::pins::{self, Pinnable};
use crate::{Engine, Error, volumes};

/// Bytes on the disk.
#[derive(Debug, Clone, Default)]
pub struct DiskUsage {
    pub images: Vec<ImageUsage>,
    pub containers: Vec<ContainerUsage>,
    pub volumes: Vec<VolumeUsage>,
    /// Of all images: layers that they share are counted once.
    pub image_bytes: u64,
    /// Of those that no container uses.
    pub unused_image_bytes: u64,
    /// What [`crate::undo`] keeps, and what is being removed.
    pub trash: u64,
    /// Records, names, events.
    pub other: u64,
}

/// An image's part.
#[derive(Debug, Clone)]
pub struct ImageUsage {
    pub listed: Listed,
    /// Of its layers, in bytes on the disk; shared with other images or not.
    pub size: u64,
    pub shared: u64,
    pub containers: usize,
}

/// A container's directory: its own layer, log and records.
#[derive(Debug, Clone)]
pub struct ContainerUsage {
    pub listed: ListedContainer,
    pub size: u64,
}

/// A volume's part.
#[derive(Debug, Clone)]
pub struct VolumeUsage {
    pub volume: Volume,
    /// Containers that use it.
    pub links: usize,
    pub size: u64,
}

impl DiskUsage {
    /// Everything.
    pub fn total(&self) -> u64 {
        let containers: u64 = self.containers.iter().map(|one| one.size).sum();
        let volumes: u64 = self.volumes.iter().map(|one| one.size).sum();
        self.image_bytes + containers + volumes + self.trash + self.other
    }
}

/// Measures the store. Walks all of it, as `du` does; takes no lock, so that what changes meanwhile may be counted or not.
pub fn measure(engine: &Engine) -> Result<DiskUsage, Error> {
    let all = ListOptions { all: true, ..ListOptions::default() };
    let listed = list::select(engine, &all)?;
    let mut layers = HashMap::<DiffId, u64>::new();
    for layer in engine.store().layers()? {
        let bytes = occupied(engine, engine.store().layer_path(&layer))?;
        layers.insert(layer, bytes);
    }
    let mut usage = DiskUsage::default();
    measure_images(engine, &mut usage, &listed, &layers)?;
    let mut directories = HashSet::new();
    for listed in listed {
        let directory = listed.record.directory(engine);
        let size = occupied(engine, &directory)?;
        directories.extend(directory.file_name().map(|name| name.to_string_lossy().into_owned()));
        usage.containers.push(ContainerUsage { listed, size });
    }
    for volume in volumes::list(engine)? {
        let links = usage.containers.iter().filter(|one| one.listed.record.uses_volume(&volume.name)).count();
        let size = occupied(engine, engine.store().volume_dir(&volume.name))?;
        usage.volumes.push(VolumeUsage { volume, links, size });
    }
    usage.trash += occupied(engine, "removed")? + occupied(engine, "trash")?;
    usage.other = rest(engine, &directories)?;
    Ok(usage)
}

fn measure_images(
    engine: &Engine,
    usage: &mut DiskUsage,
    containers: &[ListedContainer],
    layers: &HashMap<DiffId, u64>,
) -> Result<(), Error> {
    let images = images::list(engine, &images::Filters::default())?;
    let mut users = HashMap::<&DiffId, HashSet<&ImageId>>::new();
    for listed in &images {
        for layer in &listed.image.layers {
            users.entry(&layer.diff_id).or_default().insert(&listed.image.id);
        }
    }
    let size = |layer: &DiffId| layers.get(layer).copied().unwrap_or_default();
    let in_use: HashSet<&DiffId> = containers.iter().flat_map(|one| &one.record.layers).collect();
    for listed in &images {
        let own = |shared: bool| {
            let of = |layer: &&corten_store::images::ImageLayer| {
                !shared || users.get(&layer.diff_id).is_some_and(|users| users.len() > 1)
            };
            listed.image.layers.iter().filter(of).map(|layer| size(&layer.diff_id)).sum::<u64>()
        };
        usage.images.push(ImageUsage {
            size: own(false),
            shared: own(true),
            containers: containers.iter().filter(|one| one.record.image == listed.image.id).count(),
            listed: listed.clone(),
        });
    }
    let mut kept_for_undo = 0;
    for (layer, bytes) in layers {
        if users.contains_key(layer) || in_use.contains(layer) {
            usage.image_bytes += bytes;
        } else {
            kept_for_undo += bytes;
        }
    }
    let pinned = |id: &ImageId| pins::is_pinned(engine, &Pinnable::Image(id.clone()));
    let stays: HashSet<&ImageId> = images
        .iter()
        .map(|listed| &listed.image.id)
        .filter(|id| pinned(id) || containers.iter().any(|one| one.record.image == **id))
        .collect();
    let goes = |layer: &DiffId| {
        !in_use.contains(layer)
            && users.get(layer).is_some_and(|users| users.iter().all(|image| !stays.contains(*image)))
    };
    usage.unused_image_bytes = layers.iter().filter(|(layer, _)| goes(layer)).map(|(_, bytes)| bytes).sum();
    usage.image_bytes += occupied(engine, "blobs")? + occupied(engine, "images")?;
    usage.trash += kept_for_undo;
    Ok(())
}

fn occupied(engine: &Engine, path: impl AsRef<std::path::Path>) -> Result<u64, Error> {
    // An absolute path stays what it is.
    Ok(size::tree(&engine.store().path(path), Measure::Occupied)?)
}

/// Of objects one by one: what is directly in these directories is counted elsewhere.
const OF_OBJECTS: [&str; 4] = ["layers", "volumes", "containers", "scratch"];

/// Counted as a whole elsewhere.
const COUNTED: [&str; 4] = ["blobs", "images", "removed", "trash"];

/// What is beside the objects: their directories' own blocks, records, names, what a crash has left of a container.
fn rest(engine: &Engine, containers: &HashSet<String>) -> Result<u64, Error> {
    let root = engine.store().root();
    let mut bytes = size::own_blocks(root)?;
    for name in fs::list(root)? {
        if OF_OBJECTS.contains(&name.as_str()) {
            bytes += size::own_blocks(&root.join(name))?;
        } else if !COUNTED.contains(&name.as_str()) {
            bytes += occupied(engine, name)?;
        }
    }
    let mut parents = vec![root.join("containers")];
    for boot in fs::list(root.join("scratch"))? {
        let directory = root.join("scratch").join(boot);
        bytes += size::own_blocks(&directory)?;
        parents.push(directory);
    }
    for parent in parents {
        for name in fs::list(&parent)? {
            if !containers.contains(&name) {
                bytes += occupied(engine, parent.join(name))?;
            }
        }
    }
    Ok(bytes)
}
