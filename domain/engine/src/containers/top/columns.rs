//! The columns of ps(1): what each is called, and how it is written.

use std::collections::HashMap;

use corten_sys::fs;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::process::Process;
use super::read;
use crate::Error;

/// Clock ticks in a second, as the kernel shows them to everybody (USER_HZ).
const TICKS: u64 = 100;

/// One column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Pid,
    Ppid,
    Pgid,
    Session,
    Tpgid,
    Tty,
    State,
    Stat,
    Cpu,
    CpuWhole,
    Memory,
    Size,
    SizePages,
    Resident,
    Nice,
    /// As `-o pri`, as `-l` and as BSD's `l` count.
    Priority,
    PriorityLong,
    PriorityRaw,
    Processor,
    Wchan,
    Elapsed,
    ElapsedSeconds,
    Time,
    TimeSeconds,
    TimeShort,
    Started,
    StartedLong,
    StartedShort,
    StartedDay,
    Uid,
    RealUid,
    User,
    RealUser,
    Gid,
    RealGid,
    Group,
    RealGroup,
    Threads,
    Name,
    Command,
    Flags,
    Address,
    Cgroup,
    Label,
    MinorFaults,
    MajorFaults,
}

/// Names as ps(1) takes them behind `-o`, and their titles.
const NAMES: &[(&str, Column, &str)] = &[
    ("%cpu", Column::Cpu, "%CPU"),
    ("%mem", Column::Memory, "%MEM"),
    ("args", Column::Command, "COMMAND"),
    ("bsdstart", Column::StartedShort, "START"),
    ("bsdtime", Column::TimeShort, "TIME"),
    ("c", Column::CpuWhole, "C"),
    ("cgroup", Column::Cgroup, "CGROUP"),
    ("cmd", Column::Command, "CMD"),
    ("comm", Column::Name, "COMMAND"),
    ("command", Column::Command, "COMMAND"),
    ("cputime", Column::Time, "TIME"),
    ("cputimes", Column::TimeSeconds, "TIME"),
    ("egid", Column::Gid, "EGID"),
    ("egroup", Column::Group, "EGROUP"),
    ("etime", Column::Elapsed, "ELAPSED"),
    ("etimes", Column::ElapsedSeconds, "ELAPSED"),
    ("euid", Column::Uid, "EUID"),
    ("euser", Column::User, "EUSER"),
    ("f", Column::Flags, "F"),
    ("flag", Column::Flags, "F"),
    ("flags", Column::Flags, "F"),
    ("gid", Column::Gid, "GID"),
    ("group", Column::Group, "GROUP"),
    ("label", Column::Label, "LABEL"),
    ("lstart", Column::StartedLong, "STARTED"),
    ("maj_flt", Column::MajorFaults, "MAJFL"),
    ("min_flt", Column::MinorFaults, "MINFL"),
    ("ni", Column::Nice, "NI"),
    ("nice", Column::Nice, "NI"),
    ("nlwp", Column::Threads, "NLWP"),
    ("pcpu", Column::Cpu, "%CPU"),
    ("pgid", Column::Pgid, "PGID"),
    ("pgrp", Column::Pgid, "PGRP"),
    ("pid", Column::Pid, "PID"),
    ("pmem", Column::Memory, "%MEM"),
    ("ppid", Column::Ppid, "PPID"),
    ("pri", Column::Priority, "PRI"),
    ("psr", Column::Processor, "PSR"),
    ("rgid", Column::RealGid, "RGID"),
    ("rgroup", Column::RealGroup, "RGROUP"),
    ("rss", Column::Resident, "RSS"),
    ("rssize", Column::Resident, "RSS"),
    ("rsz", Column::Resident, "RSZ"),
    ("ruid", Column::RealUid, "RUID"),
    ("ruser", Column::RealUser, "RUSER"),
    ("s", Column::State, "S"),
    ("sess", Column::Session, "SESS"),
    ("session", Column::Session, "SESS"),
    ("sid", Column::Session, "SID"),
    ("start", Column::Started, "STARTED"),
    ("start_time", Column::StartedDay, "START"),
    ("stat", Column::Stat, "STAT"),
    ("state", Column::State, "S"),
    ("stime", Column::StartedDay, "STIME"),
    ("sz", Column::SizePages, "SZ"),
    ("thcount", Column::Threads, "THCNT"),
    ("time", Column::Time, "TIME"),
    ("tname", Column::Tty, "TTY"),
    ("tpgid", Column::Tpgid, "TPGID"),
    ("tt", Column::Tty, "TT"),
    ("tty", Column::Tty, "TT"),
    ("ucmd", Column::Name, "CMD"),
    ("ucomm", Column::Name, "COMMAND"),
    ("uid", Column::Uid, "UID"),
    ("uname", Column::User, "USER"),
    ("user", Column::User, "USER"),
    ("vsize", Column::Size, "VSZ"),
    ("vsz", Column::Size, "VSZ"),
    ("wchan", Column::Wchan, "WCHAN"),
];

