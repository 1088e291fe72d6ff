//! Changing the limits and the restart policy of a container, running or not: all that was asked for, or nothing.

use corten_monitor::state as run_state;
use corten_runtime::cgroups::Resources;
use corten_runtime::cgroups::resources::{Blkio, Cpu, Memory};
use corten_sys::fs;

use super::create::limits;
use super::record::ContainerRecord;
use super::spec::Restart;
use super::{load, lock, pause, start, state};
use crate::{Engine, Error, events};

/// What to change; the rest stays.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UpdateOptions {
    pub resources: Resources,
    pub restart: Option<Restart>,
}

/// Changes a container's record, and the cgroup of one that runs.
pub fn update(engine: &Engine, record: &ContainerRecord, options: &UpdateOptions) -> Result<(), Error> {
    limits::check_changes(&options.resources)?;
    let _guard = lock(engine, record)?;
    let old = load(engine, &record.id)?;
    let within =
        |error: &Error| Error::new(error.kind(), format!("Cannot update container {}: {error}", old.id));
    let new = changed(&old, options).map_err(|error| within(&error))?;
    let former = if state::read(engine, &old)?.is_running() {
        let live = live(&options.resources, &new.spec.resources);
        let written = pause::cgroup(engine, &old)?.update(&live);
        Some(written.map_err(|error| within(&Error::from_cause(&error)))?)
    } else {
        None
    };
    let recorded = record_changes(engine, &new, options);
    if recorded.is_err()
        && let Some(former) = former
    {
        former.restore();
        // The record that is there may be the new one, not yet durable.
        old.save(engine).unwrap_or_default();
    }
    recorded?;
    events::container(engine, &new, "update", &[]);
    Ok(())
}

fn record_changes(engine: &Engine, new: &ContainerRecord, options: &UpdateOptions) -> Result<(), Error> {
    new.save(engine)?;
    new.sync(engine)?;
    if options.restart.is_some() {
        // For its keeper, which has the policy of the start; without a run directory there is none.
        let policy = start::restart_policy(new.spec.restart).render();
        let file = engine.run_dir(&new.id).join(run_state::POLICY);
        fs::absent_is_none(fs::write_atomic(file, policy.as_bytes()))?;
    }
    Ok(())
}

/// The record with the changes, or docker's reason why they contradict what is there.
fn changed(old: &ContainerRecord, options: &UpdateOptions) -> Result<ContainerRecord, Error> {
    let mut new = old.clone();
    if let Some(restart) = options.restart {
        if old.spec.auto_remove && restart != Restart::No {
            return Err(Error::conflict(
                "Restart policy cannot be updated because AutoRemove is enabled for the container",
            ));
        }
        new.spec.restart = restart;
    }
    new.spec.resources = merged(&old.spec.resources, &options.resources)?;
    Ok(new)
}

fn merged(old: &Resources, changes: &Resources) -> Result<Resources, Error> {
    conflicts(old, changes)?;
    let mut new = old.clone();
    let take = |to: &mut Option<i64>, from: Option<i64>| *to = from.or(*to);
    take(&mut new.memory.limit, changes.memory.limit);
    take(&mut new.memory.swap, changes.memory.swap);
    take(&mut new.memory.reservation, changes.memory.reservation);
    take(&mut new.cpu.quota, changes.cpu.quota);
    take(&mut new.cpu.realtime_runtime, changes.cpu.realtime_runtime);
    // docker records no limit as zero.
    take(&mut new.pids, changes.pids.map(|limit| limit.max(0)));
    let take = |to: &mut Option<u64>, from: Option<u64>| *to = from.or(*to);
    take(&mut new.cpu.shares, changes.cpu.shares);
    take(&mut new.cpu.period, changes.cpu.period);
    take(&mut new.cpu.nano_cpus, changes.cpu.nano_cpus);
    take(&mut new.cpu.realtime_period, changes.cpu.realtime_period);
    new.cpu.cpus = changes.cpu.cpus.clone().or(new.cpu.cpus);
    new.cpu.mems = changes.cpu.mems.clone().or(new.cpu.mems);
    new.blkio.weight = changes.blkio.weight.or(new.blkio.weight);
    limits::swap(&new.memory)?;
    Ok(new)
}

/// What docker refuses because of what was set before.
fn conflicts(old: &Resources, changes: &Resources) -> Result<(), Error> {
    let swap = old.memory.swap.filter(|&swap| swap > 0 && changes.memory.swap.is_none());
    let too_much = changes.memory.limit.zip(swap).is_some_and(|(limit, swap)| limit > swap);
    let is_set = |value: Option<u64>| value.is_some_and(|value| value > 0);
    let (is, to_be) = (&old.cpu, &changes.cpu);
    let quota = |cpu: &Cpu| cpu.quota.is_some_and(|quota| quota > 0);
    let reason = match () {
        () if too_much => {
            "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time"
        }
        () if is_set(to_be.nano_cpus) && is_set(is.period) => {
            "Conflicting options: Nano CPUs cannot be updated as CPU Period has already been set"
        }
        () if is_set(to_be.nano_cpus) && quota(is) => {
            "Conflicting options: Nano CPUs cannot be updated as CPU Quota has already been set"
        }
        () if is_set(to_be.period) && is_set(is.nano_cpus) => {
            "Conflicting options: CPU Period cannot be updated as NanoCPUs has already been set"
        }
        () if quota(to_be) && is_set(is.nano_cpus) => {
            "Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set"
        }
        () => return Ok(()),
    };
    Err(Error::conflict(reason))
}

