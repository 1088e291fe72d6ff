//! `corten diff`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use clap::Args;
use corten_engine::containers::{self, ChangeKind};

use crate::cli::flags::{self, Arity};
use crate::cli::{CliError, Context};

const NAME: &str = "corten diff";

#[derive(Debug, Args)]
#[command(override_usage = "corten diff CONTAINER")]
struct DiffArgs {
    #[arg(hide = true)]
    words: Vec<String>,
}

pub(crate) fn run(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    let about = "Inspect changes to files or directories on a container's filesystem";
    let args: DiffArgs = flags::parse(NAME, about, arguments)?;
    flags::check_count(NAME, "CONTAINER", Arity::Exactly(1), &args.words)?;
    let engine = context.engine()?;
    let name = args.words.first().map(String::as_str).unwrap_or_default();
    for change in containers::changes(&engine, &containers::find(&engine, name)?)? {
        let letter: &[u8] = match change.kind {
            ChangeKind::Changed => b"C ",
            ChangeKind::Added => b"A ",
            ChangeKind::Deleted => b"D ",
        };
        // The bytes of the name: it need not be text.
        context.ui.raw(&[letter, change.path.as_os_str().as_bytes(), b"\n"].concat());
    }
    Ok(0)
}
