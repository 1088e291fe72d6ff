//! `corten ps`.

use std::ffi::OsString;

use clap::{ArgAction, Args};
use corten_engine::containers::list::{self, Filters, ListOptions, ListedContainer};
use corten_engine::containers::record::MountRecord;
use corten_engine::containers::spec::MountKind;
use corten_engine::containers::{ContainerState, Status};
use corten_monitor::health::HealthStatus;
use corten_spec::Reference;
use jiff::Timestamp;
use serde_json::Value;

use crate::cli::listing::{self, Listing, Row};
use crate::cli::{CliError, Context, filters, flags, human};

#[derive(Debug, Args)]
#[command(override_usage = "corten ps [OPTIONS]")]
struct PsArgs {
    /// Show all containers (default shows just running)
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set, default_value_t = false, hide_default_value = true, hide_possible_values = true, value_name = "bool")]
    all: bool,
    /// Filter output based on conditions provided
    #[arg(short, long, value_name = "filter")]
    filter: Vec<String>,
    /// Format output using a custom template: 'table', 'table TEMPLATE', 'json' or 'TEMPLATE'
    #[arg(long, value_name = "string")]
    format: Option<String>,
    /// Show n last created containers (includes all states)
    #[arg(short = 'n', long, value_name = "int", allow_negative_numbers = true, default_value_t = -1)]
    last: i64,
    /// Show the latest created container (includes all states)
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set, default_value_t = false, hide_default_value = true, hide_possible_values = true, value_name = "bool")]
    latest: bool,
    /// Don't truncate output
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set, default_value_t = false, hide_default_value = true, hide_possible_values = true, value_name = "bool")]
    no_trunc: bool,
    /// Only display container IDs
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set, default_value_t = false, hide_default_value = true, hide_possible_values = true, value_name = "bool")]
    quiet: bool,
    /// Display total file sizes
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set, default_value_t = false, hide_default_value = true, hide_possible_values = true, value_name = "bool")]
    size: bool,
    #[arg(value_name = "ARG", hide = true)]
    words: Vec<String>,
}

const HEADERS: [(&str, &str); 16] = [
    ("ID", "CONTAINER ID"),
    ("Image", "IMAGE"),
    ("Command", "COMMAND"),
    ("CreatedAt", "CREATED AT"),
    ("RunningFor", "CREATED"),
    ("Ports", "PORTS"),
    ("State", "STATE"),
    ("Status", "STATUS"),
    ("HealthStatus", "HEALTH STATUS"),
    ("Size", "SIZE"),
    ("Names", "NAMES"),
    ("Labels", "LABELS"),
    ("Mounts", "MOUNTS"),
    ("LocalVolumes", "LOCAL VOLUMES"),
    ("Networks", "NETWORKS"),
    ("Platform", "PLATFORM"),
];

const TABLE: &str = "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}";
const RAW: &str = "container_id: {{.ID}}\nimage: {{.Image}}\ncommand: {{.Command}}\ncreated_at: {{.CreatedAt}}\n\
                   state: {{- pad .State 1 0}}\nstatus: {{- pad .Status 1 0}}\nnames: {{.Names}}\n\
                   labels: {{- pad .Labels 1 0}}\nports: {{- pad .Ports 1 0}}\n";

pub(crate) fn run(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    let args: PsArgs = flags::parse("corten ps", "List containers", arguments)?;
    if !args.words.is_empty() {
        let text = "corten: 'corten ps' accepts no arguments\n\nUsage:  corten ps [OPTIONS]\n\n\
                    Run 'corten ps --help' for more information";
        return Err(CliError::usage(text).code(1));
    }
    let format = match &args.format {
        Some(format) => Some(format.clone()).filter(|format| !format.is_empty()),
        None if args.quiet => None,
        None => context.settings.client().text("psFormat"),
    };
    let options = options(&args, format.as_deref())?;
    let engine = context.engine()?;
    let containers = list::select(&engine, &options)?;
    let now = Timestamp::now();
    if args.quiet {
        for container in &containers {
            context.ui.line(id(&container.record.id, args.no_trunc));
        }
        return Ok(0);
    }
    let shown = if format.is_none() { table_row } else { row };
    let rows: Vec<_> = containers.iter().map(|container| shown(container, args.no_trunc, now)).collect();
    let table = if args.size { format!("{TABLE}\t{{{{.Size}}}}") } else { TABLE.to_owned() };
    let raw = if args.size { format!("{RAW}size: {{{{.Size}}}}\n") } else { RAW.to_owned() };
    let format = format.map(|format| if format == "raw" { raw } else { format });
    let listing = Listing { headers: &HEADERS, table: &table, row_type: "*formatter.ContainerContext" };
    if let Some(format) = &format {
        listing.rehearse(format, &rows)?;
    }
    listing.print(&mut context.ui, format.as_deref(), rows)?;
    // The process ends here: of a thousand containers nothing is given back piece by piece.
    std::mem::forget(containers);
    Ok(0)
}

