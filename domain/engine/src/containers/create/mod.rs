//! Creating a container: image and flags become a record, a directory, a name and volumes.

mod host_checks;
mod labels;
pub(super) mod limits;
mod mounts;
mod process_record;

use corten_monitor::exits;
use corten_spec::Platform;
use corten_store::Image;
use corten_store::containers::NameOwner;
use corten_store::lock::Lock;
use corten_sys::{clock, fs, process, signal};

use super::record::ContainerRecord;
use super::spec::ContainerSpec;
use super::{Beginning, health, names, state};
use crate::error::{Error, ErrorKind};
use crate::images::{self, builtin};
use crate::{Engine, events};

/// Creates a container. The record is visible but durable only after its `sync`, which start overlaps.
///
/// On failure nothing is left: no name, no directory, no anonymous volume.
pub fn create(engine: &Engine, spec: ContainerSpec) -> Result<ContainerRecord, Error> {
    create_as(engine, &Beginning::new(engine)?, spec)
}

/// As [`create`] for a container that is begun already.
pub fn create_as(
    engine: &Engine,
    beginning: &Beginning,
    spec: ContainerSpec,
) -> Result<ContainerRecord, Error> {
    let id = beginning.id().to_owned();
    // Until the record names its layers, no removal may take them.
    let (image, lock) = resolve(engine, &spec.image)?;
    check(&spec, &image)?;
    let name = claim_name(engine, &id, spec.name.as_deref())?;
    let mut undo =
        Undo { engine, name: Some(name.clone()), id: id.clone(), directory: None, volumes: Vec::new() };
    let record = compose(engine, &mut undo, spec, &image, name)?;
    let directory = record.directory(engine);
    undo.directory = Some(directory.clone());
    engine.store().create_container_dir(&directory)?;
    if !record.spec.auto_remove {
        let exits_path = state::exits_path(engine, &record);
        exits::preallocate(&exits_path)?;
        fs::sync_file(&exits_path)?;
    }
    record.save(engine)?;
    drop(lock);
    undo.disarm();
    events::container(engine, &record, "create", &[]);
    Ok(record)
}

/// Finds the image and returns it with the images lock, shared with other creations. A built-in one comes into the store by this.
fn resolve(engine: &Engine, name: &str) -> Result<(Image, Lock), Error> {
    let store = engine.store();
    let lock = store.share_images()?;
    match store.resolve_image(name) {
        Err(error) if images::is_not_found(&error) => {
            // Importing takes the lock itself.
            drop(lock);
            if !builtin::provide(engine, name)? {
                return Err(images::missing(name));
            }
            let lock = store.share_images()?;
            Ok((store.resolve_image(name)?, lock))
        }
        found => Ok((found?, lock)),
    }
}

fn compose(
    engine: &Engine,
    undo: &mut Undo<'_>,
    spec: ContainerSpec,
    image: &Image,
    name: String,
) -> Result<ContainerRecord, Error> {
    let id = undo.id.clone();
    let process = process_record::compose(&spec, image, &id)?;
    let selinux = labels::choose(engine, &spec)?;
    let mounts = mounts::resolve(engine, &spec, image, &id, &mut undo.volumes)?;
    let hostname =
        match (&spec.hostname, spec.network == super::spec::NetworkMode::Host || spec.namespaces.uts_host) {
            (Some(hostname), _) => hostname.clone(),
            (None, true) => rustix::system::uname().nodename().to_string_lossy().into_owned(),
            (None, false) => id.get(..12).unwrap_or_default().to_owned(),
        };
    let config = &image.config.config;
    let healthcheck = health::merge(spec.healthcheck.as_ref(), config.healthcheck.as_ref());
    let stop_signal = spec.stop_signal.clone().unwrap_or_else(|| config.stop_signal.clone());
    let mut labels = config.labels.clone();
    labels.extend(spec.labels.clone());
    let mut exposed_ports: Vec<String> = config.exposed_ports.keys().cloned().collect();
    exposed_ports.extend(spec.exposed_ports.iter().cloned());
    exposed_ports.sort_unstable();
    exposed_ports.dedup();
    Ok(ContainerRecord {
        version: 1,
        id,
        name,
        created: clock::wall_nanos(),
        image: image.id.clone(),
        layers: image.layers.iter().rev().map(|layer| layer.diff_id.clone()).collect(),
        highest_id: image.highest_uid.max(image.highest_gid),
        process,
        mounts,
        hostname,
        stop_signal: if stop_signal.is_empty() { 15 } else { parse_signal(&stop_signal)? },
        labels,
        exposed_ports,
        stopped_by_user: false,
        shell: if healthcheck.is_some() { health::shell(image) } else { Vec::new() },
        healthcheck,
        process_label: selinux.process,
        mount_label: selinux.mount,
        spec,
    })
}

