//! docker's log drivers: which options each takes, and what the worker is told of them.
//!
//! Options are checked when a container is created, so that nothing of them can be wrong when it starts. What the
//! drivers do is in `corten_monitor`.

mod attributes;
mod syslog;

use std::collections::BTreeMap;
use std::path::PathBuf;

use corten_monitor::journald::{self, field};
use corten_monitor::{JournaldOrder, LogFormat, LogOrder, LogSink};

use super::record::ContainerRecord;
use super::spec::{LogDriver, LogSpec};
use crate::{Engine, Error};

const FILE_OPTIONS: [&str; 3] = ["max-size", "max-file", "compress"];
const ATTRIBUTE_OPTIONS: [&str; 5] = ["labels", "labels-regex", "env", "env-regex", "tag"];
const SYSLOG_OPTIONS: [&str; 3] = ["syslog-address", "syslog-facility", "syslog-format"];

/// What every driver takes.
const GENERAL_OPTIONS: [&str; 2] = ["mode", "max-buffer-size"];

/// Reads a driver and its options; the errors are docker's.
pub fn parse(driver: &str, options: BTreeMap<String, String>) -> Result<LogSpec, Error> {
    let driver = LogDriver::ALL.into_iter().find(|known| known.name() == driver).ok_or_else(|| {
        let names = LogDriver::ALL.map(LogDriver::name).join(", ");
        Error::invalid(format!(
            "error looking up logging plugin {driver}: plugin \"{driver}\" not found: there are {names}"
        ))
    })?;
    let mut log = LogSpec { driver, ..LogSpec::default() };
    if driver == LogDriver::Local {
        (log.max_size, log.max_files) = (20_000_000, 5);
    }
    check_mode(driver, &options)?;
    for (key, value) in &options {
        if !takes(driver, key) {
            let name = driver.name();
            return Err(Error::invalid(match driver {
                LogDriver::Local => format!("unknown log opt '{key}' for log driver {name}"),
                _ => format!("unknown log opt '{key}' for {name} log driver"),
            }));
        }
        read_file_option(&mut log, key, value).map_err(failed)?;
    }
    attributes::check(&options)?;
    if driver == LogDriver::Syslog {
        syslog::parse(&options).map_err(failed)?;
    }
    log.options = options;
    Ok(log)
}

fn failed(reason: String) -> Error {
    Error::invalid(format!("failed to initialize logging driver: {reason}"))
}

fn takes(driver: LogDriver, key: &str) -> bool {
    let own: &[&[&str]] = match driver {
        LogDriver::JsonFile => &[&FILE_OPTIONS, &ATTRIBUTE_OPTIONS],
        LogDriver::Local => &[&FILE_OPTIONS],
        LogDriver::Journald => &[&ATTRIBUTE_OPTIONS],
        LogDriver::Syslog => &[&ATTRIBUTE_OPTIONS, &SYSLOG_OPTIONS],
        LogDriver::None => return true,
    };
    GENERAL_OPTIONS.contains(&key) || own.iter().any(|options| options.contains(&key))
}

fn check_mode(driver: LogDriver, options: &BTreeMap<String, String>) -> Result<(), Error> {
    let mode = options.get("mode").map_or("", String::as_str);
    if !matches!(mode, "" | "blocking" | "non-blocking") {
        return Err(Error::invalid(format!("logger: logging mode not supported: {mode}")));
    }
    let is_file = matches!(driver, LogDriver::JsonFile | LogDriver::Local);
    if mode == "non-blocking" && is_file {
        let text = "logger: mode=non-blocking is for drivers that send: a file is written at once";
        return Err(Error::unsupported(text));
    }
    if options.contains_key("max-buffer-size") {
        if mode != "non-blocking" {
            let text = "logger: max-buffer-size option is only supported with 'mode=non-blocking'";
            return Err(Error::invalid(text));
        }
        return Err(Error::unsupported(
            "logger: max-buffer-size is not supported: a server that is busy takes what the socket holds, and the rest is lost",
        ));
    }
    Ok(())
}

fn read_file_option(log: &mut LogSpec, key: &str, value: &str) -> Result<(), String> {
    match key {
        "max-size" if value == "-1" => log.max_size = 0,
        "max-size" => {
            log.max_size = decimal_size(value)?;
            if log.max_size == 0 {
                return Err("max-size must be a positive number".to_owned());
            }
        }
        "max-file" => {
            let syntax = |_| format!("strconv.Atoi: parsing \"{value}\": invalid syntax");
            let number: i64 = value.parse().map_err(syntax)?;
            log.max_files = u64::try_from(number).unwrap_or(0);
            if log.max_files == 0 {
                return Err("max-file cannot be less than 1".to_owned());
            }
        }
        "compress" => match value {
            "false" | "False" | "FALSE" | "f" | "F" | "0" => {}
            "true" | "True" | "TRUE" | "t" | "T" | "1" => {
                return Err("compress=true is not supported: rotated files are kept as they are".to_owned());
            }
            _ => return Err(format!("strconv.ParseBool: parsing \"{value}\": invalid syntax")),
        },
        _ => {}
    }
    Ok(())
}

