//! `corten tag`: gives an image another name.

use std::ffi::OsString;

use clap::Args;
use corten_engine::images;

use crate::cli::flags::{self, Arity};
use crate::cli::{CliError, Context};

const NAME: &str = "corten tag";

#[derive(Debug, Args)]
#[command(override_usage = "corten tag SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]")]
struct TagArgs {
    #[arg(hide = true)]
    words: Vec<String>,
}

pub(crate) fn run(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    let about = "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE";
    let args: TagArgs = flags::parse(NAME, about, arguments)?;
    flags::check_count(NAME, "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]", Arity::Exactly(2), &args.words)?;
    if let [source, target] = args.words.as_slice() {
        images::tag(&context.engine()?, source, target)?;
    }
    Ok(0)
}
