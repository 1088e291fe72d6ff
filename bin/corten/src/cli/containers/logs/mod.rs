//! `corten logs`.

mod several;

use std::ffi::OsString;
use std::ops::ControlFlow;

use clap::{ArgAction, Args};
use corten_engine::Engine;
use corten_engine::containers::logs::{self, LogEntry, LogEvent, LogOptions, Stream};
use corten_engine::containers::{self, ContainerRecord};
use corten_sys::clock;
use regex_lite::Regex;

use crate::cli::{CliError, Context, flags, moment};
use crate::ui::{Output, Ui};

#[derive(Debug, Args)]
#[command(override_usage = "corten logs [OPTIONS] CONTAINER [CONTAINER...]")]
struct LogsArgs {
    /// Show extra details provided to logs
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set, default_value_t = false, hide_default_value = true, hide_possible_values = true, value_name = "bool")]
    details: bool,
    /// Follow log output
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set, default_value_t = false, hide_default_value = true, hide_possible_values = true, value_name = "bool")]
    follow: bool,
    /// Show only the lines that match a regular expression
    #[arg(long, value_name = "regex", allow_hyphen_values = true)]
    grep: Option<String>,
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

const NAME: &str = "corten logs";
const SYNOPSIS: &str = "[OPTIONS] CONTAINER [CONTAINER...]";

/// Shown at once; a burst of lines takes few writes.
const BURST: usize = 256 << 10;

pub(crate) fn run(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    let args: LogsArgs = flags::parse(NAME, "Fetch the logs of one or more containers", arguments)?;
    flags::check_count(NAME, SYNOPSIS, flags::Arity::AtLeast(1), &args.names)?;
    let options = options(&args)?;
    let shown =
        Shown { timestamps: args.timestamps, details: args.details, grep: grep(args.grep.as_deref())? };
    let engine = context.engine()?;
    if let [name] = args.names.as_slice() {
        let record = containers::find(&engine, name)?;
        return one(&mut context.ui, &engine, &record, &options, &shown);
    }
    let mut failed = false;
    let mut records = Vec::new();
    for name in &args.names {
        match containers::find(&engine, name) {
            Ok(record) => records.push(record),
            Err(error) => {
                failed = true;
                CliError::from(error).report(&mut context.ui);
            }
        }
    }
    failed |= !several::show(&mut context.ui, &engine, &records, &options, &shown)?;
    Ok(u8::from(failed))
}

fn one(
    ui: &mut Ui,
    engine: &Engine,
    record: &ContainerRecord,
    options: &LogOptions,
    shown: &Shown,
) -> Result<u8, CliError> {
    // A container whose keeper was killed gets a new one by this, and with it its log goes on.
    containers::state::read(engine, record)?;
    let mut show =
        Show { ui, shown, collected: Vec::with_capacity(BURST + (64 << 10)), stream: Stream::Stdout };
    logs::read(engine, record, options, |event| match event {
        LogEvent::Entry(entry) => show.entry(&entry),
        LogEvent::CaughtUp => show.deliver(),
    })?;
    Ok(0)
}

fn grep(text: Option<&str>) -> Result<Option<Regex>, CliError> {
    let wrong = |error: &dyn std::fmt::Display| {
        let text = text.unwrap_or_default();
        CliError::bare(format!("invalid argument \"{text}\" for \"--grep\" flag: {error}"), 125)
    };
    text.map(Regex::new).transpose().map_err(|error| wrong(&error))
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

/// Which lines are shown, and how.
struct Shown {
    timestamps: bool,
    details: bool,
    grep: Option<Regex>,
}

impl Shown {
    /// Appends a line as it is shown, and says whether it is.
    fn render(&self, entry: &LogEntry<'_>, out: &mut Vec<u8>) -> bool {
        let begin = out.len();
        if self.timestamps {
            out.extend_from_slice(entry.time);
            out.push(b' ');
        }
        if self.details {
            entry.append_attributes_to(out);
        }
        let text = out.len();
        entry.append_to(out);
        let Some(grep) = &self.grep else { return true };
        let line = String::from_utf8_lossy(out.get(text..).unwrap_or_default());
        let is_shown = grep.is_match(line.strip_suffix('\n').unwrap_or(&line));
        drop(line);
        if !is_shown {
            out.truncate(begin);
        }
        is_shown
    }
}

/// Collects lines of one stream and shows them in bursts; the order between the streams is kept.
struct Show<'a> {
    ui: &'a mut Ui,
    shown: &'a Shown,
    collected: Vec<u8>,
    stream: Stream,
}

impl Show<'_> {
    fn entry(&mut self, entry: &LogEntry<'_>) -> ControlFlow<()> {
        if entry.stream != self.stream {
            self.deliver()?;
            self.stream = entry.stream;
        }
        self.shown.render(entry, &mut self.collected);
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
