//! `cargo xtask bench`: corten beside its peers, like with like.
//!
//! Fresh stores on one file system, volatile state on one tmpfs, entrants taking turns, the sync to the disk inside
//! every timing that writes, crun with the configuration that corten itself would start. Everything is taken down
//! afterwards.

mod bundle;
mod containers;
mod images;
mod memory;
mod peers;
mod samples;
mod setup;
mod table;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use crate::failure::{Failure, Result};
use crate::prerequisites::{self, Installer};
use crate::shell::Cmd;
use crate::workspace;
use setup::{Bench, Peers};
use table::Row;

struct Case {
    name: &'static str,
    about: &'static str,
    measure: fn(&Bench) -> Result<Vec<Row>>,
}

const CASES: &[Case] = &[
    Case { name: "version-start", about: "corten --version", measure: containers::version_start },
    Case { name: "run-true", about: "run --rm --network none IMAGE true", measure: containers::run_true },
    Case {
        name: "run-true-200",
        about: "the same 200 times, one after the other",
        measure: containers::run_true_200,
    },
    Case { name: "exec-true", about: "exec CONTAINER true", measure: containers::exec_true },
    Case { name: "run-d", about: "run -d", measure: containers::run_detached },
    Case { name: "rm-f", about: "rm -f of a running container", measure: containers::remove_running },
    Case { name: "parallel-20", about: "20 times run --rm at once", measure: containers::parallel },
    Case {
        name: "with-500-containers",
        about: "beside 500 others",
        measure: containers::with_other_containers,
    },
    Case { name: "with-1000-mounts", about: "on a host with 1,000 mounts", measure: containers::with_mounts },
    Case { name: "10-layers", about: "from an image of ten layers", measure: containers::with_layers },
    Case {
        name: "idle-memory",
        about: "PSS of the helpers of one of 20 idle containers",
        measure: memory::idle,
    },
    Case { name: "import", about: "import of a Debian", measure: images::import },
    Case { name: "save", about: "save of a Debian image", measure: images::save },
    Case { name: "load", about: "load of a Debian image", measure: images::load },
    Case { name: "logs-1M", about: "1,000,000 lines until readable through logs", measure: images::logs },
];

pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    let options = Options::parse(args)?;
    match options.action {
        Action::List => {
            for case in CASES {
                println!("{:20} {}", case.name, case.about);
            }
            Ok(ExitCode::SUCCESS)
        }
        Action::Install => install().map(|()| ExitCode::SUCCESS),
        Action::Measure => measure(&options),
    }
}

fn install() -> Result<()> {
    use prerequisites::{BUSYBOX, CONTAINERS_POLICY, CRUN, DEBOOTSTRAP, DOCKER, MUSL, PODMAN, RUNC};
    Installer::default().require(&[MUSL, BUSYBOX, DEBOOTSTRAP, CRUN, RUNC, PODMAN, CONTAINERS_POLICY, DOCKER])
}

fn measure(options: &Options) -> Result<ExitCode> {
    if !prerequisites::is_root() {
        return Err(Failure::new("bench: needs root"));
    }
    let root = workspace::root();
    let binary = match &options.binary {
        Some(binary) => binary.clone(),
        None => workspace::build_release(&root)?,
    };
    let bench = Bench::new(binary, options.runs, options.peers)?;
    let mut rows = Vec::new();
    let mut failed = Vec::new();
    let mut deferred = Vec::new();
    for case in CASES
        .iter()
        .filter(|case| options.cases.is_empty() || options.cases.iter().any(|name| name == case.name))
    {
        eprintln!("measuring {} …", case.name);
        let before = memory::helpers();
        match (case.measure)(&bench) {
            Ok(measured) => rows.extend(measured),
            Err(failure) => {
                eprintln!("xtask: {}: {failure}", case.name);
                failed.push(case.name);
            }
        }
        deferred.extend(await_cleanup(case.name, &before)?);
    }
    drop(bench);
    print!("{}", table::render(&rows));
    for line in deferred {
        println!("{line}");
    }
    let missed = rows.iter().filter(|row| row.passes() == Some(false)).count();
    if !failed.is_empty() {
        println!("\nnot measured: {}", failed.join(", "));
    }
    if missed > 0 {
        println!("\n{missed} bounds missed");
    }
    Ok(if failed.is_empty() && missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Waits for the helper processes that outlive a case, so that none slows the next one down, and says so.
fn await_cleanup(case: &str, before: &BTreeSet<u32>) -> Result<Option<String>> {
    let begin = Instant::now();
    let left: Vec<u32> = memory::helpers().difference(before).copied().collect();
    for pid in &left {
        let wait = Cmd::new("timeout").args(["20", "tail", "-s", "0.005", "-f", "/dev/null", "--pid"]);
        if !wait.arg(pid.to_string()).status()?.success() {
            return Ok(Some(format!("{case}: process {pid} is still there after 20 s")));
        }
    }
    let took = samples::milliseconds(begin.elapsed());
    Ok((!left.is_empty())
        .then(|| format!("{case}: {} helper processes ended {took:.0} ms after it", left.len())))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Measure,
    List,
    Install,
}

#[derive(Debug, PartialEq, Eq)]
struct Options {
    action: Action,
    /// All, if empty.
    cases: Vec<String>,
    runs: usize,
    peers: Peers,
    /// Measured in place of the release build.
    binary: Option<PathBuf>,
}

impl Options {
    fn parse(args: &[String]) -> Result<Self> {
        let mut options = Self {
            action: Action::Measure,
            cases: Vec::new(),
            runs: 100,
            peers: Peers { crun: true, podman: true, docker: true },
            binary: None,
        };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| Failure::new(format!("{arg} needs a value")));
            match arg.as_str() {
                "--list" => options.action = Action::List,
                "--install" => options.action = Action::Install,
                "--runs" => {
                    let text = value()?;
                    let runs = text.parse().ok().filter(|runs| *runs > 0);
                    options.runs =
                        runs.ok_or_else(|| Failure::new(format!("--runs {text}: not a number above zero")))?;
                }
                "--peers" => options.peers = Peers::parse(value()?)?,
                "--binary" => options.binary = Some(PathBuf::from(value()?)),
                name if CASES.iter().any(|case| case.name == name) => options.cases.push(name.to_owned()),
                other => {
                    return Err(Failure::new(format!(
                        "bench: no case {other:?}; `cargo xtask bench --list` has them"
                    )));
                }
            }
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::{Action, Options, Peers};

    fn parse(line: &str) -> Result<Options, String> {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Options::parse(&args).map_err(|failure| failure.to_string())
    }

    #[test]
    fn cases_and_flags_mix() {
        let expected = Options {
            action: Action::Measure,
            cases: vec!["run-true".to_owned(), "load".to_owned()],
            runs: 7,
            peers: Peers { crun: true, podman: false, docker: false },
            binary: Some("/bin/x".into()),
        };
        assert_eq!(parse("run-true --runs 7 --peers crun --binary /bin/x load"), Ok(expected));
        assert_eq!(parse("--list").map(|options| options.action), Ok(Action::List));
    }

    #[test]
    fn bad_arguments_are_named() {
        let check = |line, message: &str| assert_eq!(parse(line), Err(message.to_owned()));
        check("run-false", "bench: no case \"run-false\"; `cargo xtask bench --list` has them");
        check("--runs 0", "--runs 0: not a number above zero");
        check("--runs", "--runs needs a value");
    }
}
