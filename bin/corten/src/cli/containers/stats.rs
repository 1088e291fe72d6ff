//! `corten stats`.

use std::collections::HashMap;
use std::ffi::OsString;
use std::time::Duration;

use clap::{ArgAction, Args};
use corten_engine::containers::list::{self, ListOptions};
use corten_engine::containers::stats::{self, Sample};
use corten_engine::containers::{self, ContainerRecord};
use corten_engine::{Engine, ErrorKind};
use corten_sys::clock;

use crate::cli::listing::{self, Listing, Row};
use crate::cli::{CliError, Context, flags, human};
use crate::ui::Output;

const NAME: &str = "corten stats";

#[derive(Debug, Args)]
#[command(override_usage = "corten stats [OPTIONS] [CONTAINER...]")]
struct StatsArgs {
    /// Show all containers (default shows just running)
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set, default_value_t = false, hide_default_value = true, hide_possible_values = true, value_name = "bool")]
    all: bool,
    /// Format output using a custom template: 'table', 'table TEMPLATE', 'json' or a Go template
    #[arg(long, value_name = "string")]
    format: Option<String>,
    /// Disable streaming stats and only pull the first result
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set, default_value_t = false, hide_default_value = true, hide_possible_values = true, value_name = "bool")]
    no_stream: bool,
    /// Do not truncate output
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set, default_value_t = false, hide_default_value = true, hide_possible_values = true, value_name = "bool")]
    no_trunc: bool,
    #[arg(hide = true)]
    names: Vec<String>,
}

const LISTING: Listing<'_> = Listing {
    headers: &[
        ("ID", "CONTAINER ID"),
        ("Container", "CONTAINER"),
        ("Name", "NAME"),
        ("CPUPerc", "CPU %"),
        ("MemUsage", "MEM USAGE / LIMIT"),
        ("MemPerc", "MEM %"),
        ("NetIO", "NET I/O"),
        ("BlockIO", "BLOCK I/O"),
        ("PIDs", "PIDS"),
    ],
    table: "{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}",
    row_type: "*container.statsContext",
};

/// Between two looks at the counters, as docker has it; and where only one result is wanted.
const PERIOD: Duration = Duration::from_secs(1);
const BRIEF: Duration = Duration::from_millis(500);

pub(crate) fn run(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    let about = "Display a live stream of container(s) resource usage statistics";
    let args: StatsArgs = flags::parse(NAME, about, arguments)?;
    let format = args.format.clone().or_else(|| context.settings.client().text("statsFormat"));
    let engine = context.engine()?;
    check_names(&engine, &args.names)?;
    let terminal = context.ui.is_terminal() && !args.no_stream;
    let mut earlier = look(&engine, &targets(&engine, &args)?)?;
    let mut first = true;
    loop {
        clock::poll(&mut [], Some(if first { BRIEF } else { PERIOD }))?;
        let targets = targets(&engine, &args)?;
        if targets.is_empty() && !args.names.is_empty() {
            // Every one that was asked for is gone.
            return Ok(0);
        }
        let samples = look(&engine, &targets)?;
        let rows = targets.iter().map(|(name, record)| {
            row(name, record, args.no_trunc, samples.get(&record.id), earlier.get(&record.id))
        });
        let text = LISTING.render(format.as_deref().filter(|format| !format.is_empty()), rows.collect())?;
        let shown = if terminal { frame(&text, first) } else { text };
        // A reader that has gone away has seen enough.
        if context.ui.deliver(Output::Data, shown.as_bytes()).is_err() || args.no_stream {
            return Ok(0);
        }
        (earlier, first) = (samples, false);
    }
}

/// A container and the name it was asked for by.
type Target = (String, ContainerRecord);

/// All of them have to be there before anything is shown.
fn check_names(engine: &Engine, names: &[String]) -> Result<(), CliError> {
    let errors = names.iter().filter_map(|name| containers::find(engine, name).err()).map(CliError::from);
    CliError::all(errors.collect()).map(drop)
}

/// Those that were named and are still there, or those that are there now.
fn targets(engine: &Engine, args: &StatsArgs) -> Result<Vec<Target>, CliError> {
    if args.names.is_empty() {
        let options = ListOptions { all: args.all, ..ListOptions::default() };
        let listed = list::select(engine, &options)?.into_iter();
        let named = |record: ContainerRecord| (short(&record.id).to_owned(), record);
        return Ok(listed.map(|container| named(*container.record)).collect());
    }
    let mut targets = Vec::new();
    for name in &args.names {
        match containers::find(engine, name) {
            Ok(record) => targets.push((name.clone(), record)),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(targets)
}

fn look(engine: &Engine, targets: &[Target]) -> Result<HashMap<String, Sample>, CliError> {
    let mut samples = HashMap::new();
    for (_, record) in targets {
        match stats::sample(engine, record) {
            Ok(sample) => samples.extend(sample.map(|sample| (record.id.clone(), sample))),
            // It went with its end.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(samples)
}

fn row(
    name: &str,
    record: &ContainerRecord,
    no_trunc: bool,
    now: Option<&Sample>,
    earlier: Option<&Sample>,
) -> Row {
    let cpu = now.zip(earlier).map_or(0.0, |(now, earlier)| now.cpu_percent(earlier));
    let pair = |a: Option<u64>, b: Option<u64>, size: fn(u64) -> String| {
        format!("{} / {}", size(a.unwrap_or(0)), size(b.unwrap_or(0)))
    };
    let usage = now.map(|now| now.usage);
    let (read, written) = (usage.map(|usage| usage.block_read), usage.map(|usage| usage.block_written));
    listing::row([
        ("ID", if no_trunc { &record.id } else { short(&record.id) }.to_owned()),
        ("Container", name.to_owned()),
        ("Name", record.name.clone()),
        ("CPUPerc", format!("{cpu:.2}%")),
        (
            "MemUsage",
            pair(usage.map(|usage| usage.memory), now.map(|now| now.memory_limit), human::binary_size),
        ),
        ("MemPerc", format!("{:.2}%", now.map_or(0.0, Sample::memory_percent))),
        ("NetIO", pair(now.map(|now| now.received), now.map(|now| now.sent), human::size)),
        ("BlockIO", pair(read, written, human::size)),
        ("PIDs", usage.map_or(0, |usage| usage.pids).to_string()),
    ])
}

fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

/// One picture on a terminal, drawn over the one before without flicker.
fn frame(text: &str, first: bool) -> String {
    let clear = if first { "\x1b[2J" } else { "" };
    let lines: String = text.lines().map(|line| format!("{line}\x1b[K\n")).collect();
    format!("{clear}\x1b[H{lines}\x1b[J")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_drawn_over_each_other() {
        assert_eq!(frame("a\nb\n", true), "\x1b[2J\x1b[Ha\x1b[K\nb\x1b[K\n\x1b[J");
        assert_eq!(frame("a\n", false), "\x1b[Ha\x1b[K\n\x1b[J");
    }
}
