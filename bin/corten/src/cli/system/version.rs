//! `corten version`: client and engine are one binary, shown as docker shows its two.

use std::ffi::OsString;

use clap::Args;
use corten_spec::Platform;
use serde_json::{Value, json};

use crate::cli::flags::{self, Arity};
use crate::cli::{CliError, Context};

const NAME: &str = "corten version";
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Set by whoever builds from a repository.
const COMMIT: Option<&str> = option_env!("CORTEN_GIT_COMMIT");

#[derive(Debug, Args)]
#[command(override_usage = "corten version [OPTIONS]")]
struct VersionArgs {
    /// Format output using a custom template: 'json' or a Go template
    #[arg(short, long, value_name = "string")]
    format: Option<String>,
    #[arg(hide = true)]
    words: Vec<String>,
}

pub(crate) fn run(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    let args: VersionArgs = flags::parse(NAME, "Show the corten version information", arguments)?;
    flags::check_count(NAME, "[OPTIONS]", Arity::None, &args.words)?;
    let kernel = rustix::system::uname().release().to_string_lossy().into_owned();
    let platform = Platform::host();
    match args.format.as_deref() {
        Some(format) => {
            let text = super::formatted(format, &document(&platform, &kernel), "system.versionInfo")?;
            context.ui.line(text);
        }
        None => context.ui.raw(text(&platform, &kernel).as_bytes()),
    }
    Ok(0)
}

fn text(platform: &Platform, kernel: &str) -> String {
    let commit = |indent: &str| match COMMIT {
        Some(commit) => format!("{indent}{:<18} {commit}\n", "Git commit:"),
        None => String::new(),
    };
    format!(
        "Client:\n {:<18} {VERSION}\n{} {:<18} {platform}\n\nServer:\n Engine:\n  {:<17} {VERSION}\n{}  {:<17} \
         {platform}\n  {:<17} {kernel}\n",
        "Version:",
        commit(" "),
        "OS/Arch:",
        "Version:",
        commit("  "),
        "OS/Arch:",
        "Kernel:",
    )
}

fn document(platform: &Platform, kernel: &str) -> Value {
    let commit = COMMIT.unwrap_or_default();
    json!({
        "Client": {
            "Version": VERSION,
            "GitCommit": commit,
            "Os": platform.os,
            "Arch": platform.architecture,
        },
        "Server": {
            "Platform": {"Name": "corten"},
            "Components": [{
                "Name": "Engine",
                "Version": VERSION,
                "Details": {
                    "Arch": platform.architecture,
                    "GitCommit": commit,
                    "KernelVersion": kernel,
                    "Os": platform.os,
                },
            }],
            "Version": VERSION,
            "GitCommit": commit,
            "Os": platform.os,
            "Arch": platform.architecture,
            "KernelVersion": kernel,
        },
    })
}