/// docker's sizes of logs: `10m` is ten million bytes (go-units, FromHumanSize).
fn decimal_size(text: &str) -> Result<u64, String> {
    let invalid = || format!("invalid size: '{text}'");
    let lower = text.trim().to_ascii_lowercase();
    let end = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
    let (number, unit) = lower.split_at(end);
    let number: f64 = number.parse().map_err(|_| invalid())?;
    let scale = match unit.trim().trim_end_matches("ib").trim_end_matches('b') {
        "" => 1.0,
        "k" => 1e3,
        "m" => 1e6,
        "g" => 1e9,
        "t" => 1e12,
        "p" => 1e15,
        _ => return Err(invalid()),
    };
    let bytes = number * scale;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be in range")]
    if (0.0..9.2e18).contains(&bytes) { Ok(bytes as u64) } else { Err(invalid()) }
}

/// The file that is written and read; `None` for a driver that has none.
pub(super) fn file(engine: &Engine, record: &ContainerRecord) -> Option<(PathBuf, LogFormat)> {
    let directory = record.directory(engine);
    match record.spec.log.driver {
        LogDriver::JsonFile => Some((directory.join(format!("{}-json.log", record.id)), LogFormat::Json)),
        LogDriver::Local => Some((directory.join("local.log"), LogFormat::Local)),
        LogDriver::Journald | LogDriver::Syslog | LogDriver::None => None,
    }
}

/// Where the worker writes to. Looks a server's name up.
pub(super) fn sink(engine: &Engine, record: &ContainerRecord) -> Result<Option<LogSink>, Error> {
    let log = &record.spec.log;
    if let Some((path, format)) = file(engine, record) {
        let attributes = match log.driver {
            LogDriver::JsonFile => attributes::json(&attributes::of(record, None)),
            _ => String::new(),
        };
        let order = LogOrder { format, attributes, path, max_size: log.max_size, max_files: log.max_files };
        return Ok(Some(LogSink::Files(order)));
    }
    match log.driver {
        LogDriver::Journald if !journald::is_there() => {
            Err(failed("journald is not enabled on this host".to_owned()))
        }
        LogDriver::Journald => {
            let fields = journal_fields(record);
            Ok(Some(LogSink::Journald(JournaldOrder { fields, waits: waits(log) })))
        }
        LogDriver::Syslog => {
            let mut order = syslog::parse(&log.options).and_then(syslog::resolve).map_err(failed)?;
            order.tag = attributes::tag(record);
            order.waits = waits(log);
            Ok(Some(LogSink::Syslog(order)))
        }
        LogDriver::JsonFile | LogDriver::Local | LogDriver::None => Ok(None),
    }
}

fn waits(log: &LogSpec) -> bool {
    log.options.get("mode").is_none_or(|mode| mode != "non-blocking")
}

/// docker's fields of every entry of a container.
fn journal_fields(record: &ContainerRecord) -> Vec<u8> {
    let tag = attributes::tag(record);
    let mut fields = Vec::new();
    let short = record.id.get(..12).unwrap_or_default();
    for (name, value) in [
        ("CONTAINER_ID", short),
        ("CONTAINER_ID_FULL", &record.id),
        ("CONTAINER_NAME", &record.name),
        ("CONTAINER_TAG", &tag),
        ("IMAGE_NAME", &record.spec.image),
        ("SYSLOG_IDENTIFIER", &tag),
    ] {
        field(&mut fields, name, value.as_bytes());
    }
    for (name, value) in attributes::of(record, Some("")) {
        let name: String = name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' })
            .collect();
        field(&mut fields, name.trim_start_matches('_'), value.as_bytes());
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(driver: &str, options: &[&str]) -> Result<(u64, u64), String> {
        let options = options.iter().filter_map(|option| option.split_once('='));
        let options = options.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        parse(driver, options).map(|log| (log.max_size, log.max_files)).map_err(|error| error.to_string())
    }

    #[test]
    fn options() {
        assert_eq!(read("json-file", &[]), Ok((16 << 20, 4)));
        assert_eq!(
            read("json-file", &["max-size=10m", "max-file=2", "labels=a", "tag=x"]),
            Ok((10_000_000, 2))
        );
        assert_eq!(read("local", &["compress=false"]), Ok((20_000_000, 5)));
        assert!(read("journald", &["tag=x", "mode=non-blocking"]).is_ok());
        let failed = |reason: &str| Err(format!("failed to initialize logging driver: {reason}"));
        assert_eq!(read("json-file", &["max-size=x"]), failed("invalid size: 'x'"));
        assert_eq!(read("local", &["max-file=0"]), failed("max-file cannot be less than 1"));
        let unknown = [
            ("json-file", "unknown log opt 'nope' for json-file log driver"),
            ("local", "unknown log opt 'nope' for log driver local"),
            ("journald", "unknown log opt 'nope' for journald log driver"),
            ("syslog", "unknown log opt 'nope' for syslog log driver"),
        ];
        for (driver, text) in unknown {
            assert_eq!(read(driver, &["nope=1"]), Err(text.to_owned()));
        }
        for (driver, option) in [
            ("json-file", "mode=maybe"),
            ("json-file", "mode=non-blocking"),
            ("syslog", "max-buffer-size=1m"),
            ("json-file", "compress=true"),
            ("local", "labels=a"),
            ("syslog", "syslog-facility=nope"),
            ("journald", "max-size=1m"),
            ("json-file", "tag={{.Nope}}"),
        ] {
            assert!(read(driver, &[option]).is_err(), "{driver} {option}");
        }
    }
}
