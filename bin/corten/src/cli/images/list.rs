//! `corten images`: lists images as docker does.

use std::collections::BTreeMap;
use std::ffi::OsString;

use clap::Args;
use corten_engine::images::{self, Filters, Listed};
use jiff::Timestamp;
use serde_json::Value;

use super::tree;
use crate::cli::flags::{self, Arity};
use crate::cli::listing::{Listing, Row, row};
use crate::cli::{CliError, Context, human};

const NAME: &str = "corten images";
const NONE: &str = "<none>";
const TABLE: &str = "table {{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}";
const TABLE_WITH_DIGESTS: &str =
    "table {{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}";
const HEADERS: &[(&str, &str)] = &[
    ("ID", "IMAGE ID"),
    ("Repository", "REPOSITORY"),
    ("Tag", "TAG"),
    ("Digest", "DIGEST"),
    ("CreatedSince", "CREATED"),
    ("CreatedAt", "CREATED AT"),
    ("Size", "SIZE"),
    ("Containers", "CONTAINERS"),
    ("VirtualSize", "SIZE"),
    ("SharedSize", "SHARED SIZE"),
    ("UniqueSize", "UNIQUE SIZE"),
];

#[derive(Debug, Args)]
#[command(override_usage = "corten images [OPTIONS] [REPOSITORY[:TAG]]")]
struct ImagesArgs {
    /// Show all images (default hides intermediate images)
    #[arg(short, long)]
    all: bool,
    /// Show digests
    #[arg(long)]
    digests: bool,
    /// Filter output based on conditions provided
    #[arg(short, long, value_name = "filter")]
    filter: Vec<String>,
    /// Format output using a custom template: 'table', 'table TEMPLATE', 'json' or a Go template
    #[arg(long, value_name = "string")]
    format: Option<String>,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    /// Only show image IDs
    #[arg(short, long)]
    quiet: bool,
    /// List multi-platform images as a tree (experimental)
    #[arg(long)]
    tree: bool,
    #[arg(hide = true)]
    words: Vec<String>,
}

pub(crate) fn run(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    let args: ImagesArgs = flags::parse(NAME, "List images", arguments)?;
    flags::check_count(NAME, "[OPTIONS] [REPOSITORY[:TAG]]", Arity::AtMost(1), &args.words)?;
    let mut filters = Filters { intermediate: args.all, ..Filters::default() };
    for text in &args.filter {
        filters.add(text)?;
    }
    filters.references.extend(args.words.first().cloned());
    if args.tree {
        return as_tree(context, &args, &filters);
    }
    let images = images::list(&context.engine()?, &filters)?;
    let configured = || context.settings.client().text("imagesFormat");
    let format = match args.format.clone() {
        Some(format) => Some(format),
        None if args.quiet => None,
        None => configured(),
    };
    let table = if args.digests { TABLE_WITH_DIGESTS } else { TABLE };
    let format = match format.as_deref() {
        _ if args.quiet && format.as_deref().is_none_or(|format| format == "table") => "{{.ID}}",
        None | Some("table") => table,
        Some(format) => format,
    };
    let digests = args.digests || format.contains("{{.Digest}}");
    let now = Timestamp::now();
    let mut rows = Vec::new();
    for listed in &images {
        for (repository, tag, digest) in names(listed, digests) {
            rows.push(one(listed, [repository, tag, digest], args.no_trunc, now));
        }
    }
    let listing = Listing {
        headers: HEADERS,
        table: table.trim_start_matches("table "),
        row_type: "*formatter.imageContext",
    };
    listing.print(&mut context.ui, Some(format), rows)?;
    Ok(0)
}

/// `--tree`, which takes no flag that is for machines.
fn as_tree(context: &mut Context, args: &ImagesArgs, filters: &Filters) -> Result<u8, CliError> {
    let others = [
        ("quiet", args.quiet),
        ("no-trunc", args.no_trunc),
        ("show-digest", args.digests),
        ("format", args.format.is_some()),
    ];
    if let Some((name, _)) = others.iter().find(|(_, given)| *given) {
        return Err(CliError::bare(format!("--{name} is not yet supported with --tree"), 1));
    }
    if !context.ui.is_terminal() {
        context.ui.note(
            "WARNING: This output is designed for human readability. For machine-readable output, please use --format.",
        );
    }
    let engine = context.engine()?;
    let text = tree::render(&engine, &images::list(&engine, filters)?)?;
    context.ui.raw(text.as_bytes());
    Ok(0)
}

