//! `corten why`: one answer to why a container ended, does not start or is slow.

use std::ffi::OsString;

use clap::Args;
use corten_engine::containers::why::{self, Why};
use corten_engine::containers::{self, ContainerRecord, Status};
use corten_sys::signal;
use jiff::Timestamp;

use crate::cli::flags::{self, Arity};
use crate::cli::{CliError, Context, human};

const NAME: &str = "corten why";

#[derive(Debug, Args)]
#[command(override_usage = "corten why CONTAINER [CONTAINER...]")]
struct WhyArgs {
    #[arg(value_name = "CONTAINER")]
    words: Vec<String>,
}

pub(crate) fn run(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    let about = "Tell why a container ended, does not start or is slow: code, signals, memory, log, ports, throttling";
    let args: WhyArgs = flags::parse(NAME, about, arguments)?;
    flags::check_count(NAME, "CONTAINER [CONTAINER...]", Arity::AtLeast(1), &args.words)?;
    let engine = context.engine()?;
    let mut failures = Vec::new();
    for name in &args.words {
        let found =
            containers::find(&engine, name).and_then(|record| Ok((why::why(&engine, &record)?, record)));
        match found {
            Ok((why, record)) => {
                for line in tell(&record, &why, Timestamp::now()) {
                    context.ui.line(line);
                }
            }
            Err(error) => failures.push(CliError::from(error)),
        }
    }
    CliError::all(failures)
}

/// The lines: first what is, then what led there.
fn tell(record: &ContainerRecord, why: &Why, now: Timestamp) -> Vec<String> {
    let mut lines = vec![format!("{} {}", record.name, what_is(record, why, now))];
    let mut add = |line: String| lines.push(format!("  {line}"));
    if let Some(exit) = why.state.exit.filter(|_| !why.state.is_running()) {
        if exit.oom_killed {
            let limit = record.spec.resources.memory.limit.and_then(|limit| u64::try_from(limit).ok());
            let limit =
                limit.map_or_else(String::new, |limit| format!(" (limit {})", human::binary_size(limit)));
            add(format!("out of memory{limit}: the kernel killed a process of it"));
        }
        let signal = exit.code.filter(|code| *code > 128).map(|code| code - 128);
        if let Some(signal) = signal.filter(|_| !exit.oom_killed) {
            add(who(why, signal, now));
        }
        match exit.code {
            Some(127) if why.start_failure.is_none() => {
                add("127 is what a shell says of a command that it does not find".to_owned());
            }
            Some(126) if why.start_failure.is_none() => {
                add("126 is what a shell says of a command that it may not run".to_owned());
            }
            None => add("nobody saw its exit code: its keeper was killed".to_owned()),
            Some(_) => {}
        }
        if exit.restarts > 0 {
            add(format!("restarted {} times by its policy before", exit.restarts));
        }
    }
    if why.kernel_log_closed {
        add("the kernel's log, with the list of processes, cannot be read".to_owned());
    }
    for line in &why.out_of_memory {
        add(line.clone());
    }
    if let Some((throttled, periods)) = why.throttled {
        add(format!("held back by its processor limit in {throttled} of {periods} periods (--cpus)"));
    }
    for port in &why.silent_ports {
        add(format!("nothing listens on its exposed port {port}/tcp"));
    }
    if !why.last_lines.is_empty() {
        add("the end of its log:".to_owned());
        why.last_lines.iter().for_each(|line| add(format!("  {line}")));
    }
    lines
}

fn what_is(record: &ContainerRecord, why: &Why, now: Timestamp) -> String {
    let exit = why.state.exit.filter(|_| !why.state.is_running());
    if let Some((code, reason)) = why.start_failure.as_ref() {
        return format!("did not start ({code}): {reason}");
    }
    match (why.state.status, exit) {
        (Status::Created, _) => {
            format!("was created {} and not started", human::since(human::timestamp(record.created), now))
        }
        (Status::Running | Status::Paused, _) => {
            let started = why.state.run.as_ref().map_or(now, |run| human::timestamp(run.started));
            let paused = if why.state.status == Status::Paused { ", paused" } else { "" };
            format!("runs since {}{paused}", human::duration(now.as_second() - started.as_second()))
        }
        (status, Some(exit)) => {
            let restarting = if status == Status::Restarting { ", and waits to be restarted" } else { "" };
            let ran = human::duration((exit.finished - exit.started) / 1_000_000_000);
            let code = exit.code.map_or_else(|| "an unknown code".to_owned(), |code| format!("code {code}"));
            format!(
                "ended with {code} {} after {}{restarting}",
                human::since(human::timestamp(exit.finished), now),
                ran.to_lowercase()
            )
        }
        (status, None) => format!("is {}", status.name()),
    }
}

/// Who sent the signal that a container ended of.
fn who(why: &Why, signal: i32, now: Timestamp) -> String {
    let name = signal::name(signal);
    match why.signals.iter().rev().find(|(sent, _)| *sent == signal) {
        Some((_, nanos)) => {
            let moment = human::timestamp(*nanos);
            format!("by {name}, which a command of corten sent {}", human::since(moment, now))
        }
        None if why.signals.is_empty() => {
            format!("by {name}, from outside or by itself: no command of corten sent it a signal")
        }
        None => {
            let sent: Vec<String> = why.signals.iter().map(|(sent, _)| signal::name(*sent)).collect();
            format!("by {name}, from outside or by itself: corten sent {}", sent.join(", "))
        }
    }
}
