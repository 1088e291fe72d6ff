//! `corten check`.

use std::ffi::OsString;

use clap::Args;
use corten_engine::check::{self, CheckOptions, Outcome};

use crate::cli::flags::{self, Arity};
use crate::cli::{CliError, Context};

const NAME: &str = "corten check";
const ABOUT: &str =
    "Check every record, layer and blob of the store. Fails where something is wrong and was not repaired";

#[derive(Debug, Args)]
#[command(override_usage = "corten check [OPTIONS]")]
struct CheckArgs {
    /// Look at the records only: no layer and no blob is read
    #[arg(long)]
    quick: bool,
    /// Remove what is damaged and can be loaded or pulled again; containers and volumes are never touched
    #[arg(long)]
    repair: bool,
    #[arg(hide = true)]
    words: Vec<String>,
}

pub(crate) fn run(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    let args: CheckArgs = flags::parse(NAME, ABOUT, arguments)?;
    flags::check_count(NAME, "[OPTIONS]", Arity::None, &args.words)?;
    let options = CheckOptions { quick: args.quick, repair: args.repair };
    let report = check::check(&context.engine()?, options)?;
    let mut left = 0;
    for problem in &report.problems {
        let outcome = match &problem.outcome {
            Outcome::Repaired(how) => format!("repaired: {how}"),
            Outcome::Repairable => "corten check --repair removes it".to_owned(),
            Outcome::Left(what) => what.clone(),
        };
        left += usize::from(!matches!(problem.outcome, Outcome::Repaired(_)));
        // The store's errors name their object themselves.
        let reason = problem.reason.strip_prefix(&format!("{} ", problem.object)).unwrap_or(&problem.reason);
        context.ui.line(format!("{}: {reason}; {outcome}", problem.object));
    }
    let counts = [
        (report.images, "image"),
        (report.layers, "layer"),
        (report.blobs, "blob"),
        (report.containers, "container"),
        (report.volumes, "volume"),
    ];
    let counted = counts.map(|(count, what)| counted(count, what)).join(", ");
    context.ui.line(format!("Checked {counted}: {}", counted_problems(report.problems.len(), left)));
    Ok(u8::from(left > 0))
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn counted_problems(found: usize, left: usize) -> String {
    match (found, left) {
        (0, _) => "no problem found".to_owned(),
        (found, 0) => format!("{} repaired", counted(found, "problem")),
        (found, left) if found == left => format!("{} found", counted(found, "problem")),
        (found, left) => format!("{} found, {left} left", counted(found, "problem")),
    }
}