/// The rows of an image, one per tag.
pub(crate) fn rows(listed: &Listed, now: Timestamp) -> Vec<Row> {
    let names = names(listed, false).into_iter();
    names.map(|(repository, tag, digest)| one(listed, [repository, tag, digest], false, now)).collect()
}

/// The names in the rows of an image: one per tag, with digests one per tag and digest; a digest without a tag in its repository
/// has a row of its own, and so has an image without any name.
fn names(listed: &Listed, digests: bool) -> Vec<(String, String, String)> {
    let mut repositories = BTreeMap::<String, (Vec<String>, Vec<String>)>::new();
    for tag in &listed.tags {
        let entry = repositories.entry(tag.familiar_name()).or_default();
        entry.0.extend(tag.tag().map(str::to_owned));
    }
    for reference in &listed.digests {
        let entry = repositories.entry(reference.familiar_name()).or_default();
        entry.1.extend(reference.digest().map(ToString::to_string));
    }
    let none = || vec![NONE.to_owned()];
    let mut rows = Vec::new();
    for (repository, (tags, found)) in repositories {
        let tags = if tags.is_empty() { none() } else { tags };
        let found = if found.is_empty() || !digests { none() } else { found };
        for tag in &tags {
            rows.extend(found.iter().map(|digest| (repository.clone(), tag.clone(), digest.clone())));
        }
    }
    if rows.is_empty() {
        rows.push((NONE.to_owned(), NONE.to_owned(), NONE.to_owned()));
    }
    rows
}

fn one(listed: &Listed, [repository, tag, digest]: [String; 3], whole: bool, now: Timestamp) -> Row {
    let id = &listed.image.id;
    let unknown = || "N/A".to_owned();
    let since = listed.created.map_or_else(unknown, |created| human::since(created, now));
    let at = listed.created.map_or_else(unknown, human::moment);
    let size = human::size(listed.image.size);
    let mut row = row([
        ("Repository", repository),
        ("Tag", tag),
        ("Digest", digest),
        ("CreatedSince", since),
        ("CreatedAt", at),
        ("VirtualSize", size.clone()),
        ("Size", size),
        ("Containers", unknown()),
        ("SharedSize", unknown()),
        ("UniqueSize", unknown()),
    ]);
    let id = if whole { id.to_string() } else { id.short().to_owned() };
    row.insert("ID".to_owned(), Value::String(id));
    row
}

#[cfg(test)]
mod tests {
    use super::*;
    use corten_engine::Image;
    use corten_spec::{Digest, ImageConfig, ImageId, Reference};

    #[test]
    fn a_row_for_every_name() {
        let digest = Digest::of(b"x");
        let image = Image {
            version: 1,
            id: ImageId(digest.clone()),
            parent: None,
            manifests: Vec::new(),
            layers: Vec::new(),
            size: 0,
            highest_uid: 0,
            highest_gid: 0,
            blobs: Vec::new(),
            config: ImageConfig::default(),
        };
        let parse =
            |texts: &[&str]| texts.iter().map(|text| Reference::parse(text).unwrap()).collect::<Vec<_>>();
        let rows = |tags: &[&str], in_digest: &[&str], digests: bool| {
            let digests_of = parse(in_digest).iter().map(|r| r.with_digest(digest.clone())).collect();
            let listed =
                Listed { image: image.clone(), created: None, tags: parse(tags), digests: digests_of };
            let rows = names(&listed, digests).into_iter();
            rows.map(|(a, b, c)| format!("{a} {b} {}", c.replace(digest.hex(), "X"))).collect::<Vec<_>>()
        };
        assert_eq!(rows(&[], &[], true), ["<none> <none> <none>"]);
        assert_eq!(
            rows(&["a", "a:2", "b"], &["a"], false),
            ["a latest <none>", "a 2 <none>", "b latest <none>"]
        );
        assert_eq!(
            rows(&["a", "b"], &["a", "c"], true),
            ["a latest sha256:X", "b latest <none>", "c <none> sha256:X"]
        );
    }
}
