//! Starting a container: the early clone that becomes its keeper, and what the keeper calls back.
//!
//! Order (architecture D3): [`Keeper::spawn`] before anything is parsed, while the heap is clean; the command
//! then makes the plan and sends it; cgroup v1 limits are written while init builds its root.

use std::any::Any;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use corten_monitor::words::{self, Reply};
use corten_monitor::{Failure, Hooks, Launching, Order, exits, state};
use corten_monitor::{events, keeper};
use corten_runtime::cgroups::{Cgroup, Layout, Resources};
use corten_runtime::launch::{Inheritance, Launched, StartFailure, clone_init, launch};
use corten_runtime::plan::{DevFilesystem, IdRange, LaunchPlan, Prelude, clone_flags};
use corten_runtime::template;
use corten_store::lock::Lock;
use corten_store::{Store, StoreError};
use corten_sys::process::{self, Cloned, Pid};
use corten_sys::{Errno, SysError, clock, exec, fs, socket};
use serde::{Deserialize, Serialize};

use crate::containers::{self, ContainerSpec};
use crate::error::{Error, ErrorKind};
use crate::id_range::Lease;
use crate::{Engine, EngineConfig, id_range, volumes};

/// The first argument of the internal entry that starts a container again.
pub const START_OVER: &str = "corten-start-over";

/// The first argument of the internal entry that carries out a health probe.
pub const PROBE: &str = "corten-health-probe";

/// A keeper that waits for its order.
#[derive(Debug)]
pub struct Keeper {
    socket: UnixStream,
    /// The ids of the init that it has cloned early.
    lease: Option<Lease>,
}

impl Keeper {
    /// Clones the keeper off this process, which must have one thread and, for the memory's sake, no heap yet.
    pub fn spawn() -> Result<Self, SysError> {
        Self::spawn_for(None)
    }

    /// As [`Keeper::spawn`] for a container of this run root that will most probably have the usual namespaces, so
    /// that its init can be cloned before anything is parsed.
    pub fn spawn_for(usual: Option<PathBuf>) -> Result<Self, SysError> {
        let (ours, theirs) = socket::pair()?;
        match process::clone(0, None)? {
            Cloned::Parent { .. } => Ok(Self { socket: ours, lease: None }),
            Cloned::Child => {
                drop(ours);
                let result = keeper::run(theirs, &EngineHooks { usual: usual.clone() }, usual.is_some());
                process::exit_now(i32::from(result.is_err()))
            }
        }
    }

    /// Lets the keeper clone init, and init begin with what does not depend on the image, while this process still
    /// makes the plan. Only an acceleration: where it does not apply, all of it is done when the plan comes.
    ///
    /// `attached`: the command stays for as long as the container runs.
    pub fn clone_early(
        &mut self,
        engine: &Engine,
        id: &str,
        spec: &ContainerSpec,
        attached: bool,
    ) -> Result<(), Error> {
        let facts = engine.facts()?;
        // On v2 init is born into its cgroup, which does not exist yet; a joining init needs to know whom.
        // Nor are a container's labels for SELinux chosen.
        if facts.cgroups.is_v2() || spec.joins_another() || facts.selinux {
            return Ok(());
        }
        let mut lease = if spec.host_ids().is_some() { None } else { Some(id_range::lease(engine, id, 0)?) };
        let namespaces = containers::oci_spec::linux::namespaces(spec, lease.is_some());
        let mounts = containers::oci_spec::mounts::defaults(spec, facts);
        let devices = lease.is_some().then(containers::oci_spec::devices::defaults);
        let (prelude, dev) = Prelude::new(&namespaces, &mounts, devices.as_deref()).unwrap_or_default();
        let blob = EarlyBlob {
            namespaces: clone_flags(&namespaces),
            ids: lease.as_ref().map(|lease| lease.range),
            prelude,
            dev,
            run_root: engine.config().run_root.clone(),
            layout: facts.cgroups.clone(),
            id: id.to_owned(),
            claims: lease.as_ref().map(|lease| lease.claims().to_vec()).unwrap_or_default(),
            attached,
        };
        words::send_early(&self.socket, &serde_json::to_vec(&blob).unwrap_or_default())?;
        lease.iter_mut().for_each(Lease::hand_over);
        self.lease = lease;
        Ok(())
    }

    /// Takes the range that init has already, if it holds ids up to `highest`.
    pub(crate) fn take_lease(&mut self, highest: u32) -> Option<Lease> {
        self.lease.take_if(|lease| lease.range.size > highest)
    }

