//! What running containers use: one look at the counters, and what two of them say together.

use std::time::Instant;

use corten_runtime::cgroups::usage::Usage;
use corten_sys::fs;

use super::record::ContainerRecord;
use super::spec::NetworkMode;
use super::{pause, state};
use crate::{Engine, Error};

/// The counters of a container at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    at: Instant,
    pub usage: Usage,
    /// Bytes received and sent by the container's own interfaces.
    pub received: u64,
    pub sent: u64,
    /// What it may use: its limit, or all the machine has.
    pub memory_limit: u64,
}

impl Sample {
    /// The processor time since an earlier look, in per cent of one processor.
    #[allow(clippy::cast_precision_loss, reason = "two decimals are shown")]
    pub fn cpu_percent(&self, earlier: &Self) -> f64 {
        let used = self.usage.cpu_nanos.saturating_sub(earlier.usage.cpu_nanos) as f64;
        let passed = self.at.saturating_duration_since(earlier.at).as_nanos() as f64;
        if passed > 0.0 { used / passed * 100.0 } else { 0.0 }
    }

    /// The memory in use, in per cent of what may be used.
    #[allow(clippy::cast_precision_loss, reason = "two decimals are shown")]
    pub fn memory_percent(&self) -> f64 {
        if self.memory_limit == 0 { 0.0 } else { self.usage.memory as f64 / self.memory_limit as f64 * 100.0 }
    }
}

/// Reads the counters; `None` where the container does not run.
pub fn sample(engine: &Engine, record: &ContainerRecord) -> Result<Option<Sample>, Error> {
    let current = state::read(engine, record)?;
    let Some(run) = current.run.as_ref().filter(|_| current.is_running()) else { return Ok(None) };
    let usage = pause::cgroup(engine, record)?.usage().map_err(|error| Error::from_cause(&error))?;
    let own_network = record.spec.network != NetworkMode::Host;
    let interfaces =
        if own_network { fs::read_if_exists(format!("/proc/{}/net/dev", run.init.pid)) } else { Ok(None) };
    // A process that ends meanwhile has no network any more.
    let interfaces = interfaces.ok().flatten().unwrap_or_default();
    let (received, sent) = traffic(&String::from_utf8_lossy(&interfaces));
    let machine = rustix::system::sysinfo();
    let machine = machine.totalram as u64 * u64::from(machine.mem_unit);
    let memory_limit = usage.memory_limit.map_or(machine, |limit| limit.min(machine));
    Ok(Some(Sample { at: Instant::now(), usage, received, sent, memory_limit }))
}

/// Sums `/proc/net/dev` but for the loopback.
fn traffic(text: &str) -> (u64, u64) {
    let interface = |line: &str| {
        let (name, counters) = line.split_once(':')?;
        let counters: Vec<u64> =
            counters.split_ascii_whitespace().map_while(|word| word.parse().ok()).collect();
        if name.trim() == "lo" { None } else { Some((*counters.first()?, *counters.get(8)?)) }
    };
    text.lines().filter_map(interface).fold((0, 0), |sum, next| (sum.0 + next.0, sum.1 + next.1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_loopback_does_not_count() {
        let text = "Inter-|   Receive  |  Transmit\n face |bytes packets errs drop fifo frame compressed multicast|bytes\n\
                    \x20   lo:  500  5 0 0 0 0 0 0  500 5 0 0 0 0 0 0\n  eth0: 1000 10 0 0 0 0 0 0 2000 20 0 0 0 0 0 0\n\
                    \x20 eth1:    1  1 0 0 0 0 0 0    2  1 0 0 0 0 0 0\n";
        assert_eq!(traffic(text), (1001, 2002));
        assert_eq!(traffic(""), (0, 0));
    }

    #[test]
    fn percentages() {
        let at = Instant::now();
        let sample = |seconds, cpu_nanos, memory| Sample {
            at: at + Duration::from_secs(seconds),
            usage: Usage { cpu_nanos, memory, ..Usage::default() },
            received: 0,
            sent: 0,
            memory_limit: 200,
        };
        let (first, second) = (sample(0, 1_000_000_000, 0), sample(2, 4_000_000_000, 50));
        assert_eq!((second.cpu_percent(&first), second.memory_percent()), (150.0, 25.0));
        assert_eq!((first.cpu_percent(&second), first.cpu_percent(&first)), (0.0, 0.0));
    }
}