/// What to write into the cgroup: the changes, and what they cannot be translated without.
fn live(changes: &Resources, new: &Resources) -> Resources {
    let memory = changes.memory.limit.is_some() || changes.memory.swap.is_some();
    let cpu = &changes.cpu;
    let bandwidth = cpu.nano_cpus.is_some() || cpu.quota.is_some() || cpu.period.is_some();
    Resources {
        memory: Memory {
            limit: new.memory.limit.filter(|_| memory),
            swap: new.memory.swap.filter(|_| memory),
            reservation: changes.memory.reservation,
            ..Memory::default()
        },
        cpu: Cpu {
            nano_cpus: new.cpu.nano_cpus.filter(|_| bandwidth),
            quota: new.cpu.quota.filter(|_| bandwidth),
            period: new.cpu.period.filter(|_| bandwidth),
            ..changes.cpu.clone()
        },
        pids: changes.pids,
        blkio: Blkio { weight: changes.blkio.weight, ..Blkio::default() },
        ..Resources::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: i64 = 1 << 20;

    fn memory(limit: Option<i64>, swap: Option<i64>) -> Resources {
        Resources { memory: Memory { limit, swap, ..Memory::default() }, ..Resources::default() }
    }

    fn cpu(cpu: Cpu) -> Resources {
        Resources { cpu, ..Resources::default() }
    }

    #[test]
    fn changes_replace_and_the_rest_stays() {
        let old = Resources { pids: Some(7), ..memory(Some(64 * MIB), Some(128 * MIB)) };
        let check = |changes: &Resources, expected: (Option<i64>, Option<i64>, Option<i64>)| {
            let new = merged(&old, changes).unwrap();
            assert_eq!((new.memory.limit, new.memory.swap, new.pids), expected, "{changes:?}");
        };
        check(&Resources::default(), (Some(64 * MIB), Some(128 * MIB), Some(7)));
        check(&memory(Some(100 * MIB), None), (Some(100 * MIB), Some(128 * MIB), Some(7)));
        check(&memory(None, Some(-1)), (Some(64 * MIB), Some(-1), Some(7)));
        check(
            &Resources { pids: Some(-1), ..Resources::default() },
            (Some(64 * MIB), Some(128 * MIB), Some(0)),
        );
    }

    #[test]
    fn contradictions_are_refused() {
        let nano = |nano_cpus| cpu(Cpu { nano_cpus: Some(nano_cpus), ..Cpu::default() });
        let quota = |quota| cpu(Cpu { quota: Some(quota), ..Cpu::default() });
        let period = |period| cpu(Cpu { period: Some(period), ..Cpu::default() });
        let none = Resources::default();
        let cases = [
            (
                memory(Some(64 * MIB), Some(64 * MIB)),
                memory(Some(65 * MIB), None),
                "already set memoryswap limit",
            ),
            (memory(Some(64 * MIB), Some(-1)), memory(Some(65 * MIB), None), ""),
            (none.clone(), memory(Some(65 * MIB), None), ""),
            (memory(Some(64 * MIB), None), memory(None, Some(32 * MIB)), "larger than memory limit"),
            (none.clone(), memory(None, Some(32 * MIB)), "always set the Memory limit"),
            (period(50_000), nano(1), "Nano CPUs cannot be updated as CPU Period"),
            (quota(50_000), nano(1), "Nano CPUs cannot be updated as CPU Quota"),
            (nano(1), period(50_000), "CPU Period cannot be updated as NanoCPUs"),
            (nano(1), quota(50_000), "CPU Quota cannot be updated as NanoCPUs"),
            (nano(1), quota(-1), ""),
            (nano(1), nano(2), ""),
        ];
        for (old, changes, expected) in cases {
            let said = merged(&old, &changes).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(said.contains(expected) && said.is_empty() == expected.is_empty(), "{changes:?}: {said}");
        }
    }

    #[test]
    fn memory_and_bandwidth_are_written_whole() {
        let old = Resources { pids: Some(7), ..memory(Some(64 * MIB), Some(128 * MIB)) };
        let changes = memory(Some(100 * MIB), None);
        assert_eq!(
            live(&changes, &merged(&old, &changes).unwrap()),
            memory(Some(100 * MIB), Some(128 * MIB))
        );
        let changes = cpu(Cpu { quota: Some(20_000), ..Cpu::default() });
        let old = cpu(Cpu { period: Some(50_000), shares: Some(512), ..Cpu::default() });
        let expected = cpu(Cpu { quota: Some(20_000), period: Some(50_000), ..Cpu::default() });
        assert_eq!(live(&changes, &merged(&old, &changes).unwrap()), expected);
    }
}