impl Column {
    /// The column of that name, and its title.
    pub(super) fn named(name: &str) -> Option<(Self, &'static str)> {
        let found = NAMES.iter().find(|(known, ..)| *known == name)?;
        Some((found.1, found.2))
    }

    /// The cell of a process; `prefix` stands before its command.
    pub(super) fn text(self, process: &Process, prefix: &str, machine: &Machine) -> String {
        match self {
            Self::Pid => process.pid.to_string(),
            Self::Ppid => process.ppid.to_string(),
            Self::Pgid => process.pgrp.to_string(),
            Self::Session => process.session.to_string(),
            Self::Tpgid => process.tpgid.to_string(),
            Self::Tty => terminal(process.tty),
            Self::State => process.state.to_string(),
            Self::Stat => state(process),
            Self::Cpu => tenths(machine.cpu_tenths(process)),
            Self::CpuWhole => (machine.cpu_tenths(process) / 10).to_string(),
            Self::Memory => tenths((process.resident * 1024 * 1000).checked_div(machine.memory).unwrap_or(0)),
            Self::Size => (process.size / 1024).to_string(),
            Self::SizePages => (process.size / machine.page).to_string(),
            Self::Resident => process.resident.to_string(),
            Self::Nice => process.nice.to_string(),
            Self::Priority => (39 - process.priority).to_string(),
            Self::PriorityLong => (60 + process.priority).to_string(),
            Self::PriorityRaw => process.priority.to_string(),
            Self::Processor => process.processor.to_string(),
            Self::Elapsed => elapsed(machine.age(process)),
            Self::ElapsedSeconds => machine.age(process).to_string(),
            Self::Time => cpu_time(process.cpu / TICKS),
            Self::TimeSeconds => (process.cpu / TICKS).to_string(),
            Self::TimeShort => {
                let seconds = process.cpu / TICKS;
                format!("{}:{:02}", seconds / 60, seconds % 60)
            }
            Self::Started | Self::StartedLong | Self::StartedShort | Self::StartedDay => {
                machine.started(self, process)
            }
            Self::Uid => process.uids.1.to_string(),
            Self::RealUid => process.uids.0.to_string(),
            Self::User => machine.user(process.uids.1),
            Self::RealUser => machine.user(process.uids.0),
            Self::Gid => process.gids.1.to_string(),
            Self::RealGid => process.gids.0.to_string(),
            Self::Group => machine.group(process.gids.1),
            Self::RealGroup => machine.group(process.gids.0),
            Self::Threads => process.threads.to_string(),
            Self::Name => format!("{prefix}{}", process.short()),
            Self::Command => format!("{prefix}{}", process.long()),
            // ps(1), "PROCESS FLAGS": forked without exec, superuser privileges.
            Self::Flags => (process.flags >> 6 & 7).to_string(),
            Self::Address => "-".to_owned(),
            Self::MinorFaults => process.faults.0.to_string(),
            Self::MajorFaults => process.faults.1.to_string(),
            Self::Wchan => waiting(process.pid),
            Self::Cgroup => own_line(process.pid, "cgroup").replace('\n', ","),
            Self::Label => own_line(process.pid, "attr/current"),
        }
    }
}

