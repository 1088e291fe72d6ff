//! Docker's limits as writes to cgroup v1 files. Pure.

use super::devices;
use super::error::{CgroupError, Setting};
use super::layout::Controller::{Blkio, Cpu, Cpuset, Devices, Hugetlb, Memory, Pids};
use super::resources::{self, DeviceValue, Resources};

/// What the translation depends on besides the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// `memory.limit_in_bytes` as it is; `u64::MAX` in a new cgroup. Memory must never exceed memory plus swap,
    /// so it decides which of the two is written first.
    pub memory_limit: u64,
    /// The I/O weight files are those of the BFQ scheduler.
    pub bfq: bool,
}

/// Translates every given limit, in the order in which they have to be written.
pub fn settings(resources: &Resources, facts: Facts) -> Result<Vec<Setting>, CgroupError> {
    let mut out = Vec::new();
    memory(&resources.memory, facts.memory_limit, &mut out);
    cpu(&resources.cpu, &mut out);
    if let Some(limit) = resources.pids {
        out.push(Setting::new("pids limit", Pids, "pids.max", super::max_or(limit)));
    }
    blkio(&resources.blkio, facts.bfq, &mut out);
    for page in &resources.hugepages {
        let file = format!("hugetlb.{}.limit_in_bytes", page.size);
        out.push(Setting::new("huge page limit", Hugetlb, file, page.limit.to_string()));
    }
    if let Some(rules) = &resources.devices {
        for (file, line) in devices::v1_lines(rules)? {
            out.push(Setting::new("device rule", Devices, file, line));
        }
    }
    Ok(out)
}

fn memory(memory: &resources::Memory, current: u64, out: &mut Vec<Setting>) {
    let limit = memory
        .limit
        .map(|value| Setting::new("memory limit", Memory, "memory.limit_in_bytes", value.to_string()));
    let swap = memory.swap.map(|value| {
        Setting::new("memory swap limit", Memory, "memory.memsw.limit_in_bytes", value.to_string())
    });
    // A negative value is unlimited, hence above any current limit.
    let swap_first = memory.swap.is_some_and(|swap| u64::try_from(swap).map_or(true, |swap| swap > current));
    if swap_first {
        out.extend(swap);
        out.extend(limit);
    } else {
        out.extend(limit);
        out.extend(swap);
    }
    let mut push = |what, file: &str, value: Option<String>| {
        out.extend(value.map(|value| Setting::new(what, Memory, file, value)));
    };
    let reservation = memory.reservation.map(|value| value.to_string());
    push("memory reservation", "memory.soft_limit_in_bytes", reservation);
    push("memory swappiness", "memory.swappiness", memory.swappiness.map(|value| value.to_string()));
    let disable = memory.oom_kill_disable.map(|disable| u8::from(disable).to_string());
    push("oom kill disable", "memory.oom_control", disable);
}

fn cpu(cpu: &resources::Cpu, out: &mut Vec<Setting>) {
    let (quota, period) = cpu.bandwidth();
    let rows = [
        ("cpu shares", Cpu, "cpu.shares", cpu.shares.map(|value| value.to_string())),
        ("cpu period", Cpu, "cpu.cfs_period_us", period.map(|value| value.to_string())),
        ("cpu quota", Cpu, "cpu.cfs_quota_us", quota.map(|value| value.to_string())),
        ("cpu real-time period", Cpu, "cpu.rt_period_us", cpu.realtime_period.map(|value| value.to_string())),
        (
            "cpu real-time runtime",
            Cpu,
            "cpu.rt_runtime_us",
            cpu.realtime_runtime.map(|value| value.to_string()),
        ),
        ("cpuset cpus", Cpuset, "cpuset.cpus", cpu.cpus.clone()),
        ("cpuset memory nodes", Cpuset, "cpuset.mems", cpu.mems.clone()),
    ];
    for (what, controller, file, value) in rows {
        out.extend(value.map(|value| Setting::new(what, controller, file, value)));
    }
}

