//! docker's rules for limits, in docker's words: what contradicts itself, and what this machine has not got.

use std::collections::BTreeSet;

use corten_runtime::cgroups::Resources;
use corten_runtime::cgroups::resources::{Cpu, Memory};
use corten_sys::fs;

use super::super::spec::ContainerSpec;
use crate::Error;

const SMALLEST_MEMORY: i64 = 6 << 20;

/// Refuses limits that cannot be kept.
pub(super) fn check(spec: &ContainerSpec) -> Result<(), Error> {
    swap(&spec.resources.memory)?;
    check_changes(&spec.resources)?;
    match spec.oom_score_adj {
        Some(score) if !(-1000..=1000).contains(&score) => {
            Err(Error::invalid(format!("Invalid value {score}, range for oom score adj is [-1000, 1000]")))
        }
        _ => Ok(()),
    }
}

/// Refuses changes that cannot be kept, whatever the limits are that they change.
pub(in super::super) fn check_changes(resources: &Resources) -> Result<(), Error> {
    let Resources { memory: bytes, cpu, blkio, .. } = resources;
    memory(bytes)?;
    processors(cpu)?;
    set("cpus", cpu.cpus.as_deref(), "/sys/devices/system/cpu/online", "CPUs")?;
    set("mems", cpu.mems.as_deref(), "/sys/devices/system/node/online", "memory nodes")?;
    if blkio.weight.is_some_and(|weight| !(10..=1000).contains(&weight)) {
        return Err(Error::invalid("Range of blkio weight is from 10 to 1000"));
    }
    Ok(())
}

/// Refuses swap that does not go with the memory.
pub(in super::super) fn swap(memory: &Memory) -> Result<(), Error> {
    let positive = |bytes: Option<i64>| bytes.filter(|&bytes| bytes > 0);
    match (positive(memory.limit), positive(memory.swap)) {
        // Told of as what it is.
        (Some(limit), _) if limit < SMALLEST_MEMORY => Ok(()),
        (Some(limit), Some(swap)) if swap < limit => Err(Error::invalid(LESS_SWAP)),
        (None, Some(_)) => Err(Error::invalid(
            "You should always set the Memory limit when using Memoryswap limit, see usage",
        )),
        _ => Ok(()),
    }
}

const LESS_SWAP: &str = "Minimum memoryswap limit should be larger than memory limit, see usage";

fn memory(memory: &Memory) -> Result<(), Error> {
    let limit = memory.limit.filter(|&bytes| bytes > 0);
    let swap = memory.swap.filter(|&bytes| bytes > 0);
    let reservation = memory.reservation.filter(|&bytes| bytes > 0);
    let wrong = match (limit, swap, reservation) {
        (Some(limit), ..) if limit < SMALLEST_MEMORY => "Minimum memory limit allowed is 6MB",
        (Some(limit), Some(swap), _) if swap < limit => LESS_SWAP,
        (_, _, Some(reservation)) if reservation < SMALLEST_MEMORY => {
            "Minimum memory reservation allowed is 6MB"
        }
        (Some(limit), _, Some(reservation)) if limit < reservation => {
            "Minimum memory limit can not be less than memory reservation limit, see usage"
        }
        _ => return Ok(()),
    };
    Err(Error::invalid(wrong))
}

fn processors(cpu: &Cpu) -> Result<(), Error> {
    if let Some(nanos) = cpu.nano_cpus {
        if cpu.period.is_some_and(|period| period > 0) {
            return Err(Error::invalid("Conflicting options: Nano CPUs and CPU Period cannot both be set"));
        }
        if cpu.quota.is_some_and(|quota| quota > 0) {
            return Err(Error::invalid("Conflicting options: Nano CPUs and CPU Quota cannot both be set"));
        }
        let there = available();
        // docker's range begins at 0.01, where it only says so; the kernel's quota has no smaller.
        if !(SMALLEST_CPUS..=u64::from(there) * 1_000_000_000).contains(&nanos) {
            return Err(Error::invalid(format!(
                "Range of CPUs is from 0.01 to {there}.00, as there are only {there} CPUs available"
            )));
        }
    }
    if cpu.period.is_some_and(|period| period != 0 && !(1000..=1_000_000).contains(&period)) {
        return Err(Error::invalid(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
        ));
    }
    if cpu.quota.is_some_and(|quota| quota > 0 && quota < 1000) {
        return Err(Error::invalid("CPU cfs quota can not be less than 1ms (i.e. 1000)"));
    }
    Ok(())
}

/// 0.01 of a processor, in billionths.
const SMALLEST_CPUS: u64 = 10_000_000;

/// The processors that this process may use, as docker counts them.
fn available() -> u32 {
    rustix::thread::sched_getaffinity(None).map_or(1, |set| set.count())
}

fn set(name: &str, wanted: Option<&str>, online: &str, what: &str) -> Result<(), Error> {
    let Some(wanted) = wanted.filter(|wanted| !wanted.is_empty()) else { return Ok(()) };
    let numbers = list(wanted).ok_or_else(|| {
        Error::invalid(format!("Invalid value {wanted} for cpuset {name}: invalid format: {wanted}"))
    })?;
    // A kernel without NUMA has one node, which it does not list.
    let online = fs::read_if_exists(online)?
        .map_or("0".to_owned(), |text| String::from_utf8_lossy(&text).trim().to_owned());
    match list(&online) {
        Some(there) if !numbers.is_subset(&there) => Err(Error::invalid(format!(
            "Requested {what} are not available - requested {wanted}, available: {online}"
        ))),
        _ => Ok(()),
    }
}

/// The kernel's own bound for both.
const MOST: u32 = 8192;

/// Reads a list of numbers, `0-2,7`.
fn list(text: &str) -> Option<BTreeSet<u32>> {
    let mut numbers = BTreeSet::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        if first > last || last >= MOST {
            return None;
        }
        numbers.extend(first..=last);
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        let of = |text: &str| list(text).map(|numbers| numbers.into_iter().collect::<Vec<_>>());
        assert_eq!(of("0-2,7"), Some(vec![0, 1, 2, 7]));
        assert_eq!(of("3"), Some(vec![3]));
        for text in ["x", "", "2-1", "1,", "-1", "0-99999999"] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    fn swap_of(given: &Memory) -> Result<(), Error> {
        super::swap(given)
    }

    #[test]
    fn memory_limits() {
        const MIB: i64 = 1 << 20;
        let check = |limit, swap, reservation, expected: &str| {
            let given = Memory { limit, swap, reservation, ..Memory::default() };
            let said = swap_of(&given)
                .and_then(|()| memory(&given))
                .err()
                .map(|error| error.to_string())
                .unwrap_or_default();
            assert!(said.contains(expected) && said.is_empty() == expected.is_empty(), "{given:?}: {said}");
        };
        check(None, None, None, "");
        check(Some(6 * MIB), Some(-1), Some(6 * MIB), "");
        check(Some(5 * MIB), None, None, "limit allowed is 6MB");
        check(Some(64 * MIB), Some(32 * MIB), None, "larger than memory limit");
        check(None, Some(64 * MIB), None, "always set the Memory limit");
        check(None, None, Some(MIB), "reservation allowed is 6MB");
        check(Some(64 * MIB), None, Some(65 * MIB), "can not be less than memory reservation");
    }
}
