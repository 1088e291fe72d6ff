//! The functions of Go's text/template and docker's additions.

use serde_json::Value;

use super::printf;

/// Their names, and how many arguments they take: at least, and at most where there is a most.
const FUNCTIONS: &[(&str, usize, Option<usize>)] = &[
    ("and", 1, None),
    ("eq", 1, None),
    ("ge", 2, Some(2)),
    ("gt", 2, Some(2)),
    ("html", 0, None),
    ("index", 1, None),
    ("join", 2, Some(2)),
    ("js", 0, None),
    ("json", 1, Some(1)),
    ("le", 2, Some(2)),
    ("len", 1, Some(1)),
    ("lower", 1, Some(1)),
    ("lt", 2, Some(2)),
    ("ne", 2, Some(2)),
    ("not", 1, Some(1)),
    ("or", 1, None),
    ("pad", 3, Some(3)),
    ("print", 0, None),
    ("printf", 1, None),
    ("println", 0, None),
    ("slice", 1, None),
    ("split", 2, Some(2)),
    ("title", 1, Some(1)),
    ("truncate", 2, Some(2)),
    ("upper", 1, Some(1)),
    ("urlquery", 0, None),
];

pub(super) fn exists(name: &str) -> bool {
    FUNCTIONS.iter().any(|(other, ..)| *other == name)
}

/// Refuses a wrong number of arguments.
pub(super) fn check_count(name: &str, got: usize) -> Result<(), String> {
    let Some((_, least, most)) = FUNCTIONS.iter().find(|(other, ..)| *other == name) else { return Ok(()) };
    match most {
        Some(most) if got != *most => Err(format!("wrong number of args for {name}: want {most} got {got}")),
        None if got < *least => {
            Err(format!("wrong number of args for {name}: want at least {least} got {got}"))
        }
        _ => Ok(()),
    }
}

/// Refuses an argument of a wrong type. What an inspected object lacks is taken for empty, which Go does not.
pub(super) fn check_kind(name: &str, index: usize, value: &Value, is_literal: bool) -> Result<(), String> {
    let wanted = match (name, index) {
        ("join", 0) => "[]string",
        ("lower" | "upper" | "title" | "truncate" | "pad" | "printf", 0) | ("split", 0 | 1) | ("join", 1) => {
            "string"
        }
        ("truncate", 1) | ("pad", 1 | 2) => "int",
        _ => return Ok(()),
    };
    let fits = match (wanted, value) {
        (_, Value::Null) => !is_literal,
        ("[]string", value) => value.is_array(),
        ("int", value) => value.is_i64() || value.is_u64(),
        (_, value) => value.is_string(),
    };
    match (fits, is_literal) {
        (true, _) => Ok(()),
        (false, true) => {
            Err(format!("expected {}; found {}", wanted.replace("int", "integer"), literal(value)))
        }
        (false, false) => Err(format!("wrong type for value; expected {wanted}; got {}", kind(value))),
    }
}

fn literal(value: &Value) -> String {
    match value {
        Value::Null => "nil".to_owned(),
        other => other.to_string(),
    }
}

