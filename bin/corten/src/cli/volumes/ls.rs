//! `corten volume ls`.

use std::ffi::OsString;

use clap::Args;
use corten_engine::volumes::{self, Filters};
use serde_json::json;

use super::create::NO_SWARM;
use crate::cli::flags::{self, Arity};
use crate::cli::listing::{Listing, row};
use crate::cli::{CliError, Context};

const NAME: &str = "corten volume ls";
const LISTING: Listing<'_> = Listing {
    headers: &[
        ("Name", "VOLUME NAME"),
        ("Driver", "DRIVER"),
        ("Scope", "SCOPE"),
        ("Mountpoint", "MOUNTPOINT"),
        ("Labels", "LABELS"),
        ("Links", "LINKS"),
        ("Size", "SIZE"),
        ("Group", "GROUP"),
        ("Availability", "AVAILABILITY"),
        ("Status", "STATUS"),
    ],
    table: "{{.Driver}}\t{{.Name}}",
    row_type: "*formatter.volumeContext",
};

#[derive(Debug, Args)]
#[command(override_usage = "corten volume ls [OPTIONS]")]
struct LsArgs {
    /// Provide filter values (e.g. "dangling=true")
    #[arg(short, long, value_name = "filter")]
    filter: Vec<String>,
    /// Format output using a custom template: 'table', 'table TEMPLATE', 'json' or a Go template
    #[arg(long, value_name = "string")]
    format: Option<String>,
    /// docker's flag for the volumes of a swarm: refused by name
    #[arg(long, hide = true)]
    cluster: bool,
    /// Only display volume names
    #[arg(short, long)]
    quiet: bool,
    #[arg(hide = true)]
    words: Vec<String>,
}

pub(crate) fn run(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    let args: LsArgs = flags::parse(NAME, "List volumes", arguments)?;
    flags::check_count(NAME, "[OPTIONS]", Arity::None, &args.words)?;
    if args.cluster {
        return Err(CliError::bare(format!("--cluster: {NO_SWARM}"), 1));
    }
    let mut filters = Filters::default();
    for text in &args.filter {
        filters.add(text)?;
    }
    let engine = context.engine()?;
    let mut rows = Vec::new();
    for volume in volumes::select(&engine, &filters)? {
        let labels: Vec<String> = volume.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let unknown = || "N/A".to_owned();
        let mut row = row([
            ("Name", volume.name.clone()),
            ("Driver", volume.driver),
            ("Scope", "local".to_owned()),
            ("Mountpoint", volumes::mountpoint(&engine, &volume.name).to_string_lossy().into_owned()),
            ("Labels", labels.join(",")),
            ("Links", unknown()),
            ("Size", unknown()),
            ("Group", unknown()),
            ("Availability", unknown()),
            ("Status", unknown()),
        ]);
        row.insert("Label".to_owned(), json!(volume.labels));
        rows.push(row);
    }
    let configured = || context.settings.client().text("volumesFormat");
    let format = match args.format {
        Some(format) if format != "table" || !args.quiet => Some(format),
        _ if args.quiet => Some("{{.Name}}".to_owned()),
        _ => configured(),
    };
    LISTING.print(&mut context.ui, format.as_deref(), rows)?;
    Ok(0)
}
