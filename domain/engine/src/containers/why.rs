//! Why a container is as it is: what is known of its last run, from its records, the journal of events, the kernel's log,
//! its cgroup and its own log.

use std::collections::BTreeSet;
use std::io::Read;
use std::ops::ControlFlow;
use std::os::unix::fs::OpenOptionsExt;

use corten_sys::{clock, fs};

use super::logs::{self, LogEvent, LogOptions};
use super::record::ContainerRecord;
use super::state::{self, ContainerState};
use super::{pause, start};
use crate::events::{self, EventFilters, ReadOptions};
use crate::{Engine, Error};

/// Lines of the log that are shown.
const LINES: u64 = 10;

/// What is known.
#[derive(Debug, Clone)]
pub struct Why {
    pub state: ContainerState,
    /// Signals that commands of corten have sent in the last run: which, and when.
    pub signals: Vec<(i32, i64)>,
    /// Why the last start failed, and docker's exit code for it.
    pub start_failure: Option<(i32, String)>,
    /// Of the kernel's log: what it killed for this container's memory, and which processes there were.
    pub out_of_memory: Vec<String>,
    /// The kernel's log cannot be read.
    pub kernel_log_closed: bool,
    /// Scheduling periods in which a running container was held back, of all.
    pub throttled: Option<(u64, u64)>,
    /// Exposed TCP ports on which nothing listens in a running container.
    pub silent_ports: Vec<u16>,
    /// The end of the log.
    pub last_lines: Vec<String>,
}

/// Collects it. Takes no lock.
pub fn why(engine: &Engine, record: &ContainerRecord) -> Result<Why, Error> {
    let state = state::read(engine, record)?;
    let since = match (state.run.as_ref().filter(|_| state.is_running()), &state.exit) {
        (Some(run), _) => run.started,
        (None, Some(exit)) => exit.started,
        (None, None) => record.created,
    };
    let mut why = Why {
        signals: Vec::new(),
        start_failure: None,
        out_of_memory: Vec::new(),
        kernel_log_closed: false,
        throttled: None,
        silent_ports: Vec::new(),
        last_lines: last_lines(engine, record)?,
        state,
    };
    read_events(engine, record, since, &mut why)?;
    if why.state.exit.is_some_and(|exit| exit.oom_killed) {
        match kernel_log() {
            Some(text) => why.out_of_memory = out_of_memory(&text, &start::cgroup_path(record)),
            None => why.kernel_log_closed = true,
        }
    }
    if let Some(run) = why.state.run.as_ref().filter(|_| why.state.is_running()) {
        // A container that ends meanwhile has no counters any more.
        let usage = pause::cgroup(engine, record)?.usage().unwrap_or_default();
        why.throttled = Some((usage.throttled, usage.periods)).filter(|(throttled, _)| *throttled > 0);
        let listening = listening(run.init.pid);
        let exposed = record.exposed_ports.iter().filter_map(|port| port.strip_suffix("/tcp")?.parse().ok());
        why.silent_ports = exposed.filter(|port| !listening.contains(port)).collect();
    }
    Ok(why)
}

fn read_events(engine: &Engine, record: &ContainerRecord, since: i64, why: &mut Why) -> Result<(), Error> {
    let mut filters = EventFilters::default();
    filters.add("type", "container")?;
    filters.add("container", &record.id)?;
    let options = ReadOptions { since: Some(since), until: Some(clock::wall_nanos()), filters };
    events::read(engine, &options, |event| {
        let attribute = |name: &str| event.actor.attributes.get(name);
        match event.action.as_str() {
            "start" => (why.start_failure, why.signals) = (None, Vec::new()),
            "kill" => {
                let signal = attribute("signal").and_then(|text| text.parse().ok());
                why.signals.extend(signal.map(|signal| (signal, event.time_nano)));
            }
            "die" => {
                let code = attribute("exitCode").and_then(|code| code.parse().ok()).unwrap_or(125);
                why.start_failure = attribute("error").map(|text| (code, text.clone()));
            }
            _ => {}
        }
        ControlFlow::Continue(())
    })
}

