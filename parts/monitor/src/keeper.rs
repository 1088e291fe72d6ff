//! The keeper: parent of init. Waits for it, writes the exit record, tells the command that started it, and
//! starts again where the policy says so.

use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use corten_sys::process::{self, Exit, Identity};
use corten_sys::signal::SignalFd;
use corten_sys::{Errno, SysError, arena, clock, fs, memory, socket, title};
use rustix::event::{PollFd, PollFlags};
use rustix::fs::FlockOperation;

use crate::attach::{Client, Want};
use crate::events;
use crate::exits::{self, ExitRecord};
use crate::journal;
use crate::launching::{Adopted, Hooks, Launching};
use crate::order::Order;
use crate::respawn::Respawn;
use crate::restart::{is_stopping, policy_now, restart_pause};
use crate::state::{self, RunState};
use crate::words::{ABORT, EARLY, Failure, ORDER, Reply};
use crate::worker::{Channels, Idle, WorkerHandle};

/// The keeper's life: waits for an order on `parent`, then keeps the container until it has ended.
///
/// `ahead`: the command most probably wants an init of the usual kind. Called right after the clone from the command,
/// while the heap is clean. Returns when there is nothing left to do: no order came, or the container has ended and is
/// cleaned up.
pub fn run(parent: UnixStream, hooks: &dyn Hooks, ahead: bool) -> Result<(), SysError> {
    arena::close();
    leave_the_caller(&parent)?;
    let mut ahead = if ahead { hooks.clone_ahead() } else { None };
    let mut early: Option<Box<dyn Launching>> = None;
    let mut idle = None;
    let (order, fds) = loop {
        let message = socket::receive(&parent)?;
        let word = message.as_ref().and_then(|message| message.bytes.split_first());
        match word {
            Some((&EARLY, request)) => {
                let begun = hooks.clone_early(request, ahead.take());
                early = begun.inspect_err(|failure| log::warn!("no early start: {failure}")).ok();
                idle = Idle::spawn().ok();
            }
            Some((&ORDER, order)) => match Order::decode(order) {
                Some(order) => break (order, message.map(|message| message.fds).unwrap_or_default()),
                None => {
                    ahead.iter().chain(&early).for_each(|init| init.abandon());
                    return Ok(());
                }
            },
            _ => {
                // The command gave up: what it had already asked for goes with it.
                ahead.iter().chain(&early).for_each(|init| init.abandon());
                return Ok(());
            }
        }
    };
    // The order came without the first word: it is for another kind of init.
    ahead.iter().for_each(|init| init.abandon());
    title::replace(&format!("corten keeper {}", order.id));
    title::name(&format!("corten-{}", order.id));
    journal::begin(&order.run_dir, &order.id);
    process::become_subreaper()?;
    let with_caller = early.is_some() && order.client;
    let mut keeper = Keeper { order, hooks, parent: Some(parent), idle, with_caller };
    // Nobody waits for this process who could tell.
    keeper.keep(fds, early).inspect_err(|error| log::warn!("the keeper gives up: {error}"))
}

/// Detaches from the terminal, the directory and the descriptors of the command.
fn leave_the_caller(parent: &UnixStream) -> Result<(), SysError> {
    match rustix::process::setsid() {
        // A keeper that starts its container again leads its session already.
        Ok(_) | Err(Errno::PERM) => {}
        Err(errno) => return Err(SysError::new("setsid", "", errno)),
    }
    rustix::process::chdir("/").map_err(|errno| SysError::at("chdir", "/", errno))?;
    process::close_all_but(&[parent.as_fd()])?;
    let null = fs::open_with("/dev/null", OpenOptions::new().read(true).write(true))?;
    let failed = |errno| SysError::new("dup2", "/dev/null", errno);
    rustix::stdio::dup2_stdin(&null).map_err(failed)?;
    rustix::stdio::dup2_stdout(&null).map_err(failed)?;
    rustix::stdio::dup2_stderr(&null).map_err(failed)
}