/// Calls a function; the error is the reason alone.
pub(super) fn call(name: &str, arguments: &[Value]) -> Result<Value, String> {
    match (name, arguments) {
        ("json", [value]) => Ok(json(value).into()),
        ("len", [value]) => length(value).map(Value::from),
        ("index", [value, keys @ ..]) => keys.iter().try_fold(value.clone(), |value, key| index(&value, key)),
        ("slice", [value, bounds @ ..]) => slice(value, bounds),
        ("not", [value]) => Ok((!is_true(value)).into()),
        ("and", [.., last]) => Ok(arguments.iter().find(|value| !is_true(value)).unwrap_or(last).clone()),
        ("or", [.., last]) => Ok(arguments.iter().find(|value| is_true(value)).unwrap_or(last).clone()),
        ("eq", [_]) => Err("missing argument for comparison".to_owned()),
        ("eq", [first, others @ ..]) => {
            for other in others {
                if equal(first, other)? {
                    return Ok(true.into());
                }
            }
            Ok(false.into())
        }
        ("ne", [a, b]) => Ok((!equal(a, b)?).into()),
        ("lt", [a, b]) => Ok(compare(a, b)?.is_lt().into()),
        ("le", [a, b]) => Ok(compare(a, b)?.is_le().into()),
        ("gt", [a, b]) => Ok(compare(a, b)?.is_gt().into()),
        ("ge", [a, b]) => Ok(compare(a, b)?.is_ge().into()),
        ("print", values) => Ok(print(values).into()),
        ("html", values) => Ok(escape(&print(values), HTML).into()),
        ("js", values) => Ok(escape(&print(values), SCRIPT).into()),
        ("urlquery", values) => Ok(urlquery(&print(values)).into()),
        ("println", values) => {
            Ok(format!("{}\n", values.iter().map(text).collect::<Vec<_>>().join(" ")).into())
        }
        ("printf", [format, values @ ..]) => Ok(printf::printf(&text(format), values).into()),
        ("lower", [value]) => Ok(text(value).to_lowercase().into()),
        ("upper", [value]) => Ok(text(value).to_uppercase().into()),
        ("title", [value]) => Ok(title(&text(value)).into()),
        ("split", [value, separator]) => Ok(text(value).split(&text(separator)).map(Value::from).collect()),
        ("join", [Value::Array(list), separator]) => {
            Ok(list.iter().map(text).collect::<Vec<_>>().join(&text(separator)).into())
        }
        ("join", [Value::Null, _]) => Ok(String::new().into()),
        ("truncate", [value, length]) => match length.as_i64() {
            Some(length) if length < 0 => {
                Err(format!("runtime error: slice bounds out of range [:{length}]"))
            }
            length => {
                let length = length.and_then(|length| usize::try_from(length).ok()).unwrap_or(usize::MAX);
                Ok(text(value).chars().take(length).collect::<String>().into())
            }
        },
        ("pad", [value, before, after]) => {
            let spaces = |count: &Value| {
                " ".repeat(usize::try_from(count.as_u64().unwrap_or(0)).unwrap_or(0).min(4096))
            };
            let value = text(value);
            Ok(if value.is_empty() { value } else { format!("{}{value}{}", spaces(before), spaces(after)) }
                .into())
        }
        _ => Err(format!("wrong number or type of arguments: got {}", arguments.len())),
    }
}

/// Compact, with sorted keys, `<`, `>` and `&` as they are: what docker's encoder writes.
fn json(value: &Value) -> String {
    value.to_string()
}

/// A value as Go's `%v` prints it.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => "<no value>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(list) => format!("[{}]", list.iter().map(inner).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            let mut entries: Vec<String> =
                map.iter().map(|(key, value)| format!("{key}:{}", inner(value))).collect();
            entries.sort();
            format!("map[{}]", entries.join(" "))
        }
    }
}

fn inner(value: &Value) -> String {
    if value.is_null() { "<nil>".to_owned() } else { text(value) }
}

pub(super) fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

fn length(value: &Value) -> Result<usize, String> {
    match value {
        Value::Null => Ok(0),
        Value::String(text) => Ok(text.len()),
        Value::Array(list) => Ok(list.len()),
        Value::Object(map) => Ok(map.len()),
        other => Err(format!("len of type {}", kind(other))),
    }
}

fn index(value: &Value, key: &Value) -> Result<Value, String> {
    let place = |count: usize, kind: &str| match key {
        Value::Number(number) => match number.as_u64().and_then(|at| usize::try_from(at).ok()) {
            Some(at) if at < count => Ok(at),
            // As Go has it: the last place but one is checked later than those behind it.
            Some(at) if at == count => Err(format!("reflect: {kind} index out of range")),
            _ => Err(format!("index out of range: {number}")),
        },
        Value::Null => Err("cannot index slice/array with nil".to_owned()),
        key => Err(format!("cannot index slice/array with type {}", self::kind(key))),
    };
    match (value, key) {
        // A key that is not there has the empty value, as in a map of texts.
        (Value::Object(map), Value::String(key)) => {
            Ok(map.get(key).cloned().unwrap_or_else(|| Value::String(String::new())))
        }
        (Value::Object(_), key) => Err(format!("value has type {}; should be string", kind(key))),
        (Value::Array(list), _) => Ok(list.get(place(list.len(), "slice")?).cloned().unwrap_or_default()),
        (Value::String(text), _) => {
            let at = place(text.len(), "string")?;
            Ok(text.as_bytes().get(at).copied().map(Value::from).unwrap_or_default())
        }
        (Value::Null, Value::String(_)) => Ok(Value::String(String::new())),
        (Value::Null, _) => Err("index of untyped nil".to_owned()),
        (other, _) => Err(format!("can't index item of type {}", kind(other))),
    }
}

