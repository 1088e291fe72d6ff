//! The options of ps(1), as far as they make sense for a container: what to show, of which of its processes.
//!
//! What selects among all processes of a machine (`-e`, `-A`, `a`, `x`) selects all of the container's.

use super::columns::{Column, Machine};
use super::process::Process;

/// How the lines are ordered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Shape {
    #[default]
    Flat,
    /// `-H`
    Indented,
    /// `f`, `--forest`
    Forest,
}

/// What a user asked to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) columns: Vec<(Column, String)>,
    pub(super) header: bool,
    pub(super) shape: Shape,
    pids: Vec<i32>,
    parents: Vec<i32>,
    names: Vec<String>,
    users: Vec<String>,
    all: bool,
}

/// The formats that letters ask for.
#[derive(Debug, Default)]
struct Letters {
    full: bool,
    extra: bool,
    long: bool,
    jobs: bool,
    label: bool,
    bsd: bool,
    bsd_format: Option<char>,
    own: Vec<(Column, String)>,
}

const UNKNOWN: &str = "is not understood by corten, which reads the processes itself";

impl Request {
    /// Reads the options; none are `-ef`. An error is a line without the program's name.
    pub(super) fn parse(options: &[String]) -> Result<Self, String> {
        let joined = options.join(" ");
        let mut words = joined.split_ascii_whitespace();
        let mut request = Self {
            columns: Vec::new(),
            header: true,
            shape: Shape::Flat,
            pids: Vec::new(),
            parents: Vec::new(),
            names: Vec::new(),
            users: Vec::new(),
            all: false,
        };
        let mut letters = Letters::default();
        if joined.trim().is_empty() {
            (letters.full, request.all) = (true, true);
        }
        while let Some(word) = words.next() {
            // Everybody's habit; a user called x is not what is meant (ps(1)).
            let habit = word.starts_with("-aux") && word.trim_start_matches("-aux").chars().all(|c| c == 'w');
            if let Some(long) = word.strip_prefix("--") {
                request.long(long, &mut words, &mut letters)?;
            } else if let (Some(short), false) = (word.strip_prefix('-'), habit) {
                request.unix(short, &mut words, &mut letters)?;
            } else {
                request.bsd(word.trim_start_matches('-'), &mut words, &mut letters)?;
            }
        }
        request.columns = letters.columns();
        Ok(request)
    }

    fn unix<'a>(
        &mut self,
        word: &str,
        words: &mut impl Iterator<Item = &'a str>,
        letters: &mut Letters,
    ) -> Result<(), String> {
        if word.is_empty() {
            return Err("improper option -".to_owned());
        }
        if word.bytes().all(|byte| byte.is_ascii_digit()) {
            return self.list('p', word);
        }
        for (at, letter) in word.char_indices() {
            match letter {
                'A' | 'e' | 'a' | 'd' => self.all = true,
                'f' => letters.full = true,
                'F' => (letters.full, letters.extra) = (true, true),
                'l' => letters.long = true,
                'j' => letters.jobs = true,
                'M' | 'Z' => letters.label = true,
                'H' => self.shape = Shape::Indented,
                'w' | 'y' if letter == 'w' => {}
                'o' | 'p' | 'q' | 'C' | 'u' | 'U' => {
                    let value = value(word, at, words).ok_or_else(|| missing(letter))?;
                    if letter == 'o' {
                        return specify(&value, &mut letters.own);
                    }
                    return self.list(letter, &value);
                }
                _ => return Err(format!("option -{letter} {UNKNOWN}")),
            }
        }
        Ok(())
    }

    fn bsd<'a>(
        &mut self,
        word: &str,
        words: &mut impl Iterator<Item = &'a str>,
        letters: &mut Letters,
    ) -> Result<(), String> {
        letters.bsd = true;
        if word.bytes().all(|byte| byte.is_ascii_digit() || byte == b',') {
            return self.list('p', word);
        }
        for (at, letter) in word.char_indices() {
            match letter {
                'a' | 'x' | 'g' => self.all = true,
                'w' => {}
                'u' | 'l' | 'j' => letters.bsd_format = Some(letter),
                'f' => self.shape = Shape::Forest,
                'h' => self.header = false,
                'Z' | 'M' => letters.label = true,
                'o' | 'p' | 'q' | 'U' => {
                    let value = value(word, at, words).ok_or_else(|| missing(letter))?;
                    if letter == 'o' {
                        return specify(&value, &mut letters.own);
                    }
                    return self.list(letter, &value);
                }
                _ => return Err(format!("option {letter} {UNKNOWN}")),
            }
        }
        Ok(())
    }

    fn long<'a>(
        &mut self,
        word: &str,
        words: &mut impl Iterator<Item = &'a str>,
        letters: &mut Letters,
    ) -> Result<(), String> {
        let (name, given) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
        match name {
            "forest" => self.shape = Shape::Forest,
            "headers" | "heading" | "headings" => self.header = true,
            "no-headers" | "no-heading" | "no-headings" | "noheaders" | "noheader" => self.header = false,
            "context" => letters.label = true,
            "format" | "pid" | "quick-pid" | "ppid" | "user" | "User" | "cols" | "columns" | "width" => {
                let value = given.or_else(|| words.next()).ok_or("option needs an argument".to_owned())?;
                match name {
                    "format" => specify(value, &mut letters.own)?,
                    "pid" | "quick-pid" => self.list('p', value)?,
                    "ppid" => self.parents.extend(numbers(value)?),
                    "user" | "User" => self.list('u', value)?,
                    // Nothing is cut here.
                    _ => {}
                }
            }
            _ => return Err("unknown gnu long option".to_owned()),
        }
        Ok(())
    }

    fn list(&mut self, letter: char, value: &str) -> Result<(), String> {
        let texts = value.split(',').filter(|text| !text.is_empty()).map(str::to_owned);
        match letter {
            'p' | 'q' => self.pids.extend(numbers(value)?),
            'C' => self.names.extend(texts),
            _ => self.users.extend(texts),
        }
        Ok(())
    }

    /// Says whether a process of the container is to be shown.
    pub(super) fn selects(&self, process: &Process, machine: &Machine) -> bool {
        let lists =
            [self.pids.is_empty(), self.parents.is_empty(), self.names.is_empty(), self.users.is_empty()];
        let is_user =
            |user: &String| *user == process.uids.1.to_string() || *user == machine.user(process.uids.1);
        self.all
            || lists.into_iter().all(|empty| empty)
            || self.pids.contains(&process.pid)
            || self.parents.contains(&process.ppid)
            || self.names.contains(&process.name)
            || self.users.iter().any(is_user)
    }
}

