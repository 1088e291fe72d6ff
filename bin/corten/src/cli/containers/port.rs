//! `corten port`. No port is published yet: no container has a mapping.

use std::ffi::OsString;

use clap::Args;
use corten_engine::containers;

use crate::cli::flags::{self, Arity};
use crate::cli::{CliError, Context};

const NAME: &str = "corten port";
const SYNOPSIS: &str = "CONTAINER [PRIVATE_PORT[/PROTO]]";

#[derive(Debug, Args)]
#[command(override_usage = "corten port CONTAINER [PRIVATE_PORT[/PROTO]]")]
struct PortArgs {
    #[arg(hide = true)]
    words: Vec<String>,
}

pub(crate) fn run(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    let about = "List port mappings or a specific mapping for the container";
    let args: PortArgs = flags::parse(NAME, about, arguments)?;
    flags::check_count(NAME, SYNOPSIS, Arity::Between(1, 2), &args.words)?;
    let [name, port @ ..] = args.words.as_slice() else { return Err(CliError::silent(1)) };
    containers::find(&context.engine()?, name)?;
    match port.first().filter(|port| !port.is_empty()) {
        None => Ok(0),
        Some(port) => {
            check(port).map_err(|reason| CliError::bare(format!("Error: {reason}"), 1))?;
            Err(CliError::bare(format!("Error: No public port '{port}' published for {name}"), 1))
        }
    }
}

/// The number has to be one; any protocol may be asked for.
fn check(text: &str) -> Result<(), String> {
    let port = text.split_once('/').map_or(text, |(port, _)| port);
    let reason = match port.parse::<u16>() {
        Ok(_) if !port.starts_with('+') => return Ok(()),
        Err(error) if *error.kind() == std::num::IntErrorKind::PosOverflow => "value out of range",
        _ => "invalid syntax",
    };
    Err(format!("invalid port ({port}): strconv.ParseUint: parsing \"{port}\": {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports() {
        for text in ["80", "80/udp", "80/xyz", "0", "65535"] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
        let cases = [
            ("xx", "invalid syntax"),
            ("80-90", "invalid syntax"),
            ("99999", "value out of range"),
            ("+1", "invalid syntax"),
        ];
        for (text, reason) in cases {
            let expected = format!("invalid port ({text}): strconv.ParseUint: parsing \"{text}\": {reason}");
            assert_eq!(check(text), Err(expected));
        }
    }
}
