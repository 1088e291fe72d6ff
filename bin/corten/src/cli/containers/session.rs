//! Being attached to a container: terminal, input, output, signals, detach keys, and the exit code.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use corten_engine::Engine;
use corten_engine::containers::{self, ContainerRecord, ContainerSpec};
use corten_engine::launch::Running;
use corten_monitor::attach::{Client, Event, Kind, Want};
use corten_sys::pty::{self, RawMode};
use corten_sys::signal::SignalFd;
use corten_sys::{Errno, clock};
use rustix::event::{PollFd, PollFlags};

use super::keys::DetachKeys;
use super::output::{self, To};
use crate::cli::CliError;
use crate::cli::flags::AttachFlags;
use crate::settings::Settings;

const SIGCHLD: i32 = 17;
const SIGWINCH: i32 = 28;
const SIGPIPE: i32 = 13;
const SIGURG: i32 = 23;

/// Input goes in pieces that a socket or pipe which is ready takes whole (PIPE_BUF).
pub(super) const PIECE: usize = 4096;

/// What a session does with the caller's side.
#[derive(Debug)]
pub(crate) struct SessionOptions {
    pub(crate) stdin: bool,
    pub(crate) stdout: bool,
    pub(crate) stderr: bool,
    pub(crate) signal_proxy: bool,
    keys: DetachKeys,
}

impl SessionOptions {
    /// From `-a`, `--detach-keys` and `--sig-proxy`.
    pub(crate) fn new(
        settings: &Settings,
        flags: &AttachFlags,
        attach: &[String],
        spec: &ContainerSpec,
    ) -> Result<Self, CliError> {
        let named = |name: &str| attach.iter().any(|stream| stream.eq_ignore_ascii_case(name));
        if let Some(wrong) = attach
            .iter()
            .find(|stream| !["stdin", "stdout", "stderr"].contains(&stream.to_ascii_lowercase().as_str()))
        {
            return Err(CliError::new(
                format!(
                    "invalid argument \"{wrong}\" for \"-a, --attach\" flag: valid streams are STDIN, STDOUT and STDERR"
                ),
                125,
            ));
        }
        let all = attach.is_empty();
        if spec.stdin && spec.tty && (all || named("stdin")) && !pty::is_terminal(std::io::stdin()) {
            return Err(CliError::new("the input device is not a TTY", 1));
        }
        Ok(Self {
            stdin: spec.stdin && (all || named("stdin")),
            stdout: all || named("stdout"),
            stderr: all || named("stderr"),
            signal_proxy: flags.sig_proxy,
            keys: DetachKeys::chosen(flags.detach_keys.as_deref(), settings)?,
        })
    }
}

/// An attached client of one container.
pub(crate) struct Session {
    client: Client,
    options: SessionOptions,
    terminal: bool,
    signals: SignalFd,
}

/// How a session ended.
enum End {
    Closed,
    Detached,
}

impl Session {
    /// Takes over a connection to the worker, from before the start or by attach.
    pub(crate) fn new(socket: UnixStream, options: SessionOptions, terminal: bool) -> Result<Self, CliError> {
        let want = Want { stdin: options.stdin, stdout: options.stdout, stderr: options.stderr, log: false };
        let client = Client::new(socket, want)?;
        // Blocked from here on, so that none is lost between the start and the loop.
        let mut wanted = vec![SIGWINCH];
        if options.signal_proxy {
            wanted.extend(
                (1..=31)
                    .filter(|signal| !matches!(signal, 9 | 19 | &SIGCHLD | &SIGWINCH | &SIGPIPE | &SIGURG)),
            );
        }
        let signals = SignalFd::new(&wanted)?;
        let session = Self { client, options, terminal, signals };
        session.resize();
        Ok(session)
    }

    /// Serves until the container has ended and returns its exit code, or until the user detaches.
    pub(crate) fn serve(
        self,
        engine: &Engine,
        record: &ContainerRecord,
        running: Running,
    ) -> Result<u8, CliError> {
        match self.pump(engine, record, running.pid)? {
            End::Detached => Ok(0),
            End::Closed => {
                let code = running.wait().or_else(|_| containers::wait(engine, record))?;
                Ok(shell_code(code))
            }
        }
    }