/// Where in the kernel it waits, six letters of it.
fn waiting(pid: i32) -> String {
    let text = own_line(pid, "wchan");
    if text == "0" { "-".to_owned() } else { text.chars().take(6).collect() }
}

/// A text of /proc/PID, or a dash.
fn own_line(pid: i32, file: &str) -> String {
    let text = read(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let text = text.trim_end_matches(['\n', '\0']);
    if text.is_empty() { "-".to_owned() } else { text.to_owned() }
}

fn tenths(value: u64) -> String {
    format!("{}.{}", value / 10, value % 10)
}

/// Device numbers as the kernel packs them into field 7.
fn terminal(device: u32) -> String {
    let major = device >> 8 & 0xfff;
    let minor = device & 0xff | device >> 12 & 0xfff00;
    match major {
        0 => "?".to_owned(),
        136..=143 => format!("pts/{}", minor + (major - 136) * 256),
        4 if minor < 64 => format!("tty{minor}"),
        4 => format!("ttyS{}", minor - 64),
        _ => format!("{major}:{minor}"),
    }
}

fn state(process: &Process) -> String {
    let mut text = String::from(process.state);
    let marks = [
        ('<', process.nice < 0),
        ('N', process.nice > 0),
        ('L', process.locked),
        ('s', process.session == process.pid),
        ('l', process.threads > 1),
        ('+', process.pgrp == process.tpgid),
    ];
    text.extend(marks.into_iter().filter(|(_, set)| *set).map(|(mark, _)| mark));
    text
}

/// `[DD-]hh:mm:ss`.
fn cpu_time(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let time = format!("{hours:02}:{minutes:02}:{:02}", seconds % 60);
    if days > 0 { format!("{days}-{time}") } else { time }
}

/// `[[DD-]hh:]mm:ss`.
fn elapsed(seconds: u64) -> String {
    let text = cpu_time(seconds);
    text.strip_prefix("00:").map_or(text.clone(), str::to_owned)
}

/// What the columns need besides the process.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    pub(super) zone: TimeZone,
    /// Seconds since 1970.
    pub(super) now: i64,
    pub(super) boot: i64,
    /// Bytes.
    pub(super) memory: u64,
    pub(super) page: u64,
    pub(super) users: HashMap<u32, String>,
    pub(super) groups: HashMap<u32, String>,
}

impl Machine {
    pub(super) fn read(zone: TimeZone) -> Result<Self, Error> {
        let stat = fs::read_to_string("/proc/stat")?;
        let boot = stat.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok());
        let info = rustix::system::sysinfo();
        Ok(Self {
            zone,
            now: Timestamp::now().as_second(),
            boot: boot.unwrap_or(0),
            memory: info.totalram as u64 * u64::from(info.mem_unit),
            page: rustix::param::page_size() as u64,
            users: names("/etc/passwd"),
            groups: names("/etc/group"),
        })
    }

    pub(super) fn user(&self, id: u32) -> String {
        self.users.get(&id).cloned().unwrap_or_else(|| id.to_string())
    }

    fn group(&self, id: u32) -> String {
        self.groups.get(&id).cloned().unwrap_or_else(|| id.to_string())
    }

    /// Seconds since its start.
    fn age(&self, process: &Process) -> u64 {
        u64::try_from(self.now - self.start(process)).unwrap_or(0)
    }

    fn start(&self, process: &Process) -> i64 {
        self.boot + i64::try_from(process.start / TICKS).unwrap_or(0)
    }

    /// Tenths of a per cent of one processor over its life.
    fn cpu_tenths(&self, process: &Process) -> u64 {
        (process.cpu * 1000 / TICKS).checked_div(self.age(process)).unwrap_or(0)
    }

    fn started(&self, column: Column, process: &Process) -> String {
        let zoned =
            |seconds: i64| Timestamp::from_second(seconds).unwrap_or_default().to_zoned(self.zone.clone());
        let (start, now) = (zoned(self.start(process)), zoned(self.now));
        let today = self.age(process) < 86_400;
        let format = match column {
            Column::StartedLong => "%a %b %e %H:%M:%S %Y",
            Column::Started if today => "%H:%M:%S",
            Column::StartedShort if today => "%H:%M",
            Column::Started | Column::StartedShort => "%b %d",
            _ if start.year() != now.year() => "%Y",
            _ if start.day_of_year() != now.day_of_year() => "%b%d",
            _ => "%H:%M",
        };
        start.strftime(format).to_string()
    }
}