struct Keeper<'a> {
    order: Order,
    hooks: &'a dyn Hooks,
    parent: Option<UnixStream>,
    /// A worker cloned before the order came.
    idle: Option<Idle>,
    /// Still in the cgroup of the command, which stays ([`Hooks::leave_caller`]).
    with_caller: bool,
}

impl Keeper<'_> {
    /// Lets a worker begin: one that is waiting, or a new one. `init` is for a worker that outlives its keeper.
    fn spawn_worker(
        &mut self,
        channels: &Channels,
        client: Option<UnixStream>,
        init: &OwnedFd,
    ) -> Result<WorkerHandle, SysError> {
        // One that was killed while it waited does for no start.
        let waiting = self.idle.take().filter(|idle| !idle.has_ended());
        let idle = waiting.map_or_else(Idle::spawn, Ok)?;
        idle.begin(&self.order, channels, client, init)
    }

    fn keep(&mut self, mut fds: Vec<OwnedFd>, early: Option<Box<dyn Launching>>) -> Result<(), SysError> {
        // Held until the state is written: until then this start, too, is a change to the container under way.
        let lock = if self.order.locked { fds.pop() } else { None };
        let client = if self.order.client { fds.pop().map(UnixStream::from) } else { None };
        if let Some(state) = self.order.adopt.take() {
            return self.adopt(state);
        }
        let started = match lock_alive(&self.order.run_dir) {
            Ok(alive) => self.start(fds, client, early).map(|run| (run, alive)),
            Err(error) => {
                early.iter().for_each(|early| early.abandon());
                Err(error.into())
            }
        };
        match started {
            Ok((run, alive)) => {
                drop(lock);
                self.serve(run, alive)
            }
            Err(failure) => {
                self.idle = None;
                self.hooks.release(&self.order);
                self.reply(&Reply::Failed(failure));
                self.hooks.clean(&self.order);
                Ok(())
            }
        }
    }

    fn start(
        &mut self,
        fds: Vec<OwnedFd>,
        client: Option<UnixStream>,
        early: Option<Box<dyn Launching>>,
    ) -> Result<Run, Failure> {
        let (payload, mut channels) = match Channels::new(&self.order) {
            Ok(made) => made,
            Err(error) => {
                early.iter().for_each(|early| early.abandon());
                return Err(error.into());
            }
        };
        let launching = self.hooks.launch(&self.order, payload, fds, early)?;
        let mut worker = None;
        match self.complete(&*launching, &mut channels, &mut worker, client) {
            Ok((worker, state)) => {
                Ok(Run { launching, channels, worker: Some(worker), state, namespaces: Vec::new() })
            }
            Err(failure) => {
                launching.abandon();
                if let Some(worker) = worker {
                    worker.finish();
                    process::wait(worker.pidfd())?;
                }
                Err(failure)
            }
        }
    }

    /// The part of a start after which a failure has processes to end.
    fn complete(
        &mut self,
        launching: &dyn Launching,
        channels: &mut Channels,
        worker: &mut Option<WorkerHandle>,
        mut client: Option<UnixStream>,
    ) -> Result<(WorkerHandle, RunState), Failure> {
        if !self.order.terminal {
            *worker = Some(self.spawn_worker(channels, client.take(), launching.pidfd())?);
        }
        channels.set_terminal(launching.wait_exec()?);
        if worker.is_none() {
            *worker = Some(self.spawn_worker(channels, client, launching.pidfd())?);
        }
        let order = &self.order;
        let pid = launching.pid().as_raw_nonzero().get();
        let state = RunState {
            // An init that has ended already is still to be reaped here; any start time will do for it.
            init: Identity::of(pid).unwrap_or(Identity { pid, start: 0 }),
            keeper: process::own_identity(),
            generation: order.generation,
            started: clock::wall_nanos(),
            restarting: false,
            restarts: order.restarts,
            backoff_ms: order.backoff_ms,
        };
        state.write(&order.run_dir)?;
        events::tell(order, "start", "");
        self.reply(&Reply::Started { pid });
        let missing = || Failure { message: "no worker".to_owned(), code: 125 };
        Ok((worker.take().ok_or_else(missing)?, state))
    }

    /// Takes the place of a keeper that died: its container runs on, its worker leaves for a new one.
    fn adopt(&mut self, state: RunState) -> Result<(), SysError> {
        let run_dir = self.order.run_dir.clone();
        // Somebody who holds it is adopting already.
        let Some(alive) = try_lock_alive(&run_dir)? else { return Ok(()) };
        let newer = RunState::read(&run_dir)?;
        let (Some(pidfd), true) = (state.init.open(), newer.as_ref() == Some(&state)) else {
            // It has ended, or somebody else was faster.
            return Ok(());
        };
        let terminal = match socket::connect(&run_dir.join(state::SOCKET)) {
            Ok(old) => Client::new(old, Want::default()).and_then(|old| old.dismiss()).unwrap_or_default(),
            Err(_) => None,
        };
        let channels = Channels::reopen(&self.order, terminal);
        let worker = self.spawn_worker(&channels, None, &pidfd)?;
        let state = RunState { keeper: process::own_identity(), ..state };
        state.write(&run_dir)?;
        self.reply(&Reply::Started { pid: state.init.pid });
        self.parent = None;
        let launching = Box::new(Adopted { init: state.init, pidfd });
        self.serve(Run { launching, channels, worker: Some(worker), state, namespaces: Vec::new() }, alive)
    }

    fn serve(&mut self, mut run: Run, alive: File) -> Result<(), SysError> {
        run.namespaces = run.launching.hold_namespaces();
        // Children of this process's earlier life, before a restart.
        run.reap_others();
        let children = SignalFd::new(&[CHILD])?;
        (self.order.launch, self.order.init) = (Vec::new(), Vec::new());
        let mut respawn = Respawn::new(Instant::now());
        let mut settles = Some(Instant::now() + BRIEF);
        loop {
            if settles.take_if(|at| *at <= Instant::now()).is_some() {
                self.settle(&run);
            }
            let remaining = respawn.remaining(Instant::now());
            if remaining == Some(Duration::ZERO) {
                self.respawn(&mut run, &mut respawn);
                continue;
            }
            // Between two workers there is none to wait for.
            let worker = run.worker.as_ref();
            let parent = self.parent.as_ref();
            let mut fds = [
                PollFd::from_borrowed_fd(run.launching.pidfd().as_fd(), PollFlags::IN),
                PollFd::from_borrowed_fd(children.as_fd(), PollFlags::IN),
                PollFd::from_borrowed_fd(parent.map_or(children.as_fd(), AsFd::as_fd), PollFlags::IN),
                PollFd::from_borrowed_fd(
                    worker.map_or(children.as_fd(), |it| it.pidfd().as_fd()),
                    PollFlags::IN,
                ),
                PollFd::from_borrowed_fd(
                    worker.map_or(children.as_fd(), |it| it.control().as_fd()),
                    PollFlags::IN,
                ),
            ];
            let settling = settles.map(|at| at.saturating_duration_since(Instant::now()));
            let wait = [remaining, settling].into_iter().flatten().min();
            if clock::poll(&mut fds, wait)? == 0 {
                continue;
            }
            let [init, orphans, command, ended, word] = fds.map(|fd| !fd.revents().is_empty());
            if command && self.is_aborted() {
                return self.abort(run, alive);
            }
            if init {
                break;
            }
            if let Some(worker) = &run.worker {
                if ended {
                    process::wait(worker.pidfd())?;
                    run.worker = None;
                    respawn.died(Instant::now());
                } else if word && worker.input_ended() {
                    run.channels.end_input();
                }
            }
            if orphans {
                while children.next().is_some() {}
                run.reap_others();
            }
        }
        let exit = run.launching.exit()?;
        self.end(run, exit, alive)
    }

    /// The container lives on: makes this process, and its place, those of one that stays.
    fn settle(&mut self, run: &Run) {
        if std::mem::take(&mut self.with_caller) {
            self.hooks.leave_caller(&self.order, run.worker.as_ref().map(WorkerHandle::pid));
        }
        memory::release();
    }

    /// Hears the command that started this; most say nothing and leave.
    fn is_aborted(&mut self) -> bool {
        let word = self.parent.as_ref().and_then(|parent| socket::receive(parent).ok().flatten());
        if word.is_none() {
            self.parent = None;
        }
        word.is_some_and(|word| word.bytes == ABORT)
    }

    /// Ends a run that is to leave nothing, not even an exit.
    fn abort(&mut self, mut run: Run, alive: File) -> Result<(), SysError> {
        process::send_signal(run.launching.pidfd(), KILL)?;
        run.launching.exit()?;
        let told = run.worker.as_ref().is_some_and(WorkerHandle::finish);
        self.finish_worker(&mut run, told)?;
        let Run { channels, worker, namespaces, .. } = run;
        drop((channels, namespaces));
        self.hooks.release(&self.order);
        self.hooks.clean(&self.order);
        drop(alive);
        self.parent = None;
        end_worker(worker.as_ref())
    }

    /// Starts another worker, or tries again later.
    fn respawn(&mut self, run: &mut Run, respawn: &mut Respawn) {
        match self.spawn_worker(&run.channels, None, run.launching.pidfd()) {
            Ok(worker) => {
                run.worker = Some(worker);
                respawn.born(Instant::now());
            }
            Err(error) => {
                log::warn!("no worker: {error}");
                respawn.died(Instant::now());
            }
        }
    }

    /// Waits until the worker, which was `told` to, has taken over the rest of the payload's output; another one does
    /// where there is none or it dies. The end is recorded all the same where that dies as well.
    fn finish_worker(&mut self, run: &mut Run, told: bool) -> Result<(), SysError> {
        if let Some(worker) = &run.worker {
            if told && worker.await_drained() {
                return Ok(());
            }
            process::wait(worker.pidfd())?;
            run.worker = None;
        }
        match self.spawn_worker(&run.channels, None, run.launching.pidfd()) {
            Ok(worker) => {
                if !(worker.finish() && worker.await_drained()) {
                    log::warn!("the end of the output is lost: the worker died");
                }
                run.worker = Some(worker);
            }
            Err(error) => log::warn!("the end of the output is lost: no worker: {error}"),
        }
        Ok(())
    }

    fn end(&mut self, mut run: Run, exit: Option<Exit>, alive: File) -> Result<(), SysError> {
        let told = run.worker.as_ref().is_some_and(WorkerHandle::finish);
        let oom_killed = self.hooks.oom_killed(&self.order);
        self.finish_worker(&mut run, told)?;
        let Run { channels, worker, state, namespaces, .. } = run;
        drop(channels);
        if exit.is_none() {
            // Not our child, and its parent was faster.
            log::warn!("the exit code is not known: init had another parent");
        }
        let record = ExitRecord {
            generation: self.order.generation,
            code: exit.map(Exit::code),
            oom_killed,
            started: state.started,
            finished: clock::wall_nanos(),
            restarts: self.order.restarts,
            backoff_ms: self.order.backoff_ms,
        };
        if let Err(error) = exits::write(&self.order.exits, &record, !self.order.volatile) {
            // Whoever waits is told all the same, and nothing of the run may stay.
            log::warn!("exit of container {}: {error}", self.order.id);
        }
        events::tell_end(&self.order, &record);
        self.order.restart = policy_now(&self.order);
        let pause = restart_pause(&self.order, &record, is_stopping(&self.order.run_dir));
        if let Some(pause) = pause {
            // A new start must find no mount of the old one's upper directory (architecture D11).
            drop(namespaces);
            self.restart(state, &record, pause, alive)?;
            return end_worker(worker.as_ref());
        }
        self.finish(&record, namespaces);
        drop(alive);
        // It still serves slow clients; leaving it a zombie would be PID 1's to reap, if it does.
        end_worker(worker.as_ref())
    }

    fn finish(&mut self, record: &ExitRecord, namespaces: Vec<OwnedFd>) {
        self.hooks.release(&self.order);
        let code = record.code.unwrap_or(255);
        self.reply(&Reply::Exited { code, oom_killed: record.oom_killed });
        self.parent = None;
        drop(namespaces);
        self.hooks.clean(&self.order);
    }

    /// Waits out the pause, unless a stop comes, and becomes the next start.
    fn restart(
        &mut self,
        state: RunState,
        record: &ExitRecord,
        pause: Duration,
        alive: File,
    ) -> Result<(), SysError> {
        let stop = SignalFd::new(&[TERM])?;
        RunState { restarting: true, ..state }.write(&self.order.run_dir)?;
        self.reply(&Reply::Exited { code: record.code.unwrap_or(255), oom_killed: record.oom_killed });
        self.parent = None;
        drop(alive);
        let stopped = clock::wait_readable(&stop, Some(pause))?;
        if !stopped && !is_stopping(&self.order.run_dir) {
            let error = self.hooks.start_over(&self.order);
            log::warn!("container {} is not restarted: {error}", self.order.id);
        }
        self.hooks.release(&self.order);
        self.hooks.clean(&self.order);
        Ok(())
    }

    fn reply(&self, reply: &Reply) {
        if let Some(parent) = &self.parent {
            // A command that was killed or has detached does not listen: the records say it all.
            socket::send(parent, &reply.encode(), &[]).unwrap_or_default();
        }
    }
}

