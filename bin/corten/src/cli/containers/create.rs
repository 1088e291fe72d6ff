//! `corten create`: a container that is not started yet.

use std::ffi::OsString;

use clap::Args;
use corten_engine::containers;

use super::run::CidFile;
use crate::cli::flags::{self, ContainerFlags};
use crate::cli::{CliError, Context};

#[derive(Debug, Args)]
struct CreateArgs {
    #[command(flatten)]
    container: ContainerFlags,
}

pub(crate) fn run(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    let args: CreateArgs = flags::parse("corten create", "Create a new container", arguments)?;
    let engine = context.engine()?;
    let spec = flags::to_spec(&engine, &context.settings, &args.container).map_err(|error| error.code(1))?;
    let cidfile =
        CidFile::reserve(context, args.container.cidfile.as_deref()).map_err(|error| error.code(1))?;
    let record = containers::create(&engine, spec)?;
    containers::make_durable(&engine, &record)?;
    cidfile.write(&record.id)?;
    context.ui.line(&record.id);
    Ok(0)
}
