//! `corten rename`.

use std::ffi::OsString;

use clap::Args;
use corten_engine::containers;

use crate::cli::flags::{self, Arity};
use crate::cli::{CliError, Context};

const NAME: &str = "corten rename";
const SYNOPSIS: &str = "CONTAINER NEW_NAME";

#[derive(Debug, Args)]
#[command(override_usage = "corten rename CONTAINER NEW_NAME")]
struct RenameArgs {
    #[arg(hide = true)]
    words: Vec<String>,
}

pub(crate) fn run(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    let args: RenameArgs = flags::parse(NAME, "Rename a container", arguments)?;
    flags::check_count(NAME, SYNOPSIS, Arity::Exactly(2), &args.words)?;
    let [old, new] = args.words.as_slice() else { return Err(CliError::silent(1)) };
    let (old, new) = (old.trim(), new.trim());
    if old.is_empty() || new.is_empty() {
        return Err(CliError::bare("Error: Neither old nor new names may be empty", 1));
    }
    let engine = context.engine()?;
    let renamed = containers::find(&engine, old).and_then(|record| containers::rename(&engine, &record, new));
    match renamed {
        Ok(()) => Ok(0),
        Err(error) => {
            CliError::from(error).report(&mut context.ui);
            Err(CliError::bare(format!("Error: failed to rename container named {old}"), 1))
        }
    }
}