    /// Lets a keeper go that gets no order, and waits until it has taken back what it had begun.
    pub fn dismiss(self) {
        // One that is gone already has nothing left to say.
        rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Write).unwrap_or_default();
        Reply::receive(&self.socket).map(drop).unwrap_or_default();
    }

    /// Turns this process itself into the keeper and runs `plan` in a child that talks to it: how a keeper
    /// starts its container again under the same pid. Never returns.
    pub fn become_with(plan: impl FnOnce(Self) -> i32) -> ! {
        let code =
            match socket::pair().and_then(|(ours, theirs)| Ok((ours, theirs, process::clone(0, None)?))) {
                Ok((ours, theirs, Cloned::Child)) => {
                    drop(theirs);
                    plan(Self { socket: ours, lease: None })
                }
                Ok((ours, theirs, Cloned::Parent { pidfd, .. })) => {
                    drop(ours);
                    let ended = keeper::run(theirs, &EngineHooks { usual: None }, false);
                    // Where the keeper has not reaped it meanwhile.
                    let planner = process::wait(&pidfd);
                    // The worker of the last run, where there was no other run to reap it in.
                    process::reap_others(&[]);
                    i32::from(ended.is_err() || planner.is_err_and(|error| error.errno() != Errno::CHILD))
                }
                Err(_) => 1,
            };
        process::exit_now(code)
    }

    /// Makes this keeper take over a running container whose keeper died.
    pub(crate) fn adopt(self, order: &Order) -> Result<(), Error> {
        words::send_order(&self.socket, order, &[])?;
        // Without a reply it had nothing to do: the container has ended, or another keeper was faster.
        Reply::receive(&self.socket)?;
        Ok(())
    }

    /// Sends the order and prepares the cgroup; returns when the payload runs.
    pub(crate) fn start(
        self,
        order: &Order,
        cgroup: &CgroupOrder,
        client: Option<UnixStream>,
        lock: &Lock,
        meanwhile: impl FnOnce() -> Result<(), Error>,
    ) -> Result<Running, Error> {
        if cgroup.layout.is_v2() {
            let made = cgroup.create()?;
            let directory = made.dir_fd().map_err(|error| Error::from_cause(&error))?;
            let fds =
                directory.iter().map(AsFd::as_fd).chain(client.iter().map(AsFd::as_fd)).chain([lock.as_fd()]);
            words::send_order(&self.socket, order, &fds.collect::<Vec<_>>())?;
        } else {
            let (ours, theirs) = socket::pair()?;
            let fds =
                [theirs.as_fd()].into_iter().chain(client.iter().map(AsFd::as_fd)).chain([lock.as_fd()]);
            words::send_order(&self.socket, order, &fds.collect::<Vec<_>>())?;
            drop(theirs);
            cgroup.deliver(&ours)?;
        }
        drop(client);
        if let Err(error) = meanwhile() {
            // Until the keeper is through with it, or has died: then the next command finds what is left.
            words::abort(&self.socket).unwrap_or_default();
            return Err(error);
        }
        match Reply::receive(&self.socket)? {
            Some(Reply::Started { pid }) => Ok(Running { socket: self.socket, pid }),
            Some(Reply::Failed(failure)) => Err(Error::not_started(failure.code, failure.message)),
            Some(Reply::Exited { .. }) | None => {
                Err(Error::new(ErrorKind::Internal, "the keeper of the container died before it had started"))
            }
        }
    }
}

/// Does what a keeper does after the end of its container, where that keeper died first.
pub(crate) fn clean_up(order: &Order) {
    let hooks = EngineHooks { usual: None };
    hooks.release(order);
    hooks.clean(order);
}

/// Says whether the kernel killed a process of the container for memory, while its cgroup is still there.
pub(crate) fn oom_killed(order: &Order) -> bool {
    EngineHooks { usual: None }.oom_killed(order)
}

/// A started container, from the starting command's side.
#[derive(Debug)]
pub struct Running {
    socket: UnixStream,
    /// The payload's pid on the host.
    pub pid: i32,
}

impl Running {
    /// Waits for the end of this run: its exit code, 128 + n for a signal.
    pub fn wait(&self) -> Result<i32, Error> {
        match Reply::receive(&self.socket)? {
            Some(Reply::Exited { code, .. }) => Ok(code),
            _ => Err(Error::new(ErrorKind::Internal, "the keeper of the container died")),
        }
    }

