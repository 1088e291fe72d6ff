//! `corten volume create`.

use std::ffi::OsString;

use clap::Args;
use corten_engine::volumes::{self, VolumeOptions};

use crate::cli::flags::{self, Arity};
use crate::cli::{CliError, Context};

const NAME: &str = "corten volume create";

#[derive(Debug, Args)]
#[command(override_usage = "corten volume create [OPTIONS] [VOLUME]")]
struct CreateArgs {
    /// Specify volume driver name: only "local" is there
    #[arg(short, long, value_name = "string", default_value = "local")]
    driver: String,
    /// Set metadata for a volume
    #[arg(long, value_name = "list")]
    label: Vec<String>,
    /// Set driver specific options: none is supported yet
    #[arg(short, long, value_name = "map")]
    opt: Vec<String>,
    /// Specify volume name
    #[arg(long, value_name = "string", hide = true)]
    name: Option<String>,
    #[arg(hide = true)]
    words: Vec<String>,
}

pub(crate) fn run(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    let args: CreateArgs = flags::parse(NAME, "Create a volume", arguments)?;
    flags::check_count(NAME, "[OPTIONS] [VOLUME]", Arity::AtMost(1), &args.words)?;
    let word = args.words.into_iter().next();
    if args.name.is_some() && word.is_some() {
        let text =
            "conflicting options: cannot specify a volume-name through both --name and as a positional arg";
        return Err(CliError::bare(text, 1));
    }
    let name = args.name.or(word).filter(|name| !name.is_empty());
    let anonymous = name.is_none();
    let name = name.map_or_else(volumes::random_name, Ok)?;
    if args.driver != "local" {
        let driver = args.driver;
        let text =
            format!("create {name}: error looking up volume plugin {driver}: plugin \"{driver}\" not found");
        return Err(CliError::daemon(text));
    }
    let pairs = |texts: Vec<String>| {
        let pair = |text: String| match text.split_once('=') {
            Some((key, value)) => (key.to_owned(), value.to_owned()),
            None => (text, String::new()),
        };
        texts.into_iter().map(pair).collect()
    };
    let options =
        VolumeOptions { labels: pairs(args.label), options: pairs(args.opt), anonymous, owner: None };
    volumes::ensure(&context.engine()?, &name, options)?;
    context.ui.line(name);
    Ok(0)
}
