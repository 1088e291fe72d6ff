//! `corten images --tree`: each image with the platform it is for, and what it occupies, for people to read.

use std::collections::HashSet;

use corten_engine::containers;
use corten_engine::images::Listed;
use corten_engine::{Engine, Error};
use corten_spec::{ImageId, Reference};

use crate::cli::human;

/// What stands between two columns.
const GAP: &str = "   ";
const WARNING: &str =
    "WARNING: This is an experimental feature. The output may change and shouldn't be depended on.";
const LEGEND: &str = "U  In Use";

/// A line of the table: the image column, and the others where there are any.
struct Line {
    image: String,
    cells: Option<[String; 4]>,
}

/// Lays the images out.
pub(super) fn render(engine: &Engine, images: &[Listed]) -> Result<String, Error> {
    let used: HashSet<ImageId> = containers::list(engine)?.into_iter().map(|record| record.image).collect();
    let mut lines = Vec::new();
    for listed in images {
        lines.extend(lines_of(listed, content_size(engine, listed)?, used.contains(&listed.image.id)));
    }
    Ok(lay_out(&lines))
}

/// Bytes of the layers' tars: what it would be as an archive.
fn content_size(engine: &Engine, listed: &Listed) -> Result<u64, Error> {
    let mut size = 0;
    for layer in &listed.image.layers {
        size += engine.store().layer(&layer.diff_id)?.map_or(0, |layer| layer.tar_size);
    }
    Ok(size)
}

fn lines_of(listed: &Listed, content: u64, used: bool) -> Vec<Line> {
    let image = &listed.image;
    let mut names: Vec<String> = listed.tags.iter().chain(&listed.digests).map(Reference::familiar).collect();
    if !listed.tags.is_empty() {
        names.truncate(listed.tags.len());
    }
    if names.is_empty() {
        names.push("<untagged>".to_owned());
    }
    let cells = |extra: &str| {
        let id = image.id.short().to_owned();
        Some([id, human::size(image.size), human::size(content), extra.to_owned()])
    };
    let last = names.len() - 1;
    let line = |(at, image): (usize, String)| Line {
        image,
        cells: if at == last { cells(if used { "U" } else { "" }) } else { None },
    };
    let mut lines: Vec<Line> = names.into_iter().enumerate().map(line).collect();
    lines.push(Line { image: format!("└─ {}", image.config.platform()), cells: cells("") });
    // One image is set apart from the next.
    lines.push(Line { image: String::new(), cells: None });
    lines
}

fn lay_out(lines: &[Line]) -> String {
    const HEADERS: [&str; 4] = ["ID", "DISK USAGE", "CONTENT SIZE", "EXTRA"];
    const WIDTHS: [usize; 3] = [12, 10, 12];
    let wide = |text: &str| text.chars().count();
    let first = lines.iter().map(|line| wide(&line.image)).chain([wide("IMAGE")]).max().unwrap_or_default();
    let [id, disk, content] = WIDTHS;
    let row = |image: &str, [a, b, c, d]: [&str; 4]| {
        let text = format!("{image:first$}{GAP}{a:id$}{GAP}{b:>disk$}{GAP}{c:>content$}{GAP}{d}");
        format!("{}\n", text.trim_end())
    };
    let header = row("IMAGE", HEADERS);
    let indent = wide(header.trim_end());
    let mut text = format!("{WARNING}\n\n{LEGEND:>indent$}\n{header}");
    for line in lines {
        match &line.cells {
            Some(cells) => text.push_str(&row(&line.image, cells.each_ref().map(String::as_str))),
            None => text.push_str(&format!("{}\n", line.image)),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns() {
        let cells =
            |extra: &str| Some(["0123456789ab".into(), "13.6MB".into(), "4.09MB".into(), extra.into()]);
        let lines = [
            Line { image: "a-longer-name:latest".into(), cells: None },
            Line { image: "b:1".into(), cells: cells("U") },
            Line { image: "└─ linux/amd64".into(), cells: cells("") },
        ];
        let text = lay_out(&lines);
        let shown: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(
            shown,
            [
                "                                                              U  In Use",
                "IMAGE                  ID             DISK USAGE   CONTENT SIZE   EXTRA",
                "a-longer-name:latest",
                "b:1                    0123456789ab       13.6MB         4.09MB   U",
                "└─ linux/amd64         0123456789ab       13.6MB         4.09MB",
            ]
        );
    }
}
