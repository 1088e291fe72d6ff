//! What a cgroup has used so far, and may use.

use corten_sys::{Errno, SysError, fs};

use super::layout::Controller;
use super::{Cgroup, CgroupError, value_of};

/// Counters of one cgroup; zero where its controller is not there, or counts only from its joining on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time in nanoseconds.
    pub cpu_nanos: u64,
    /// Bytes, without the page cache that is given back first.
    pub memory: u64,
    /// Bytes; `None` is no limit of its own.
    pub memory_limit: Option<u64>,
    /// Bytes from and to block devices.
    pub block_read: u64,
    pub block_written: u64,
    pub pids: u64,
    /// Scheduling periods with a processor limit, and those in which it held the container back.
    pub periods: u64,
    pub throttled: u64,
}

impl Cgroup {
    /// Reads the counters. A cgroup that is just being removed has none.
    pub fn usage(&self) -> Result<Usage, CgroupError> {
        let read = |controller, file| self.read_file(controller, file);
        let number = |text: &str| text.trim().parse::<u64>().unwrap_or(0);
        let scheduling = read(Controller::Cpu, "cpu.stat")?;
        let (periods, throttled) = (keyed(&scheduling, "nr_periods"), keyed(&scheduling, "nr_throttled"));
        if self.layout.is_v2() {
            let (block_read, block_written) = v2_block(&read(Controller::Blkio, "io.stat")?);
            let cache = keyed(&read(Controller::Memory, "memory.stat")?, "inactive_file");
            return Ok(Usage {
                cpu_nanos: keyed(&scheduling, "usage_usec") * 1000,
                memory: without_cache(number(&read(Controller::Memory, "memory.current")?), cache),
                memory_limit: read(Controller::Memory, "memory.max")?.trim().parse().ok(),
                block_read,
                block_written,
                pids: number(&read(Controller::Pids, "pids.current")?),
                periods,
                throttled,
            });
        }
        let file = "blkio.throttle.io_service_bytes_recursive";
        let (block_read, block_written) = v1_block(&read(Controller::Blkio, file)?);
        let cache = keyed(&read(Controller::Memory, "memory.stat")?, "total_inactive_file");
        let limit = read(Controller::Memory, "memory.limit_in_bytes")?.trim().parse().ok();
        Ok(Usage {
            cpu_nanos: number(&read(Controller::Cpuacct, "cpuacct.usage")?),
            memory: without_cache(number(&read(Controller::Memory, "memory.usage_in_bytes")?), cache),
            // No limit is the largest number of pages.
            memory_limit: limit.filter(|&bytes| bytes < UNLIMITED),
            block_read,
            block_written,
            pids: number(&read(Controller::Pids, "pids.current")?),
            periods,
            throttled,
        })
    }

    /// A file of the cgroup's, empty where there is none.
    fn read_file(&self, controller: Controller, file: &str) -> Result<String, SysError> {
        let Some(directory) = self.directory(controller) else { return Ok(String::new()) };
        match fs::read_if_exists(directory.join(file)) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()),
            Err(error) if error.errno() == Errno::NODEV => Ok(String::new()),
            Err(error) => Err(error),
        }
    }
}

/// More than any machine has.
const UNLIMITED: u64 = 1 << 62;

fn keyed(text: &str, key: &str) -> u64 {
    value_of(text, key).and_then(|value| value.parse().ok()).unwrap_or(0)
}

/// docker's memory usage: what is cached of files and not in use is given back before anything is killed.
fn without_cache(used: u64, cache: u64) -> u64 {
    if cache < used { used - cache } else { used }
}

/// Lines of `8:0 Read 4096`.
fn v1_block(text: &str) -> (u64, u64) {
    let sum = |operation: &str| {
        let bytes = |line: &str| {
            let mut fields = line.split_ascii_whitespace().skip(1);
            if fields.next()? == operation { fields.next()?.parse::<u64>().ok() } else { None }
        };
        text.lines().filter_map(bytes).sum()
    };
    (sum("Read"), sum("Write"))
}

/// Lines of `8:0 rbytes=4096 wbytes=0 …`.
fn v2_block(text: &str) -> (u64, u64) {
    let sum = |key: &str| {
        let values =
            text.split_ascii_whitespace().filter_map(|field| field.strip_prefix(key)?.strip_prefix('='));
        values.filter_map(|value| value.parse::<u64>().ok()).sum()
    };
    (sum("rbytes"), sum("wbytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_devices_are_summed() {
        let v1 = "8:16 Read 100\n8:16 Write 20\n8:16 Total 120\n8:0 Read 1\nTotal 121\n";
        assert_eq!(v1_block(v1), (101, 20));
        let v2 = "8:16 rbytes=100 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n254:0\n8:0 rbytes=1 wbytes=0\n";
        assert_eq!(v2_block(v2), (101, 20));
        assert_eq!((v1_block(""), v2_block("")), ((0, 0), (0, 0)));
    }

    #[test]
    fn the_cache_is_no_usage() {
        assert_eq!((without_cache(100, 30), without_cache(100, 100)), (70, 100));
        assert_eq!(keyed("inactive_anon 5\ninactive_file 7\n", "inactive_file"), 7);
    }
}
