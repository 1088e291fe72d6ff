//! `corten top`.

use std::ffi::OsString;

use clap::Args;
use corten_engine::containers;
use jiff::tz::TimeZone;

use crate::cli::flags::{self, Arity};
use crate::cli::{CliError, Context, human};

const NAME: &str = "corten top";
const SYNOPSIS: &str = "CONTAINER [ps OPTIONS]";

#[derive(Debug, Args)]
#[command(override_usage = "corten top CONTAINER [ps OPTIONS]")]
struct TopArgs {
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

/// The least width of a column, as docker sets its tabwriter.
const LEAST: usize = 20;

pub(crate) fn run(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    let args: TopArgs = flags::parse(NAME, "Display the running processes of a container", arguments)?;
    flags::check_count(NAME, SYNOPSIS, Arity::AtLeast(1), &args.words)?;
    let [name, options @ ..] = args.words.as_slice() else { return Err(CliError::silent(1)) };
    let engine = context.engine()?;
    let record = containers::find(&engine, name)?;
    let table = containers::top(&engine, &record, options, &TimeZone::system())?;
    let titles = (!table.titles.is_empty()).then_some(&table.titles);
    let mut lines = String::new();
    for row in titles.into_iter().chain(&table.processes) {
        lines.push_str(&row.join("\t"));
        lines.push('\n');
    }
    context.ui.raw(human::align_wide(&lines, LEAST).as_bytes());
    Ok(0)
}