/// Names by number out of passwd(5) or group(5) of the host; where there is none, numbers are shown.
fn names(path: &str) -> HashMap<u32, String> {
    let text = read(path.to_owned()).unwrap_or_default();
    let entry = |line: &str| {
        let mut fields = line.split(':');
        Some((fields.next()?.to_owned(), fields.nth(1)?.parse().ok()?))
    };
    // The first of several names counts.
    text.lines().rev().filter_map(entry).map(|(name, id)| (id, name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells() {
        let machine = Machine {
            zone: TimeZone::UTC,
            now: 1_790_000_000,
            boot: 1_789_900_000,
            memory: 1 << 30,
            page: 4096,
            users: [(0, "root".to_owned())].into(),
            groups: HashMap::new(),
        };
        let process = Process {
            pid: 42,
            session: 42,
            pgrp: 42,
            tpgid: 42,
            tty: 34_817,
            state: 'S',
            nice: 5,
            priority: 20,
            threads: 2,
            cpu: 9_012_500,
            // 90,061 seconds ago: one day, one hour, one minute, one second.
            start: 993_900,
            size: 2_322_432,
            resident: 104_856,
            name: "sleep".to_owned(),
            ..Process::default()
        };
        let cases = [
            ("user", "root"),
            ("group", "0"),
            ("tty", "pts/1"),
            ("stat", "SNsl+"),
            ("etime", "1-01:01:01"),
            ("time", "1-01:02:05"),
            ("bsdtime", "1502:05"),
            ("pcpu", "100.0"),
            ("c", "100"),
            ("pmem", "9.9"),
            ("vsz", "2268"),
            ("sz", "567"),
            ("rss", "104856"),
            ("pri", "19"),
            ("lstart", "Sun Sep 20 13:12:19 2026"),
            ("start", "Sep 20"),
            ("stime", "Sep20"),
            ("comm", "sleep"),
            ("args", "[sleep]"),
        ];
        for (name, expected) in cases {
            let (column, _) = Column::named(name).unwrap();
            assert_eq!(column.text(&process, "", &machine), expected, "{name}");
        }
        let young = Process { start: 9_994_000, state: 'Z', ..process };
        for (name, expected) in [
            ("etime", "01:00"),
            ("stime", "14:12"),
            ("start", "14:12:20"),
            ("args", " \\_ [sleep] <defunct>"),
        ] {
            let (column, _) = Column::named(name).unwrap();
            assert_eq!(column.text(&young, " \\_ ", &machine), expected, "{name}");
        }
        assert!(NAMES.is_sorted_by_key(|(name, ..)| *name));
    }

    #[test]
    fn terminals() {
        for (device, expected) in
            [(0, "?"), (34_816, "pts/0"), (1025, "tty1"), (1088, "ttyS0"), (0x8a01, "pts/513"), (1281, "5:1")]
        {
            assert_eq!(terminal(device), expected, "{device}");
        }
    }
}
