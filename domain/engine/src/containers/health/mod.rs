//! Health checks: what image and flags ask for taken together, and what is known of a container's health.
//!
//! When a probe is due is the worker's business (`corten_monitor::health`), what one is and does is in `probe`.

mod probe;

use std::path::Path;
use std::time::Duration;

use corten_monitor::ProbeOrder;
use corten_monitor::health::{self, Health, HealthRules, HealthStatus};
use corten_spec::image_config::Healthcheck;
use corten_store::Image;
use corten_sys::{SysError, fs};

use super::record::ContainerRecord;
use super::state::ContainerState;
use crate::error::Error;
use crate::{Engine, launch};

pub use probe::{Outcome, probe};

const DEFAULT_INTERVAL: Duration = Duration::from_secs(30);
const DEFAULT_START_INTERVAL: Duration = Duration::from_secs(5);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
const DEFAULT_RETRIES: u64 = 3;

/// The shortest duration that may be asked for, in nanoseconds.
const SHORTEST: i64 = 1_000_000;

/// What is executed to probe a container; `None` where it is not probed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Check {
    args: Vec<String>,
    timeout: Duration,
    rules: HealthRules,
}

impl Check {
    fn of(record: &ContainerRecord) -> Option<Self> {
        let asked = record.healthcheck.as_ref()?;
        let args = match asked.test.split_first()? {
            (kind, words) if kind == "CMD" => words.to_vec(),
            (kind, words) if kind == "CMD-SHELL" => record.shell.iter().chain(words).cloned().collect(),
            // NONE, or a word that nobody knows: docker probes nothing either.
            _ => return None,
        };
        let or = |nanos: i64, default| match u64::try_from(nanos) {
            Ok(nanos) if nanos > 0 => Duration::from_nanos(nanos),
            _ => default,
        };
        Some(Self {
            args,
            timeout: or(asked.timeout, DEFAULT_TIMEOUT),
            rules: HealthRules {
                interval: or(asked.interval, DEFAULT_INTERVAL),
                start_interval: or(asked.start_interval, DEFAULT_START_INTERVAL),
                start_period: or(asked.start_period, Duration::ZERO),
                retries: u64::try_from(asked.retries)
                    .ok()
                    .filter(|&count| count > 0)
                    .unwrap_or(DEFAULT_RETRIES),
            },
        })
    }
}

/// Takes what the user asks for and what the image has together, field by field.
pub(super) fn merge(asked: Option<&Healthcheck>, image: Option<&Healthcheck>) -> Option<Healthcheck> {
    let (Some(asked), Some(image)) = (asked, image) else { return asked.or(image).cloned() };
    let or = |asked: i64, image: i64| if asked == 0 { image } else { asked };
    Some(Healthcheck {
        test: if asked.test.is_empty() { image.test.clone() } else { asked.test.clone() },
        interval: or(asked.interval, image.interval),
        timeout: or(asked.timeout, image.timeout),
        start_period: or(asked.start_period, image.start_period),
        start_interval: or(asked.start_interval, image.start_interval),
        retries: or(asked.retries, image.retries),
    })
}

/// What a check of the kind `CMD-SHELL` is run by.
pub(super) fn shell(image: &Image) -> Vec<String> {
    let shell = image.config.config.shell.clone().filter(|shell| !shell.is_empty());
    shell.unwrap_or_else(|| ["/bin/sh", "-c"].map(str::to_owned).to_vec())
}

/// Refuses durations that are too short, as docker does.
pub(super) fn validate(check: &Healthcheck) -> Result<(), Error> {
    let durations = [
        ("Interval", check.interval),
        ("Timeout", check.timeout),
        ("StartPeriod", check.start_period),
        ("StartInterval", check.start_interval),
    ];
    match durations.iter().find(|(_, nanos)| *nanos != 0 && *nanos < SHORTEST) {
        Some((name, _)) => Err(Error::invalid(format!("{name} in Healthcheck cannot be less than 1ms"))),
        None if check.retries < 0 => Err(Error::invalid("Retries in Healthcheck cannot be negative")),
        None => Ok(()),
    }
}