fn last_lines(engine: &Engine, record: &ContainerRecord) -> Result<Vec<String>, Error> {
    let mut lines = Vec::new();
    let options = LogOptions { tail: Some(LINES), ..LogOptions::default() };
    let read = logs::read(engine, record, &options, |event| {
        if let LogEvent::Entry(entry) = event {
            let mut line = Vec::new();
            entry.append_to(&mut line);
            lines.push(String::from_utf8_lossy(&line).trim_end().to_owned());
        }
        ControlFlow::Continue(())
    });
    match read {
        // Its log is elsewhere.
        Err(error) if error.kind() == crate::ErrorKind::Unsupported => Ok(Vec::new()),
        read => read.map(|()| lines),
    }
}

/// What the kernel has logged so far; `None` where it does not let itself be read.
fn kernel_log() -> Option<String> {
    const NONBLOCK: i32 = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let mut options = std::fs::OpenOptions::new();
    let mut log = fs::open_with("/dev/kmsg", options.read(true).custom_flags(NONBLOCK)).ok()?;
    let mut text = String::new();
    let mut record = vec![0; 16 << 10];
    loop {
        match log.read(&mut record) {
            Ok(length @ 1..) => {
                let line = String::from_utf8_lossy(record.get(..length).unwrap_or_default()).into_owned();
                // `priority,sequence,microseconds,flags;message`, then lines of keys.
                let message = line.split_once(';').map_or(line.as_str(), |(_, message)| message);
                text.push_str(message.lines().next().unwrap_or_default());
                text.push('\n');
            }
            // Overwritten while it was read: the next one is there.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::PIPE.raw_os_error()) => {}
            // The end, for now.
            Ok(_) | Err(_) => return Some(text),
        }
    }
}

/// The lines of the kernel's last out-of-memory kill in a cgroup: the table of processes, and who was killed.
fn out_of_memory(log: &str, cgroup: &str) -> Vec<String> {
    let lines: Vec<&str> = log.lines().collect();
    let in_cgroup = format!("task_memcg=/{cgroup}");
    let is_kill = |line: &&str| {
        line.starts_with("oom-kill:")
            && line.split(',').any(|field| field == in_cgroup || field.starts_with(&format!("{in_cgroup}/")))
    };
    let Some(end) = lines.iter().rposition(is_kill) else { return Vec::new() };
    let begin = lines[..end].iter().rposition(|line| line.starts_with("Tasks state")).unwrap_or(end);
    let table = lines.get(begin + 1..end).unwrap_or_default();
    let killed = lines[end..].iter().find(|line| line.contains("Killed process"));
    table.iter().chain(killed).map(|line| (*line).to_owned()).collect()
}

/// The TCP ports on which a process of the same network listens.
fn listening(pid: i32) -> BTreeSet<u16> {
    let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/net/{file}")).unwrap_or_default();
    ["tcp", "tcp6"].into_iter().flat_map(|file| ports(&read(file))).collect()
}

/// The local ports of `/proc/net/tcp` in the state LISTEN, 0A.
fn ports(text: &str) -> Vec<u16> {
    let port = |line: &str| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let (local, state) = (fields.next()?, fields.nth(1)?);
        let port = local.rsplit_once(':')?.1;
        if state == "0A" { u16::from_str_radix(port, 16).ok() } else { None }
    };
    text.lines().skip(1).filter_map(port).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners() {
        let text = "  sl  local_address rem_address   st tx_queue\n   0: 0100007F:1F90 00000000:0000 0A 00000000\n   \
                    1: 0100007F:1F91 0100007F:0050 01 00000000\n";
        assert_eq!(ports(text), [8080]);
        assert_eq!(ports(""), Vec::<u16>::new());
    }

    #[test]
    fn the_last_kill_of_the_cgroup() {
        let log = "Tasks state (memory values in pages):\n[  pid  ] name\n[    1  ] other\n\
                   oom-kill:constraint=CONSTRAINT_MEMCG,task_memcg=/corten/b,task=other,pid=1,uid=0\nKilled process 1\n\
                   Tasks state (memory values in pages):\n[  pid  ] name\n[    7  ] sh\n\
                   oom-kill:constraint=CONSTRAINT_MEMCG,oom_memcg=/corten/a,task_memcg=/corten/a,task=sh,pid=7,uid=0\n\
                   Memory cgroup out of memory: Killed process 7 (sh)\n";
        assert_eq!(
            out_of_memory(log, "corten/a"),
            ["[  pid  ] name", "[    7  ] sh", "Memory cgroup out of memory: Killed process 7 (sh)"]
        );
        assert_eq!(out_of_memory(log, "corten/c"), Vec::<String>::new());
    }
}
