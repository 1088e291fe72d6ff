//! The worker: reads what the payload writes, keeps the log, serves attached clients and their input, and has the
//! container's health probed.
//!
//! One poll loop; no buffer outlives a second without output, so an idle worker costs a few pages. It holds no state
//! that a respawned worker would miss: unread output is still in the FIFOs.

mod channels;
mod clients;
mod handle;
mod peek;
mod probes;

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use corten_sys::error::Context;
use corten_sys::{Errno, SysError, clock, memory, process, pty, socket, title};
use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags};

use crate::attach::Kind;
use crate::exits::{self, ExitRecord};
use crate::log_file::Stream;
use crate::log_sink::Log;
use crate::order::Order;
use crate::state::RunState;
pub(crate) use channels::Channels;
use channels::Ends;
use clients::{Client, Request};
pub(crate) use handle::{Idle, WorkerHandle};
use peek::Peek;
use probes::Probes;

/// Read at once; large enough for the allocator to map it by itself and to give it back.
const CHUNK: usize = 136 << 10;

/// More unsent output than this in a client's queue stops reading: a slow client slows the payload down, as a
/// pipe would, and loses nothing.
const QUEUE_LIMIT: usize = 256 << 10;

/// A worker that has had nothing to do for so long gives its memory back.
const IDLE: Duration = Duration::from_secs(1);

/// So many reads take over what the payload left; each takes a whole FIFO.
const DRAIN_READS: usize = 64;

/// Keeper → worker: the payload has ended.
const FINISH: u8 = b'f';
/// Worker → keeper: everything the payload wrote is in the log.
const DRAINED: u8 = b'd';
/// Worker → keeper: the payload's input has ended.
const INPUT_ENDED: u8 = b'i';

/// What a worker is given with its order.
struct Connections {
    /// The writing end of the payload's input, or its terminal's master.
    stream: Option<OwnedFd>,
    listener: UnixListener,
    control: UnixStream,
    client: Option<UnixStream>,
    init: OwnedFd,
}

struct Worker {
    /// Gone when the keeper has died: the worker goes on until the payload has ended or a new keeper comes.
    control: Option<UnixStream>,
    /// The pidfd of init. Since Linux 6.15 it tells how init ended for as long as it is open, whoever reaped it.
    init: OwnedFd,
    run_dir: PathBuf,
    exits: PathBuf,
    listener: UnixListener,
    outputs: Vec<(OwnedFd, Stream)>,
    stdin: Option<OwnedFd>,
    /// Input that the payload has not read yet.
    input: Vec<u8>,
    end_input: bool,
    terminal: bool,
    stdin_once: bool,
    volatile: bool,
    log: Option<Log>,
    clients: Vec<Client>,
    draining: bool,
    leaving: bool,
    /// What outputs are read into.
    buffer: Vec<u8>,
    peek: Peek,
    probes: Option<Probes>,
    /// When memory is given back unless something happens; `None` when it has been.
    release_at: Option<Instant>,
}

impl Worker {
    fn new(order: &Order, connections: Connections) -> Result<Self, SysError> {
        let Connections { stream, listener, control, client, init } = connections;
        title::replace(&format!("corten worker {}", order.id));
        let Ends { outputs, stdin } = Ends::open(order, stream)?;
        let client = client.map(Client::new).transpose()?;
        let log = order.log.clone().map(|sink| Log::open(sink, order.volatile));
        Ok(Self {
            control: Some(control),
            init,
            run_dir: order.run_dir.clone(),
            exits: order.exits.clone(),
            listener,
            outputs,
            stdin,
            input: Vec::new(),
            end_input: false,
            terminal: order.terminal,
            stdin_once: order.stdin_once,
            volatile: order.volatile,
            log,
            clients: client.into_iter().collect(),
            draining: false,
            leaving: false,
            buffer: Vec::new(),
            peek: Peek::default(),
            probes: Probes::new(order),
            release_at: Some(Instant::now() + IDLE),
        })
    }

    fn serve(mut self) -> Result<(), SysError> {
        loop {
            let ready = self.wait()?;
            if ready.control {
                self.obey();
            }
            if ready.listener {
                self.accept();
            }
            for index in ready.clients {
                self.listen_to(index)?;
            }
            for index in ready.outputs {
                self.read_output(index)?;
            }
            if let Some(probes) = &mut self.probes {
                if ready.probe {
                    probes.ended();
                }
                probes.attend();
            }
            self.feed_input()?;
            self.clients.retain_mut(Client::flush);
            if self.leaving {
                return self.leave();
            }
            if self.draining || ready.init {
                return self.drain();
            }
        }
    }

