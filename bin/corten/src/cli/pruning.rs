//! What the `prune`s have in common: the question, and the filters of the command line and of docker's client
//! configuration taken together.

use std::io::BufRead;

use corten_engine::containers::PruneFilters;
use corten_engine::images::Removal;

use super::{CliError, Context, moment};

/// Warns and asks; anything but a `y` means no, and so does the end of the input.
pub(crate) fn confirmed(context: &mut Context, warning: &str) -> bool {
    context.ui.raw(format!("{warning}\nAre you sure you want to continue? [y/N] ").as_bytes());
    context.ui.flush();
    let mut answer = String::new();
    // What cannot be read is no consent.
    std::io::stdin().lock().read_line(&mut answer).is_ok() && answer.trim().eq_ignore_ascii_case("y")
}

/// Shows what was removed, below a title; nothing where nothing was.
pub(crate) fn show(context: &mut Context, title: &str, lines: impl IntoIterator<Item = String>) {
    let mut lines = lines.into_iter().peekable();
    if lines.peek().is_none() {
        return;
    }
    context.ui.line(title);
    lines.for_each(|line| context.ui.line(line));
    context.ui.line("");
}

/// As [`show`] for images, in the words that docker's prunes have for them.
pub(crate) fn show_images(context: &mut Context, removals: &[Removal]) {
    let line = |removal: &Removal| match removal {
        Removal::Untagged(reference) => format!("untagged: {reference}"),
        Removal::Deleted(digest) => format!("deleted: {digest}"),
    };
    show(context, "Deleted Images:", removals.iter().map(line));
}

/// The user's filters, and those of docker's client configuration that the user has not overruled: one is overruled by
/// its opposite.
pub(crate) fn read(
    given: &[(String, String)],
    configured: &[(String, String)],
    now: i64,
) -> Result<PruneFilters, CliError> {
    let overruled = |(key, value): &&(String, String)| {
        let opposite = match key.as_str() {
            "label" => "label!",
            "label!" => "label",
            _ => return given.iter().any(|(other, _)| other == key),
        };
        given.iter().any(|(other, text)| other == opposite && text == value)
    };
    let mut filters = PruneFilters::default();
    for (key, value) in given.iter().chain(configured.iter().filter(|filter| !overruled(filter))) {
        let label = || match value.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (value.clone(), None),
        };
        match key.as_str() {
            "label" => filters.labels.push(label()),
            "label!" => filters.without.push(label()),
            "until" if filters.until.is_some() => {
                return Err(CliError::daemon("more than one until filter specified"));
            }
            "until" => filters.until = Some(moment::parse(value, now).map_err(CliError::daemon)?),
            _ => return Err(CliError::daemon(format!("invalid filter '{key}'"))),
        }
    }
    Ok(filters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters() {
        let pairs = |list: &[&str]| {
            let list = list.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
            super::super::filters::split("corten container prune", "--filter", &list).unwrap()
        };
        let read =
            |given: &[&str], configured: &[&str]| read(&pairs(given), &pairs(configured), 3_600_000_000_000);
        let label = |name: &str, value: Option<&str>| (name.to_owned(), value.map(str::to_owned));
        assert_eq!(
            read(&["until=1h", "label=a", "label!=b=c"], &[]).unwrap(),
            PruneFilters {
                until: Some(0),
                labels: vec![label("a", None)],
                without: vec![label("b", Some("c"))],
            }
        );
        let filters = read(&["label=a"], &["label!=a", "label!=x"]).unwrap();
        assert_eq!((filters.labels, filters.without), (vec![label("a", None)], vec![label("x", None)]));
        for wrong in [&["nope=1"][..], &["until=nope"], &["until=1h", "until=2h"]] {
            assert!(read(wrong, &[]).is_err(), "{wrong:?}");
        }
    }
}