fn slice(value: &Value, bounds: &[Value]) -> Result<Value, String> {
    let whole = match value {
        Value::String(_) | Value::Array(_) => length(value)?,
        Value::Null => return Err("slice of untyped nil".to_owned()),
        other => return Err(format!("can't slice item of type {}", kind(other))),
    };
    let bound = |at: usize, default: usize| match bounds.get(at) {
        None => Ok(default),
        Some(Value::Number(number)) => {
            let place = number.as_u64().and_then(|place| usize::try_from(place).ok());
            place.filter(|&place| place <= whole).ok_or_else(|| format!("index out of range: {number}"))
        }
        Some(other) => Err(format!("cannot index slice/array with type {}", kind(other))),
    };
    let (start, end) = (bound(0, 0)?, bound(1, whole)?);
    let wrong = || format!("invalid slice index: {start} > {end}");
    match value {
        Value::Array(list) => Ok(Value::Array(list.get(start..end).ok_or_else(wrong)?.to_vec())),
        value => {
            let text = text(value);
            let bytes = text.as_bytes().get(start..end).ok_or_else(wrong)?;
            Ok(String::from_utf8_lossy(bytes).into_owned().into())
        }
    }
}

fn equal(a: &Value, b: &Value) -> Result<bool, String> {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => match (a.as_f64(), b.as_f64()) {
            (Some(a), Some(b)) => Ok(a.total_cmp(&b).is_eq()),
            _ => Ok(a == b),
        },
        (Value::Null, _) | (_, Value::Null) => Ok(a == b),
        _ if kind(a) == kind(b) => Ok(a == b),
        _ => Err("incompatible types for comparison".to_owned()),
    }
}

fn compare(a: &Value, b: &Value) -> Result<std::cmp::Ordering, String> {
    match (a, b) {
        (Value::String(a), Value::String(b)) => Ok(a.cmp(b)),
        _ => match (a.as_f64(), b.as_f64()) {
            (Some(a), Some(b)) => Ok(a.total_cmp(&b)),
            _ => Err("incompatible types for comparison".to_owned()),
        },
    }
}

pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nil",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

fn title(text: &str) -> String {
    let mut start = true;
    let capitalise = |c: char| {
        // As Go's Title: a word begins behind what is neither letter, digit nor underscore.
        let separates =
            if c.is_ascii() { !(c.is_ascii_alphanumeric() || c == '_') } else { c.is_whitespace() };
        let first = std::mem::replace(&mut start, separates);
        if first { c.to_uppercase().to_string() } else { c.to_string() }
    };
    text.chars().map(capitalise).collect()
}

/// As Go's Sprint: a blank between two that are no texts.
fn print(values: &[Value]) -> String {
    let mut out = String::new();
    for (index, value) in values.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|before| values.get(before));
        if before.is_some_and(|before| !before.is_string() && !value.is_string()) {
            out.push(' ');
        }
        out.push_str(&text(value));
    }
    out
}

const HTML: &[(char, &str)] =
    &[('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;"), ('"', "&#34;"), ('\'', "&#39;")];
const SCRIPT: &[(char, &str)] = &[
    ('\\', "\\\\"),
    ('\'', "\\'"),
    ('"', "\\\""),
    ('<', "\\u003C"),
    ('>', "\\u003E"),
    ('&', "\\u0026"),
    ('=', "\\u003D"),
];

fn escape(text: &str, table: &[(char, &str)]) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match table.iter().find(|(plain, _)| *plain == c) {
            Some((_, escaped)) => out.push_str(escaped),
            None => out.push(c),
        }
    }
    out
}

fn urlquery(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
