//! `corten image prune`.

use std::ffi::OsString;

use clap::{ArgAction, Args};
use corten_engine::images::{self, PruneFilters};
use corten_sys::clock;

use crate::cli::flags::{self, Arity};
use crate::cli::{CliError, Context, filters, human, pruning};

const NAME: &str = "corten image prune";

#[derive(Debug, Args)]
#[command(override_usage = "corten image prune [OPTIONS]")]
struct PruneArgs {
    /// Remove all unused images, not just dangling ones
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set, default_value_t = false, hide_default_value = true, hide_possible_values = true, value_name = "bool")]
    all: bool,
    // Not a doc comment: rustdoc takes docker's words for HTML.
    #[arg(help = "Provide filter values (e.g. \"until=<timestamp>\")", long, value_name = "filter")]
    filter: Vec<String>,
    /// Do not prompt for confirmation
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set, default_value_t = false, hide_default_value = true, hide_possible_values = true, value_name = "bool")]
    force: bool,
    #[arg(hide = true)]
    words: Vec<String>,
}

const DANGLING: &str = "WARNING! This will remove all dangling images.";
const ALL: &str = "WARNING! This will remove all images without at least one container associated to them.";

pub(crate) fn run(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    let args: PruneArgs = flags::parse(NAME, "Remove unused images", arguments)?;
    flags::check_count(NAME, "[OPTIONS]", Arity::None, &args.words)?;
    let given = filters::split(NAME, "--filter", &args.filter)?;
    if !args.force && !pruning::confirmed(context, if args.all { ALL } else { DANGLING }) {
        return Ok(0);
    }
    let configured = filters::split(NAME, "--filter", &context.settings.client().list("pruneFilters"))?;
    let filters = read(args.all, given, &configured)?;
    let pruned = images::prune(&context.engine()?, &filters)?;
    pruning::show_images(context, &pruned.removals);
    context.ui.line(format!("Total reclaimed space: {}", human::size(pruned.reclaimed)));
    Ok(0)
}

/// `dangling=false` is `--all`; the other filters are those of every prune.
fn read(
    all: bool,
    given: Vec<(String, String)>,
    configured: &[(String, String)],
) -> Result<PruneFilters, CliError> {
    let (dangling, others): (Vec<_>, Vec<_>) = given.into_iter().partition(|(key, _)| key == "dangling");
    let mut dangling_only = !all;
    for (_, value) in &dangling {
        dangling_only &= match value.as_str() {
            "true" | "1" => true,
            "false" | "0" => false,
            other => return Err(CliError::daemon(format!("invalid filter 'dangling=[{other}]'"))),
        };
    }
    let filters = pruning::read(&others, configured, clock::wall_nanos())?;
    let (until, labels, without) = (filters.until, filters.labels, filters.without);
    Ok(PruneFilters { dangling_only, until, labels, without })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_are_meant() {
        let check = |all: bool, filters: &[&str], expected: Option<bool>| {
            let filters: Vec<String> = filters.iter().map(|&text| text.to_owned()).collect();
            let read = read(all, filters::split(NAME, "--filter", &filters).unwrap(), &[]);
            assert_eq!(read.ok().map(|filters| filters.dangling_only), expected, "{all} {filters:?}");
        };
        check(false, &[], Some(true));
        check(true, &[], Some(false));
        check(false, &["dangling=false"], Some(false));
        check(false, &["dangling=1", "label=a"], Some(true));
        check(false, &["dangling=x"], None);
        check(false, &["before=x"], None);
    }
}
