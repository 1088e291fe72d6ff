//! The mounts of a container: the user's, those of other containers, the image's volumes.

use std::path::{Path, PathBuf};

use corten_store::Image;
use corten_sys::fs;

use super::super::lookup;
use super::super::record::MountRecord;
use super::super::spec::{ContainerSpec, MountKind, MountSpec};
use crate::volumes::{self, VolumeOptions};
use crate::{Engine, Error};

/// Decides every mount and makes the volumes; the names of anonymous ones are added to `made` for undo.
pub(super) fn resolve(
    engine: &Engine,
    spec: &ContainerSpec,
    image: &Image,
    id: &str,
    made: &mut Vec<String>,
) -> Result<Vec<MountRecord>, Error> {
    let mut mounts: Vec<MountRecord> = Vec::new();
    for mount in &spec.mounts {
        if mounts.iter().any(|other| other.target == clean(&mount.target)) {
            return Err(Error::invalid(format!("Duplicate mount point: {}", mount.target)));
        }
        mounts.push(one(engine, spec, mount, id, made)?);
    }
    for from in &spec.volumes_from {
        for mount in inherited(engine, from)? {
            if !mounts.iter().any(|other| other.target == mount.target) {
                mounts.push(mount);
            }
        }
    }
    for target in image.config.config.volumes.keys() {
        let target = clean(target);
        if !mounts.iter().any(|other| other.target == target) {
            let source = MountKind::Volume {
                name: None,
                no_copy: false,
                subpath: None,
                labels: Default::default(),
                options: Default::default(),
            };
            mounts.push(one(
                engine,
                spec,
                &MountSpec { target, read_only: false, relabel: None, source },
                id,
                made,
            )?);
        }
    }
    // Parents before what lies below them.
    mounts.sort_by_key(|mount| mount.target.split('/').filter(|part| !part.is_empty()).count());
    Ok(mounts)
}

/// A path in the container without `.`, `..`, double or trailing slashes.
pub(super) fn clean(target: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

fn one(
    engine: &Engine,
    spec: &ContainerSpec,
    mount: &MountSpec,
    id: &str,
    made: &mut Vec<String>,
) -> Result<MountRecord, Error> {
    let target = clean(&mount.target);
    if !mount.target.starts_with('/') {
        return Err(Error::invalid(format!(
            "invalid mount config: invalid mount path: '{}' mount path must be absolute",
            mount.target
        )));
    }
    if target == "/" {
        return Err(Error::invalid("invalid mount config: invalid specification: destination can't be '/'"));
    }
    let mut record = MountRecord {
        target,
        read_only: mount.read_only,
        relabel: mount.relabel,
        source: mount.source.clone(),
        path: PathBuf::new(),
        below: None,
        layers: Vec::new(),
        anonymous: false,
        populate: false,
    };
    match &mount.source {
        MountKind::Tmpfs { .. } => {}
        MountKind::Bind { path, create, .. } => record.path = bind_source(path, *create)?,
        MountKind::Volume { name, no_copy, subpath, labels, options } => {
            let anonymous = name.is_none();
            let name = name.clone().map_or_else(volumes::random_name, Ok)?;
            let options = VolumeOptions {
                labels: labels.clone(),
                options: options.clone(),
                anonymous,
                owner: spec.auto_remove.then(|| id.to_owned()),
            };
            let created = volumes::ensure(engine, &name, options)?;
            if created && anonymous {
                made.push(name.clone());
            }
            // Those it was made with, by whomever.
            let own = engine.store().volume(&name)?.map(|volume| volume.options).unwrap_or_default();
            record.path = engine.store().volume_data(&name);
            volumes::check_subpath(&record.path, subpath.as_deref())?;
            record.below.clone_from(subpath);
            record.anonymous = anonymous;
            record.populate = !no_copy && subpath.is_none() && fs::list(&record.path)?.is_empty();
            record.source = MountKind::Volume {
                name: Some(name),
                no_copy: *no_copy,
                subpath: subpath.clone(),
                labels: labels.clone(),
                options: own,
            };
        }
        MountKind::Image { reference, subpath } => {
            let image = engine.store().resolve_image(reference)?;
            let [layer] = image.layers.as_slice() else {
                return Err(Error::unsupported(format!(
                    "mount of image {reference}: it has {} layers, and only images of one can be mounted so far",
                    image.layers.len()
                )));
            };
            let tree = engine.store().layer_tree(&layer.diff_id);
            volumes::check_subpath(&tree, subpath.as_deref())?;
            record.path = tree;
            record.below.clone_from(subpath);
            record.layers = vec![layer.diff_id.clone()];
            record.read_only = true;
        }
    }
    Ok(record)
}

fn bind_source(path: &str, create: bool) -> Result<PathBuf, Error> {
    let path = Path::new(path);
    if !path.is_absolute() {
        return Err(Error::invalid(format!(
            "invalid mount config for type \"bind\": invalid mount path: '{}' mount path must be absolute",
            path.display()
        )));
    }
    if !path.exists() {
        if !create {
            return Err(Error::invalid(format!(
                "invalid mount config for type \"bind\": bind source path does not exist: {}",
                path.display()
            )));
        }
        fs::create_dir_all(path, 0o755)?;
    }
    Ok(path.to_owned())
}

/// The mounts of another container, `NAME[:ro|:rw]`.
fn inherited(engine: &Engine, from: &str) -> Result<Vec<MountRecord>, Error> {
    let (name, mode) = from.split_once(':').map_or((from, None), |(name, mode)| (name, Some(mode)));
    let read_only = match mode {
        None => None,
        Some("ro") => Some(true),
        Some("rw") => Some(false),
        Some(mode) => return Err(Error::invalid(format!("invalid mode for volumes-from: {mode}"))),
    };
    let other = lookup::find(engine, name)?;
    let take = |mount: MountRecord| MountRecord {
        read_only: read_only.unwrap_or(mount.read_only),
        // It belongs to the other container.
        anonymous: false,
        populate: false,
        ..mount
    };
    let shared =
        |mount: &MountRecord| matches!(mount.source, MountKind::Bind { .. } | MountKind::Volume { .. });
    Ok(other.mounts.into_iter().filter(shared).map(take).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_cleaned() {
        let cases = [("/a/", "/a"), ("//a//b", "/a/b"), ("/a/../b/.", "/b"), ("/../..", "/")];
        for (given, expected) in cases {
            assert_eq!(clean(given), expected);
        }
    }
}
