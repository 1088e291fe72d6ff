//! `corten system prune`.

use std::ffi::OsString;

use clap::{ArgAction, Args};
use corten_engine::{Engine, containers, images, undo, volumes};
use corten_sys::clock;

use crate::cli::flags::{self, Arity};
use crate::cli::{CliError, Context, filters, human, pruning};

const NAME: &str = "corten system prune";

#[derive(Debug, Args)]
#[command(override_usage = "corten system prune [OPTIONS]")]
struct PruneArgs {
    /// Remove all unused images not just dangling ones
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set, default_value_t = false, hide_default_value = true, hide_possible_values = true, value_name = "bool")]
    all: bool,
    // Not a doc comment: rustdoc takes docker's words for HTML.
    #[arg(help = "Provide filter values (e.g. \"label=<key>=<value>\")", long, value_name = "filter")]
    filter: Vec<String>,
    /// Do not prompt for confirmation
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set, default_value_t = false, hide_default_value = true, hide_possible_values = true, value_name = "bool")]
    force: bool,
    /// Prune anonymous volumes
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set, default_value_t = false, hide_default_value = true, hide_possible_values = true, value_name = "bool")]
    volumes: bool,
    #[arg(hide = true)]
    words: Vec<String>,
}

pub(crate) fn run(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    let args: PruneArgs = flags::parse(NAME, "Remove unused data", arguments)?;
    flags::check_count(NAME, "[OPTIONS]", Arity::None, &args.words)?;
    let given = filters::split(NAME, "--filter", &args.filter)?;
    if args.volumes && given.iter().any(|(key, _)| key == "until") {
        return Err(CliError::bare("ERROR: The \"until\" filter is not supported with \"--volumes\"", 1));
    }
    let configured = filters::split(NAME, "--filter", &context.settings.client().list("pruneFilters"))?;
    let filters = pruning::read(&given, &configured, clock::wall_nanos())?;
    if !args.force && !pruning::confirmed(context, &warning(&args, &given)) {
        return Ok(0);
    }
    let engine = context.engine()?;
    let reclaimed = prune(context, &engine, &args, filters)?;
    context.ui.line(format!("Total reclaimed space: {}", human::size(reclaimed)));
    Ok(0)
}

/// docker's list of what goes, and what corten keeps beside it.
fn warning(args: &PruneArgs, filters: &[(String, String)]) -> String {
    let mut text = "WARNING! This will remove:\n  - all stopped containers\n".to_owned();
    if args.volumes {
        text.push_str("  - all anonymous volumes not used by at least one container\n");
    }
    text.push_str(if args.all {
        "  - all images without at least one container associated to them\n"
    } else {
        "  - all dangling images\n"
    });
    text.push_str("  - everything that undo could bring back\n");
    if !filters.is_empty() {
        text.push_str("\n  Items to be pruned will be filtered with:\n");
        for (key, value) in filters {
            text.push_str(&format!("  - {key}={value}\n"));
        }
    }
    text
}

/// Containers first: what only they needed goes after them.
fn prune(
    context: &mut Context,
    engine: &Engine,
    args: &PruneArgs,
    filters: containers::PruneFilters,
) -> Result<u64, CliError> {
    let mut reclaimed = undo::clear(engine, None)?;
    let pruned = containers::prune(engine, &filters)?;
    pruning::show(context, "Deleted Containers:", pruned.containers);
    reclaimed += pruned.reclaimed;
    let containers::PruneFilters { until, labels, without } = filters;
    if args.volumes {
        let (labels, without) = (labels.clone(), without.clone());
        let pruned = volumes::prune(engine, &volumes::PruneFilters { all: false, labels, without })?;
        pruning::show(context, "Deleted Volumes:", pruned.volumes);
        reclaimed += pruned.reclaimed;
    }
    let pruned =
        images::prune(engine, &images::PruneFilters { dangling_only: !args.all, until, labels, without })?;
    pruning::show_images(context, &pruned.removals);
    undo::tidy(engine)?;
    Ok(reclaimed + pruned.reclaimed)
}
