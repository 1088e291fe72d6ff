//! `corten import`: a root file system as a tar becomes an image.

use std::ffi::OsString;
use std::io::Read;

use clap::Args;
use corten_engine::images::{self, ImportOptions};
use corten_spec::Reference;
use corten_sys::fs;

use crate::cli::flags::{self, Arity};
use crate::cli::{CliError, Context};

const NAME: &str = "corten import";

#[derive(Debug, Args)]
#[command(override_usage = "corten import [OPTIONS] file|- [REPOSITORY[:TAG]]")]
struct ImportArgs {
    /// Apply Dockerfile instruction to the created image
    #[arg(short, long, value_name = "list")]
    change: Vec<String>,
    /// Set commit message for imported image
    #[arg(short, long, value_name = "string")]
    message: Option<String>,
    /// Set the platform of the image (os/architecture) instead of this machine's
    #[arg(long, value_name = "string")]
    platform: Option<String>,
    #[arg(hide = true)]
    words: Vec<String>,
}

pub(crate) fn run(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    let about = "Import the contents from a tarball to create a filesystem image";
    let args: ImportArgs = flags::parse(NAME, about, arguments)?;
    flags::check_count(NAME, "[OPTIONS] file|- [REPOSITORY[:TAG]]", Arity::Between(1, 2), &args.words)?;
    let mut words = args.words.into_iter();
    let source = words.next().unwrap_or_default();
    if ["http://", "https://"].iter().any(|scheme| source.starts_with(scheme)) {
        let text = format!(
            "import {source}: fetching from a URL is not supported: download it, or pipe it into `{NAME} -`"
        );
        return Err(CliError::bare(text, 1));
    }
    let reference = words.next().filter(|reference| !reference.is_empty());
    if let Some(text) = &reference {
        Reference::parse(text).map_err(CliError::plain)?;
    }
    let engine = context.engine()?;
    let mut input: Box<dyn Read + Send> = match source.as_str() {
        "-" => Box::new(std::io::stdin()),
        path => Box::new(fs::open(context.settings.directory.join(path)).map_err(CliError::plain)?),
    };
    let options = ImportOptions {
        changes: args.change,
        // docker's words, whatever the source.
        message: args
            .message
            .filter(|message| !message.is_empty())
            .unwrap_or_else(|| "Imported from -".to_owned()),
        platform: args.platform.or_else(|| context.settings.platform.clone()),
        reference,
    };
    let id = images::import(&engine, &mut *input, &options)?;
    context.ui.line(id.to_string());
    Ok(0)
}
