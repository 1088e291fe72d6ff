//! Custom profiles in docker's JSON format (and the OCI runtime-spec's, which it contains).

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::SeccompError;
use super::profile::{Abi, Action, Architectures, Condition, Filter, Operator, Profile, Rule};
use crate::capabilities::{CapSet, Capability};

const EPERM: u16 = 1;

/// The kernel takes no larger one.
const MAX_ERRNO: u64 = 4095;

/// Parses a profile; `None` where it says nothing at all, which docker reads as "unconfined".
///
/// Keys that docker does not know are ignored; so are names of system calls, architectures and capabilities that
/// this build does not know, since a profile is written for many machines.
pub fn parse(text: &[u8]) -> Result<Option<Profile>, SeccompError> {
    let root: Value = serde_json::from_slice(text).map_err(|error| SeccompError::Json(error.to_string()))?;
    let root = Field { path: String::new(), value: &root };
    let root = root.object()?;
    let syscalls = root.list("syscalls")?;
    let Some(default) = root.get("defaultAction") else {
        if syscalls.is_empty() {
            return Ok(None);
        }
        return Err(error("defaultAction", "it is missing"));
    };
    let default = action(&default, root.get("defaultErrnoRet").as_ref())?;
    if let Some(path) = root.get("listenerPath") {
        return Err(error(&path.path, "notification of a listener is not supported"));
    }
    let mut rules = Vec::new();
    for syscall in &syscalls {
        rules.extend(rule(syscall)?);
    }
    Ok(Some(Profile { default, architectures: architectures(&root)?, flags: flags(&root)?, rules }))
}

fn error(field: &str, reason: impl Into<String>) -> SeccompError {
    SeccompError::Field { field: field.to_owned(), reason: reason.into() }
}

/// A value and where it is.
struct Field<'a> {
    path: String,
    value: &'a Value,
}

/// An object and where it is.
struct Object<'a> {
    path: String,
    map: &'a Map<String, Value>,
}

impl<'a> Field<'a> {
    fn object(&self) -> Result<Object<'a>, SeccompError> {
        match self.value {
            Value::Object(map) => Ok(Object { path: self.path.clone(), map }),
            _ if self.path.is_empty() => Err(SeccompError::Json("it is not a JSON object".to_owned())),
            _ => Err(error(&self.path, "it is not an object")),
        }
    }

    fn text(&self) -> Result<&'a str, SeccompError> {
        self.value.as_str().ok_or_else(|| error(&self.path, "it is not a string"))
    }

    fn number(&self) -> Result<u64, SeccompError> {
        self.value.as_u64().ok_or_else(|| error(&self.path, "it is not a number from 0 to 2^64 - 1"))
    }

    fn unknown(&self, what: &str) -> SeccompError {
        error(&self.path, format!("unknown {what} {}", self.value))
    }
}

impl<'a> Object<'a> {
    /// A key's field; `null` is absent, as in Go.
    fn get(&self, key: &str) -> Option<Field<'a>> {
        let value = self.map.get(key).filter(|value| !value.is_null())?;
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        Some(Field { path, value })
    }

    fn list(&self, key: &str) -> Result<Vec<Field<'a>>, SeccompError> {
        let Some(field) = self.get(key) else { return Ok(Vec::new()) };
        let Value::Array(values) = field.value else { return Err(error(&field.path, "it is not a list")) };
        let numbered = values.iter().enumerate();
        Ok(numbered.map(|(index, value)| Field { path: format!("{}[{index}]", field.path), value }).collect())
    }
}

fn action(field: &Field<'_>, errno: Option<&Field<'_>>) -> Result<Action, SeccompError> {
    let number = match errno {
        None => EPERM,
        Some(errno) => match u16::try_from(errno.number()?) {
            Ok(number) if u64::from(number) <= MAX_ERRNO => number,
            _ => return Err(error(&errno.path, format!("{} is above {MAX_ERRNO}", errno.value))),
        },
    };
    Ok(match field.text()? {
        "SCMP_ACT_ALLOW" => Action::Allow,
        "SCMP_ACT_LOG" => Action::Log,
        "SCMP_ACT_ERRNO" => Action::Errno(number),
        "SCMP_ACT_TRACE" => Action::Trace(number),
        "SCMP_ACT_TRAP" => Action::Trap,
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Action::KillThread,
        "SCMP_ACT_KILL_PROCESS" => Action::KillProcess,
        "SCMP_ACT_NOTIFY" => return Err(error(&field.path, "SCMP_ACT_NOTIFY is not supported")),
        _ => return Err(field.unknown("action")),
    })
}

/// Reads one entry of `syscalls`: one rule, or several where an argument is compared more than once.
///
/// runc treats repeated comparisons of one argument as alternatives, each with none of the others, and profiles
/// (docker's own among them) are written for that.
fn rule(syscall: &Field<'_>) -> Result<Vec<Rule>, SeccompError> {
    let object = syscall.object()?;
    let mut names: Vec<Cow<'static, str>> = Vec::new();
    for name in object.list("names")? {
        names.push(Cow::Owned(name.text()?.to_owned()));
    }
    if let Some(name) = object.get("name") {
        if !names.is_empty() {
            return Err(error(&object.path, "both name and names are given"));
        }
        names.push(Cow::Owned(name.text()?.to_owned()));
    }
    let Some(field) = object.get("action") else {
        return Err(error(&format!("{}.action", object.path), "it is missing"));
    };
    let action = action(&field, object.get("errnoRet").as_ref())?;
    let mut conditions = Vec::new();
    for argument in object.list("args")? {
        conditions.push(condition(&argument.object()?)?);
    }
    let (includes, possible) = filter(&object, "includes")?;
    let (excludes, _) = filter(&object, "excludes")?;
    if names.is_empty() {
        return Err(error(&object.path, "neither name nor names is given"));
    }
    if !possible {
        return Ok(Vec::new());
    }
    let repeated = conditions.iter().enumerate().any(|(index, condition): (usize, &Condition)| {
        conditions[..index].iter().any(|other| other.argument == condition.argument)
    });
    let whole = Rule { names, action, conditions, includes, excludes };
    if !repeated {
        return Ok(vec![whole]);
    }
    let alone = |condition: &Condition| Rule { conditions: vec![*condition], ..whole.clone() };
    Ok(whole.conditions.iter().map(alone).collect())
}

