//! Docker's limits as writes to cgroup v2 files, converted as crun and runc convert them. Pure.

use super::error::{CgroupError, Setting};
use super::layout::Controller::{self, Blkio, Cpu, Cpuset, Hugetlb, Memory, Pids};
use super::resources::{self, DeviceValue, Resources};

/// What the translation depends on besides the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// The kernel offers `io.bfq.weight`.
    pub bfq: bool,
}

/// Translates every given limit but the device rules, which are a program on v2.
pub fn settings(resources: &Resources, facts: Facts) -> Result<Vec<Setting>, CgroupError> {
    let mut out = Vec::new();
    memory(&resources.memory, &mut out)?;
    cpu(&resources.cpu, &mut out)?;
    if let Some(limit) = resources.pids {
        out.push(Setting::new("pids limit", Pids, "pids.max", super::max_or(limit)));
    }
    io(&resources.blkio, facts.bfq, &mut out);
    for page in &resources.hugepages {
        let file = format!("hugetlb.{}.max", page.size);
        out.push(Setting::new("huge page limit", Hugetlb, file, page.limit.to_string()));
    }
    Ok(out)
}

/// Lists the controllers that `resources` cannot do without.
pub fn needed(settings: &[Setting]) -> Vec<(&'static str, Controller)> {
    let mut needed: Vec<(&'static str, Controller)> = Vec::new();
    for setting in settings {
        if !needed.iter().any(|(_, controller)| *controller == setting.controller) {
            needed.push((setting.what, setting.controller));
        }
    }
    needed
}

fn memory(memory: &resources::Memory, out: &mut Vec<Setting>) -> Result<(), CgroupError> {
    if let Some(value) = swap(memory)? {
        out.push(Setting::new("memory swap limit", Memory, "memory.swap.max", value));
    }
    if let Some(limit) = memory.limit {
        out.push(Setting::new("memory limit", Memory, "memory.max", max_below_zero(limit)));
    }
    if let Some(reservation) = memory.reservation {
        let value = max_below_zero(reservation);
        out.push(Setting::new("memory reservation", Memory, "memory.low", value));
    }
    Ok(())
}

/// Turns docker's memory-plus-swap into v2's swap alone.
fn swap(memory: &resources::Memory) -> Result<Option<String>, CgroupError> {
    let what = "memory swap limit";
    let invalid = |reason: &str| Err(CgroupError::Invalid { what, reason: reason.to_owned() });
    match (memory.swap, memory.limit) {
        // Unlimited memory without a word on swap leaves swap unlimited too.
        (None, Some(limit)) if limit < 0 => Ok(Some("max".to_owned())),
        (None, _) => Ok(None),
        (Some(swap), _) if swap < 0 => Ok(Some("max".to_owned())),
        (Some(_), None) => invalid("a memory limit has to be given as well"),
        (Some(_), Some(limit)) if limit < 0 => invalid("the memory limit is unlimited"),
        (Some(swap), Some(limit)) if swap < limit => {
            invalid("memory plus swap is less than the memory limit")
        }
        (Some(swap), Some(limit)) => Ok(Some((swap - limit).to_string())),
    }
}

fn cpu(cpu: &resources::Cpu, out: &mut Vec<Setting>) -> Result<(), CgroupError> {
    // Docker and the OCI spec use 0 for "not given".
    if cpu.realtime_period.is_some_and(|value| value != 0)
        || cpu.realtime_runtime.is_some_and(|value| value != 0)
    {
        return Err(CgroupError::NotInV2 { what: "cpu real-time limit" });
    }
    if let Some(weight) = cpu.shares.and_then(weight_of_shares) {
        out.push(Setting::new("cpu shares", Cpu, "cpu.weight", weight.to_string()));
    }
    let (quota, period) = cpu.bandwidth();
    if quota.is_some() || period.is_some() {
        let quota =
            quota.filter(|quota| *quota > 0).map_or_else(|| "max".to_owned(), |quota| quota.to_string());
        let value = format!("{quota} {}", period.unwrap_or(resources::CPU_PERIOD));
        out.push(Setting::new("cpu quota", Cpu, "cpu.max", value));
    }
    let sets = [("cpuset cpus", "cpuset.cpus", &cpu.cpus), ("cpuset memory nodes", "cpuset.mems", &cpu.mems)];
    for (what, file, value) in sets {
        out.extend(value.as_ref().map(|value| Setting::new(what, Cpuset, file, value.clone())));
    }
    Ok(())
}

/// Converts cpu shares to a weight; 0 means not given.
///
/// The curve through (2, 1), (1024, 100) and (262144, 10000) that runc 1.3.2 and crun 1.23 switched to: the former
/// straight line gave the default of 1024 shares a weight of 39 where the kernel's default is 100.
#[allow(clippy::cast_precision_loss, reason = "shares are below 2^18 here")]
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the curve stays within 1 and 10000"
)]
pub fn weight_of_shares(shares: u64) -> Option<u64> {
    match shares {
        0 => None,
        1..=2 => Some(1),
        262_144.. => Some(10_000),
        _ => {
            let log = (shares as f64).log2();
            let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
            Some(10f64.powf(exponent).ceil() as u64)
        }
    }
}

