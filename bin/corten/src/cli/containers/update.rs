//! `corten update`.

use std::ffi::OsString;

use corten_engine::containers;

use super::targets;
use crate::cli::flags::{self, Arity};
use crate::cli::{CliError, Context};

pub(crate) fn run(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    let given = arguments.len();
    let (options, names) = flags::update::parse(arguments)?;
    flags::check_count(flags::update::NAME, flags::update::SYNOPSIS, Arity::AtLeast(1), &names)?;
    if names.len() == given {
        return Err(CliError::bare("you must provide one or more flags when using this command", 1));
    }
    targets::each(context, &names, |_, engine, record| {
        containers::update(engine, record, &options)?;
        Ok(None)
    })
}
