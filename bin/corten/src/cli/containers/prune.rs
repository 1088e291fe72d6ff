//! `corten container prune`.

use std::ffi::OsString;

use clap::{ArgAction, Args};
use corten_engine::containers;
use corten_sys::clock;

use crate::cli::flags::{self, Arity};
use crate::cli::{CliError, Context, filters, human, pruning};

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

const WARNING: &str = "WARNING! This will remove all stopped containers.";

pub(crate) fn run(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    let args: PruneArgs = flags::parse(NAME, "Remove all stopped containers", arguments)?;
    flags::check_count(NAME, "[OPTIONS]", Arity::None, &args.words)?;
    let given = filters::split(NAME, "--filter", &args.filter)?;
    if !args.force && !pruning::confirmed(context, WARNING) {
        return Ok(0);
    }
    let configured = context.settings.client().list("pruneFilters");
    let configured = filters::split(NAME, "--filter", &configured)?;
    let filters = pruning::read(&given, &configured, clock::wall_nanos())?;
    let pruned = containers::prune(&context.engine()?, &filters)?;
    pruning::show(context, "Deleted Containers:", pruned.containers);
    context.ui.line(format!("Total reclaimed space: {}", human::size(pruned.reclaimed)));
    Ok(0)
}