/// Converts a blkio weight (10 to 1000) to an io weight (1 to 10000).
fn io_weight(weight: u16) -> u64 {
    1 + (u64::from(weight).saturating_sub(10)) * 9999 / 990
}

fn io(blkio: &resources::Blkio, bfq: bool, out: &mut Vec<Setting>) {
    let weight_file = if bfq { "io.bfq.weight" } else { "io.weight" };
    let convert = |weight: u64| {
        if bfq { weight } else { io_weight(u16::try_from(weight).unwrap_or(u16::MAX)) }
    };
    if let Some(weight) = blkio.weight {
        // Without a device it is the default; io.bfq.weight does not take the word "default".
        let value = convert(u64::from(weight)).to_string();
        out.push(Setting::new("block I/O weight", Blkio, weight_file, value));
    }
    for device in &blkio.weight_device {
        let value = format!("{}:{} {}", device.major, device.minor, convert(device.value));
        out.push(Setting::new("block I/O weight of a device", Blkio, weight_file, value));
    }
    let rows: [(&str, &str, &[DeviceValue]); 4] = [
        ("block I/O read rate", "rbps", &blkio.read_bps),
        ("block I/O write rate", "wbps", &blkio.write_bps),
        ("block I/O read operations", "riops", &blkio.read_iops),
        ("block I/O write operations", "wiops", &blkio.write_iops),
    ];
    for (what, key, values) in rows {
        for DeviceValue { major, minor, value } in values {
            let value = if *value == 0 { "max".to_owned() } else { value.to_string() };
            out.push(Setting::new(what, Blkio, "io.max", format!("{major}:{minor} {key}={value}")));
        }
    }
}

fn max_below_zero(value: i64) -> String {
    if value < 0 { "max".to_owned() } else { value.to_string() }
}

#[cfg(test)]
mod tests {
    use super::super::resources::{Blkio, Cpu, Memory};
    use super::*;

    fn lines(resources: &Resources, bfq: bool) -> Vec<String> {
        let settings = settings(resources, Facts { bfq }).unwrap();
        settings.iter().map(|s| format!("{}/{}={}", s.controller, s.file, s.value)).collect()
    }

    #[test]
    fn shares_become_weights() {
        let table = [(0, None), (1, Some(1)), (2, Some(1)), (3, Some(2)), (512, Some(59)), (1024, Some(100))];
        for (shares, weight) in table {
            assert_eq!(weight_of_shares(shares), weight, "{shares}");
        }
        assert_eq!(weight_of_shares(262_144), Some(10_000));
        assert_eq!(weight_of_shares(u64::MAX), Some(10_000));
        let all: Vec<_> = (1..=262_144).map(|shares| weight_of_shares(shares).unwrap()).collect();
        assert!(all.is_sorted());
        assert!(all.iter().all(|weight| (1..=10_000).contains(weight)));
    }

