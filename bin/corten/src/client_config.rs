//! docker's client configuration, `config.json`: what of it concerns this machine's commands. Credentials are not read.
//!
//! A broken file costs a warning, never a command, as with docker's client.

use std::path::Path;

use corten_sys::fs;
use serde_json::error::Category;
use serde_json::{Deserializer, Map, Value};

/// The configuration; empty where there is none.
#[derive(Debug, Clone, Default)]
pub(crate) struct ClientConfig {
    fields: Map<String, Value>,
    /// What is wrong with the file.
    warning: Option<String>,
}

impl ClientConfig {
    /// Reads `config.json` in this directory.
    pub(crate) fn load(directory: &Path) -> Self {
        let path = directory.join("config.json");
        let warning =
            |reason: String| format!("WARNING: Error parsing config file ({}): {reason}", path.display());
        match fs::read_if_exists(&path) {
            Ok(None) => Self::default(),
            Ok(Some(bytes)) => {
                let (fields, wrong) = parse(&bytes);
                Self { fields, warning: wrong.map(warning) }
            }
            Err(error) => Self { fields: Map::new(), warning: Some(warning(error.to_string())) },
        }
    }

    /// What to tell the user of the file, if anything.
    pub(crate) fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }

    /// A text, such as `imagesFormat`; an empty one is none.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.fields.get(name)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
    }

    /// A list of texts, such as `pruneFilters`.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        let texts = self.fields.get(name).and_then(Value::as_array);
        texts.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// A proxy of every new container.
    pub(crate) fn default_proxy(&self, name: &str) -> Option<&str> {
        self.fields.get("proxies")?.get("default")?.get(name)?.as_str()
    }

    /// The words that an alias stands for.
    pub(crate) fn alias(&self, name: &str) -> Option<Vec<String>> {
        let words = split(self.fields.get("aliases")?.get(name)?.as_str()?);
        if words.is_empty() { None } else { Some(words) }
    }
}

/// The fields that are of their type, and what is wrong.
fn parse(bytes: &[u8]) -> (Map<String, Value>, Option<String>) {
    // What follows the first value is not looked at, as by docker.
    let value = match Deserializer::from_slice(bytes).into_iter::<Value>().next() {
        None | Some(Ok(Value::Null)) => return (Map::new(), None),
        Some(Err(error)) => return (Map::new(), Some(syntax(bytes, &error))),
        Some(Ok(value)) => value,
    };
    let Value::Object(mut fields) = value else {
        let what =
            format!("json: cannot unmarshal {} into Go value of type configfile.ConfigFile", kind(&value));
        return (Map::new(), Some(what));
    };
    let mut wrong = None;
    fields.retain(|name, value| match mismatch(name, value) {
        None => true,
        Some((kind, expected)) => {
            wrong.get_or_insert_with(|| {
                format!(
                    "json: cannot unmarshal {kind} into Go struct field ConfigFile.{name} of type {expected}"
                )
            });
            false
        }
    });
    (fields, wrong)
}