    /// Waits for the next thing to do.
    fn wait(&mut self) -> Result<Ready, SysError> {
        let congested = self.clients.iter().any(|client| client.queued() > QUEUE_LIMIT);
        let mut fds = vec![
            PollFd::from_borrowed_fd(self.listener.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(
                self.control.as_ref().map_or(self.listener.as_fd(), AsFd::as_fd),
                PollFlags::IN,
            ),
            // A keeper that lives sees this end itself.
            PollFd::from_borrowed_fd(
                if self.control.is_none() { self.init.as_fd() } else { self.listener.as_fd() },
                PollFlags::IN,
            ),
        ];
        for client in &self.clients {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, self.input.len() < QUEUE_LIMIT);
            flags.set(PollFlags::OUT, client.queued() > 0);
            fds.push(PollFd::from_borrowed_fd(client.socket().as_fd(), flags));
        }
        for (output, _) in &self.outputs {
            let flags = if congested { PollFlags::empty() } else { PollFlags::IN };
            fds.push(PollFd::from_borrowed_fd(output.as_fd(), flags));
        }
        if let Some(stdin) = self.stdin.as_ref().filter(|_| !self.input.is_empty()) {
            fds.push(PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::OUT));
        }
        if let Some(probe) = self.probes.as_ref().and_then(Probes::ending) {
            fds.push(PollFd::from_borrowed_fd(probe.as_fd(), PollFlags::IN));
        }
        let now = Instant::now();
        let releasing = self.release_at.map(|at| at.saturating_duration_since(now));
        let probing = self.probes.as_ref().and_then(|probes| probes.remaining(now));
        clock::poll(&mut fds, [releasing, probing].into_iter().flatten().min())?;
        let mut events = fds.iter().map(|fd| !fd.revents().is_empty()).collect::<Vec<_>>();
        drop(fds);
        let probe = self.probes.as_ref().is_some_and(|probes| probes.ending().is_some());
        let probe = probe && events.pop().unwrap_or(false);
        let quiet = !events.contains(&true);
        if quiet && self.release_at.take_if(|at| *at <= Instant::now()).is_some() {
            self.buffer = Vec::new();
            self.peek = Peek::default();
            if let Some(log) = &mut self.log {
                log.release();
            }
            memory::release();
        }
        if !quiet || probe {
            self.release_at = Some(Instant::now() + IDLE);
        }
        let mut events = events.into_iter();
        let listener = events.next().unwrap_or(false);
        let control = events.next().unwrap_or(false) && self.control.is_some();
        let init = events.next().unwrap_or(false) && self.control.is_none();
        let mut ready_of = |count: usize| -> Vec<usize> {
            events
                .by_ref()
                .take(count)
                .enumerate()
                .filter_map(|(index, ready)| ready.then_some(index))
                .collect()
        };
        let clients = ready_of(self.clients.len());
        let outputs = ready_of(self.outputs.len());
        Ok(Ready { control, init, listener, probe, clients, outputs })
    }

    /// Reads the keeper's word.
    fn obey(&mut self) {
        let Some(control) = &self.control else { return };
        let mut word = [0_u8; 1];
        match rustix::io::read(control, &mut word) {
            Ok(1) => self.draining |= word[0] == FINISH,
            Err(Errno::INTR | Errno::AGAIN) => {}
            _ => self.control = None,
        }
    }

    /// Says a word to the keeper, if there is one.
    fn tell(&mut self, word: u8) {
        if self.control.as_ref().is_some_and(|control| rustix::io::write(control, &[word]).is_err()) {
            self.control = None;
        }
    }

    /// Makes room for a new keeper's worker: unread output stays in the FIFOs, the terminal is handed over.
    fn leave(mut self) -> Result<(), SysError> {
        if let Some(log) = &mut self.log {
            log.finish(false).unwrap_or_default();
        }
        let Some(client) = self.clients.iter().find(|client| client.asked_to_leave()) else { return Ok(()) };
        let terminal = self.stdin.as_ref().filter(|_| self.terminal);
        let fds: Vec<_> = terminal.iter().map(|fd| fd.as_fd()).collect();
        socket::send(client.socket(), b"", &fds)
    }

    fn accept(&mut self) {
        // A client that left between the poll and the accept is none.
        if let Ok((socket, _)) = self.listener.accept() {
            self.clients.extend(Client::new(socket));
        }
    }

    fn listen_to(&mut self, index: usize) -> Result<(), SysError> {
        let Some(client) = self.clients.get_mut(index) else { return Ok(()) };
        let (requests, gone) = client.requests();
        let gave_input = client.wants().stdin;
        for request in requests {
            match request {
                Request::Input(data) => self.input.extend_from_slice(&data),
                Request::Leave => self.leaving = true,
                // Others may attach later and give more.
                Request::EndInput => self.end_input |= self.stdin_once && !self.terminal,
                Request::Resize(size) => {
                    if let Some(master) = self.stdin.as_ref().filter(|_| self.terminal) {
                        // A terminal whose payload has just ended has no size to set.
                        pty::set_size(master, size).unwrap_or_default();
                    }
                }
            }
        }
        if gone && gave_input && self.stdin_once {
            self.end_input |= !self.terminal;
        }
        Ok(())
    }

    /// Reads what one output has, once.
    fn read_output(&mut self, index: usize) -> Result<bool, SysError> {
        let Some((fd, stream)) = self.outputs.get(index) else { return Ok(false) };
        self.buffer.clear();
        self.buffer.reserve(CHUNK);
        // Not zeroed: pages of it that no output reaches cost nothing.
        let taken = if self.terminal {
            rustix::io::read(fd, spare_capacity(&mut self.buffer))
        } else {
            self.peek.look(fd, &mut self.buffer)
        };
        let length = match taken {
            Ok(length) => length,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(false),
            // EIO: the other side of the terminal is closed (pty(7)).
            Err(Errno::IO) => 0,
            Err(errno) => return Err(SysError::new("read", "output", errno)),
        };
        let stream = *stream;
        if length == 0 {
            self.outputs.remove(index);
            return Ok(false);
        }
        let data = self.buffer.as_slice();
        if let Some(log) = &mut self.log {
            // A full disk must not stop the payload: what cannot be logged is still shown to who is attached.
            log.write(stream, data).unwrap_or_default();
        }
        let kind = if stream == Stream::Stdout { Kind::Stdout } else { Kind::Stderr };
        for client in &mut self.clients {
            client.send(kind, data);
        }
        if !self.terminal {
            peek::take(fd, &mut self.buffer).on("read", "output")?;
        }
        Ok(true)
    }

    /// Writes waiting input to the payload and ends it where that was asked for.
    fn feed_input(&mut self) -> Result<(), SysError> {
        let Some(stdin) = &self.stdin else {
            self.input = Vec::new();
            return Ok(());
        };
        while !self.input.is_empty() {
            match rustix::io::write(stdin, &self.input) {
                Ok(written) => drop(self.input.drain(..written)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(()),
                // The payload has closed its input: nobody will ever read this.
                Err(Errno::PIPE | Errno::IO) => {
                    self.input = Vec::new();
                    self.end_input |= !self.terminal;
                }
                Err(errno) => return Err(SysError::new("write", "stdin", errno)),
            }
        }
        self.input = Vec::new();
        if self.end_input {
            self.stdin = None;
            self.end_input = false;
            self.tell(INPUT_ENDED);
        }
        Ok(())
    }

    /// What is to be recorded of an init whose keeper died first; `None` where the kernel does not tell any more, or
    /// there is a new keeper.
    fn read_exit(&self) -> Result<Option<ExitRecord>, SysError> {
        let Some(state) = RunState::read(&self.run_dir)? else { return Ok(None) };
        let last = exits::read(&self.exits)?.map_or(0, |last| last.generation);
        let exit = process::exit_of_stranger(&self.init, state.init);
        if state.keeper.is_alive() || last >= state.generation {
            return Ok(None);
        }
        // Whether memory ran out is for the engine, which knows the cgroup and cleans up.
        Ok(exit.map(|exit| state.ended(Some(exit), clock::wall_nanos())))
    }

    /// The payload has ended: takes over the rest of its output, reports to the keeper, or records where there is none,
    /// then serves the clients theirs.
    fn drain(mut self) -> Result<(), SysError> {
        // At once: where the kernel forgets with the reaping, the reaper is on its way.
        let mut unrecorded = if self.control.is_none() { self.read_exit()? } else { None };
        for index in (0..self.outputs.len()).rev() {
            // Bounded: where somebody else holds the FIFO it may never run dry.
            for _ in 0..DRAIN_READS {
                if !self.read_output(index)? {
                    break;
                }
            }
        }
        if let Some(log) = &mut self.log {
            log.finish(!self.volatile).unwrap_or_default();
        }
        self.tell(DRAINED);
        if self.control.is_none() && unrecorded.is_none() {
            unrecorded = self.read_exit()?;
        }
        if let Some(record) = unrecorded {
            exits::write(&self.exits, &record, !self.volatile)?;
        }
        // Who connects from now on, to wait for this moment, sees the end of the connection.
        drop(self.listener);
        loop {
            self.clients.retain_mut(Client::flush);
            self.clients.retain(|client| client.queued() > 0);
            if self.clients.is_empty() {
                return self.probes.map_or(Ok(()), Probes::finish);
            }
            let waiting = self
                .clients
                .iter()
                .map(|client| PollFd::from_borrowed_fd(client.socket().as_fd(), PollFlags::OUT));
            clock::poll(&mut waiting.collect::<Vec<_>>(), None)?;
        }
    }
}

/// What [`Worker::wait`] found.
struct Ready {
    control: bool,
    /// Init has ended, and there is no keeper to see it.
    init: bool,
    listener: bool,
    /// The health probe under way has ended.
    probe: bool,
    clients: Vec<usize>,
    outputs: Vec<usize>,
}
