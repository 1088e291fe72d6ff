//! `corten history`: how an image was made.

use std::ffi::OsString;

use clap::{ArgAction, Args};
use corten_engine::images::{self, HistoryStep};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::cli::flags::{self, Arity};
use crate::cli::listing::{Listing, Row, row};
use crate::cli::{CliError, Context, human};

const NAME: &str = "corten history";
const TABLE: &str = "{{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}";
const TABLE_OF_NUMBERS: &str = "{{.ID}}\t{{.CreatedAt}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}";
const HEADERS: &[(&str, &str)] = &[
    ("ID", "IMAGE"),
    ("CreatedSince", "CREATED"),
    ("CreatedAt", "CREATED AT"),
    ("CreatedBy", "CREATED BY"),
    ("Size", "SIZE"),
    ("Comment", "COMMENT"),
];
/// The widest a step is shown.
const WIDEST: usize = 45;

#[derive(Debug, Args)]
#[command(override_usage = "corten history [OPTIONS] IMAGE")]
struct HistoryArgs {
    /// Format output using a custom template: 'table', 'table TEMPLATE', 'json' or a Go template
    #[arg(long, value_name = "string")]
    format: Option<String>,
    /// Print sizes and dates in human readable format
    #[arg(short = 'H', long, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set, default_value_t = true, hide_possible_values = true, value_name = "bool")]
    human: bool,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    /// Show history for the given platform. Formatted as "os[/arch[/variant]]" (e.g., "linux/amd64")
    #[arg(long, value_name = "string")]
    platform: Option<String>,
    /// Only show image IDs
    #[arg(short, long)]
    quiet: bool,
    #[arg(hide = true)]
    words: Vec<String>,
}

pub(crate) fn run(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    let args: HistoryArgs = flags::parse(NAME, "Show the history of an image", arguments)?;
    flags::check_count(NAME, "[OPTIONS] IMAGE", Arity::Exactly(1), &args.words)?;
    let name = args.words.first().map(String::as_str).unwrap_or_default();
    let steps = images::history(&context.engine()?, name, args.platform.as_deref())?;
    let format = match args.format.as_deref().unwrap_or("table") {
        "table" if args.quiet => "{{.ID}}",
        format => format,
    };
    let listing = Listing {
        headers: HEADERS,
        table: if args.human { TABLE } else { TABLE_OF_NUMBERS },
        row_type: "*image.historyContext",
    };
    let now = Timestamp::now();
    let rows = steps.iter().map(|step| one(step, &args, now)).collect();
    listing.print(&mut context.ui, Some(format), rows)?;
    Ok(0)
}

fn one(step: &HistoryStep, args: &HistoryArgs, now: Timestamp) -> Row {
    let id = match &step.image {
        Some(id) if args.no_trunc => id.to_string(),
        Some(id) => id.short().to_owned(),
        None => "<missing>".to_owned(),
    };
    let by = step.created_by.replace('\t', " ");
    let unknown = || "N/A".to_owned();
    row([
        ("ID", id),
        ("CreatedSince", step.created.map_or_else(unknown, |created| human::since(created, now))),
        ("CreatedAt", step.created.map_or_else(unknown, seconds)),
        ("CreatedBy", if args.no_trunc { by } else { cut(&by) }),
        ("Size", if args.human { human::size(step.size) } else { step.size.to_string() }),
        ("Comment", step.comment.clone()),
    ])
}

/// RFC 3339 in the caller's time zone.
fn seconds(moment: Timestamp) -> String {
    let zoned = moment.to_zoned(TimeZone::system());
    let zone = if zoned.offset().is_zero() { "Z".to_owned() } else { zoned.strftime("%:z").to_string() };
    format!("{}{zone}", zoned.strftime("%Y-%m-%dT%H:%M:%S"))
}

fn cut(text: &str) -> String {
    if text.chars().count() <= WIDEST {
        return text.to_owned();
    }
    text.chars().take(WIDEST - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_steps_are_cut() {
        let text = "x".repeat(WIDEST);
        assert_eq!(cut(&text), text);
        assert_eq!(cut(&format!("{text}y")), format!("{}…", "x".repeat(WIDEST - 1)));
    }
}