fn blkio(blkio: &resources::Blkio, bfq: bool, out: &mut Vec<Setting>) {
    let (weight, weight_device) = if bfq {
        ("blkio.bfq.weight", "blkio.bfq.weight_device")
    } else {
        ("blkio.weight", "blkio.weight_device")
    };
    if let Some(value) = blkio.weight {
        out.push(Setting::new("block I/O weight", Blkio, weight, value.to_string()));
    }
    let rows: [(&str, &str, &[DeviceValue]); 5] = [
        ("block I/O weight of a device", weight_device, &blkio.weight_device),
        ("block I/O read rate", "blkio.throttle.read_bps_device", &blkio.read_bps),
        ("block I/O write rate", "blkio.throttle.write_bps_device", &blkio.write_bps),
        ("block I/O read operations", "blkio.throttle.read_iops_device", &blkio.read_iops),
        ("block I/O write operations", "blkio.throttle.write_iops_device", &blkio.write_iops),
    ];
    for (what, file, values) in rows {
        for value in values {
            let line = format!("{}:{} {}", value.major, value.minor, value.value);
            out.push(Setting::new(what, Blkio, file, line));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::resources::{Access, Blkio, Cpu, DeviceKind, DeviceRule, HugepageLimit, Memory};
    use super::*;

    const FRESH: Facts = Facts { memory_limit: u64::MAX, bfq: true };

    fn lines(resources: &Resources, facts: Facts) -> Vec<String> {
        let settings = settings(resources, facts).unwrap();
        settings.iter().map(|s| format!("{}/{}={}", s.controller, s.file, s.value)).collect()
    }

    #[test]
    fn memory_and_swap_order_follows_the_current_limit() {
        let memory = Memory { limit: Some(200), swap: Some(400), ..Memory::default() };
        let resources = Resources { memory, ..Resources::default() };
        let (limit, swap) = ("memory/memory.limit_in_bytes=200", "memory/memory.memsw.limit_in_bytes=400");
        assert_eq!(lines(&resources, FRESH), [limit, swap]);
        assert_eq!(lines(&resources, Facts { memory_limit: 100, ..FRESH }), [swap, limit]);
        let memory = Memory { limit: Some(200), swap: Some(-1), ..Memory::default() };
        let resources = Resources { memory, ..Resources::default() };
        assert_eq!(lines(&resources, FRESH), ["memory/memory.memsw.limit_in_bytes=-1", limit]);
    }

    #[test]
    fn every_field_has_its_file() {
        let one = |value| vec![DeviceValue { major: 8, minor: 16, value }];
        let resources = Resources {
            memory: resources::Memory {
                limit: Some(-1),
                reservation: Some(7),
                swap: None,
                swappiness: Some(60),
                oom_kill_disable: Some(true),
            },
            cpu: Cpu {
                shares: Some(512),
                quota: Some(50_000),
                period: Some(200_000),
                nano_cpus: None,
                realtime_period: Some(1_000_000),
                realtime_runtime: Some(1000),
                cpus: Some("0-1".to_owned()),
                mems: Some("0".to_owned()),
            },
            pids: Some(0),
            blkio: Blkio {
                weight: Some(300),
                weight_device: one(500),
                read_bps: one(1),
                write_bps: one(2),
                read_iops: one(3),
                write_iops: one(0),
            },
            hugepages: vec![HugepageLimit { size: "2MB".to_owned(), limit: 4096 }],
            devices: Some(vec![DeviceRule {
                allow: true,
                kind: DeviceKind::Char,
                major: Some(1),
                minor: None,
                access: Access::READ,
            }]),
        };
        let expected = [
            "memory/memory.limit_in_bytes=-1",
            "memory/memory.soft_limit_in_bytes=7",
            "memory/memory.swappiness=60",
            "memory/memory.oom_control=1",
            "cpu/cpu.shares=512",
            "cpu/cpu.cfs_period_us=200000",
            "cpu/cpu.cfs_quota_us=50000",
            "cpu/cpu.rt_period_us=1000000",
            "cpu/cpu.rt_runtime_us=1000",
            "cpuset/cpuset.cpus=0-1",
            "cpuset/cpuset.mems=0",
            "pids/pids.max=max",
            "blkio/blkio.bfq.weight=300",
            "blkio/blkio.bfq.weight_device=8:16 500",
            "blkio/blkio.throttle.read_bps_device=8:16 1",
            "blkio/blkio.throttle.write_bps_device=8:16 2",
            "blkio/blkio.throttle.read_iops_device=8:16 3",
            "blkio/blkio.throttle.write_iops_device=8:16 0",
            "hugetlb/hugetlb.2MB.limit_in_bytes=4096",
            "devices/devices.deny=a",
            "devices/devices.allow=c 1:* r",
        ];
        assert_eq!(lines(&resources, FRESH), expected);
        assert_eq!(lines(&Resources::default(), FRESH), [""; 0]);
    }

    #[test]
    fn cpus_become_quota_and_period() {
        let cpu = Cpu { nano_cpus: Some(1_500_000_000), quota: Some(1), ..Cpu::default() };
        let resources = Resources { cpu, ..Resources::default() };
        assert_eq!(lines(&resources, FRESH), ["cpu/cpu.cfs_period_us=100000", "cpu/cpu.cfs_quota_us=150000"]);
    }
}