    /// Becomes readable when the container has ended.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The cgroup to make for a start.
#[derive(Debug)]
pub(crate) struct CgroupOrder {
    pub(crate) layout: Layout,
    pub(crate) parent: String,
    pub(crate) id: String,
    pub(crate) resources: Resources,
}

impl CgroupOrder {
    fn create(&self) -> Result<Cgroup, Error> {
        Cgroup::create(&self.layout, &self.parent, &self.id, &self.resources)
            .map_err(|error| Error::from_cause(&error))
    }

    /// Makes the cgroup and passes its `tasks` files to init, or the reason why there are none.
    fn deliver(&self, channel: &UnixStream) -> Result<(), Error> {
        let files =
            self.create().and_then(|cgroup| cgroup.tasks_files().map_err(|error| Error::from_cause(&error)));
        let (text, files) = match files {
            Ok(files) => (String::new(), files),
            Err(error) => (error.to_string(), Vec::new()),
        };
        let fds: Vec<_> = files.iter().map(AsFd::as_fd).collect();
        // An init that has failed meanwhile does not listen; the keeper reports why.
        socket::send(channel, text.as_bytes(), &fds).unwrap_or_default();
        Ok(())
    }
}

/// What an early clone needs, opaque to the monitor.
#[derive(Debug, Serialize, Deserialize)]
struct EarlyBlob {
    namespaces: u64,
    ids: Option<IdRange>,
    prelude: Prelude,
    dev: Option<DevFilesystem>,
    run_root: PathBuf,
    layout: Layout,
    /// Whose the slots of the ids are, and which.
    id: String,
    claims: Vec<PathBuf>,
    /// The command stays: the keeper may leave its cgroup later ([`Hooks::leave_caller`]).
    attached: bool,
}

/// What the keeper's launch needs, opaque to the monitor.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LaunchBlob {
    pub(crate) plan: LaunchPlan,
    pub(crate) v2: bool,
}

/// What the keeper's clean-up needs, opaque to the monitor.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct CleanBlob {
    pub(crate) root: PathBuf,
    pub(crate) run_root: PathBuf,
    pub(crate) cgroup: Option<Cgroup>,
    pub(crate) id_claims: Vec<PathBuf>,
    /// Volumes that have something mounted while it runs.
    #[serde(default)]
    pub(crate) mounted: Vec<String>,
    /// Set where the container is removed with its end.
    pub(crate) remove: Option<RemoveBlob>,
}

/// What goes with a container.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct RemoveBlob {
    pub(crate) name: String,
    pub(crate) directory: PathBuf,
    pub(crate) record: PathBuf,
    pub(crate) volumes: Vec<String>,
}

impl EngineLaunch {
    /// The init, if it is what the plan wants; another would have to be cloned.
    fn suiting(self, plan: &LaunchPlan) -> Option<Launched> {
        let has_ids = self.early.as_ref().is_some_and(|early| early.range == plan.ids);
        if has_ids && self.namespaces == plan.namespaces && plan.join.is_empty() {
            return Some(self.init);
        }
        self.abandon();
        None
    }
}

/// What a container gets where no flag says otherwise.
fn usual_namespaces() -> u64 {
    clone_flags(&containers::oci_spec::linux::namespaces(&ContainerSpec::default(), true))
}

/// Moves the keeper, and its worker, out of the caller's session.
fn leave_the_callers_cgroup(layout: &Layout, worker: &[Pid]) {
    if let Err(error) = layout.join_supervisors(worker) {
        log::warn!("staying in the caller's cgroup: {error}");
    }
}

struct EngineHooks {
    /// The run root of a container that is expected to be of the usual kind.
    usual: Option<PathBuf>,
}

/// The mount namespace to begin with, on a host with many mounts. Only an acceleration.
fn template(run_root: &Path) -> Option<OwnedFd> {
    let opened = clock::boot_id().and_then(|boot| template::open(&run_root.join(boot)));
    opened.inspect_err(|error| log::warn!("starting without the mount template: {error}")).ok().flatten()
}

struct EngineLaunch {
    init: Launched,
    /// `CLONE_NEW*` flags that it was cloned with.
    namespaces: u64,
    /// The ids it was given before its plan came, and their slots.
    early: Option<EarlyIds>,
}

/// What an early init has of the id ranges.
struct EarlyIds {
    range: Option<IdRange>,
    container: String,
    claims: Vec<PathBuf>,
}

impl Launching for EngineLaunch {
    fn pid(&self) -> Pid {
        self.init.pid
    }

    fn pidfd(&self) -> &OwnedFd {
        &self.init.pidfd
    }

    fn wait_exec(&self) -> Result<Option<OwnedFd>, Failure> {
        self.init.wait_exec().map_err(failure)
    }

