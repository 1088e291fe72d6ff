//! `corten create`: a container that is not started yet.

use std::ffi::OsString;

use corten_engine::containers;

use super::run::{CidFile, note_about_boots};
use crate::cli::flags::table::{self, Usage};
use crate::cli::flags::{self, ContainerFlags};
use crate::cli::{CliError, Context};

const USAGE: Usage = Usage {
    name: "corten create",
    synopsis: "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    about: "Create a new container",
};

pub(crate) fn run(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    let (mut args, words): (ContainerFlags, _) =
        table::parse(&USAGE, &[flags::CONTAINER, flags::LACKING], arguments)?;
    args.words = words;
    let engine = context.engine()?;
    let spec = flags::to_spec(&engine, &context.settings, &args).map_err(|error| error.code(1))?;
    note_about_boots(context, &spec);
    let cidfile = CidFile::reserve(context, args.cidfile.as_deref()).map_err(|error| error.code(1))?;
    let record = containers::create(&engine, spec)?;
    containers::make_durable(&engine, &record).inspect_err(|_| containers::forget(&engine, &record))?;
    cidfile.write(&engine, &record)?;
    context.ui.line(&record.id);
    Ok(0)
}
