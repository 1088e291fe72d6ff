//! `corten container prune`.

use std::ffi::OsString;
use std::io::BufRead;

use clap::{ArgAction, Args};
use corten_engine::containers::{self, PruneFilters};
use corten_sys::clock;

use crate::cli::flags::{self, Arity};
use crate::cli::{CliError, Context, human, moment};

const NAME: &str = "corten container prune";

#[derive(Debug, Args)]
#[command(override_usage = "corten container prune [OPTIONS]")]
struct PruneArgs {
    // Not a doc comment: rustdoc takes docker's words for HTML.
    #[arg(help = "Provide filter values (e.g. \"until=<timestamp>\")", long, value_name = "filter")]
    filter: Vec<String>,
    /// Do not prompt for confirmation
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set, default_value_t = false, hide_default_value = true, hide_possible_values = true, value_name = "bool")]
    force: bool,
    #[arg(hide = true)]
    words: Vec<String>,
}

const WARNING: &str =
    "WARNING! This will remove all stopped containers.\nAre you sure you want to continue? [y/N] ";

pub(crate) fn run(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    let args: PruneArgs = flags::parse(NAME, "Remove all stopped containers", arguments)?;
    flags::check_count(NAME, "[OPTIONS]", Arity::None, &args.words)?;
    let given = split(&args.filter)?;
    if !args.force && !confirmed(context) {
        return Ok(0);
    }
    let configured = context.settings.client_list("pruneFilters");
    let filters = read(&given, &split(&configured)?, clock::wall_nanos())?;
    let pruned = containers::prune(&context.engine()?, &filters)?;
    if !pruned.containers.is_empty() {
        context.ui.line("Deleted Containers:");
        for id in &pruned.containers {
            context.ui.line(id);
        }
        context.ui.line("");
    }
    context.ui.line(format!("Total reclaimed space: {}", human::size(pruned.reclaimed)));
    Ok(0)
}

/// Asks; anything but a `y` means no, and so does the end of the input.
fn confirmed(context: &mut Context) -> bool {
    context.ui.raw(WARNING.as_bytes());
    context.ui.flush();
    let mut answer = String::new();
    // What cannot be read is no consent.
    std::io::stdin().lock().read_line(&mut answer).is_ok() && answer.trim().eq_ignore_ascii_case("y")
}

/// `key=value`s; the key of `label!=x` is `label!`.
fn split(filters: &[String]) -> Result<Vec<(String, String)>, CliError> {
    let one = |text: &String| match text.split_once('=') {
        Some((key, value)) => Ok((key.trim().to_lowercase(), value.trim().to_owned())),
        None => Err(CliError::usage(format!(
            "invalid argument \"{text}\" for \"--filter\" flag: bad format of filter (expected name=value)\n\n\
             Usage:  {NAME} [OPTIONS]\n\nRun '{NAME} --help' for more information"
        ))),
    };
    filters.iter().map(one).collect()
}

/// The user's filters, and those of docker's client configuration that the user has not overruled: one is overruled by
/// its opposite.
fn read(
    given: &[(String, String)],
    configured: &[(String, String)],
    now: i64,
) -> Result<PruneFilters, CliError> {
    let overruled = |(key, value): &&(String, String)| {
        let opposite = match key.as_str() {
            "label" => "label!",
            "label!" => "label",
            _ => return given.iter().any(|(other, _)| other == key),
        };
        given.iter().any(|(other, text)| other == opposite && text == value)
    };
    let mut filters = PruneFilters::default();
    for (key, value) in given.iter().chain(configured.iter().filter(|filter| !overruled(filter))) {
        let label = || match value.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (value.clone(), None),
        };
        match key.as_str() {
            "label" => filters.labels.push(label()),
            "label!" => filters.without.push(label()),
            "until" if filters.until.is_some() => {
                return Err(CliError::daemon("more than one until filter specified"));
            }
            "until" => filters.until = Some(moment::parse(value, now).map_err(CliError::daemon)?),
            _ => return Err(CliError::daemon(format!("invalid filter '{key}'"))),
        }
    }
    Ok(filters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters() {
        let pairs =
            |list: &[&str]| split(&list.iter().map(|&text| text.to_owned()).collect::<Vec<_>>()).unwrap();
        let read =
            |given: &[&str], configured: &[&str]| read(&pairs(given), &pairs(configured), 3_600_000_000_000);
        let label = |name: &str, value: Option<&str>| (name.to_owned(), value.map(str::to_owned));
        assert_eq!(
            read(&["until=1h", "label=a", "label!=b=c"], &[]).unwrap(),
            PruneFilters {
                until: Some(0),
                labels: vec![label("a", None)],
                without: vec![label("b", Some("c"))],
            }
        );
        let filters = read(&["label=a"], &["label!=a", "label!=x"]).unwrap();
        assert_eq!((filters.labels, filters.without), (vec![label("a", None)], vec![label("x", None)]));
        for wrong in [&["nope=1"][..], &["until=nope"], &["until=1h", "until=2h"]] {
            assert!(read(wrong, &[]).is_err(), "{wrong:?}");
        }
        assert!(split(&["x".to_owned()]).is_err());
    }
}
