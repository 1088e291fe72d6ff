//! Everything that is known of one container, as plain data: what `inspect` renders.

use std::path::PathBuf;

use corten_monitor::LogFormat;
use corten_monitor::health::Health;
use corten_store::Image;
use corten_sys::fs;

use super::health;
use super::log_driver;
use super::oci_spec;
use super::record::ContainerRecord;
use super::size::{self, ContainerSize};
use super::start::read_id_range;
use super::state::{self, ContainerState};
use crate::{Engine, Error};

/// A container seen from all sides.
#[derive(Debug, Clone)]
pub struct InspectedContainer {
    pub record: ContainerRecord,
    pub state: ContainerState,
    /// `None` where the image was removed from under the container.
    pub image: Option<Image>,
    pub size: Option<ContainerSize>,
    pub log: Option<PathBuf>,
    pub health: Option<Health>,
    pub files: GeneratedFiles,
    pub ids: UserIds,
    pub layers: LayerPaths,
    pub masked_paths: Vec<String>,
    pub readonly_paths: Vec<String>,
}

/// The files that corten writes for a container; absent while there is no run of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GeneratedFiles {
    pub hosts: Option<PathBuf>,
    pub hostname: Option<PathBuf>,
    pub resolv_conf: Option<PathBuf>,
}

/// Which ids of the host the container's are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserIds {
    /// A range of its own: the first host id and how many, leased while it runs.
    Own(Option<(u32, u32)>),
    /// The range of the container whose namespaces it joins.
    Joined { container: String, range: Option<(u32, u32)> },
    /// The host's, by this flag.
    Host(&'static str),
}

/// What the container's root file system is put together from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerPaths {
    /// Topmost first.
    pub lower: Vec<PathBuf>,
    pub upper: PathBuf,
    pub work: PathBuf,
    /// The mounted whole: only reachable through the container's init.
    pub merged: Option<PathBuf>,
}

/// Looks at a container; with `size`, walks its own layer.
pub fn inspect(engine: &Engine, record: ContainerRecord, size: bool) -> Result<InspectedContainer, Error> {
    let state = state::read(engine, &record)?;
    let pid = state.run.as_ref().filter(|_| state.is_running()).map(|run| run.init.pid);
    let writable = record.directory(engine).join("rw");
    let run_dir = engine.run_dir(&record.id);
    let file = |name: &str| Some(run_dir.join(name)).filter(|path| fs::exists(path));
    Ok(InspectedContainer {
        image: engine.store().image(&record.image)?,
        size: if size { Some(size::size(engine, &record)?) } else { None },
        log: log_path(engine, &record),
        health: health::read(engine, &record, &state)?,
        files: GeneratedFiles {
            hosts: file("hosts"),
            hostname: file("hostname"),
            resolv_conf: file("resolv.conf"),
        },
        ids: user_ids(&record, pid),
        layers: LayerPaths {
            lower: record.layers.iter().map(|layer| engine.store().layer_tree(layer)).collect(),
            upper: writable.join("upper"),
            work: writable.join("work"),
            merged: pid.map(|pid| format!("/proc/{pid}/root").into()),
        },
        masked_paths: oci_spec::masked_paths(&record.spec),
        readonly_paths: oci_spec::readonly_paths(&record.spec),
        state,
        record,
    })
}

/// Only of docker's own format: that is what others read.
fn log_path(engine: &Engine, record: &ContainerRecord) -> Option<PathBuf> {
    log_driver::file(engine, record).filter(|(_, format)| *format == LogFormat::Json).map(|(path, _)| path)
}

fn user_ids(record: &ContainerRecord, pid: Option<i32>) -> UserIds {
    if let Some(flag) = record.spec.host_ids() {
        return UserIds::Host(flag);
    }
    // A process that ends while it is looked at has no range any more.
    let range = pid.and_then(|pid| read_id_range(pid).ok()).map(|ids| (ids.base, ids.size));
    match record.joins().first() {
        Some(&container) => UserIds::Joined { container: container.to_owned(), range },
        None => UserIds::Own(range),
    }
}