/// What a field is, and what it should be, by the names that docker's parser has for both.
fn mismatch(name: &str, value: &Value) -> Option<(&'static str, &'static str)> {
    let not =
        |expected, fits: bool| if fits || value.is_null() { None } else { Some((kind(value), expected)) };
    let all = |values: Option<Vec<&Value>>, expected| match values {
        None => not(expected, false),
        Some(values) => {
            values.into_iter().find(|value| !value.is_string()).map(|value| (kind(value), "string"))
        }
    };
    let entries = || value.as_object().map(|map| map.values().collect());
    match name {
        "psFormat" | "imagesFormat" | "volumesFormat" | "networksFormat" | "pluginsFormat"
        | "statsFormat" | "detachKeys" | "credsStore" | "currentContext" => not("string", value.is_string()),
        "aliases" | "HttpHeaders" | "credHelpers" if !value.is_null() => all(entries(), "map[string]string"),
        "pruneFilters" if !value.is_null() => {
            all(value.as_array().map(|list| list.iter().collect()), "[]string")
        }
        "proxies" => not("map[string]configfile.ProxyConfig", value.is_object()),
        _ => None,
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// docker's words where they are known: which character, and what was looked for.
fn syntax(bytes: &[u8], error: &serde_json::Error) -> String {
    if error.classify() == Category::Eof {
        return "unexpected EOF".to_owned();
    }
    let text = error.to_string();
    let wanted = [
        ("key must be a string", "looking for beginning of object key string"),
        ("expected value", "looking for beginning of value"),
        ("expected `:`", "after object key"),
        ("expected `,` or `}`", "after object key:value pair"),
        ("expected `,` or `]`", "after array element"),
    ];
    let line = bytes.split(|&byte| byte == b'\n').nth(error.line().saturating_sub(1));
    let character = line.and_then(|line| line.get(error.column().saturating_sub(1))).copied().map(char::from);
    match (wanted.iter().find(|(ours, _)| text.starts_with(ours)), character) {
        (Some((_, words)), Some(character)) => format!("invalid character {character:?} {words}"),
        _ => text,
    }
}

/// Splits a command as a shell would: blanks, quotes, backslashes.
fn split(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let (mut inside, mut quote) = (false, None);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let plain = match (quote, c) {
            (Some(open), c) if c == open => {
                quote = None;
                None
            }
            (Some('"') | None, '\\') => chars.next(),
            (None, '"' | '\'') => {
                quote = Some(c);
                if !inside {
                    words.push(String::new());
                }
                inside = true;
                None
            }
            (None, c) if c.is_whitespace() => {
                inside = false;
                continue;
            }
            (_, c) => Some(c),
        };
        let Some(plain) = plain else { continue };
        if !inside {
            words.push(String::new());
        }
        inside = true;
        words.last_mut().into_iter().for_each(|word| word.push(plain));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told_in_dockers_words() {
        let check = |text: &str, expected: &str| {
            assert_eq!(parse(text.as_bytes()).1.unwrap_or_default(), expected, "{text}");
        };
        let field = "into Go struct field ConfigFile.";
        check("", "");
        check("null", "");
        check("{\"a\":1} x", "");
        check("{\"unknown\":5}", "");
        check("{\"psFormat\":3}", &format!("json: cannot unmarshal number {field}psFormat of type string"));
        check(
            "{\"aliases\":[]}",
            &format!("json: cannot unmarshal array {field}aliases of type map[string]string"),
        );
        check(
            "{\"HttpHeaders\":{\"a\":1}}",
            &format!("json: cannot unmarshal number {field}HttpHeaders of type string"),
        );
        check(
            "{\"pruneFilters\":\"x\"}",
            &format!("json: cannot unmarshal string {field}pruneFilters of type []string"),
        );
        check(
            "{\"proxies\":3}",
            &format!(
                "json: cannot unmarshal number {field}proxies of type map[string]configfile.ProxyConfig"
            ),
        );
        check("[]", "json: cannot unmarshal array into Go value of type configfile.ConfigFile");
        check("{\"a\":1", "unexpected EOF");
        check("{bad", "invalid character 'b' looking for beginning of object key string");
        check("{'a':1}", "invalid character '\\'' looking for beginning of object key string");
        check("{\"a\":}", "invalid character '}' looking for beginning of value");
    }

    #[test]
    fn a_wrong_field_leaves_the_others() {
        let (fields, warning) =
            parse(b"{\"psFormat\": 3, \"imagesFormat\": \"{{.ID}}\", \"pruneFilters\": [\"a=b\"]}");
        let config = ClientConfig { fields, warning };
        assert_eq!(config.text("psFormat"), None);
        assert_eq!(config.text("imagesFormat").as_deref(), Some("{{.ID}}"));
        assert_eq!(config.list("pruneFilters"), ["a=b"]);
    }

    #[test]
    fn aliases_are_split_as_a_shell_does() {
        let check = |text: &str, expected: &[&str]| assert_eq!(split(text), expected, "{text}");
        check("ps -a", &["ps", "-a"]);
        check("  ps  --format '{{.ID}} \"x\"' ", &["ps", "--format", "{{.ID}} \"x\""]);
        check("a\"b c\"d e\\ f \"\" \"q\\\"r\"", &["ab cd", "e f", "", "q\"r"]);
        check(" ", &[]);
    }
}
