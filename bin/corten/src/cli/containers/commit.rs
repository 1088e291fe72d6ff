//! `corten commit`.

use std::ffi::OsString;

use clap::{ArgAction, Args};
use corten_engine::containers::{self, CommitOptions};
use corten_spec::Reference;

use crate::cli::flags::{self, Arity};
use crate::cli::{CliError, Context};

const NAME: &str = "corten commit";

#[derive(Debug, Args)]
#[command(override_usage = "corten commit [OPTIONS] CONTAINER [REPOSITORY[:TAG]]")]
struct CommitArgs {
    // Not a doc comment: rustdoc takes docker's words for HTML.
    #[arg(
        help = "Author (e.g., \"John Hannibal Smith <hannibal@a-team.com>\")",
        short,
        long,
        value_name = "string"
    )]
    author: Option<String>,
    /// Apply Dockerfile instruction to the created image
    #[arg(short, long, value_name = "list")]
    change: Vec<String>,
    /// Commit message
    #[arg(short, long, value_name = "string")]
    message: Option<String>,
    /// Pause container during commit (default true)
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set, default_value_t = true, hide_default_value = true, hide_possible_values = true, value_name = "bool")]
    pause: bool,
    /// Do not pause container during commit
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set, default_value_t = false, hide_default_value = true, hide_possible_values = true, value_name = "bool")]
    no_pause: bool,
    #[arg(hide = true)]
    words: Vec<String>,
}

pub(crate) fn run(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    let about = "Create a new image from a container's changes";
    let args: CommitArgs = flags::parse(NAME, about, arguments)?;
    let synopsis = "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]";
    flags::check_count(NAME, synopsis, Arity::Between(1, 2), &args.words)?;
    let mut words = args.words.into_iter();
    let container = words.next().unwrap_or_default();
    let reference = words.next().filter(|text| !text.is_empty()).map(|text| Reference::parse(&text));
    let reference = reference.transpose().map_err(CliError::daemon)?;
    if reference.as_ref().is_some_and(|reference| reference.digest().is_some()) {
        return Err(CliError::bare("refusing to create a tag with a digest reference", 1));
    }
    let engine = context.engine()?;
    let record = containers::find(&engine, &container)?;
    let options = CommitOptions {
        author: args.author.unwrap_or_default(),
        message: args.message.unwrap_or_default(),
        changes: args.change,
        pause: args.pause && !args.no_pause,
        reference,
    };
    let id = containers::commit(&engine, &record, &options)?;
    context.ui.line(id.to_string());
    Ok(0)
}
