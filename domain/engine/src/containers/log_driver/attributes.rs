//! What log options take over from a container: chosen labels and variables, and the tag.

use std::collections::BTreeMap;

use corten_monitor::log_file::escape;

use super::super::pattern::Pattern;
use super::super::record::ContainerRecord;
use crate::Error;

const DEFAULT_TAG: &str = "{{.ID}}";

/// What a tag is made of.
const FIELDS: [&str; 9] =
    ["ID", "FullID", "Name", "FullName", "ImageID", "ImageFullID", "ImageName", "DaemonName", "Command"];

/// Refuses expressions and templates that are none.
pub(super) fn check(options: &BTreeMap<String, String>) -> Result<(), Error> {
    for key in ["labels-regex", "env-regex"] {
        if let Some(text) = options.get(key).filter(|text| Pattern::parse(text).is_none()) {
            return Err(Error::invalid(format!("{key}: error parsing regexp: '{text}'")));
        }
    }
    match options.get("tag") {
        Some(tag) => render(tag, |_| Some(String::new())).map(drop).map_err(Error::invalid),
        None => Ok(()),
    }
}

/// The chosen labels and variables; the tag, where there is one and no `default_tag` is known.
pub(super) fn of(record: &ContainerRecord, default_tag: Option<&str>) -> BTreeMap<String, String> {
    let options = &record.spec.log.options;
    let listed = |key: &str| -> Vec<&str> {
        options.get(key).map(|names| names.split(',').collect()).unwrap_or_default()
    };
    let pattern = |key: &str| options.get(key).and_then(|text| Pattern::parse(text));
    let mut chosen = BTreeMap::new();
    let (labels, matching) = (listed("labels"), pattern("labels-regex"));
    for (name, value) in &record.labels {
        let is_chosen = labels.contains(&name.as_str());
        if is_chosen || matching.as_ref().is_some_and(|pattern| pattern.is_match(name)) {
            chosen.insert(name.clone(), value.clone());
        }
    }
    let (variables, matching) = (listed("env"), pattern("env-regex"));
    for (name, value) in record.process.env.iter().filter_map(|entry| entry.split_once('=')) {
        if variables.contains(&name) || matching.as_ref().is_some_and(|pattern| pattern.is_match(name)) {
            chosen.insert(name.to_owned(), value.to_owned());
        }
    }
    if default_tag.is_none() && options.contains_key("tag") {
        chosen.insert("tag".to_owned(), tag(record));
    }
    chosen
}

/// Members of a JSON object.
pub(super) fn json(attributes: &BTreeMap<String, String>) -> String {
    let mut out = Vec::new();
    for (name, value) in attributes {
        if !out.is_empty() {
            out.push(b',');
        }
        out.push(b'"');
        escape(&mut out, name.as_bytes());
        out.extend_from_slice(b"\":\"");
        escape(&mut out, value.as_bytes());
        out.push(b'"');
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The tag of a container.
pub(super) fn tag(record: &ContainerRecord) -> String {
    let template = record.spec.log.options.get("tag").map_or(DEFAULT_TAG, String::as_str);
    let short = |text: &str| text.get(..12).unwrap_or(text).to_owned();
    let field = |name: &str| {
        Some(match name {
            "ID" => short(&record.id),
            "FullID" => record.id.clone(),
            "Name" => record.name.clone(),
            "FullName" => format!("/{}", record.name),
            "ImageID" => record.image.short().to_owned(),
            "ImageFullID" => record.image.to_string(),
            "ImageName" => record.spec.image.clone(),
            "DaemonName" => "corten".to_owned(),
            _ => record.process.args().join(" "),
        })
    };
    // It was read when the container was created.
    render(template, field).unwrap_or_else(|_| short(&record.id))
}

/// Fills `{{.Field}}` in.
fn render(template: &str, field: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let wrong = |what: &str| {
        format!("log opt tag: {what} in '{template}': it takes {{{{.{}}}}}", FIELDS.join("}} {{."))
    };
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (inside, after) = after.split_once("}}").ok_or_else(|| wrong("an open action"))?;
        let name = inside.trim().strip_prefix('.').unwrap_or_default();
        if !FIELDS.contains(&name) {
            return Err(wrong(&format!("'{}'", inside.trim())));
        }
        out.push_str(before);
        out.push_str(&field(name).unwrap_or_default());
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(options: &[(&str, &str)]) -> ContainerRecord {
        let mut record = super::super::super::list::tests::record();
        record.labels =
            [("tier", "front"), ("team.x", "a\"b")].map(|(a, b)| (a.to_owned(), b.to_owned())).into();
        record.process.env = vec!["A=1".to_owned(), "AB=2=3".to_owned(), "C=".to_owned()];
        record.spec.log.options = options.iter().map(|&(a, b)| (a.to_owned(), b.to_owned())).collect();
        record
    }

    #[test]
    fn labels_variables_and_tags() {
        let members = |options: &[(&str, &str)]| json(&of(&record(options), None));
        assert_eq!(members(&[]), "");
        assert_eq!(members(&[("labels", "tier,nope")]), "\"tier\":\"front\"");
        assert_eq!(members(&[("labels-regex", "^team")]), "\"team.x\":\"a\\\"b\"");
        assert_eq!(members(&[("env", "A,C"), ("env-regex", "B$")]), "\"A\":\"1\",\"AB\":\"2=3\",\"C\":\"\"");
        assert_eq!(members(&[("tag", "{{.Name}}/{{ .ID }}")]), "\"tag\":\"my_web/0123456789ab\"");
        assert_eq!(tag(&record(&[])), "0123456789ab");
    }

    #[test]
    fn bad_templates_and_expressions() {
        let check = |key: &str, value: &str| {
            check(&[(key.to_owned(), value.to_owned())].into()).map_err(|error| error.to_string())
        };
        assert_eq!(check("tag", "x{{.ImageName}}"), Ok(()));
        assert!(check("tag", "{{.Nope}}").unwrap_err().starts_with("log opt tag: '.Nope' in "));
        assert!(check("tag", "{{.ID").unwrap_err().starts_with("log opt tag: an open action"));
        assert!(check("env-regex", "(").is_err());
    }
}
