//! `corten exec`.

use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use clap::Args;
use corten_engine::Engine;
use corten_engine::containers::{self, ContainerRecord, ExecOptions, ExecProcess};
use corten_sys::process::{self, Cloned};
use corten_sys::pty::{self, RawMode};
use corten_sys::signal::SignalFd;
use corten_sys::{Errno, SysError, clock, exec, fs, socket};
use rustix::event::{PollFd, PollFlags};

use super::keys::DetachKeys;
use super::output::{self, To};
use super::session::{PIECE, shell_code};
use crate::cli::flags;
use crate::cli::{CliError, Context};
use crate::settings;

const SIGWINCH: i32 = 28;

#[derive(Debug, Args)]
#[command(override_usage = "corten exec [OPTIONS] CONTAINER COMMAND [ARG...]")]
struct ExecArgs {
    /// Detached mode: run command in the background
    #[arg(short, long)]
    detach: bool,
    /// Override the key sequence for detaching a container
    #[arg(long, value_name = "string")]
    detach_keys: Option<String>,
    /// Set environment variables
    #[arg(short, long, value_name = "list")]
    env: Vec<String>,
    /// Read in a file of environment variables
    #[arg(long, value_name = "list")]
    env_file: Vec<String>,
    /// Keep STDIN open even if not attached
    #[arg(short, long)]
    interactive: bool,
    /// Give extended privileges to the command
    #[arg(long)]
    privileged: bool,
    /// Allocate a pseudo-TTY
    #[arg(short, long)]
    tty: bool,
    /// Username or UID (format: "<name|uid>[:<group|gid>]")
    #[arg(short, long, value_name = "string")]
    user: Option<String>,
    /// Working directory inside the container
    #[arg(short, long, value_name = "string")]
    workdir: Option<String>,
    /// Container, then the command and its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "CONTAINER COMMAND [ARG...]")]
    words: Vec<String>,
}

pub(crate) fn run(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    let args: ExecArgs = flags::parse("corten exec", "Execute a command in a running container", arguments)
        .map_err(|error| error.code_unless_help(125))?;
    let (name, command) = match args.words.split_first() {
        Some((name, command)) if !command.is_empty() => (name, command),
        _ => {
            let text = "corten: 'corten exec' requires at least 2 arguments\n\nUsage:  corten exec [OPTIONS] CONTAINER COMMAND [ARG...]\n\nSee 'corten exec --help' for more information";
            return Err(CliError::usage(text).code(1));
        }
    };
    let keys = DetachKeys::chosen(args.detach_keys.as_deref(), &context.settings)?;
    if args.interactive && args.tty && !args.detach && !pty::is_terminal(std::io::stdin()) {
        return Err(CliError::bare("the input device is not a TTY", 1));
    }
    let engine = context.engine()?;
    let record = containers::find(&engine, name)?;
    if containers::has_host_ids(&engine, &record)? && exec::is_exposed()? {
        return Err(exec::replace_with(
            exec::detached_self()?,
            &settings::arguments(),
            &settings::environment(),
        )
        .into());
    }
    let options = ExecOptions {
        args: command.to_vec(),
        env: flags::read_environment(&context.settings, &args.env_file, &args.env)
            .map_err(|reason| CliError::new(reason, 1))?,
        user: args.user.clone(),
        workdir: args.workdir.clone(),
        tty: args.tty,
        stdin: args.interactive && !args.detach,
        privileged: args.privileged,
    };
    if args.detach {
        return detached(&engine, &record, &options);
    }
    let process = containers::exec(&engine, &record, &options)?;
    ExecSession { process, keys, interactive: args.interactive }.serve()
}