fn options(args: &PsArgs, format: Option<&str>) -> Result<ListOptions, CliError> {
    let mut chosen = Filters::default();
    for (key, value) in filters::split("corten ps", "-f, --filter", &args.filter)? {
        chosen.add(&key, &value)?;
    }
    let last = if args.latest { Some(1) } else { usize::try_from(args.last).ok().filter(|&last| last > 0) };
    // A template that shows the size asks for it.
    let shown =
        !args.quiet && format.is_some_and(|format| format.contains(".Size") || format.contains("json ."));
    Ok(ListOptions { all: args.all, last, filters: chosen, size: args.size || shown })
}

/// What a listing shows of a container.
pub(crate) fn row(container: &ListedContainer, no_trunc: bool, now: Timestamp) -> Row {
    let ListedContainer { record, state, .. } = container;
    let created = human::timestamp(record.created);
    let labels: Vec<String> = record.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let volumes =
        record.mounts.iter().filter(|mount| matches!(mount.source, MountKind::Volume { .. })).count();
    let mounts: Vec<String> = record.mounts.iter().filter_map(mount_name).collect();
    let mounts = mounts.iter().map(|name| if no_trunc { name.clone() } else { ellipsis(name, 15) });
    let platform = corten_spec::Platform::host();
    let mut row = table_row(container, no_trunc, now);
    row.append(&mut listing::row([
        ("CreatedAt", human::moment(Timestamp::from_second(created.as_second()).unwrap_or(created))),
        ("State", state.status.name().to_owned()),
        ("HealthStatus", container.health.map(HealthStatus::name).unwrap_or_default().to_owned()),
        ("Labels", labels.join(",")),
        ("Mounts", mounts.collect::<Vec<_>>().join(",")),
        ("LocalVolumes", volumes.to_string()),
        ("Networks", list::network_name(record).to_owned()),
        ("Platform", format!("{}/{}", platform.os, platform.architecture)),
    ]));
    let label = record.labels.iter().map(|(name, value)| (name.clone(), Value::String(value.clone())));
    row.insert("Label".to_owned(), Value::Object(label.collect()));
    row
}

/// What the table shows that nobody has asked for in a format of their own.
fn table_row(container: &ListedContainer, no_trunc: bool, now: Timestamp) -> Row {
    let ListedContainer { record, state, .. } = container;
    let command = command_line(&record.process.args());
    listing::row([
        ("ID", id(&record.id, no_trunc).to_owned()),
        ("Image", image(container, no_trunc)),
        ("Command", quote(&if no_trunc { command } else { ellipsis(&command, 20) })),
        ("RunningFor", human::since(human::timestamp(record.created), now)),
        ("Status", status(state, container.health, now)),
        // Exposed ports are shown where a network could publish them.
        ("Ports", String::new()),
        ("Names", record.name.clone()),
        ("Size", size(container)),
    ])
}

fn id(id: &str, no_trunc: bool) -> &str {
    if no_trunc { id } else { id.get(..12).unwrap_or(id) }
}

/// The reference that the container was created from, or the image's ID where that means something else now.
fn image(container: &ListedContainer, no_trunc: bool) -> String {
    let record = &container.record;
    if container.image_moved {
        return if no_trunc { record.image.to_string() } else { record.image.short().to_owned() };
    }
    let given = &record.spec.image;
    if no_trunc {
        return given.clone();
    }
    if given.strip_prefix("sha256:").unwrap_or(given).starts_with(record.image.short()) {
        return record.image.short().to_owned();
    }
    match Reference::parse_untagged(given) {
        // The digest is not shown.
        Ok(reference) => match reference.tag() {
            Some(tag) => format!("{}:{tag}", reference.familiar_name()),
            None => reference.familiar_name(),
        },
        Err(_) => given.clone(),
    }
}

