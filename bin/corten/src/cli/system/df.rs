//! `corten system df`.

use std::ffi::OsString;

use clap::Args;
use corten_engine::containers::Status;
use corten_engine::disk_usage::{self, ContainerUsage, DiskUsage, ImageUsage, VolumeUsage};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cli::containers::ps;
use crate::cli::flags::{self, Arity};
use crate::cli::images::list as image_list;
use crate::cli::listing::{Listing, Row, row};
use crate::cli::template::{Missing, Template};
use crate::cli::{CliError, Context, human};

const NAME: &str = "corten system df";

#[derive(Debug, Args)]
#[command(override_usage = "corten system df [OPTIONS]")]
struct DfArgs {
    /// Format output using a custom template: 'table', 'table TEMPLATE', 'json' or a Go template
    #[arg(long, value_name = "string")]
    format: Option<String>,
    /// Show detailed information on space usage
    #[arg(short, long)]
    verbose: bool,
    #[arg(hide = true)]
    words: Vec<String>,
}

const SUMMARY: Listing<'_> = Listing {
    headers: &[
        ("Type", "TYPE"),
        ("TotalCount", "TOTAL"),
        ("Active", "ACTIVE"),
        ("Size", "SIZE"),
        ("Reclaimable", "RECLAIMABLE"),
    ],
    table: "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}",
    row_type: "*formatter.diskUsageContext",
};

const IMAGES: Listing<'_> = Listing {
    headers: &[
        ("Repository", "REPOSITORY"),
        ("Tag", "TAG"),
        ("ID", "IMAGE ID"),
        ("CreatedSince", "CREATED"),
        ("VirtualSize", "SIZE"),
        ("SharedSize", "SHARED SIZE"),
        ("UniqueSize", "UNIQUE SIZE"),
        ("Containers", "CONTAINERS"),
    ],
    table: "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.VirtualSize}}\t{{.SharedSize}}\t{{.UniqueSize}}\t{{.Containers}}",
    row_type: "*formatter.imageContext",
};

const CONTAINERS: Listing<'_> = Listing {
    headers: &[
        ("ID", "CONTAINER ID"),
        ("Image", "IMAGE"),
        ("Command", "COMMAND"),
        ("LocalVolumes", "LOCAL VOLUMES"),
        ("Size", "SIZE"),
        ("RunningFor", "CREATED"),
        ("Status", "STATUS"),
        ("Names", "NAMES"),
    ],
    table: "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t{{.RunningFor}}\t{{.Status}}\t{{.Names}}",
    row_type: "*formatter.ContainerContext",
};

const VOLUMES: Listing<'_> = Listing {
    headers: &[("Name", "VOLUME NAME"), ("Links", "LINKS"), ("Size", "SIZE")],
    table: "{{.Name}}\t{{.Links}}\t{{.Size}}",
    row_type: "*formatter.volumeContext",
};

pub(crate) fn run(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    let args: DfArgs = flags::parse(NAME, "Show corten disk usage", arguments)?;
    flags::check_count(NAME, "[OPTIONS]", Arity::None, &args.words)?;
    let usage = disk_usage::measure(&context.engine()?)?;
    let format = args.format.as_deref();
    if !args.verbose {
        SUMMARY.print(&mut context.ui, format, summary(&usage))?;
        return Ok(0);
    }
    let now = Timestamp::now();
    let images: Vec<Row> = usage.images.iter().flat_map(|one| image(one, now)).collect();
    let containers: Vec<Row> = usage.containers.iter().map(|one| container(one, now)).collect();
    let volumes: Vec<Row> = usage.volumes.iter().map(volume).collect();
    match format {
        None | Some("table" | "") => {
            let sections = [
                ("Images", IMAGES.render(None, images)?),
                ("\nContainers", CONTAINERS.render(None, containers)?),
                ("\nLocal Volumes", VOLUMES.render(None, volumes)?),
            ];
            for (title, table) in sections {
                context.ui.line(format!("{title} space usage:\n"));
                context.ui.raw(table.as_bytes());
            }
            context.ui.line("\nBuild cache usage: 0B\n");
            context.ui.line(format!("Kept for undo: {}", human::size(usage.trash)));
            context.ui.line(format!("Records, names and events: {}", human::size(usage.other)));
            context.ui.line(format!("Total: {}", human::size(usage.total())));
        }
        Some(format) => {
            let document = json!({
                "Images": images, "Containers": containers, "Volumes": volumes, "BuildCache": [],
                "Undo": human::size(usage.trash), "Other": human::size(usage.other),
                "Total": human::size(usage.total()),
            });
            context.ui.line(whole(format, &document)?);
        }
    }
    Ok(0)
}