    fn hold_namespaces(&self) -> Vec<OwnedFd> {
        self.init.hold_namespaces()
    }

    fn abandon(&self) {
        self.init.abandon();
        if let Some(early) = &self.early {
            id_range::release(&early.claims, &early.container);
        }
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

fn failure(failure: StartFailure) -> Failure {
    Failure { message: failure.message, code: failure.code }
}

impl Hooks for EngineHooks {
    fn clone_ahead(&self) -> Option<Box<dyn Launching>> {
        // On v2 init is born into a cgroup that does not exist yet.
        let namespaces = usual_namespaces();
        let run_root = self.usual.as_deref().filter(|_| !Layout::unified())?;
        let init = clone_init(namespaces, None, template(run_root)).ok();
        init.map(|init| Box::new(EngineLaunch { init, namespaces, early: None }) as Box<dyn Launching>)
    }

    fn clone_early(
        &self,
        request: &[u8],
        ahead: Option<Box<dyn Launching>>,
    ) -> Result<Box<dyn Launching>, Failure> {
        let blob: EarlyBlob = serde_json::from_slice(request)
            .map_err(|error| Failure { message: format!("early clone: {error}"), code: 125 })?;
        let namespaces = blob.namespaces;
        let ahead = ahead.and_then(|ahead| ahead.into_any().downcast::<EngineLaunch>().ok());
        let mut init = match ahead {
            Some(ahead) if ahead.namespaces == namespaces => ahead.init,
            other => {
                other.iter().for_each(|ahead| ahead.abandon());
                clone_init(namespaces, None, template(&blob.run_root))?
            }
        };
        if let Err(error) = init.begin(blob.ids, &blob.prelude, blob.dev) {
            init.abandon();
            return Err(error.into());
        }
        if !blob.attached {
            leave_the_callers_cgroup(&blob.layout, &[]);
        }
        Ok(Box::new(EngineLaunch {
            init,
            namespaces,
            early: Some(EarlyIds { range: blob.ids, container: blob.id, claims: blob.claims }),
        }))
    }

    fn launch(
        &self,
        order: &Order,
        stdio: Vec<OwnedFd>,
        fds: Vec<OwnedFd>,
        early: Option<Box<dyn Launching>>,
    ) -> Result<Box<dyn Launching>, Failure> {
        let wrong =
            |error: serde_json::Error| Failure { message: format!("launch plan: {error}"), code: 125 };
        let blob: LaunchBlob = serde_json::from_slice(&order.launch).map_err(wrong)?;
        let cgroup_fd = fds.into_iter().next();
        let (cgroup, channel) = if blob.v2 { (cgroup_fd, None) } else { (None, cgroup_fd) };
        let inheritance = Inheritance {
            plan: &order.init,
            stdio,
            cgroup_socket: channel,
            cgroup: cgroup.as_ref().map(AsFd::as_fd),
        };
        let early = early.and_then(|early| early.into_any().downcast::<EngineLaunch>().ok());
        let is_early = early.is_some();
        let early = early.and_then(|early| early.suiting(&blob.plan));
        let template = match &early {
            Some(_) => None,
            None => clean_blob(order).and_then(|blob| template(&blob.run_root)),
        };
        let init = launch(&blob.plan, inheritance, early, template).map_err(failure)?;
        if !is_early && let Some(cgroup) = cgroup_of(order) {
            // While init works, and before the worker is cloned.
            leave_the_callers_cgroup(cgroup.layout(), &[]);
        }
        Ok(Box::new(EngineLaunch { init, namespaces: blob.plan.namespaces, early: None }))
    }

    fn leave_caller(&self, order: &Order, worker: Option<Pid>) {
        if let Some(cgroup) = cgroup_of(order) {
            leave_the_callers_cgroup(cgroup.layout(), worker.as_slice());
        }
    }

    fn oom_killed(&self, order: &Order) -> bool {
        cgroup_of(order).is_some_and(|cgroup| cgroup.oom_kills().is_ok_and(|kills| kills > 0))
    }

    fn release(&self, order: &Order) {
        let Some(blob) = clean_blob(order) else { return };
        let Some(remove) = &blob.remove else { return };
        if is_kept(order) {
            return;
        }
        events::tell(order, "destroy", "");
        if let Ok(store) = Store::open(&blob.root) {
            let mut results = vec![fs::remove_file(&remove.record).map(|()| true).map_err(StoreError::from)];
            let renamed = fs::read_if_exists(order.run_dir.join(state::NAME)).ok().flatten();
            let renamed = renamed.map(|name| String::from_utf8_lossy(&name).into_owned());
            let name = renamed.as_ref().unwrap_or(&remove.name);
            results.push(store.release_name(name, &order.id).map(|()| true));
            for error in results.into_iter().filter_map(Result::err) {
                log::warn!("removing container {}: {error}", order.id);
            }
        }
        if !remove.volumes.is_empty() {
            let config = EngineConfig { root: blob.root.clone(), run_root: blob.run_root.clone() };
            let removed = Engine::open(config)
                .and_then(|engine| volumes::remove_unused(&engine, &remove.volumes, false));
            if let Err(error) = removed {
                log::warn!("removing volumes of container {}: {error}", order.id);
            }
        }
    }

    fn clean(&self, order: &Order) {
        remove_cgroup(order);
        let Some(blob) = clean_blob(order) else { return };
        id_range::release(&blob.id_claims, &order.id);
        let kept = is_kept(order);
        if blob.remove.is_none()
            && let Err(error) = containers::health::keep(&order.run_dir, &order.exits)
        {
            log::warn!("the last health probes of container {} are not kept: {error}", order.id);
        }
        if let Err(error) = containers::remove_run_dir(&order.run_dir) {
            log::warn!("leaving {}: {error}", order.run_dir.display());
        }
        if !blob.mounted.is_empty() {
            let config = EngineConfig { root: blob.root.clone(), run_root: blob.run_root.clone() };
            match Engine::open(config) {
                Ok(engine) => volumes::mounted::release(&engine, &order.id, &blob.mounted),
                Err(error) => log::warn!("leaving volumes of container {} mounted: {error}", order.id),
            }
        }
        if let Some(remove) = &blob.remove
            && !kept
            && let Ok(store) = Store::open(&blob.root)
            && let Err(error) = store.discard(&remove.directory).and_then(|_| store.empty_trash())
        {
            log::warn!("leaving {}: {error}", remove.directory.display());
        }
        if blob.remove.is_some() && !kept && order.id.starts_with("00") {
            // One end in 256 sweeps, so that no end pays for many.
            drop_old_exits(&order.exits);
        }
    }

    fn start_over(&self, order: &Order) -> SysError {
        let Some(blob) = clean_blob(order) else {
            return SysError::new("restart", &order.id, corten_sys::Errno::INVAL);
        };
        self.clean_for_restart(order, &blob);
        let text = |path: &PathBuf| path.to_string_lossy().into_owned();
        let arguments = [START_OVER.to_owned(), text(&blob.root), text(&blob.run_root), order.id.clone()];
        match fs::open("/proc/self/exe") {
            Ok(program) => exec::replace_with(&program, &arguments, &[]),
            Err(error) => error,
        }
    }
}

/// How long the exit code of a container that is gone can still be read by a `wait` that was under way.
const EXIT_KEPT: Duration = Duration::from_secs(600);

/// Removes the exit records beside `path` that nobody waits for any more.
fn drop_old_exits(path: &Path) {
    let Some(directory) = path.parent() else { return };
    let limit = clock::wall_nanos() - i64::try_from(EXIT_KEPT.as_nanos()).unwrap_or(i64::MAX);
    for name in fs::list(directory).unwrap_or_default() {
        let path = directory.join(name);
        let ended = exits::read(&path).ok().flatten().map(|record| record.finished);
        if ended.is_some_and(|finished| finished < limit) {
            // One that stays is swept the next time.
            fs::remove_file(&path).unwrap_or_default();
        }
    }
}

impl EngineHooks {
    /// Gives back what the next start takes anew. The run directory stays: it says that a restart is on its way.
    fn clean_for_restart(&self, order: &Order, blob: &CleanBlob) {
        remove_cgroup(order);
        id_range::release(&blob.id_claims, &order.id);
    }
}

/// How long the last processes of a container may take to die.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

fn clean_blob(order: &Order) -> Option<CleanBlob> {
    serde_json::from_slice(&order.clean).ok()
}

/// Says whether a container that would go with its end stays, because somebody restarts it.
fn is_kept(order: &Order) -> bool {
    fs::exists(order.run_dir.join(state::KEEP))
}

fn cgroup_of(order: &Order) -> Option<Cgroup> {
    clean_blob(order)?.cgroup
}

/// Removes the container's cgroup, with whatever is in it.
pub(crate) fn remove_cgroup(order: &Order) {
    if let Some(cgroup) = cgroup_of(order)
        && let Err(error) = cgroup.kill_all(PATIENCE).and_then(|()| cgroup.remove(PATIENCE))
    {
        log::warn!("leaving cgroup {}: {error}", cgroup.path());
    }
}