/// Runs the command below a helper that outlives this process and reaps it; its output goes nowhere.
fn detached(engine: &Engine, record: &ContainerRecord, options: &ExecOptions) -> Result<u8, CliError> {
    let (ours, theirs) = socket::pair()?;
    match process::clone(0, None)? {
        Cloned::Parent { .. } => {
            drop(theirs);
            match socket::receive(&ours)?.map(|message| message.bytes) {
                Some(bytes) => match bytes.split_first() {
                    None => Ok(0),
                    Some((code, text)) => Err(CliError::daemon(String::from_utf8_lossy(text)).code(*code)),
                },
                None => Err(CliError::new("the helper of the detached command died", 1)),
            }
        }
        Cloned::Child => {
            drop(ours);
            let started = leave(&theirs)
                .map_err(corten_engine::Error::from)
                .and_then(|()| containers::exec(engine, record, options));
            let report = match &started {
                Ok(_) => Vec::new(),
                Err(error) => [[CliError::code_of(error)].as_slice(), error.to_string().as_bytes()].concat(),
            };
            // A caller that was killed meanwhile needs no report.
            socket::send(&theirs, &report, &[]).unwrap_or_default();
            drop(theirs);
            let code = started.map_or(1, |process| drain(&process));
            process::exit_now(code)
        }
    }
}

fn leave(kept: &UnixStream) -> Result<(), SysError> {
    rustix::process::setsid().map_err(|errno| SysError::new("setsid", "", errno))?;
    process::close_all_but(&[kept.as_fd()])?;
    let null = fs::open_with("/dev/null", std::fs::OpenOptions::new().read(true).write(true))?;
    let failed = |errno| SysError::new("dup2", "/dev/null", errno);
    rustix::stdio::dup2_stdin(&null).map_err(failed)?;
    rustix::stdio::dup2_stdout(&null).map_err(failed)?;
    rustix::stdio::dup2_stderr(&null).map_err(failed)
}

/// Reads and drops what the process writes, so that it never blocks, until it has ended.
fn drain(process: &ExecProcess) -> i32 {
    let outputs: Vec<&OwnedFd> =
        [&process.terminal, &process.stdout, &process.stderr].into_iter().flatten().collect();
    let mut open = vec![true; outputs.len()];
    let mut buffer = vec![0; 64 << 10];
    while open.contains(&true) {
        let flags = |open: bool| if open { PollFlags::IN } else { PollFlags::empty() };
        let mut fds: Vec<_> = outputs
            .iter()
            .zip(&open)
            .map(|(fd, &open)| PollFd::from_borrowed_fd(fd.as_fd(), flags(open)))
            .collect();
        fds.push(PollFd::from_borrowed_fd(process.pidfd().as_fd(), PollFlags::IN));
        if clock::poll(&mut fds, None).is_err() {
            return 1;
        }
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        if ready.last() == Some(&true) {
            break;
        }
        for (index, fd) in outputs.iter().enumerate() {
            if ready.get(index) == Some(&true) && !matches!(rustix::io::read(fd, &mut buffer), Ok(1..)) {
                open.get_mut(index).into_iter().for_each(|open| *open = false);
            }
        }
    }
    process.wait().map_or(1, process::Exit::code)
}

/// The caller's side of a command in the foreground.
struct ExecSession {
    process: ExecProcess,
    keys: DetachKeys,
    interactive: bool,
}

