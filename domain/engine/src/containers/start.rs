//! Starting a container from its record.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use corten_monitor::restart::next_backoff_ms;
use corten_monitor::state::RunState;
use corten_monitor::{Order, RestartPolicy, exits, journal, state as run_state};
use corten_runtime::cgroups::{self, Cgroup};
use corten_runtime::launch::encode_init;
use corten_runtime::plan::{IdRange, Plan, PlanInput, RootfsSource};
use corten_sys::{Errno, fs};

use super::record::ContainerRecord;
use super::spec::Restart;
use super::state::Status;
use super::{health, log_driver, oci_spec, relabel, seccomp_cache, state};
use crate::error::{Error, ErrorKind};
use crate::host::HostFacts;
use crate::id_range::{self, Lease};
use crate::launch::{CgroupOrder, CleanBlob, Keeper, LaunchBlob, RemoveBlob, Running};
use crate::{Engine, containers, events, launch, volumes};

/// Why a container is started, and who is attached from the beginning.
#[derive(Debug, Default)]
pub struct StartOptions {
    /// The worker's end of a client's connection ([`corten_monitor::attach::Client`]).
    pub client: Option<UnixStream>,
    /// The restart policy starts it, not a user.
    pub by_policy: bool,
    /// The record was just written and has to become durable before the start is reported.
    pub sync_record: bool,
}

/// Starts a container that does not run. On failure nothing of the attempt is left but the container itself.
pub fn start(
    engine: &Engine,
    record: &ContainerRecord,
    mut keeper: Keeper,
    options: StartOptions,
) -> Result<Running, Error> {
    // Before the lock, which recording the end of an earlier run takes.
    state::read(engine, record)?;
    wait_for_earlier_keeper(engine, record)?;
    let lock = containers::lock(engine, record)?;
    let current = state::read(engine, record)?;
    if current.status == Status::Paused {
        return Err(Error::conflict("cannot start a paused container, try unpause instead"));
    }
    if current.is_running() {
        return Err(Error::conflict(format!("container {} is already running", record.id)));
    }
    let newest = if options.sync_record { None } else { Some(as_it_is_now(engine, record, &options)?) };
    let record = newest.as_ref().unwrap_or(record);
    if newest.is_some() && record.spec.auto_remove {
        make_mountable_again(&record.directory(engine).join("rw/work"))?;
    }
    let mut prepared = prepare(engine, record, &options, &mut keeper)?;
    if options.client.is_some() {
        events::container(engine, record, "attach", &[]);
    }
    let mut lost = false;
    let started = keeper.start(&prepared.order, &prepared.cgroup, options.client, &lock, || {
        if options.sync_record { record.sync(engine).inspect_err(|_| lost = true) } else { Ok(()) }
    });
    // The keeper cleans up after a failed start; where it died, or was done before the cgroup was made, this does.
    let keeper_cleans = match &started {
        Ok(_) => true,
        Err(error) => matches!(error.kind(), ErrorKind::NotStarted(_)),
    };
    if keeper_cleans {
        prepared.lease.iter_mut().for_each(Lease::hand_over);
    }
    started.inspect_err(|error| {
        if let ErrorKind::NotStarted(code) = error.kind() {
            let code = code.to_string();
            events::container(engine, record, "die", &[("exitCode", &code), ("error", &error.to_string())]);
        }
        launch::remove_cgroup(&prepared.order);
        containers::remove_run_dir(&engine.run_dir(&record.id)).unwrap_or_default();
        volumes::mounted::release(engine, &record.id, &volumes::mounted::of(record));
        if lost {
            // It was made for this start, and nobody knows whether it is on the disk.
            containers::forget(engine, record);
        }
    })
}

/// Takes away the mark by which overlayfs refuses a layer that was mounted volatile before (overlayfs.rst, "Volatile
/// mount"): it warns of data lost with a boot, and this layer is of this boot.
fn make_mountable_again(work: &std::path::Path) -> Result<(), Error> {
    let mark = work.join("work/incompat");
    if fs::exists(&mark) { Ok(fs::remove_dir_all(mark)?) } else { Ok(()) }
}