/// The argument of a letter: the rest of the word, or the next one.
fn value<'a>(word: &str, at: usize, words: &mut impl Iterator<Item = &'a str>) -> Option<String> {
    match word.get(at + 1..) {
        Some(rest) if !rest.is_empty() => Some(rest.to_owned()),
        _ => words.next().map(str::to_owned),
    }
}

fn missing(letter: char) -> String {
    match letter {
        'o' => "format specification must follow -o".to_owned(),
        _ => format!("list of process IDs or names must follow -{letter}"),
    }
}

fn numbers(list: &str) -> Result<Vec<i32>, String> {
    let number = |text: &str| match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err("process ID list syntax error".to_owned()),
    };
    list.split(',').filter(|text| !text.is_empty()).map(number).collect()
}

/// Reads `pid,user=WHO`: a title takes the rest of the list (POSIX). A width behind a colon changes nothing here.
fn specify(list: &str, columns: &mut Vec<(Column, String)>) -> Result<(), String> {
    let mut rest = list;
    while !rest.is_empty() {
        let end = rest.find([',', '=']).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let plain = name.split_once(':').map_or(name, |(name, _)| name);
        if plain.is_empty() {
            return Err("empty format list".to_owned());
        }
        let (column, title) = Column::named(plain)
            .ok_or_else(|| format!("unknown user-defined format specifier \"{plain}\""))?;
        if let Some(own) = after.strip_prefix('=') {
            columns.push((column, own.to_owned()));
            return Ok(());
        }
        columns.push((column, title.to_owned()));
        rest = after.strip_prefix(',').unwrap_or_default();
    }
    if columns.is_empty() { Err("empty format list".to_owned()) } else { Ok(()) }
}

impl Letters {
    fn columns(self) -> Vec<(Column, String)> {
        let named = |list: &[(Column, &str)]| -> Vec<(Column, String)> {
            list.iter().map(|(column, title)| (*column, (*title).to_owned())).collect()
        };
        if !self.own.is_empty() {
            return self.own;
        }
        let mut columns = match self.bsd_format {
            Some('u') => named(&USER_FORMAT),
            Some('l') => named(&BSD_LONG),
            Some(_) => named(&BSD_JOBS),
            None if self.bsd => named(&BSD),
            None => self.unix_columns(),
        };
        if self.label {
            columns.insert(0, (Column::Label, "LABEL".to_owned()));
        }
        columns
    }

