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
    /// Set driver specific options: type, device and o, as mount(8) has them
    #[arg(short, long, value_name = "map")]
    opt: Vec<String>,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Specify volume name
    #[arg(long, value_name = "string", hide = true)]
    name: Option<String>,
    #[arg(hide = true)]
    words: Vec<String>,
}

/// docker's flags for the volumes of a swarm: refused by name.
#[derive(Debug, Args)]
struct ClusterArgs {
    #[arg(long, hide = true)]
    availability: Option<String>,
    #[arg(long, hide = true)]
    group: Option<String>,
    #[arg(long, hide = true)]
    limit_bytes: Option<String>,
    #[arg(long, hide = true)]
    required_bytes: Option<String>,
    #[arg(long, hide = true)]
    scope: Option<String>,
    #[arg(long, hide = true)]
    secret: Vec<String>,
    #[arg(long, hide = true)]
    sharing: Option<String>,
    #[arg(long, hide = true)]
    topology_preferred: Vec<String>,
    #[arg(long, hide = true)]
    topology_required: Vec<String>,
    #[arg(long = "type", hide = true)]
    access: Option<String>,
}

impl ClusterArgs {
    fn refuse(&self) -> Result<(), CliError> {
        if self.limit_bytes.is_some() {
            let text = "--limit-bytes: no quota can be kept for a local volume; \
                        -o type=tmpfs -o device=tmpfs -o o=size=BYTES makes one of that size in memory";
            return Err(CliError::bare(text, 1));
        }
        let given = [
            ("availability", self.availability.is_some()),
            ("group", self.group.is_some()),
            ("required-bytes", self.required_bytes.is_some()),
            ("scope", self.scope.is_some()),
            ("secret", !self.secret.is_empty()),
            ("sharing", self.sharing.is_some()),
            ("topology-preferred", !self.topology_preferred.is_empty()),
            ("topology-required", !self.topology_required.is_empty()),
            ("type", self.access.is_some()),
        ];
        match given.iter().find(|(_, given)| *given) {
            Some((flag, _)) => Err(CliError::bare(format!("--{flag}: {NO_SWARM}"), 1)),
            None => Ok(()),
        }
    }
}

/// Why there are no cluster volumes.
pub(super) const NO_SWARM: &str =
    "only volumes of a swarm's cluster have it, and corten is no part of a swarm";

pub(crate) fn run(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    let args: CreateArgs = flags::parse(NAME, "Create a volume", arguments)?;
    flags::check_count(NAME, "[OPTIONS] [VOLUME]", Arity::AtMost(1), &args.words)?;
    args.cluster.refuse()?;
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