/// The record as it is now, under the lock: it may have been changed since the caller read it. A user's start ends
/// the wish that the container stay stopped.
fn as_it_is_now(
    engine: &Engine,
    record: &ContainerRecord,
    options: &StartOptions,
) -> Result<ContainerRecord, Error> {
    let mut newest = containers::load(engine, &record.id)?;
    if newest.stopped_by_user && !options.by_policy {
        newest.stopped_by_user = false;
        newest.save(engine)?;
    }
    Ok(newest)
}

/// Starts a container again because its policy says so: called in a fresh process by its keeper, with nobody to hear
/// why not.
pub fn restart_by_policy(engine: &Engine, id: &str, keeper: Keeper) -> bool {
    journal::begin(&engine.run_dir(id), id);
    let options = StartOptions { by_policy: true, ..StartOptions::default() };
    let started = containers::load(engine, id).and_then(|record| start(engine, &record, keeper, options));
    match &started {
        Ok(_) => {}
        // Asked to stop, or started by somebody else.
        Err(error) if error.kind() == ErrorKind::Conflict => {}
        Err(error) => log::warn!("not restarted: {error}"),
    }
    started.is_ok()
}

/// A keeper that is still cleaning up after the last run would take the new one's files with it.
fn wait_for_earlier_keeper(engine: &Engine, record: &ContainerRecord) -> Result<(), Error> {
    match RunState::read(&engine.run_dir(&record.id))? {
        Some(run) if !run.restarting && !run.init.is_alive() => state::wait_for_end(engine, &record.id),
        _ => Ok(()),
    }
}

struct Prepared {
    order: Order,
    cgroup: CgroupOrder,
    lease: Option<Lease>,
}

/// The ids of the container's user namespace, and the leased slots behind them.
struct Ids<'a> {
    range: Option<IdRange>,
    claims: &'a [PathBuf],
}

fn prepare(
    engine: &Engine,
    record: &ContainerRecord,
    options: &StartOptions,
    keeper: &mut Keeper,
) -> Result<Prepared, Error> {
    let run_dir = engine.run_dir(&record.id);
    match fs::create_dir(&run_dir, 0o711) {
        Err(error) if error.errno() == Errno::EXIST => forget_the_last_run(record, options, &run_dir)?,
        other => other?,
    }
    fill(engine, record, options, keeper).inspect_err(|_| {
        containers::remove_run_dir(&run_dir).unwrap_or_default();
        volumes::mounted::release(engine, &record.id, &volumes::mounted::of(record));
    })
}

/// Removes what was said to the keeper of the run before, unless that was to stop the container and not to start it.
fn forget_the_last_run(
    record: &ContainerRecord,
    options: &StartOptions,
    run_dir: &std::path::Path,
) -> Result<(), Error> {
    let stopping = run_dir.join(run_state::STOPPING);
    if !options.by_policy {
        fs::remove_file(stopping)?;
    } else if fs::exists(&stopping) {
        return Err(Error::conflict(format!("container {} was asked to stop", record.id)));
    }
    for marker in [run_state::KEEP, run_state::PAUSED, run_state::NAME, run_state::POLICY] {
        fs::remove_file(run_dir.join(marker))?;
    }
    Ok(())
}

/// Everything a start needs, in the run directory that is there.
fn fill(
    engine: &Engine,
    record: &ContainerRecord,
    options: &StartOptions,
    keeper: &mut Keeper,
) -> Result<Prepared, Error> {
    let facts = engine.facts()?;
    let host_ids = record.spec.host_ids().is_some();
    let joined = join_targets(engine, record)?;
    volumes::mounted::acquire(engine, &record.id, &volumes::mounted::of(record))?;
    let lease = match (host_ids, &joined.ids) {
        (true, _) => None,
        (false, Some(range)) => Some(id_range::share(engine, &record.id, *range)?),
        // It joins a container that has the host's ids.
        (false, None) if record.spec.joins_another() => None,
        (false, None) => Some(match keeper.take_lease(record.highest_id) {
            Some(lease) => lease,
            None => id_range::lease(engine, &record.id, record.highest_id)?,
        }),
    };
    let ids = Ids {
        range: lease.as_ref().map(|lease| lease.range),
        claims: lease.as_ref().map(Lease::claims).unwrap_or_default(),
    };
    let (order, cgroup) = build(engine, record, options, facts, &ids, joined)?;
    Ok(Prepared { order, cgroup, lease })
}

