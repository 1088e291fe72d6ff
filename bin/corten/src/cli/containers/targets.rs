//! Commands with several targets: try all, print the successes, report all failures, exit non-zero.

use corten_engine::Engine;
use corten_engine::containers::{self, ContainerRecord};

use crate::cli::{CliError, Context};

/// Does `act` on each named container and prints the name it was given where that worked, or what `act` returns;
/// an empty text is not printed.
pub(super) fn each(
    context: &mut Context,
    names: &[String],
    mut act: impl FnMut(&mut Context, &Engine, &ContainerRecord) -> Result<Option<String>, CliError>,
) -> Result<u8, CliError> {
    each_name(context, names, |context, engine, name| act(context, engine, &containers::find(engine, name)?))
}

/// As [`each`] for what is done by name, because there may be no container of that name any more.
pub(super) fn each_name(
    context: &mut Context,
    names: &[String],
    mut act: impl FnMut(&mut Context, &Engine, &str) -> Result<Option<String>, CliError>,
) -> Result<u8, CliError> {
    let engine = context.engine()?;
    let mut failed = false;
    for name in names {
        match act(context, &engine, name) {
            Ok(None) => context.ui.line(name),
            Ok(Some(text)) if text.is_empty() => {}
            Ok(Some(text)) => context.ui.line(text),
            Err(error) => {
                failed = true;
                error.report(&mut context.ui);
            }
        }
    }
    Ok(u8::from(failed))
}

/// docker's complaint about missing names.
pub(super) fn require(names: &[String], command: &str) -> Result<(), CliError> {
    if !names.is_empty() {
        return Ok(());
    }
    let text = format!(
        "corten: '{command}' requires at least 1 argument\n\nUsage:  {command} [OPTIONS] CONTAINER [CONTAINER...]\n\n\
         See '{command} --help' for more information"
    );
    Err(CliError::usage(text).code(1))
}