/// A container that has run for so long may run on: its keeper gives back the memory of the start.
const BRIEF: Duration = Duration::from_millis(250);

const KILL: i32 = 9;
const TERM: i32 = 15;
const CHILD: i32 = 17;

struct Run {
    launching: Box<dyn Launching>,
    channels: Channels,
    /// `None` between one that died and the next.
    worker: Option<WorkerHandle>,
    state: RunState,
    namespaces: Vec<OwnedFd>,
}

impl Run {
    /// Reaps the orphans that have come to this process and ended.
    fn reap_others(&self) {
        let worker = self.worker.as_ref().map(WorkerHandle::pid);
        process::reap_others(&[Some(self.launching.pid()), worker].into_iter().flatten().collect::<Vec<_>>());
    }
}

/// Waits for a worker that may still serve slow clients, and for whatever else this process is the parent of.
fn end_worker(worker: Option<&WorkerHandle>) -> Result<(), SysError> {
    if let Some(worker) = worker {
        process::wait(worker.pidfd())?;
    }
    process::reap_others(&[]);
    Ok(())
}

/// Takes the lock that says "this run is not over"; waiters block on it instead of polling.
fn lock_alive(run_dir: &Path) -> Result<File, SysError> {
    let (file, path) = open_alive(run_dir)?;
    rustix::fs::flock(&file, FlockOperation::LockExclusive)
        .map_err(|errno| SysError::at("flock", &path, errno))?;
    Ok(file)
}

/// As [`lock_alive`], or `None` where somebody has it.
fn try_lock_alive(run_dir: &Path) -> Result<Option<File>, SysError> {
    let (file, path) = open_alive(run_dir)?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(errno) => Err(SysError::at("flock", &path, errno)),
    }
}

fn open_alive(run_dir: &Path) -> Result<(File, PathBuf), SysError> {
    let path = run_dir.join(state::ALIVE);
    let file = fs::open_with(&path, OpenOptions::new().create(true).truncate(false).write(true))?;
    Ok((file, path))
}