/// Namespaces of other containers that this one joins.
#[derive(Debug, Default)]
pub(crate) struct Joined {
    pub(crate) namespaces: Vec<(corten_spec::runtime::NamespaceKind, i32)>,
    pub(crate) ids: Option<IdRange>,
}

fn join_targets(engine: &Engine, record: &ContainerRecord) -> Result<Joined, Error> {
    use super::spec::Share;
    use corten_spec::runtime::NamespaceKind;
    let modes = &record.spec.namespaces;
    let mut joined = Joined::default();
    let shares = [(NamespaceKind::Pid, &modes.pid), (NamespaceKind::Ipc, &modes.ipc)];
    for (kind, share) in shares {
        let Share::Container(id) = share else { continue };
        let other = containers::load(engine, id)?;
        let current = state::read(engine, &other)?;
        let Some(run) = current.run.as_ref().filter(|_| current.is_running()) else {
            return Err(Error::conflict(format!(
                "cannot join the namespaces of container {id}: it is not running"
            )));
        };
        if other.spec.host_ids().is_none() && joined.namespaces.is_empty() {
            // The user namespace first: it owns the others.
            joined.namespaces.push((NamespaceKind::User, run.init.pid));
            joined.ids = Some(read_id_range(run.init.pid)?);
        }
        joined.namespaces.push((kind, run.init.pid));
    }
    Ok(joined)
}

pub(super) fn read_id_range(pid: i32) -> Result<IdRange, Error> {
    let text = fs::read_to_string(format!("/proc/{pid}/uid_map"))?;
    let mut fields = text.split_whitespace().skip(1).map(str::parse);
    match (fields.next(), fields.next()) {
        (Some(Ok(base)), Some(Ok(size))) => Ok(IdRange { base, size }),
        _ => Err(Error::new(ErrorKind::Internal, format!("process {pid} has no id mapping"))),
    }
}

fn build(
    engine: &Engine,
    record: &ContainerRecord,
    options: &StartOptions,
    facts: &HostFacts,
    ids: &Ids<'_>,
    joined: Joined,
) -> Result<(Order, CgroupOrder), Error> {
    let run_dir = engine.run_dir(&record.id);
    let directory = record.directory(engine);
    relabel::sources(record)?;
    oci_spec::files::write(&run_dir, record, ids.range)?;
    health::begin(engine, record)?;
    let spec = oci_spec::generate(engine, record, facts, ids.range)?;
    let seccomp = seccomp_cache::program(engine, record, facts)?;
    let mut lowers: Vec<_> = record.layers.iter().map(|layer| engine.store().layer_tree(layer)).collect();
    lowers.push(engine.skeleton()?);
    let input = PlanInput {
        rootfs: RootfsSource {
            lowers,
            writable: Some(directory.join("rw")),
            volatile: record.spec.auto_remove,
        },
        join: joined.namespaces,
        user: record.process.user.clone(),
        groups: record.spec.groups.clone(),
        join_cgroups: !facts.cgroups.is_v2(),
        reaper: record.spec.init,
        populate: record
            .mounts
            .iter()
            .filter(|mount| mount.populate && is_empty(&mount.path))
            .map(|mount| mount.target.clone())
            .collect(),
    };
    let plan = Plan::new(&spec, input).map_err(|error| Error::invalid(crate::error::with_causes(&error)))?;
    let cgroup = CgroupOrder {
        layout: facts.cgroups.clone(),
        parent: cgroup_parent(record).to_owned(),
        id: record.id.clone(),
        resources: oci_spec::resources::of(record)?,
    };
    let last = exits::read(&state::exits_path(engine, record))?;
    let blob = LaunchBlob { plan: plan.launch.clone(), v2: facts.cgroups.is_v2() };
    let order = Order {
        client: options.client.is_some(),
        locked: true,
        owner: plan.launch.owner,
        label: record.mount_label.clone(),
        restarts: last.filter(|_| options.by_policy).map_or(0, |last| last.restarts + 1),
        backoff_ms: last.filter(|_| options.by_policy).map_or(0, |last| next_backoff_ms(&last)),
        generation: last.map_or(1, |last| last.generation + 1),
        launch: to_json(&blob),
        init: encode_init(&plan.init, &seccomp),
        log: log_driver::sink(engine, record)?,
        clean: to_json(&clean_blob(engine, record, facts, ids.claims)),
        ..base_order(engine, record)
    };
    Ok((order, cgroup))
}