/// What the worker is told; `None` for a container that is not probed.
pub(super) fn order(engine: &Engine, record: &ContainerRecord) -> Option<ProbeOrder> {
    let check = Check::of(record)?;
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let config = engine.config();
    let arguments =
        vec![launch::PROBE.to_owned(), text(&config.root), text(&config.run_root), record.id.clone()];
    Some(ProbeOrder { arguments, rules: check.rules })
}

/// A run begins: nobody knows yet how healthy it is, but what earlier runs' probes said is still told.
pub(super) fn begin(engine: &Engine, record: &ContainerRecord) -> Result<(), Error> {
    if Check::of(record).is_none() {
        return Ok(());
    }
    let earlier = last(engine, record)?.unwrap_or_default();
    Ok(earlier.begun_anew().write(&engine.run_dir(&record.id))?)
}

/// The last results: this run's, or those kept of the last one.
fn last(engine: &Engine, record: &ContainerRecord) -> Result<Option<Health>, Error> {
    match Health::read(&engine.run_dir(&record.id))? {
        None => Ok(Health::read(&record.directory(engine))?),
        current => Ok(current),
    }
}

/// How healthy a container is; `None` where it is not probed, or has never run.
///
/// One that does not run is unhealthy, whatever its last probe said: that is docker's word.
pub(super) fn read(
    engine: &Engine,
    record: &ContainerRecord,
    state: &ContainerState,
) -> Result<Option<Health>, Error> {
    let has_run = state.run.is_some() || state.exit.is_some();
    if !has_run || Check::of(record).is_none() {
        return Ok(None);
    }
    let status = |health: &Health| if state.is_running() { health.status } else { HealthStatus::Unhealthy };
    Ok(last(engine, record)?.map(|health| Health { status: status(&health), ..health }))
}

/// Keeps the last results beside the exit record when the run directory goes. Not synced: nothing depends on them.
pub(crate) fn keep(run_dir: &Path, exits: &Path) -> Result<(), SysError> {
    match fs::read_if_exists(run_dir.join(health::FILE))? {
        Some(bytes) => fs::write_atomic(exits.with_file_name(health::FILE), &bytes),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(test: &[&str], interval: i64, retries: i64) -> Healthcheck {
        let test = test.iter().map(|&word| word.to_owned()).collect();
        Healthcheck { test, interval, retries, ..Healthcheck::default() }
    }

    #[test]
    fn flags_and_image_are_merged_field_by_field() {
        let image = check(&["CMD", "true"], 5, 7);
        let none = check(&["NONE"], 0, 0);
        assert_eq!(merge(None, None), None);
        assert_eq!(merge(None, Some(&image)), Some(image.clone()));
        assert_eq!(merge(Some(&none), None), Some(none.clone()));
        assert_eq!(merge(Some(&none), Some(&image)), Some(check(&["NONE"], 5, 7)));
        assert_eq!(merge(Some(&check(&[], 9, 0)), Some(&image)), Some(check(&["CMD", "true"], 9, 7)));
    }

    #[test]
    fn what_is_executed() {
        let args = |check: Healthcheck| {
            let mut record = super::super::list::tests::record();
            record.healthcheck = Some(check);
            record.shell = vec!["/bin/ash".to_owned(), "-ec".to_owned()];
            Check::of(&record).map(|check| check.args.join(" "))
        };
        assert_eq!(args(check(&["CMD", "a", "b"], 0, 0)).as_deref(), Some("a b"));
        assert_eq!(args(check(&["CMD-SHELL", "a b"], 0, 0)).as_deref(), Some("/bin/ash -ec a b"));
        for test in [&["NONE"][..], &["WHAT", "a"], &[]] {
            assert_eq!(args(check(test, 0, 0)), None, "{test:?}");
        }
    }

    #[test]
    fn short_durations_are_refused() {
        let text = |check: Healthcheck| validate(&check).map_err(|error| error.to_string());
        assert_eq!(text(check(&[], 1_000_000, 1)), Ok(()));
        let short = "Interval in Healthcheck cannot be less than 1ms".to_owned();
        assert_eq!(text(check(&[], 999_999, 0)), Err(short));
        assert_eq!(text(check(&[], 0, -1)), Err("Retries in Healthcheck cannot be negative".to_owned()));
    }
}
