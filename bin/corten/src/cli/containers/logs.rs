//! `corten logs`.

use std::ffi::OsString;
use std::ops::ControlFlow;

use clap::{ArgAction, Args};
use corten_engine::containers;
use corten_engine::containers::logs::{self, LogEntry, LogEvent, LogOptions, Stream};
use corten_sys::clock;

use crate::cli::{CliError, Context, flags, moment};
use crate::ui::{Output, Ui};

#[derive(Debug, Args)]
#[command(override_usage = "corten logs [OPTIONS] CONTAINER")]
struct LogsArgs {
    /// Show extra details provided to logs
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set, default_value_t = false, hide_default_value = true, hide_possible_values = true, value_name = "bool")]
    details: bool,
    /// Follow log output
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set, default_value_t = false, hide_default_value = true, hide_possible_values = true, value_name = "bool")]
    follow: bool,
    /// Show logs since timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)
    #[arg(long, value_name = "string", allow_hyphen_values = true)]
    since: Option<String>,
    /// Number of lines to show from the end of the logs
    #[arg(short = 'n', long, value_name = "string", allow_hyphen_values = true, default_value = "all")]
    tail: String,
    /// Show timestamps
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set, default_value_t = false, hide_default_value = true, hide_possible_values = true, value_name = "bool")]
    timestamps: bool,
    /// Show logs before a timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)
    #[arg(long, value_name = "string", allow_hyphen_values = true)]
    until: Option<String>,
    #[arg(value_name = "CONTAINER")]
    names: Vec<String>,
}

/// Shown at once; a burst of lines takes few writes.
const BURST: usize = 256 << 10;

pub(crate) fn run(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    let args: LogsArgs = flags::parse("corten logs", "Fetch the logs of a container", arguments)?;
    let [name] = args.names.as_slice() else {
        let text = "corten: 'corten logs' requires 1 argument\n\nUsage:  corten logs [OPTIONS] CONTAINER\n\n\
                    Run 'corten logs --help' for more information";
        return Err(CliError::usage(text).code(1));
    };
    let options = options(&args)?;
    let engine = context.engine()?;
    let record = containers::find(&engine, name)?;
    // A container whose keeper was killed gets a new one by this, and with it its log goes on.
    containers::state::read(&engine, &record)?;
    let mut show = Show {
        ui: &mut context.ui,
        timestamps: args.timestamps,
        details: args.details,
        collected: Vec::with_capacity(BURST + (64 << 10)),
        stream: Stream::Stdout,
    };
    logs::read(&engine, &record, &options, |event| match event {
        LogEvent::Entry(entry) => show.entry(&entry),
        LogEvent::CaughtUp => show.deliver(),
    })?;
    Ok(0)
}

fn options(args: &LogsArgs) -> Result<LogOptions, CliError> {
    let now = clock::wall_nanos();
    let time = |flag: &str, text: &Option<String>| match text.as_deref().filter(|text| !text.is_empty()) {
        None => Ok(None),
        Some(text) => moment::parse(text, now)
            .map(Some)
            .map_err(|reason| CliError::bare(format!("invalid value for \"{flag}\": {reason}"), 1)),
    };
    let tail = match args.tail.as_str() {
        "all" | "" => None,
        text => match text.parse::<i64>() {
            // docker: every negative number is all.
            Ok(number) => u64::try_from(number).ok(),
            Err(_) => {
                return Err(CliError::usage(format!(
                    "invalid argument \"{text}\" for \"-n, --tail\" flag: a number of lines or \"all\""
                )));
            }
        },
    };
    Ok(LogOptions {
        follow: args.follow,
        since: time("since", &args.since)?,
        until: time("until", &args.until)?,
        tail,
    })
}

/// Collects lines of one stream and shows them in bursts; the order between the streams is kept.
struct Show<'a> {
    ui: &'a mut Ui,
    timestamps: bool,
    details: bool,
    collected: Vec<u8>,
    stream: Stream,
}

impl Show<'_> {
    fn entry(&mut self, entry: &LogEntry<'_>) -> ControlFlow<()> {
        if entry.stream != self.stream {
            self.deliver()?;
            self.stream = entry.stream;
        }
        if self.timestamps {
            self.collected.extend_from_slice(entry.time);
            self.collected.push(b' ');
        }
        if self.details {
            // Attributes come from log options that no driver here takes: there are none before the space.
            self.collected.push(b' ');
        }
        entry.append_to(&mut self.collected);
        if self.collected.len() >= BURST { self.deliver() } else { ControlFlow::Continue(()) }
    }

    /// Breaks off where nobody reads any more.
    fn deliver(&mut self) -> ControlFlow<()> {
        let to = if self.stream == Stream::Stdout { Output::Data } else { Output::Other };
        let delivered = self.ui.deliver(to, &self.collected);
        self.collected.clear();
        if delivered.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }
}
