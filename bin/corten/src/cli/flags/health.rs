//! The flags of a health check.

use corten_engine::containers::spec::HealthAction;
use corten_spec::image_config::Healthcheck;

use super::args::HealthFlags;

/// What the flags ask for; `None` where they ask for nothing.
pub(super) fn check(flags: &HealthFlags) -> Result<Option<Healthcheck>, String> {
    let command = flags.cmd.as_deref().filter(|command| !command.is_empty());
    let retries = flags.retries.unwrap_or(0);
    let durations = [
        ("interval", flags.interval.0),
        ("timeout", flags.timeout.0),
        ("retries", retries),
        ("start-period", flags.start_period.0),
        ("start-interval", flags.start_interval.0),
    ];
    let asked = command.is_some() || durations.iter().any(|(_, value)| *value != 0);
    if flags.none && asked {
        return Err("--no-healthcheck conflicts with --health-* options".to_owned());
    }
    if let Some((name, _)) = durations.iter().find(|(_, value)| *value < 0) {
        return Err(format!("--health-{name} cannot be negative"));
    }
    let test = match command {
        _ if flags.none => vec!["NONE".to_owned()],
        Some(command) => vec!["CMD-SHELL".to_owned(), command.to_owned()],
        None if asked => Vec::new(),
        None => return Ok(None),
    };
    Ok(Some(Healthcheck {
        test,
        interval: flags.interval.0,
        timeout: flags.timeout.0,
        start_period: flags.start_period.0,
        start_interval: flags.start_interval.0,
        retries,
    }))
}

pub(super) fn on_failure(flags: &HealthFlags) -> Result<HealthAction, String> {
    let text = flags.on_failure.as_deref().unwrap_or("none");
    let action = HealthAction::ALL.into_iter().find(|action| action.name() == text);
    action.ok_or_else(|| {
        format!(
            "invalid argument \"{text}\" for \"--health-on-failure\" flag: must be one of \"none\", \"restart\", \"stop\" or \"kill\""
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::table::Duration;
    use super::*;

    #[test]
    fn a_command_alone_durations_alone_and_contradictions() {
        let none = HealthFlags { none: true, ..HealthFlags::default() };
        let command = HealthFlags { cmd: Some("true".to_owned()), ..HealthFlags::default() };
        let test = |flags: &HealthFlags| check(flags).map(|check| check.map(|check| check.test.join(" ")));
        assert_eq!(test(&HealthFlags::default()), Ok(None));
        assert_eq!(test(&none), Ok(Some("NONE".to_owned())));
        assert_eq!(test(&command), Ok(Some("CMD-SHELL true".to_owned())));
        assert_eq!(
            test(&HealthFlags { retries: Some(2), ..HealthFlags::default() }),
            Ok(Some(String::new()))
        );
        let conflict = "--no-healthcheck conflicts with --health-* options".to_owned();
        assert_eq!(test(&HealthFlags { none: true, ..command }), Err(conflict));
        let negative = HealthFlags { timeout: Duration(-1), ..HealthFlags::default() };
        assert_eq!(test(&negative), Err("--health-timeout cannot be negative".to_owned()));
    }
}
