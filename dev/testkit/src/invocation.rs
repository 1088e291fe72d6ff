//! One run of a command: clean environment, its input, its output, and a deadline that kills.

use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use std::os::unix::process::ExitStatusExt;

use corten_sys::{clock, process};
use rustix::event::{PollFd, PollFlags};
use rustix::process::Pid;

use crate::wait::DEADLINE;

/// How long a descriptor may stay open after the command has ended.
const CLOSING: Duration = Duration::from_secs(3);

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a command came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The exit code; 128 + n for a signal.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    pub fn new(code: i32, stdout: &str, stderr: &str) -> Self {
        Self { code, stdout: stdout.to_owned(), stderr: stderr.to_owned() }
    }
}

/// A command to be run.
#[derive(Debug, Clone)]
pub struct Invocation {
    words: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    directory: Option<PathBuf>,
    input: Option<Vec<u8>>,
    timeout: Duration,
}

impl Invocation {
    pub fn new<W: AsRef<OsStr>>(words: impl IntoIterator<Item = W>) -> Self {
        Self {
            words: words.into_iter().map(|word| word.as_ref().to_owned()).collect(),
            environment: vec![("PATH".into(), PATH.into()), ("HOME".into(), "/nonexistent".into())],
            directory: None,
            input: None,
            timeout: DEADLINE,
        }
    }

    /// Puts these words in front: the command is run by them.
    #[must_use]
    pub fn through<W: AsRef<OsStr>>(mut self, words: impl IntoIterator<Item = W>) -> Self {
        let front = words.into_iter().map(|word| word.as_ref().to_owned());
        self.words = front.chain(self.words).collect();
        self
    }

    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    #[must_use]
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    #[must_use]
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Some(bytes.into());
        self
    }

    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The command line, for messages.
    pub fn line(&self) -> String {
        self.words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    /// A [`Command`] of it, with nothing decided about its descriptors.
    pub fn command(&self) -> Command {
        let (program, arguments) = self.words.split_first().expect("a command has a word");
        let mut command = Command::new(program);
        command.args(arguments).env_clear().envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        command
    }

    /// Runs it to its end and until its output is closed.
    ///
    /// Panics with the command line where it takes too long, or leaves its output open to somebody else.
    pub fn run(self) -> Output {
        self.spawn().finish()
    }

    /// Starts it.
    pub fn spawn(self) -> Background {
        let line = self.line();
        let mut command = self.command();
        command.stdin(if self.input.is_some() { Stdio::piped() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{line}: {error}"));
        let writer = self.input.zip(child.stdin.take()).map(|(input, mut stdin)| {
            // A reader that leaves early is the case's own matter.
            std::thread::spawn(move || stdin.write_all(&input).unwrap_or_default())
        });
        Background {
            child,
            line,
            deadline: Instant::now() + self.timeout,
            writer,
            out: Vec::new(),
            err: Vec::new(),
        }
    }
}

/// A command that runs.
#[derive(Debug)]
pub struct Background {
    child: Child,
    line: String,
    deadline: Instant,
    writer: Option<std::thread::JoinHandle<()>>,
    out: Vec<u8>,
    err: Vec<u8>,
}

impl Background {
    /// Its pid.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a pid")
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: i32) {
        let pid = Pid::from_raw(self.pid()).expect("a pid");
        let pidfd = process::open_pidfd(pid).expect("our child");
        process::send_signal(&pidfd, signal).expect("send a signal");
    }

    /// Waits until its output contains `text`, and returns what there is.
    pub fn wait_for(&mut self, text: &str) -> String {
        while !String::from_utf8_lossy(&self.out).contains(text) {
            assert!(self.read_some(), "{}: ended without {text:?}: {:?}", self.line, self.shown());
        }
        String::from_utf8_lossy(&self.out).into_owned()
    }

    /// Waits for its end.
    pub fn finish(mut self) -> Output {
        while self.read_some() {}
        let status = self.child.wait().expect("wait for a child");
        if let Some(writer) = self.writer.take() {
            writer.join().expect("the writer of a command's input");
        }
        Output {
            code: code_of(status),
            stdout: String::from_utf8_lossy(&self.out).into_owned(),
            stderr: String::from_utf8_lossy(&self.err).into_owned(),
        }
    }

    fn shown(&self) -> (String, String) {
        (String::from_utf8_lossy(&self.out).into_owned(), String::from_utf8_lossy(&self.err).into_owned())
    }

    /// Reads what there is; false when both streams are closed and the process has ended.
    fn read_some(&mut self) -> bool {
        let Some(pid) = Pid::from_raw(self.pid()) else { return false };
        let ended = matches!(self.child.try_wait(), Ok(Some(_)));
        if ended && self.child.stdout.is_none() && self.child.stderr.is_none() {
            return false;
        }
        if ended {
            self.deadline = self.deadline.min(Instant::now() + CLOSING);
        }
        let pidfd = if ended { None } else { process::open_pidfd(pid).ok() };
        let streams =
            [self.child.stdout.as_ref().map(AsFd::as_fd), self.child.stderr.as_ref().map(AsFd::as_fd)];
        let all = streams.into_iter().chain([pidfd.as_ref().map(AsFd::as_fd)]).flatten();
        let mut fds: Vec<_> = all.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        let left = self.deadline.saturating_duration_since(Instant::now());
        let ready = clock::poll(&mut fds, Some(left)).expect("poll");
        let events: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        drop(fds);
        if ready == 0 && Instant::now() >= self.deadline {
            self.give_up(ended);
        }
        let mut events = events.into_iter();
        if self.child.stdout.is_some() && events.next() == Some(true) {
            read_into(&mut self.child.stdout, &mut self.out);
        }
        if self.child.stderr.is_some() && events.next() == Some(true) {
            read_into(&mut self.child.stderr, &mut self.err);
        }
        true
    }

    fn give_up(&mut self, ended: bool) -> ! {
        let said = self.shown();
        if ended {
            panic!("{}: has ended but somebody keeps its output open: {said:?}", self.line);
        }
        self.child.kill().unwrap_or_default();
        self.child.wait().map(drop).unwrap_or_default();
        panic!("{}: killed at its deadline: {said:?}", self.line);
    }
}

fn read_into(stream: &mut Option<impl Read>, bytes: &mut Vec<u8>) {
    let mut buffer = [0; 64 << 10];
    match stream.as_mut().map(|stream| stream.read(&mut buffer)) {
        Some(Ok(count)) if count > 0 => bytes.extend_from_slice(&buffer[..count]),
        _ => *stream = None,
    }
}

pub(crate) fn code_of(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
}