fn condition(object: &Object<'_>) -> Result<Condition, SeccompError> {
    let number = |key: &str| object.get(key).map_or(Ok(0), |field| field.number());
    let argument = match u8::try_from(number("index")?) {
        Ok(argument) if argument < 6 => argument,
        _ => return Err(error(&format!("{}.index", object.path), "a system call has the arguments 0 to 5")),
    };
    let (value, value_two) = (number("value")?, number("valueTwo")?);
    let Some(field) = object.get("op") else {
        return Err(error(&format!("{}.op", object.path), "it is missing"));
    };
    let plain = |operator| Ok(Condition { argument, operator, value });
    match field.text()? {
        "SCMP_CMP_EQ" => plain(Operator::Equal),
        "SCMP_CMP_NE" => plain(Operator::NotEqual),
        "SCMP_CMP_LT" => plain(Operator::Less),
        "SCMP_CMP_LE" => plain(Operator::LessOrEqual),
        "SCMP_CMP_GT" => plain(Operator::Greater),
        "SCMP_CMP_GE" => plain(Operator::GreaterOrEqual),
        // Here `value` is the mask, and what is compared is `valueTwo`.
        "SCMP_CMP_MASKED_EQ" => {
            Ok(Condition { argument, operator: Operator::Masked(value), value: value_two })
        }
        _ => Err(field.unknown("operator")),
    }
}

/// Reads a filter, and says whether every capability in it is one that a container could hold.
fn filter(object: &Object<'_>, key: &str) -> Result<(Filter, bool), SeccompError> {
    let Some(field) = object.get(key) else { return Ok((Filter::default(), true)) };
    let object = field.object()?;
    let mut filter = Filter { caps: CapSet::EMPTY, ..Filter::default() };
    let mut known = true;
    for name in object.list("caps")? {
        match Capability::parse(name.text()?) {
            Ok(capability) => filter.caps = filter.caps.with(capability),
            Err(_) => known = false,
        }
    }
    for arch in object.list("arches")? {
        filter.arches.push(Cow::Owned(arch.text()?.to_owned()));
    }
    if let Some(field) = object.get("minKernel") {
        let version = field.text()?.split_once('.').and_then(|(major, minor)| {
            let version = (major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?);
            (version.0 > 0).then_some(version)
        });
        let version = version.ok_or_else(|| error(&field.path, "it is not a version like \"4.8\""))?;
        filter.min_kernel = Some(version);
    }
    Ok((filter, known))
}

fn architectures(root: &Object<'_>) -> Result<Architectures, SeccompError> {
    let (listed, mapped) = (root.list("architectures")?, root.list("archMap")?);
    if !listed.is_empty() && !mapped.is_empty() {
        return Err(error("archMap", "both architectures and archMap are given"));
    }
    if mapped.is_empty() {
        return Ok(Architectures::Listed(abis(&listed)?));
    }
    let mut map = Vec::new();
    for entry in &mapped {
        let object = entry.object()?;
        let Some(native) = object.get("architecture") else {
            return Err(error(&format!("{}.architecture", object.path), "it is missing"));
        };
        let others = abis(&object.list("subArchitectures")?)?;
        map.extend(abi(&native)?.map(|native| (native, others)));
    }
    Ok(Architectures::Mapped(map))
}

fn abis(fields: &[Field<'_>]) -> Result<Vec<Abi>, SeccompError> {
    let mut abis = Vec::new();
    for field in fields {
        abis.extend(abi(field)?);
    }
    Ok(abis)
}

/// Reads an architecture; `None` for one that this build never meets.
fn abi(field: &Field<'_>) -> Result<Option<Abi>, SeccompError> {
    Ok(Some(match field.text()? {
        "SCMP_ARCH_X86_64" => Abi::X86_64,
        "SCMP_ARCH_X86" => Abi::I386,
        "SCMP_ARCH_X32" => Abi::X32,
        "SCMP_ARCH_AARCH64" => Abi::Aarch64,
        "SCMP_ARCH_ARM" => Abi::Arm,
        name if name.starts_with("SCMP_ARCH_") => return Ok(None),
        _ => return Err(field.unknown("architecture")),
    }))
}

fn flags(root: &Object<'_>) -> Result<u32, SeccompError> {
    let mut flags = 0;
    for field in root.list("flags")? {
        // linux/seccomp.h.
        flags |= match field.text()? {
            "SECCOMP_FILTER_FLAG_TSYNC" => 1,
            "SECCOMP_FILTER_FLAG_LOG" => 2,
            "SECCOMP_FILTER_FLAG_SPEC_ALLOW" => 4,
            "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" => {
                return Err(error(&field.path, "it needs SCMP_ACT_NOTIFY, which is not supported"));
            }
            _ => return Err(field.unknown("flag")),
        };
    }
    Ok(flags)
}
