//! One process as /proc tells of it (proc(5)).

use super::read;

/// What the columns are made of. Times are in clock ticks, sizes in pages or KiB as the kernel has them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: i32,
    pub(super) ppid: i32,
    pub(super) pgrp: i32,
    pub(super) session: i32,
    pub(super) tty: u32,
    pub(super) tpgid: i32,
    pub(super) state: char,
    pub(super) flags: u64,
    pub(super) faults: (u64, u64),
    /// User and system time.
    pub(super) cpu: u64,
    pub(super) priority: i64,
    pub(super) nice: i64,
    pub(super) threads: u64,
    /// Since boot.
    pub(super) start: u64,
    /// Bytes.
    pub(super) size: u64,
    /// KiB, as `status` has it: the counter in `stat` lags behind.
    pub(super) resident: u64,
    pub(super) processor: u64,
    /// Real and effective.
    pub(super) uids: (u32, u32),
    pub(super) gids: (u32, u32),
    pub(super) locked: bool,
    pub(super) name: String,
    /// Empty for a zombie.
    pub(super) command: String,
}

impl Process {
    /// Reads it; `None` where it is gone.
    pub(super) fn read(pid: i32) -> Option<Self> {
        let command = read(format!("/proc/{pid}/cmdline"))?;
        Self::parse(&read(format!("/proc/{pid}/stat"))?, &read(format!("/proc/{pid}/status"))?, &command)
    }

    fn parse(stat: &str, status: &str, command: &str) -> Option<Self> {
        // The name may hold anything, blanks and parentheses too.
        let (pid, rest) = stat.split_once(" (")?;
        let (name, rest) = rest.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // Numbered as proc(5) does: the state is field 3.
        let text = |number: usize| fields.get(number - 3).copied();
        let number = |field: usize| text(field)?.parse::<u64>().ok();
        let signed = |field: usize| text(field)?.parse::<i64>().ok();
        let id = |field: usize| text(field)?.parse::<i32>().ok();
        let line = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
        let ids = |name: &str| -> Option<(u32, u32)> {
            let mut ids = line(name)?.split_ascii_whitespace().map(str::parse);
            Some((ids.next()?.ok()?, ids.next()?.ok()?))
        };
        Some(Self {
            pid: pid.parse().ok()?,
            name: name.to_owned(),
            state: text(3)?.chars().next()?,
            ppid: id(4)?,
            pgrp: id(5)?,
            session: id(6)?,
            tty: id(7)?.cast_unsigned(),
            tpgid: id(8)?,
            flags: number(9)?,
            faults: (number(10)?, number(12)?),
            cpu: number(14)? + number(15)?,
            priority: signed(18)?,
            nice: signed(19)?,
            threads: number(20)?,
            start: number(22)?,
            size: number(23)?,
            resident: line("VmRSS:")
                .and_then(|value| value.trim().strip_suffix(" kB")?.parse().ok())
                .unwrap_or(0),
            processor: number(39).unwrap_or(0),
            uids: ids("Uid:")?,
            gids: ids("Gid:")?,
            locked: line("VmLck:").is_some_and(|value| value.trim() != "0 kB"),
            command: printable(command.trim_end_matches('\0')),
        })
    }

    /// As ps(1) shows a command without arguments.
    pub(super) fn short(&self) -> String {
        let name = printable(&self.name);
        if self.state == 'Z' { format!("{name} <defunct>") } else { name }
    }

    /// The command with its arguments, where it has some.
    pub(super) fn long(&self) -> String {
        match (self.command.is_empty(), self.state) {
            (false, _) => self.command.clone(),
            (true, 'Z') => format!("[{}] <defunct>", printable(&self.name)),
            (true, _) => format!("[{}]", printable(&self.name)),
        }
    }
}

/// What a process calls itself must not command the caller's terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c == '\0' {
                ' '
            } else if c.is_control() {
                '?'
            } else {
                c
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_an_odd_name() {
        let stat = "42 (a) (b c) S 7 42 41 34816 42 4194560 126 0 3 0 250 50 0 0 20 5 2 0 1000 2322432 345 \
                    18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0";
        let status =
            "Name:\tx\nUid:\t1000\t0\t0\t0\nGid:\t50\t51\t0\t0\nVmLck:\t       8 kB\nVmRSS:\t     345 kB\n";
        let expected = Process {
            pid: 42,
            ppid: 7,
            pgrp: 42,
            session: 41,
            tty: 34816,
            tpgid: 42,
            state: 'S',
            flags: 4_194_560,
            faults: (126, 3),
            cpu: 300,
            priority: 20,
            nice: 5,
            threads: 2,
            start: 1000,
            size: 2_322_432,
            resident: 345,
            processor: 1,
            uids: (1000, 0),
            gids: (50, 51),
            locked: true,
            name: "a) (b c".to_owned(),
            command: "sh -c ?[2J".to_owned(),
        };
        assert_eq!(Process::parse(stat, status, "sh\0-c\0\u{1b}[2J\0"), Some(expected));
        assert_eq!(Process::parse("42 (x) S 1", status, ""), None);
    }
}
