//! The functions of Go's text/template and docker's additions.

use serde_json::Value;

const NAMES: &[&str] = &[
    "and", "eq", "ge", "gt", "index", "join", "json", "le", "len", "lower", "lt", "ne", "not", "or", "pad",
    "print", "printf", "println", "slice", "split", "title", "truncate", "upper",
];

pub(super) fn exists(name: &str) -> bool {
    NAMES.contains(&name)
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
        ("eq", [first, others @ ..]) if !others.is_empty() => {
            Ok(others.iter().any(|other| equal(first, other)).into())
        }
        ("ne", [a, b]) => Ok((!equal(a, b)).into()),
        ("lt", [a, b]) => Ok(compare(a, b)?.is_lt().into()),
        ("le", [a, b]) => Ok(compare(a, b)?.is_le().into()),
        ("gt", [a, b]) => Ok(compare(a, b)?.is_gt().into()),
        ("ge", [a, b]) => Ok(compare(a, b)?.is_ge().into()),
        ("print", values) => Ok(values.iter().map(text).collect::<String>().into()),
        ("println", values) => {
            Ok(format!("{}\n", values.iter().map(text).collect::<Vec<_>>().join(" ")).into())
        }
        ("printf", [format, values @ ..]) => Ok(printf(&text(format), values).into()),
        ("lower", [value]) => Ok(text(value).to_lowercase().into()),
        ("upper", [value]) => Ok(text(value).to_uppercase().into()),
        ("title", [value]) => Ok(title(&text(value)).into()),
        ("split", [value, separator]) => Ok(text(value).split(&text(separator)).map(Value::from).collect()),
        ("join", [Value::Array(list), separator]) => {
            Ok(list.iter().map(text).collect::<Vec<_>>().join(&text(separator)).into())
        }
        ("join", [Value::Null, _]) => Ok(String::new().into()),
        ("truncate", [value, length]) => {
            let length =
                length.as_u64().and_then(|length| usize::try_from(length).ok()).unwrap_or(usize::MAX);
            Ok(text(value).chars().take(length).collect::<String>().into())
        }
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
    match (value, key) {
        // A key that is not there has the empty value, as in a map of texts.
        (Value::Object(map), Value::String(key)) => {
            Ok(map.get(key).cloned().unwrap_or_else(|| Value::String(String::new())))
        }
        (Value::Array(list), Value::Number(number)) => number
            .as_u64()
            .and_then(|at| list.get(usize::try_from(at).ok()?))
            .cloned()
            .ok_or_else(|| format!("index out of range: {number}")),
        (Value::Null, Value::String(_)) => Ok(Value::String(String::new())),
        (Value::Null, _) => Err("index of untyped nil".to_owned()),
        (Value::Object(_) | Value::Array(_), key) => Err(format!("cannot index with type {}", kind(key))),
        (other, _) => Err(format!("can't index item of type {}", kind(other))),
    }
}

fn slice(value: &Value, bounds: &[Value]) -> Result<Value, String> {
    let bound = |at: usize, default: usize| match bounds.get(at) {
        None => Ok(default),
        Some(value) => value
            .as_u64()
            .and_then(|value| usize::try_from(value).ok())
            .ok_or_else(|| format!("cannot index slice/array with {value}")),
    };
    let whole = length(value)?;
    let (start, end) = (bound(0, 0)?, bound(1, whole)?);
    let wrong = || format!("index out of range: {}", start.max(end));
    match value {
        Value::String(text) => Ok(text.get(start..end).ok_or_else(wrong)?.into()),
        Value::Array(list) => Ok(Value::Array(list.get(start..end).ok_or_else(wrong)?.to_vec())),
        other => Err(format!("can't slice item of type {}", kind(other))),
    }
}

fn equal(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a.total_cmp(&b).is_eq(),
        _ => a == b,
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

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nil",
        Value::Bool(_) => "bool",
        Value::Number(_) => "int",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

fn title(text: &str) -> String {
    let mut start = true;
    let capitalise = |c: char| {
        let first = std::mem::replace(&mut start, c.is_whitespace());
        if first { c.to_uppercase().to_string() } else { c.to_string() }
    };
    text.chars().map(capitalise).collect()
}

/// `%s %v %d %q %t %%`, with a width; what else Go has is shown as Go shows a bad verb.
fn printf(format: &str, values: &[Value]) -> String {
    let mut out = String::new();
    let mut values = values.iter();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let left = chars.next_if_eq(&'-').is_some();
        let mut width = 0_usize;
        while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
            width = (width * 10 + digit as usize).min(4096);
            chars.next();
        }
        let verb = chars.next().unwrap_or('%');
        if verb == '%' {
            out.push('%');
            continue;
        }
        let shown = match (verb, values.next()) {
            (verb, None) => format!("%!{verb}(MISSING)"),
            ('q', Some(Value::String(text))) => format!("{text:?}"),
            ('s' | 'v' | 'd' | 't' | 'q', Some(value)) => text(value),
            (verb, Some(value)) => format!("%!{verb}({}={})", kind(value), text(value)),
        };
        if left {
            out.push_str(&format!("{shown:<width$}"));
        } else {
            out.push_str(&format!("{shown:>width$}"));
        }
    }
    out
}
