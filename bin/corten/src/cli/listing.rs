//! Listings: `--format` as docker reads it, over rows of named texts.

use serde_json::{Map, Value};

use super::template::{Missing, Template};
use super::{CliError, human};
use crate::ui::Ui;

/// What a listing can show.
#[derive(Debug)]
pub(crate) struct Listing<'a> {
    /// Fields and their headers.
    pub(crate) headers: &'a [(&'a str, &'a str)],
    /// The template of the table when there is no other.
    pub(crate) table: &'a str,
    /// How docker calls a row when a field is unknown.
    pub(crate) row_type: &'a str,
}

/// A row: fields by name. Texts, and objects for fields that take an argument (`{{.Label "a"}}`).
pub(crate) type Row = Map<String, Value>;

impl Listing<'_> {
    /// Prints the rows by a format: nothing or `table` for the default table, `table TEMPLATE`, `json`, or a
    /// template for one line per row.
    pub(crate) fn print(&self, ui: &mut Ui, format: Option<&str>, rows: Vec<Row>) -> Result<(), CliError> {
        ui.raw(self.render(format, rows)?.as_bytes());
        Ok(())
    }

    /// Tries a format on the first row, or on none, before there is anything to show: docker does so for containers, in
    /// words of its own.
    pub(crate) fn rehearse(&self, format: &str, rows: &[Row]) -> Result<(), CliError> {
        let failed = |what: &str, error| CliError::bare(format!("failed to {what} template: {error}"), 1);
        let template = Template::parse(format).map_err(|error| failed("parse", error))?;
        let missing = Missing::Row(self.row_type);
        let tried = match rows.first() {
            Some(row) => template.render(&Value::Object(row.clone()), missing),
            None => {
                let titles =
                    self.headers.iter().map(|(field, header)| ((*field).to_owned(), (*header).into()));
                template.check(&Value::Object(titles.collect()), missing)
            }
        };
        tried.map(drop).map_err(|error| failed("execute", error))
    }

    /// As [`Listing::print`] into a text.
    pub(crate) fn render(&self, format: Option<&str>, rows: Vec<Row>) -> Result<String, CliError> {
        let format = format.unwrap_or("table");
        let mut lines = String::new();
        if format == "json" {
            for mut row in rows {
                row.retain(|_, value| !value.is_object());
                lines.push_str(&Value::Object(row).to_string());
                lines.push('\n');
            }
            return Ok(lines);
        }
        let table = format.strip_prefix("table");
        let text = match table {
            Some("") => self.table,
            Some(text) => text,
            None => format,
        };
        let text = text.trim_matches(' ').replace("\\t", "\t").replace("\\n", "\n");
        let template = Template::parse(&text).map_err(|error| failed(&error))?;
        let missing = Missing::Row(self.row_type);
        if table.is_some() {
            let headers = self.headers.iter().map(|(field, header)| (*field, *header));
            let headers: Row = headers.map(|(field, header)| (field.to_owned(), header.into())).collect();
            // An unknown field is told of by the rows; without rows docker shows what it has.
            lines.push_str(&template.render_header(&Value::Object(headers)).unwrap_or_default());
            lines.push('\n');
        }
        for row in rows {
            lines.push_str(&template.render(&Value::Object(row), missing).map_err(|error| failed(&error))?);
            lines.push('\n');
        }
        Ok(if table.is_some() { human::align(&lines) } else { lines })
    }
}

fn failed(error: &super::template::TemplateError) -> CliError {
    CliError::bare(format!("template parsing error: {error}"), 1)
}

/// A row of a field's names and texts.
pub(crate) fn row<const N: usize>(fields: [(&str, String); N]) -> Row {
    fields.into_iter().map(|(name, text)| (name.to_owned(), Value::String(text))).collect()
}
