//! How healthy a container is: docker's rules for what a probe's result means and when the next one is due, and the
//! small file in the run directory that holds the last results.
//!
//! Nothing here runs a probe: the worker starts one when it is due, the engine carries it out.

use std::path::Path;
use std::time::Duration;

use corten_sys::{SysError, fs};

/// The name of the file, in a container's run directory while it runs and beside its exit record afterwards.
pub const FILE: &str = "health";

/// So many results are kept.
const KEPT: usize = 5;

/// docker's words for the health of a container that is probed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum HealthStatus {
    /// No probe has succeeded, and not enough have failed.
    #[default]
    Starting,
    Healthy,
    Unhealthy,
}

impl HealthStatus {
    /// As `inspect` and filters spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Starting, Self::Healthy, Self::Unhealthy].into_iter().find(|status| status.name() == text)
    }
}

/// What one probe came to. Times are nanoseconds since 1970.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProbeResult {
    pub start: i64,
    pub end: i64,
    /// -1 where the probe did not run to its end.
    pub code: i32,
    pub output: Vec<u8>,
}

/// When to probe, and how many failures count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HealthRules {
    pub interval: Duration,
    /// Instead of the interval while the container is starting, within its start period.
    pub start_interval: Duration,
    /// Failures count only after it, or after a success.
    pub start_period: Duration,
    pub retries: u64,
}

impl HealthRules {
    /// How long to wait before the next probe of a container that has run for so long.
    pub fn pause(&self, status: HealthStatus, running: Duration) -> Duration {
        let early = status == HealthStatus::Starting && running < self.start_period;
        if early { self.start_interval } else { self.interval }
    }
}

/// The health of a container, with what the last probes came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    pub status: HealthStatus,
    /// Failures since the last success.
    pub failing_streak: u64,
    /// Oldest first.
    pub log: Vec<ProbeResult>,
}

impl Health {
    /// Takes a result in; `started` is when the container was.
    pub fn record(&mut self, result: ProbeResult, rules: &HealthRules, started: i64) {
        let after = Duration::from_nanos(u64::try_from(result.start - started).unwrap_or(0));
        let counts = self.status != HealthStatus::Starting || after >= rules.start_period;
        if result.code == 0 {
            (self.status, self.failing_streak) = (HealthStatus::Healthy, 0);
        } else if counts {
            self.failing_streak += 1;
            if self.failing_streak >= rules.retries {
                self.status = HealthStatus::Unhealthy;
            }
        }
        self.log.push(result);
        let surplus = self.log.len().saturating_sub(KEPT);
        self.log.drain(..surplus);
    }

    /// Begins a run: what earlier ones' probes said is still told.
    #[must_use]
    pub fn begun_anew(self) -> Self {
        Self { status: HealthStatus::Starting, failing_streak: 0, log: self.log }
    }

    /// Writes the file, visible whole.
    pub fn write(&self, directory: &Path) -> Result<(), SysError> {
        fs::write_atomic(directory.join(FILE), &self.render())
    }

    /// Reads the file; `None` where nothing has been written.
    pub fn read(directory: &Path) -> Result<Option<Self>, SysError> {
        Ok(fs::read_record(directory.join(FILE))?.and_then(|bytes| Self::parse(&bytes)))
    }

    fn render(&self) -> Vec<u8> {
        let mut bytes =
            format!("status {}\nstreak {}\n", self.status.name(), self.failing_streak).into_bytes();
        for probe in &self.log {
            let head = format!("probe {} {} {} {}\n", probe.start, probe.end, probe.code, probe.output.len());
            bytes.extend_from_slice(head.as_bytes());
            bytes.extend_from_slice(&probe.output);
            bytes.push(b'\n');
        }
        bytes
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let mut health = Self {
            status: HealthStatus::parse(line(&mut rest)?.strip_prefix("status ")?)?,
            failing_streak: line(&mut rest)?.strip_prefix("streak ")?.parse().ok()?,
            log: Vec::new(),
        };
        while !rest.is_empty() {
            let mut fields = line(&mut rest)?.strip_prefix("probe ")?.split(' ');
            let mut field = || fields.next();
            let (start, end) = (field()?.parse().ok()?, field()?.parse().ok()?);
            let (code, length) = (field()?.parse().ok()?, field()?.parse().ok()?);
            let (output, after) = rest.split_at_checked(length)?;
            rest = after.strip_prefix(b"\n")?;
            health.log.push(ProbeResult { start, end, code, output: output.to_vec() });
        }
        Some(health)
    }
}

/// Takes a line of text off the front.
fn line<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let end = memchr::memchr(b'\n', rest)?;
    let (line, after) = rest.split_at(end);
    *rest = after.get(1..)?;
    std::str::from_utf8(line).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn rules(start_period: u64) -> HealthRules {
        HealthRules {
            interval: Duration::from_secs(30),
            start_interval: Duration::from_secs(5),
            start_period: Duration::from_secs(start_period),
            retries: 3,
        }
    }

    /// The status and the streak after probes of these codes, the nth begun n seconds after the start.
    fn after(codes: &[i32], start_period: u64) -> (&'static str, u64) {
        let mut health = Health::default();
        for (second, &code) in (1_i64..).zip(codes) {
            let start = second * SECOND;
            let result = ProbeResult { start, end: start + 1, code, output: Vec::new() };
            health.record(result, &rules(start_period), 0);
        }
        (health.status.name(), health.failing_streak)
    }

    #[test]
    fn what_results_come_to() {
        let cases: [(&[i32], u64, (&str, u64)); 9] = [
            (&[], 0, ("starting", 0)),
            (&[0], 0, ("healthy", 0)),
            (&[1, -1], 0, ("starting", 2)),
            (&[1, 1, 1], 0, ("unhealthy", 3)),
            (&[1, 1, 1, 1, 0, 1], 0, ("healthy", 1)),
            (&[1, 1, 1, 1], 10, ("starting", 0)),
            (&[0, 1, 1], 10, ("healthy", 2)),
            (&[0, 1, 1, 1], 10, ("unhealthy", 3)),
            (&[1, 1, 1, 1], 3, ("starting", 2)),
        ];
        for (codes, start_period, expected) in cases {
            assert_eq!(after(codes, start_period), expected, "{codes:?}");
        }
    }

    #[test]
    fn pauses() {
        use HealthStatus::{Healthy, Starting};
        let pause = |status, running| rules(10).pause(status, Duration::from_secs(running)).as_secs();
        assert_eq!([pause(Starting, 0), pause(Starting, 9), pause(Starting, 10)], [5, 5, 30]);
        assert_eq!([pause(Healthy, 0), rules(0).pause(Starting, Duration::ZERO).as_secs()], [30, 30]);
    }

    #[test]
    fn the_last_five_survive_the_file_whatever_they_said() {
        let mut health = Health::default();
        for code in 0..7 {
            let output = b"a\nprobe 1 2 3 4\n\xff\n".repeat(usize::try_from(code).unwrap() % 3);
            health.record(ProbeResult { start: -5, end: 7, code, output }, &rules(0), 0);
        }
        assert_eq!(health.log.iter().map(|probe| probe.code).collect::<Vec<_>>(), [2, 3, 4, 5, 6]);
        assert_eq!(Health::parse(&health.render()), Some(health.clone()));
        assert_eq!(health.clone().begun_anew().log, health.log);
        let bytes = health.render();
        assert_eq!(Health::parse(bytes.get(..bytes.len() - 1).unwrap()), None);
        assert_eq!(Health::parse(b"status ill\nstreak 0\n"), None);
    }
}