impl ExecSession {
    fn serve(mut self) -> Result<u8, CliError> {
        let is_terminal = self.process.terminal.is_some();
        let raw = is_terminal && self.interactive && pty::is_terminal(std::io::stdin());
        let _raw = if raw { Some(RawMode::enter(std::io::stdin())?) } else { None };
        let signals = SignalFd::new(&[SIGWINCH])?;
        self.resize();
        let mut outputs = self.outputs();
        let mut keys = self.keys.matcher();
        let stdin = std::io::stdin();
        let mut reading = self.interactive;
        loop {
            let mut fds = vec![
                PollFd::from_borrowed_fd(self.process.pidfd().as_fd(), PollFlags::IN),
                PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN),
            ];
            fds.extend(outputs.iter().map(|(fd, _)| PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN)));
            if reading {
                fds.push(PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN));
            }
            clock::poll(&mut fds, None)?;
            let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
            let count = outputs.len();
            for index in (0..count).rev().filter(|index| ready.get(2 + index) == Some(&true)) {
                if !copy_once(&outputs[index])? {
                    outputs.remove(index);
                }
            }
            if ready.get(1) == Some(&true) {
                while signals.next().is_some() {}
                self.resize();
            }
            if reading && ready.get(2 + count) == Some(&true) {
                match self.take_input(&mut keys, &mut outputs)? {
                    Input::Given => {}
                    Input::Ended => reading = false,
                    Input::Detach => return Ok(0),
                }
            }
            if ready.first() == Some(&true) {
                return self.finish(&outputs);
            }
        }
    }

    /// The process has ended: shows what is left in the pipes and returns its code.
    fn finish(&self, outputs: &[(OwnedFd, To)]) -> Result<u8, CliError> {
        for output in outputs {
            while clock::wait_readable(&output.0, Some(std::time::Duration::ZERO))? && copy_once(output)? {}
        }
        Ok(shell_code(self.process.wait()?.code()))
    }

    fn outputs(&mut self) -> Vec<(OwnedFd, To)> {
        let terminal = self.process.terminal.as_ref().and_then(|fd| fd.as_fd().try_clone_to_owned().ok());
        let outputs = [
            (terminal, To::Stdout),
            (self.process.stdout.take(), To::Stdout),
            (self.process.stderr.take(), To::Stderr),
        ];
        outputs.into_iter().filter_map(|(fd, to)| Some((fd?, to))).collect()
    }

    fn resize(&self) {
        if let Some(terminal) = &self.process.terminal
            && let Some(size) = pty::size(std::io::stdout()).or_else(|| pty::size(std::io::stdin()))
        {
            // The terminal of a process that has just ended has no size.
            pty::set_size(terminal, size).unwrap_or_default();
        }
    }

    fn take_input(
        &mut self,
        keys: &mut super::keys::Matcher,
        outputs: &mut Vec<(OwnedFd, To)>,
    ) -> Result<Input, CliError> {
        let mut buffer = vec![0; 32 << 10];
        let length = match rustix::io::read(std::io::stdin(), &mut buffer) {
            Ok(length) => length,
            Err(Errno::INTR | Errno::AGAIN) => return Ok(Input::Given),
            Err(_) => 0,
        };
        if length == 0 {
            self.process.stdin = None;
            return Ok(Input::Ended);
        }
        let data = buffer.get(..length).unwrap_or_default();
        let (pass, detach) =
            if self.process.terminal.is_some() { keys.filter(data) } else { (data.to_vec(), false) };
        let Some(to) = self.process.terminal.as_ref().or(self.process.stdin.as_ref()) else {
            return Ok(Input::Ended);
        };
        if !pass_on(to, &pass, outputs)? {
            // The process does not read any more.
            self.process.stdin = None;
            return Ok(Input::Ended);
        }
        Ok(if detach { Input::Detach } else { Input::Given })
    }
}

enum Input {
    Given,
    Ended,
    Detach,
}

/// Passes input on, and copies output meanwhile: the process may be waiting for us to read. False where it has closed
/// its input.
fn pass_on(to: &OwnedFd, data: &[u8], outputs: &mut Vec<(OwnedFd, To)>) -> Result<bool, CliError> {
    for piece in data.chunks(PIECE) {
        loop {
            let mut fds = vec![PollFd::from_borrowed_fd(to.as_fd(), PollFlags::OUT)];
            fds.extend(outputs.iter().map(|(fd, _)| PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN)));
            clock::poll(&mut fds, None)?;
            let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
            for index in (0..outputs.len()).rev().filter(|index| ready.get(1 + index) == Some(&true)) {
                if !copy_once(&outputs[index])? {
                    outputs.remove(index);
                }
            }
            if ready.first() == Some(&true) {
                match rustix::io::write(to, piece) {
                    Err(Errno::INTR | Errno::AGAIN) => {}
                    Ok(_) => break,
                    Err(_) => return Ok(false),
                }
            }
        }
    }
    Ok(true)
}

/// Copies what an output has; false at its end.
fn copy_once((from, to): &(OwnedFd, To)) -> Result<bool, CliError> {
    let mut buffer = vec![0; 64 << 10];
    let length = match rustix::io::read(from, &mut buffer) {
        // EIO: the other side of the terminal is closed (pty(7)).
        Ok(0) | Err(Errno::IO) => return Ok(false),
        Ok(length) => length,
        Err(Errno::INTR | Errno::AGAIN) => return Ok(true),
        Err(errno) => return Err(SysError::new("read", "output", errno).into()),
    };
    let data = buffer.get(..length).unwrap_or_default();
    output::write(*to, data);
    Ok(true)
}
