//! `corten volume prune`.

use std::ffi::OsString;

use clap::{ArgAction, Args};
use corten_engine::volumes::{self, PruneFilters};
use corten_sys::clock;

use crate::cli::flags::{self, Arity};
use crate::cli::{CliError, Context, filters, human, pruning};

const NAME: &str = "corten volume prune";

#[derive(Debug, Args)]
#[command(override_usage = "corten volume prune [OPTIONS]")]
struct PruneArgs {
    /// Remove all unused volumes, not just anonymous ones
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set, default_value_t = false, hide_default_value = true, hide_possible_values = true, value_name = "bool")]
    all: bool,
    // Not a doc comment: rustdoc takes docker's words for HTML.
    #[arg(help = "Provide filter values (e.g. \"label=<label>\")", long, value_name = "filter")]
    filter: Vec<String>,
    /// Do not prompt for confirmation
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set, default_value_t = false, hide_default_value = true, hide_possible_values = true, value_name = "bool")]
    force: bool,
    #[arg(hide = true)]
    words: Vec<String>,
}

const ANONYMOUS: &str =
    "WARNING! This will remove anonymous local volumes not used by at least one container.";
const ALL: &str = "WARNING! This will remove all local volumes not used by at least one container.";

pub(crate) fn run(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    let args: PruneArgs = flags::parse(NAME, "Remove unused local volumes", arguments)?;
    flags::check_count(NAME, "[OPTIONS]", Arity::None, &args.words)?;
    let given = filters::split(NAME, "--filter", &args.filter)?;
    if args.all && given.iter().any(|(key, _)| key == "all") {
        let text = "conflicting options: cannot specify both --all and --filter all=1";
        return Err(CliError::bare(text, 1));
    }
    if !args.force && !pruning::confirmed(context, if args.all { ALL } else { ANONYMOUS }) {
        return Ok(0);
    }
    let configured = filters::split(NAME, "--filter", &context.settings.client().list("pruneFilters"))?;
    let filters = read(args.all, given, &configured)?;
    let pruned = volumes::prune(&context.engine()?, &filters)?;
    pruning::show(context, "Deleted Volumes:", pruned.volumes);
    context.ui.line(format!("Total reclaimed space: {}", human::size(pruned.reclaimed)));
    Ok(0)
}

/// `all=true` is `--all`; of the filters of every prune a volume has the labels.
fn read(
    mut all: bool,
    given: Vec<(String, String)>,
    configured: &[(String, String)],
) -> Result<PruneFilters, CliError> {
    let mut others = Vec::new();
    for (key, value) in given {
        match (key.as_str(), value.as_str()) {
            ("all", "1" | "true") => all = true,
            ("all", "0" | "false") => {}
            ("all", _) => return Err(CliError::daemon(format!("invalid filter 'all=[{value}]'"))),
            _ => others.push((key, value)),
        }
    }
    let read = pruning::read(&others, configured, clock::wall_nanos())?;
    if read.until.is_some() {
        return Err(CliError::daemon("invalid filter 'until'"));
    }
    Ok(PruneFilters { all, labels: read.labels, without: read.without })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters() {
        let read = |all, pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
            read(all, pairs, &[])
        };
        let label = |name: &str, value: Option<&str>| vec![(name.to_owned(), value.map(str::to_owned))];
        assert_eq!(read(false, &[]).unwrap(), PruneFilters::default());
        assert!(read(true, &[]).unwrap().all && read(false, &[("all", "1")]).unwrap().all);
        assert!(!read(false, &[("all", "false")]).unwrap().all);
        let expected = PruneFilters { all: false, labels: label("a", None), without: label("b", Some("c")) };
        assert_eq!(read(false, &[("label", "a"), ("label!", "b=c")]).unwrap(), expected);
        for wrong in [("all", "maybe"), ("until", "1h"), ("nope", "1")] {
            assert!(read(false, &[wrong]).is_err(), "{wrong:?}");
        }
    }
}