    /// As [`Session::serve`] for a container that somebody else started.
    pub(crate) fn serve_attached(
        self,
        engine: &Engine,
        record: &ContainerRecord,
        pid: i32,
    ) -> Result<u8, CliError> {
        match self.pump(engine, record, pid)? {
            End::Detached => Ok(0),
            End::Closed => Ok(shell_code(containers::wait(engine, record)?)),
        }
    }

    fn pump(&self, engine: &Engine, record: &ContainerRecord, pid: i32) -> Result<End, CliError> {
        let raw = self.terminal && self.options.stdin && pty::is_terminal(std::io::stdin());
        let _raw = if raw { Some(RawMode::enter(std::io::stdin())?) } else { None };
        let mut keys = self.options.keys.matcher();
        let mut reading = self.options.stdin;
        let stdin = std::io::stdin();
        loop {
            let mut fds = vec![
                PollFd::from_borrowed_fd(self.client.socket().as_fd(), PollFlags::IN),
                PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN),
            ];
            if reading {
                fds.push(PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN));
            }
            clock::poll(&mut fds, None)?;
            let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
            if ready.get(1) == Some(&true) {
                self.forward_signals(|signal| containers::signal_process(engine, record, pid, signal));
            }
            if ready.first() == Some(&true) && !self.show()? {
                return Ok(End::Closed);
            }
            if ready.get(2) == Some(&true) {
                match self.take_input(&mut keys)? {
                    Input::Given => {}
                    Input::Ended => reading = false,
                    Input::Detach => return Ok(End::Detached),
                }
            }
        }
    }

    /// Shows one event; false when there will be no more.
    fn show(&self) -> Result<bool, CliError> {
        match self.client.next_event()? {
            Event::Closed => Ok(false),
            Event::Output { kind, data } => {
                let to = if kind == Kind::Stderr { To::Stderr } else { To::Stdout };
                output::write(to, &data);
                Ok(true)
            }
        }
    }

    fn take_input(&self, keys: &mut super::keys::Matcher) -> Result<Input, CliError> {
        let mut buffer = vec![0; 32 << 10];
        let length = match rustix::io::read(std::io::stdin(), &mut buffer) {
            Ok(length) => length,
            Err(Errno::INTR | Errno::AGAIN) => return Ok(Input::Given),
            // A terminal that hung up.
            Err(_) => 0,
        };
        if length == 0 {
            self.client.end_input().unwrap_or_default();
            return Ok(Input::Ended);
        }
        let data = buffer.get(..length).unwrap_or_default();
        let (pass, detach) = if self.terminal { keys.filter(data) } else { (data.to_vec(), false) };
        self.pass_on(&pass)?;
        Ok(if detach { Input::Detach } else { Input::Given })
    }

    /// Passes input on, and shows output while the payload does not read: it may be waiting for us to do so.
    fn pass_on(&self, data: &[u8]) -> Result<(), CliError> {
        for piece in data.chunks(PIECE) {
            loop {
                let wanted = PollFlags::IN | PollFlags::OUT;
                let mut fds = [PollFd::from_borrowed_fd(self.client.socket().as_fd(), wanted)];
                clock::poll(&mut fds, None)?;
                let ready = fds[0].revents();
                // A worker that is gone shows in the next poll.
                if ready.contains(PollFlags::IN) && !self.show()? || ready.contains(PollFlags::HUP) {
                    return Ok(());
                }
                if ready.contains(PollFlags::OUT) {
                    self.client.input(piece).unwrap_or_default();
                    break;
                }
            }
        }
        Ok(())
    }

    fn forward_signals(&self, send: impl Fn(i32) -> Result<(), corten_engine::Error>) {
        while let Some(signal) = self.signals.next() {
            if signal == SIGWINCH {
                self.resize();
            } else {
                // A payload that has just ended needs none.
                send(signal).unwrap_or_default();
            }
        }
    }

    fn resize(&self) {
        if self.terminal
            && let Some(size) = pty::size(std::io::stdout()).or_else(|| pty::size(std::io::stdin()))
        {
            self.client.resize(size).unwrap_or_default();
        }
    }
}

enum Input {
    Given,
    Ended,
    Detach,
}

/// An exit code as a process can return it.
pub(crate) fn shell_code(code: i32) -> u8 {
    u8::try_from(code & 0xff).unwrap_or(u8::MAX)
}
