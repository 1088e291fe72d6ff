//! The flags of update: those of create that can be changed later.

use std::ffi::OsString;

use corten_engine::containers::UpdateOptions;

use super::args::{CONTAINER, ContainerFlags};
use super::table::{self, Flag, Usage};
use super::{convert, values};
use crate::cli::CliError;

pub(crate) const NAME: &str = "corten update";
pub(crate) const SYNOPSIS: &str = "[OPTIONS] CONTAINER [CONTAINER...]";
const USAGE: Usage =
    Usage { name: NAME, synopsis: SYNOPSIS, about: "Update configuration of one or more containers" };

const FLAGS: [&str; 14] = [
    "blkio-weight",
    "cpu-period",
    "cpu-quota",
    "cpu-rt-period",
    "cpu-rt-runtime",
    "cpu-shares",
    "cpus",
    "cpuset-cpus",
    "cpuset-mems",
    "memory",
    "memory-reservation",
    "memory-swap",
    "pids-limit",
    "restart",
];

/// Accepted as docker does, which has deprecated it: the kernel has no such limit any more.
const HIDDEN: &[Flag<ContainerFlags>] = &[Flag::alias("kernel-memory", "bytes", |_, text| {
    values::parse_size(text)?;
    log::warn!("--kernel-memory has no effect: the kernel has no such limit any more");
    Ok(())
})];

/// Reads the changes and the names, which may stand between the flags.
pub(crate) fn parse(arguments: Vec<OsString>) -> Result<(UpdateOptions, Vec<String>), CliError> {
    let flags: Vec<_> = CONTAINER.iter().filter(|flag| FLAGS.contains(&flag.long())).copied().collect();
    let (flags, names) = table::parse_mixed(&USAGE, &[&flags, HIDDEN], arguments)?;
    let options = convert::to_changes(&flags).map_err(|reason| {
        if convert::is_argument(&reason) {
            table::complain(&USAGE, &reason)
        } else {
            CliError::bare(reason, 1)
        }
    })?;
    Ok((options, names))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_stand_anywhere_and_zero_changes_nothing() {
        let read = |line: &str| parse(line.split(' ').map(OsString::from).collect()).unwrap();
        let (options, names) = read("aa -m 64m bb --cpus=0.5 --pids-limit -1 --restart on-failure:3");
        assert_eq!(names, ["aa", "bb"]);
        assert_eq!(options.resources.memory.limit, Some(64 << 20));
        assert_eq!(options.resources.memory.swap, None);
        assert_eq!((options.resources.cpu.nano_cpus, options.resources.pids), (Some(500_000_000), Some(-1)));
        let (options, _) =
            read("-m 0 --cpus 0 --cpu-period 0 --cpu-quota 0 --pids-limit 0 --blkio-weight 0 aa");
        assert_eq!(options, UpdateOptions::default());
        assert_eq!(
            FLAGS.iter().filter(|name| !CONTAINER.iter().any(|flag| flag.long() == **name)).count(),
            0
        );
    }
}