/// docker's words for a state.
fn status(state: &ContainerState, health: Option<HealthStatus>, now: Timestamp) -> String {
    let finished = state.exit.map_or(now, |exit| human::timestamp(exit.finished));
    let code = state.exit.map_or(0, |exit| exit.code.unwrap_or(255));
    match state.status {
        Status::Created => "Created".to_owned(),
        Status::Running | Status::Paused => {
            let started = state.run.as_ref().map_or(now, |run| human::timestamp(run.started));
            let word = match health {
                _ if state.status == Status::Paused => " (Paused)".to_owned(),
                Some(HealthStatus::Starting) => " (health: starting)".to_owned(),
                Some(health) => format!(" ({})", health.name()),
                None => String::new(),
            };
            format!("Up {}{word}", human::duration(now.as_second() - started.as_second()))
        }
        Status::Restarting => format!("Restarting ({code}) {}", human::since(finished, now)),
        Status::Exited => format!("Exited ({code}) {}", human::since(finished, now)),
    }
}

fn size(container: &ListedContainer) -> String {
    match container.size {
        Some(size) if size.virtual_ > 0 => {
            format!("{} (virtual {})", human::size(size.own), human::size(size.virtual_))
        }
        _ => "0B".to_owned(),
    }
}

/// A volume's name, another mount's source; a tmpfs has neither.
fn mount_name(mount: &MountRecord) -> Option<String> {
    match &mount.source {
        MountKind::Volume { name, .. } => name.clone(),
        MountKind::Bind { .. } => Some(mount.path.to_string_lossy().into_owned()),
        MountKind::Image { reference, .. } => Some(reference.clone()),
        MountKind::Tmpfs { .. } => None,
    }
}

/// The command in one line, arguments with spaces in single quotes.
fn command_line(args: &[String]) -> String {
    let quoted = |(index, arg): (usize, &String)| {
        if index > 0 && arg.contains(' ') { format!("'{arg}'") } else { arg.clone() }
    };
    args.iter().enumerate().map(quoted).collect::<Vec<_>>().join(" ")
}

/// At most so many characters, the last one an ellipsis where some are missing.
fn ellipsis(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width - 1).chain(['…']).collect()
}

/// A Go string literal (strconv.Quote).
fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{b}' => quoted.push_str("\\v"),
            '\u{c}' => quoted.push_str("\\f"),
            c if c.is_ascii_control() => quoted.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use corten_monitor::exits::ExitRecord;
    use corten_monitor::state::RunState;
    use corten_sys::process::Identity;

    #[test]
    fn commands() {
        let words =
            |words: &[&str]| command_line(&words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>());
        assert_eq!(words(&["sh", "-c", "sleep 1"]), "sh -c 'sleep 1'");
        assert_eq!(words(&["/a b"]), "/a b");
        assert_eq!(ellipsis("12345678901234567890", 20), "12345678901234567890");
        assert_eq!(ellipsis("123456789012345678901", 20), "1234567890123456789…");
        assert_eq!(quote("a\"b\\\n\u{1}é\u{85}"), "\"a\\\"b\\\\\\n\\x01é\\u0085\"");
    }

    #[test]
    fn states_in_dockers_words() {
        let now = Timestamp::from_second(1000).unwrap();
        let nanos = |seconds: i64| seconds * 1_000_000_000;
        let identity = Identity { pid: 1, start: 1 };
        let state = |status, code| ContainerState {
            status,
            run: Some(RunState {
                init: identity,
                keeper: identity,
                generation: 1,
                started: nanos(995),
                restarting: false,
                restarts: 0,
                backoff_ms: 0,
            }),
            exit: Some(ExitRecord { generation: 1, code, finished: nanos(820), ..ExitRecord::default() }),
        };
        let cases = [
            (state(Status::Created, None), "Created"),
            (state(Status::Running, Some(1)), "Up 5 seconds"),
            (state(Status::Paused, Some(1)), "Up 5 seconds (Paused)"),
            (state(Status::Exited, Some(137)), "Exited (137) 3 minutes ago"),
            (state(Status::Exited, None), "Exited (255) 3 minutes ago"),
            (state(Status::Restarting, Some(1)), "Restarting (1) 3 minutes ago"),
        ];
        for (state, expected) in cases {
            assert_eq!(status(&state, None, now), expected);
        }
        let health = |health| status(&state(Status::Running, None), Some(health), now);
        assert_eq!(health(HealthStatus::Starting), "Up 5 seconds (health: starting)");
        assert_eq!(health(HealthStatus::Unhealthy), "Up 5 seconds (unhealthy)");
    }
}