    fn unix_columns(&self) -> Vec<(Column, String)> {
        let (full, long, jobs) = (self.full, self.long, self.jobs);
        let user = if full { Column::User } else { Column::Uid };
        let command = if full { Column::Command } else { Column::Name };
        let all = [
            (long, Column::Flags, "F"),
            (long, Column::State, "S"),
            (full || long, user, "UID"),
            (true, Column::Pid, "PID"),
            (full || long, Column::Ppid, "PPID"),
            (jobs, Column::Pgid, "PGID"),
            (jobs, Column::Session, "SID"),
            (full || long, Column::CpuWhole, "C"),
            (long, Column::PriorityLong, "PRI"),
            (long, Column::Nice, "NI"),
            (long, Column::Address, "ADDR"),
            (long || self.extra, Column::SizePages, "SZ"),
            (long, Column::Wchan, "WCHAN"),
            (self.extra, Column::Resident, "RSS"),
            (self.extra, Column::Processor, "PSR"),
            (full, Column::StartedDay, "STIME"),
            (true, Column::Tty, "TTY"),
            (true, Column::Time, "TIME"),
            (true, command, "CMD"),
        ];
        let shown = all.into_iter().filter(|(shown, ..)| *shown);
        shown.map(|(_, column, title)| (column, title.to_owned())).collect()
    }
}

const BSD: [(Column, &str); 5] = [
    (Column::Pid, "PID"),
    (Column::Tty, "TTY"),
    (Column::Stat, "STAT"),
    (Column::TimeShort, "TIME"),
    (Column::Command, "COMMAND"),
];

const USER_FORMAT: [(Column, &str); 11] = [
    (Column::User, "USER"),
    (Column::Pid, "PID"),
    (Column::Cpu, "%CPU"),
    (Column::Memory, "%MEM"),
    (Column::Size, "VSZ"),
    (Column::Resident, "RSS"),
    (Column::Tty, "TTY"),
    (Column::Stat, "STAT"),
    (Column::StartedShort, "START"),
    (Column::TimeShort, "TIME"),
    (Column::Command, "COMMAND"),
];

const BSD_LONG: [(Column, &str); 13] = [
    (Column::Flags, "F"),
    (Column::Uid, "UID"),
    (Column::Pid, "PID"),
    (Column::Ppid, "PPID"),
    (Column::PriorityRaw, "PRI"),
    (Column::Nice, "NI"),
    (Column::Size, "VSZ"),
    (Column::Resident, "RSS"),
    (Column::Wchan, "WCHAN"),
    (Column::Stat, "STAT"),
    (Column::Tty, "TTY"),
    (Column::TimeShort, "TIME"),
    (Column::Command, "COMMAND"),
];

const BSD_JOBS: [(Column, &str); 10] = [
    (Column::Ppid, "PPID"),
    (Column::Pid, "PID"),
    (Column::Pgid, "PGID"),
    (Column::Session, "SID"),
    (Column::Tty, "TTY"),
    (Column::Tpgid, "TPGID"),
    (Column::Stat, "STAT"),
    (Column::Uid, "UID"),
    (Column::TimeShort, "TIME"),
    (Column::Command, "COMMAND"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn titles(line: &str) -> Result<String, String> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let request = Request::parse(&words)?;
        Ok(request.columns.into_iter().map(|(_, title)| title).collect::<Vec<_>>().join(" "))
    }

    /// What ps(1) of procps-ng 4.0 prints.
    #[test]
    fn headers_are_those_of_ps() {
        let cases = [
            ("", "UID PID PPID C STIME TTY TIME CMD"),
            ("-ef", "UID PID PPID C STIME TTY TIME CMD"),
            ("-e", "PID TTY TIME CMD"),
            ("-eF", "UID PID PPID C SZ RSS PSR STIME TTY TIME CMD"),
            ("-l", "F S UID PID PPID C PRI NI ADDR SZ WCHAN TTY TIME CMD"),
            ("-lf", "F S UID PID PPID C PRI NI ADDR SZ WCHAN STIME TTY TIME CMD"),
            ("-ejH", "PID PGID SID TTY TIME CMD"),
            ("-Z", "LABEL PID TTY TIME CMD"),
            ("aux", "USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND"),
            ("-auxww", "USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND"),
            ("x", "PID TTY STAT TIME COMMAND"),
            ("l", "F UID PID PPID PRI NI VSZ RSS WCHAN STAT TTY TIME COMMAND"),
            ("axj", "PPID PID PGID SID TTY TPGID STAT UID TIME COMMAND"),
            ("-eo pid,ppid,user,args", "PID PPID USER COMMAND"),
            ("axo pid,cmd:20", "PID CMD"),
            ("-opid -o user=WHO,is,it", "PID WHO,is,it"),
            ("--format=pid,comm --no-headers", "PID COMMAND"),
        ];
        for (line, expected) in cases {
            assert_eq!(titles(line).as_deref(), Ok(expected), "{line}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let cases = [
            ("nonsense", "option n is not understood by corten, which reads the processes itself"),
            ("-o nonsense", "unknown user-defined format specifier \"nonsense\""),
            ("--nonsense", "unknown gnu long option"),
            ("-o", "format specification must follow -o"),
            ("-p x", "process ID list syntax error"),
            ("-L", "option -L is not understood by corten, which reads the processes itself"),
            ("-", "improper option -"),
        ];
        for (line, expected) in cases {
            assert_eq!(titles(line), Err(expected.to_owned()), "{line}");
        }
    }
}