/// With `-v` a template is for all of it.
fn whole(format: &str, document: &Value) -> Result<String, CliError> {
    if format == "json" {
        return Ok(document.to_string());
    }
    let failed = |error| CliError::bare(format!("template parsing error: {error}"), 1);
    let template = Template::parse(format).map_err(failed)?;
    template.render(document, Missing::Refused("*formatter.diskUsageContext")).map_err(failed)
}

fn summary(usage: &DiskUsage) -> Vec<Row> {
    let active = |status: Status| !matches!(status, Status::Created | Status::Exited);
    let running = usage.containers.iter().filter(|one| active(one.listed.state.status)).count();
    let size_of = |wanted: &dyn Fn(&ContainerUsage) -> bool| {
        usage.containers.iter().filter(|one| wanted(one)).map(|one| one.size).sum::<u64>()
    };
    let at_rest = size_of(&|one| !active(one.listed.state.status));
    let volumes: u64 = usage.volumes.iter().map(|one| one.size).sum();
    let unused: u64 = usage.volumes.iter().filter(|one| one.links == 0).map(|one| one.size).sum();
    let linked = usage.volumes.iter().filter(|one| one.links > 0).count();
    let used_images = usage.images.iter().filter(|one| one.containers > 0).count();
    vec![
        line("Images", usage.images.len(), used_images, usage.image_bytes, usage.unused_image_bytes),
        line("Containers", usage.containers.len(), running, size_of(&|_| true), at_rest),
        line("Local Volumes", usage.volumes.len(), linked, volumes, unused),
        line("Build Cache", 0, 0, 0, 0),
        line("Kept for undo", 0, 0, usage.trash, usage.trash),
        line("Records", 0, 0, usage.other, 0),
    ]
}

fn line(kind: &str, total: usize, active: usize, size: u64, reclaimable: u64) -> Row {
    let reclaimable = match (reclaimable * 100).checked_div(size) {
        Some(percent) => format!("{} ({percent}%)", human::size(reclaimable)),
        None => human::size(reclaimable),
    };
    row([
        ("Type", kind.to_owned()),
        ("TotalCount", total.to_string()),
        ("Active", active.to_string()),
        ("Size", human::size(size)),
        ("Reclaimable", reclaimable),
    ])
}

/// A row for every name, as `images` has it, with the sizes on this disk.
fn image(usage: &ImageUsage, now: Timestamp) -> Vec<Row> {
    let mut rows = image_list::rows(&usage.listed, now);
    for row in &mut rows {
        let sizes = [
            ("Size", usage.size),
            ("VirtualSize", usage.size),
            ("SharedSize", usage.shared),
            ("UniqueSize", usage.size - usage.shared),
        ];
        for (field, bytes) in sizes {
            row.insert(field.to_owned(), human::size(bytes).into());
        }
        row.insert("Containers".to_owned(), usage.containers.to_string().into());
    }
    rows
}

fn container(usage: &ContainerUsage, now: Timestamp) -> Row {
    let mut row = ps::row(&usage.listed, false, now);
    row.insert("Size".to_owned(), human::size(usage.size).into());
    row
}

fn volume(usage: &VolumeUsage) -> Row {
    row([
        ("Name", usage.volume.name.clone()),
        ("Links", usage.links.to_string()),
        ("Size", human::size(usage.size)),
        ("Driver", usage.volume.driver.clone()),
    ])
}
