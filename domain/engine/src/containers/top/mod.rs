//! The processes of a container as ps(1) shows them, read from /proc: no program of the host's is run.
//!
//! Ids and names are the host's, as in docker.

mod columns;
mod options;
mod process;

use std::collections::HashMap;

use corten_sys::fs;
use jiff::tz::TimeZone;

use super::pause;
use super::record::ContainerRecord;
use super::state::{self, Status};
use crate::{Engine, Error};
use columns::Machine;
use options::{Request, Shape};
use process::Process;

/// docker's `Titles` and `Processes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessTable {
    /// Empty where the options ask for no header.
    pub titles: Vec<String>,
    pub processes: Vec<Vec<String>>,
}

/// Lists the processes of a running container by ps's options, `-ef` where there are none; times are shown in `zone`.
pub fn top(
    engine: &Engine,
    record: &ContainerRecord,
    options: &[String],
    zone: &TimeZone,
) -> Result<ProcessTable, Error> {
    let request = Request::parse(options).map_err(|reason| Error::invalid(format!("ps: error: {reason}")))?;
    match state::read(engine, record)?.status {
        Status::Running | Status::Paused => {}
        Status::Restarting => {
            let text = format!("Container {} is restarting, wait until the container is running", record.id);
            return Err(Error::conflict(text));
        }
        Status::Created | Status::Exited => {
            return Err(Error::conflict(format!("Container {} is not running", record.id)));
        }
    }
    let cgroup = pause::cgroup(engine, record)?;
    let pids = cgroup.pids().map_err(|error| Error::from_cause(&error))?;
    let machine = Machine::read(zone.clone())?;
    let mut processes: Vec<Process> = pids.into_iter().filter_map(Process::read).collect();
    processes.sort_unstable_by_key(|process| process.pid);
    processes.dedup_by_key(|process| process.pid);
    processes.retain(|process| request.selects(process, &machine));
    Ok(render(&request, &processes, &machine))
}

fn render(request: &Request, processes: &[Process], machine: &Machine) -> ProcessTable {
    let titles = request.columns.iter().map(|(_, title)| title.clone()).collect();
    let rows = arrange(request.shape, processes);
    let cells = |(process, prefix): &(&Process, String)| {
        let cell = |(column, _): &(columns::Column, String)| column.text(process, prefix, machine);
        request.columns.iter().map(cell).collect()
    };
    ProcessTable {
        titles: if request.header { titles } else { Vec::new() },
        processes: rows.iter().map(cells).collect(),
    }
}

/// The order of the lines, and what stands before each command.
fn arrange(shape: Shape, processes: &[Process]) -> Vec<(&Process, String)> {
    if shape == Shape::Flat {
        return processes.iter().map(|process| (process, String::new())).collect();
    }
    let mut children: HashMap<i32, Vec<&Process>> = HashMap::new();
    let is_here = |pid: i32| processes.iter().any(|process| process.pid == pid);
    let mut waiting: Vec<(&Process, usize, String, String)> = Vec::new();
    for process in processes {
        if is_here(process.ppid) && process.ppid != process.pid {
            children.entry(process.ppid).or_default().push(process);
        } else {
            waiting.push((process, 0, String::new(), String::new()));
        }
    }
    waiting.reverse();
    let mut rows = Vec::new();
    while let Some((process, depth, prefix, below)) = waiting.pop() {
        let children = children.remove(&process.pid).unwrap_or_default();
        for (index, child) in children.iter().enumerate().rev() {
            let last = index + 1 == children.len();
            let (own, next) = match shape {
                Shape::Indented => ("  ".repeat(depth + 1), String::new()),
                _ => (format!("{below} \\_ "), format!("{below}{}", if last { "    " } else { " |  " })),
            };
            waiting.push((child, depth + 1, own, next));
        }
        rows.push((process, prefix));
    }
    rows
}

/// Reads a file of /proc that may be gone by now.
fn read(path: String) -> Option<String> {
    fs::read(path).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forests() {
        let process = |pid, ppid| Process { pid, ppid, ..Process::default() };
        let processes = [process(1, 0), process(2, 1), process(3, 2), process(4, 1), process(9, 7)];
        let shown = |shape| -> Vec<(i32, String)> {
            arrange(shape, &processes).into_iter().map(|(process, prefix)| (process.pid, prefix)).collect()
        };
        let expected = |rows: [(i32, &str); 5]| rows.map(|(pid, prefix)| (pid, prefix.to_owned())).to_vec();
        assert_eq!(shown(Shape::Flat), expected([(1, ""), (2, ""), (3, ""), (4, ""), (9, "")]));
        let tree = [(1, ""), (2, " \\_ "), (3, " |   \\_ "), (4, " \\_ "), (9, "")];
        assert_eq!(shown(Shape::Forest), expected(tree));
        assert_eq!(shown(Shape::Indented), expected([(1, ""), (2, "  "), (3, "    "), (4, "  "), (9, "")]));
    }
}