fn parse_signal(text: &str) -> Result<i32, Error> {
    signal::parse(text).ok_or_else(|| Error::invalid(format!("Invalid signal: {text}")))
}

/// The highest id of a layer's file that a container's range is made to hold: 16 slots of 65,536.
const HIGHEST_ID: u32 = (1 << 20) - 1;

/// Refuses what cannot be honoured before anything is made.
fn check(spec: &ContainerSpec, image: &Image) -> Result<(), Error> {
    if spec.auto_remove && spec.restart != super::spec::Restart::No {
        return Err(Error::invalid("conflicting options: cannot specify both --restart and --rm"));
    }
    let platform = image.config.platform();
    if !Platform::host().runs(&platform) {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "image {} is for {}-{}, which this {} host cannot run",
                spec.image,
                platform.os,
                platform.architecture,
                Platform::host().architecture
            ),
        ));
    }
    let highest = image.highest_uid.max(image.highest_gid);
    if spec.host_ids().is_none() && highest > HIGHEST_ID {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "image {} has files of id {highest}, more than a user namespace here maps ({HIGHEST_ID})",
                spec.image
            ),
        )
        .hint("--userns=host runs it with the host's ids"));
    }
    super::oci_spec::bounding_set(spec)?;
    spec.healthcheck.as_ref().map_or(Ok(()), health::validate)?;
    limits::check(spec)?;
    host_checks::check(spec)
}

fn claim_name(engine: &Engine, id: &str, wanted: Option<&str>) -> Result<String, Error> {
    let creator = process::own_identity();
    let owner = NameOwner { id: id.to_owned(), boot: engine.boot().to_owned(), creator };
    if let Some(name) = wanted {
        names::validate(name)?;
        return match names::claim(engine, name, &owner)? {
            None => Ok(name.to_owned()),
            Some(holder) => Err(names::taken(name, &holder)),
        };
    }
    let mut attempt = 0;
    loop {
        let name = names::random(attempt)?;
        if names::claim(engine, &name, &owner)?.is_none() {
            return Ok(name);
        }
        attempt += 1;
    }
}

/// Takes back what a failed create has made.
struct Undo<'a> {
    engine: &'a Engine,
    id: String,
    name: Option<String>,
    directory: Option<std::path::PathBuf>,
    volumes: Vec<String>,
}

impl Undo<'_> {
    fn disarm(mut self) {
        self.name = None;
        self.directory = None;
        self.volumes.clear();
    }
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        let store = self.engine.store();
        let mut results = Vec::new();
        if let Some(directory) = &self.directory {
            results.push(store.discard(directory).map(drop));
        }
        for volume in &self.volumes {
            results.push(store.remove_volume(volume).map(drop));
        }
        if let Some(name) = &self.name {
            results.push(store.release_name(name, &self.id));
        }
        if self.directory.is_some() || !self.volumes.is_empty() {
            results.push(store.empty_trash());
        }
        for error in results.into_iter().filter_map(Result::err) {
            log::warn!("undoing the creation of container {}: {error}", self.id);
        }
    }
}
