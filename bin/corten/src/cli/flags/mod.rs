//! The flags that run and create share, and how each becomes part of a [`ContainerSpec`].

mod args;
mod convert;
mod mounts;
mod security;
mod values;

use std::ffi::OsString;

use clap::{Arg, ArgAction, ArgMatches, Command, FromArgMatches};

pub(crate) use args::{AttachFlags, ContainerFlags};
pub(crate) use convert::{read_environment, to_spec};

use super::CliError;

/// Parses one command's arguments, building only that command's parser.
pub(crate) fn parse<A: clap::Args + FromArgMatches>(
    name: &'static str,
    about: &'static str,
    arguments: Vec<OsString>,
) -> Result<A, CliError> {
    let command = A::augment_args(Command::new(name).about(about).bin_name(name))
        .no_binary_name(true)
        .disable_version_flag(true)
        // docker's -h is the host name.
        .disable_help_flag(true)
        .arg(Arg::new("help").long("help").action(ArgAction::Help).help("Print usage"))
        .args_override_self(true);
    let matches = command.try_get_matches_from(arguments).map_err(|error| usage(name, &error))?;
    from_matches(&matches).map_err(|error| usage(name, &error))
}

fn from_matches<A: FromArgMatches>(matches: &ArgMatches) -> Result<A, clap::Error> {
    A::from_arg_matches(matches)
}

/// clap's report in docker's shape: the reason, then where help is.
fn usage(name: &str, error: &clap::Error) -> CliError {
    use clap::error::{ContextKind, ErrorKind};
    let text = match error.kind() {
        ErrorKind::DisplayHelp => {
            let mut ui = crate::ui::Ui::new();
            ui.raw(error.to_string().as_bytes());
            return CliError::silent(0);
        }
        ErrorKind::UnknownArgument => {
            let flag = error.get(ContextKind::InvalidArg).map(ToString::to_string).unwrap_or_default();
            match flag.strip_prefix("--") {
                Some(_) => format!("unknown flag: {flag}"),
                None => format!("unknown shorthand flag: '{}' in {flag}", flag.trim_start_matches('-')),
            }
        }
        _ => {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            first.strip_prefix("error: ").unwrap_or(first).to_owned()
        }
    };
    CliError::usage(format!("{text}\n\nUsage:  {name} [OPTIONS]\n\nRun '{name} --help' for more information"))
}