/// Only a volume that nobody has put anything into yet takes over the image's content.
fn is_empty(volume: &std::path::Path) -> bool {
    fs::list(volume).is_ok_and(|names| names.is_empty())
}

/// What a keeper needs that takes over the current run.
pub(super) fn adoption_order(
    engine: &Engine,
    record: &ContainerRecord,
    run: &RunState,
) -> Result<Order, Error> {
    let host_ids = record.spec.host_ids().is_some();
    // A container that has ended has no mapping any more, and needs none.
    let base = if host_ids { 0 } else { read_id_range(run.init.pid).map_or(0, |range| range.base) };
    Ok(Order {
        restarts: run.restarts,
        backoff_ms: run.backoff_ms,
        generation: run.generation,
        owner: (base, base),
        adopt: Some(run.clone()),
        log: log_driver::sink(engine, record)?,
        ..clean_up_order(engine, record)?
    })
}

/// What is needed to clean up after a container that has no keeper.
pub(super) fn clean_up_order(engine: &Engine, record: &ContainerRecord) -> Result<Order, Error> {
    let claims = id_range::claims_of(engine, &record.id)?;
    Ok(Order {
        clean: to_json(&clean_blob(engine, record, engine.facts()?, &claims)),
        ..base_order(engine, record)
    })
}

/// What is needed to clean up after a container of which there is no record any more: what lies where it lies by
/// default.
pub(super) fn orphan_order(engine: &Engine, id: &str) -> Result<Order, Error> {
    let path = format!("{}/{id}", cgroups::DEFAULT_PARENT);
    let clean = CleanBlob {
        root: engine.config().root.clone(),
        run_root: engine.config().run_root.clone(),
        cgroup: Cgroup::open(engine.facts()?.cgroups.clone(), &path).ok(),
        id_claims: id_range::claims_of(engine, id)?,
        mounted: Vec::new(),
        remove: None,
    };
    Ok(Order { id: id.to_owned(), run_dir: engine.run_dir(id), clean: to_json(&clean), ..Order::default() })
}

/// What every order of a container says.
fn base_order(engine: &Engine, record: &ContainerRecord) -> Order {
    Order {
        id: record.id.clone(),
        run_dir: engine.run_dir(&record.id),
        exits: state::exits_path(engine, record),
        terminal: record.spec.tty,
        stdin: record.spec.stdin,
        stdin_once: record.spec.stdin_once,
        volatile: record.spec.auto_remove,
        subject: events::subject(engine, record),
        probe: health::order(engine, record),
        restart: restart_policy(record.spec.restart),
        ..Order::default()
    }
}

fn cgroup_parent(record: &ContainerRecord) -> &str {
    record.spec.cgroup_parent.as_deref().unwrap_or(cgroups::DEFAULT_PARENT)
}

/// The container's cgroup below each mount.
pub(super) fn cgroup_path(record: &ContainerRecord) -> String {
    format!("{}/{}", cgroup_parent(record).trim_matches('/'), record.id)
}

fn clean_blob(engine: &Engine, record: &ContainerRecord, facts: &HostFacts, claims: &[PathBuf]) -> CleanBlob {
    let remove = record.spec.auto_remove.then(|| RemoveBlob {
        name: record.name.clone(),
        directory: record.directory(engine),
        record: super::record::volatile_path(engine, &record.id),
        volumes: containers::anonymous_volumes(record),
    });
    CleanBlob {
        root: engine.config().root.clone(),
        run_root: engine.config().run_root.clone(),
        cgroup: Cgroup::open(facts.cgroups.clone(), &cgroup_path(record)).ok(),
        id_claims: claims.to_vec(),
        mounted: volumes::mounted::of(record),
        remove,
    }
}

fn to_json(value: &impl serde::Serialize) -> Vec<u8> {
    // Structs of numbers, strings and paths: there is nothing serde_json refuses but a path that is not UTF-8,
    // and those are refused when the container is created.
    serde_json::to_vec(value).unwrap_or_default()
}

pub(super) fn restart_policy(restart: Restart) -> RestartPolicy {
    match restart {
        Restart::No => RestartPolicy::No,
        Restart::OnFailure(limit) => RestartPolicy::OnFailure(limit),
        Restart::Always => RestartPolicy::Always,
        Restart::UnlessStopped => RestartPolicy::UnlessStopped,
    }
}