    #[test]
    fn swap_is_memory_plus_swap_minus_memory() {
        type Row = (Option<i64>, Option<i64>, Result<Option<&'static str>, ()>);
        let table: [Row; 9] = [
            (Some(100), Some(300), Ok(Some("200"))),
            (Some(100), Some(100), Ok(Some("0"))),
            (Some(100), Some(-1), Ok(Some("max"))),
            (None, Some(-1), Ok(Some("max"))),
            (Some(100), None, Ok(None)),
            (Some(-1), None, Ok(Some("max"))),
            (None, Some(100), Err(())),
            (Some(-1), Some(100), Err(())),
            (Some(200), Some(100), Err(())),
        ];
        for (limit, both, expected) in table {
            let memory = Memory { limit, swap: both, ..Memory::default() };
            let got = swap(&memory).map_err(|_| ());
            assert_eq!(got, expected.map(|value| value.map(str::to_owned)), "{limit:?} {both:?}");
        }
    }

    #[test]
    fn every_field_has_its_file() {
        let one = |value| vec![DeviceValue { major: 8, minor: 16, value }];
        let resources = Resources {
            memory: resources::Memory {
                limit: Some(100),
                reservation: Some(50),
                swap: Some(150),
                swappiness: Some(60),
                oom_kill_disable: Some(true),
            },
            cpu: Cpu {
                shares: Some(1024),
                quota: Some(-1),
                period: Some(50_000),
                cpus: Some("0".to_owned()),
                mems: Some("0".to_owned()),
                ..Cpu::default()
            },
            pids: Some(64),
            blkio: Blkio {
                weight: Some(1000),
                weight_device: one(10),
                read_bps: one(1),
                write_bps: one(2),
                read_iops: one(3),
                write_iops: one(0),
            },
            ..Resources::default()
        };
        let expected = [
            "memory/memory.swap.max=50",
            "memory/memory.max=100",
            "memory/memory.low=50",
            "cpu/cpu.weight=100",
            "cpu/cpu.max=max 50000",
            "cpuset/cpuset.cpus=0",
            "cpuset/cpuset.mems=0",
            "pids/pids.max=64",
            "blkio/io.weight=10000",
            "blkio/io.weight=8:16 1",
            "blkio/io.max=8:16 rbps=1",
            "blkio/io.max=8:16 wbps=2",
            "blkio/io.max=8:16 riops=3",
            "blkio/io.max=8:16 wiops=max",
        ];
        assert_eq!(lines(&resources, false), expected);
        let bfq = lines(&resources, true);
        assert_eq!(bfq[8..10], ["blkio/io.bfq.weight=1000", "blkio/io.bfq.weight=8:16 10"]);
        let settings = settings(&resources, Facts { bfq: true }).unwrap();
        assert_eq!(
            needed(&settings),
            [
                ("memory swap limit", Memory),
                ("cpu shares", Cpu),
                ("cpuset cpus", Cpuset),
                ("pids limit", Pids),
                ("block I/O weight", Blkio)
            ]
        );
    }

    #[test]
    fn cpus_and_real_time() {
        let cpu = Cpu { nano_cpus: Some(250_000_000), ..Cpu::default() };
        assert_eq!(lines(&Resources { cpu, ..Resources::default() }, false), ["cpu/cpu.max=25000 100000"]);
        let cpu = Cpu { realtime_runtime: Some(1), ..Cpu::default() };
        let error = settings(&Resources { cpu, ..Resources::default() }, Facts { bfq: false }).unwrap_err();
        assert_eq!(error.to_string(), "cpu real-time limit: cgroup v2 has no such setting");
    }
}
