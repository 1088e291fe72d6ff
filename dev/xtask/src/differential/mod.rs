//! `cargo xtask differential`: corten and docker side by side, command line by command line.
//!
//! The scenarios are data: every line of them is given to both, and exit code, stdout and stderr are compared after what
//! must differ (ids, times, sizes) has been replaced. A difference that is not in the table of those that are meant
//! fails the run, and so does an entry of that table that no longer finds one.

mod accepted;
mod compare;
mod normal;
mod scenario;
mod side;

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use crate::docker::Docker;
use crate::engines::Cli;
use crate::failure::{Failure, Result};
use crate::prerequisites::{self, Installer};
use crate::rootfs::Busybox;
use crate::scratch::Scratch;
use crate::shell::Cmd;
use crate::workspace;
use accepted::Table;
use compare::Aspect;
use scenario::Scenario;
use side::{Answer, Side};

/// The words compared are those of this client; the daemon may be older, its entries say so.
const CLIENT: u32 = 28;

const SCENARIOS: &[&str] = &[
    include_str!("scenarios/create.txt"),
    include_str!("scenarios/lifecycle.txt"),
    include_str!("scenarios/look.txt"),
    include_str!("scenarios/files.txt"),
    include_str!("scenarios/images.txt"),
    include_str!("scenarios/volumes.txt"),
    include_str!("scenarios/system.txt"),
];

const ACCEPTED: &str = include_str!("accepted.txt");

pub(crate) fn run(args: &[String]) -> Result<()> {
    let options = Options::parse(args)?;
    if !prerequisites::is_root() {
        return Err(Failure::new("differential: needs root"));
    }
    Installer::default().require(&[prerequisites::BUSYBOX, prerequisites::RUNC, prerequisites::DOCKER])?;
    require_client()?;
    let scenarios = chosen(&options)?;
    let table = Table::parse(ACCEPTED)?;
    let binary = match &options.binary {
        Some(binary) => binary.clone(),
        None => workspace::build_release(&workspace::root())?,
    };
    let scratch = Scratch::new("differential")?;
    let tar = scratch.path().join("box.tar");
    fs::write(&tar, Busybox::of_host()?.tar(&[])?).map_err(|error| Failure::io("write", &tar, &error))?;
    let run = scratch.dir("run")?;
    Cmd::new("mount").args(["-t", "tmpfs", "differential"]).arg(&run).run()?;
    let daemon = Docker::start(&scratch.dir("docker")?, &run)?;
    let docker = Cli::docker(&daemon.socket, &scratch.path().join("docker"));
    let corten = Cli::corten(&binary, &scratch.dir("corten")?, &run.join("corten"));
    let sides = Sides {
        docker: Side::new(docker, &scratch.dir("docker-files")?, &tar)?,
        corten: Side::new(corten, &scratch.dir("corten-files")?, &tar)?,
    };
    let verdict = sides.control().and_then(|()| sides.compare(&scenarios, &table, &options));
    drop(daemon);
    verdict
}

fn require_client() -> Result<()> {
    let version = Cmd::new("docker").arg("--version").read()?;
    match client_major(&version) {
        Some(major) if major >= CLIENT => Ok(()),
        _ => Err(Failure::new(format!(
            "differential: compares with the words of docker's client {CLIENT}; on PATH is {}",
            version.trim()
        ))),
    }
}

fn client_major(version: &str) -> Option<u32> {
    version.split_whitespace().find_map(|word| word.split_once('.')?.0.parse().ok())
}

fn chosen(options: &Options) -> Result<Vec<Scenario>> {
    let mut all = Vec::new();
    for text in SCENARIOS {
        all.extend(scenario::parse(text)?);
    }
    if options.only.is_empty() {
        return Ok(all);
    }
    all.retain(|scenario| options.only.iter().any(|part| scenario.name.contains(part)));
    if all.is_empty() {
        return Err(Failure::new(format!(
            "differential: no scenario is named {}",
            options.only.join(" or ")
        )));
    }
    Ok(all)
}

struct Sides {
    docker: Side,
    corten: Side,
}

impl Sides {
    /// Lines that do differ must be seen to, or the comparison proves nothing.
    fn control(&self) -> Result<()> {
        let answer =
            |side: &Side, line: &str| side.play(&scenario::control(line)).map(|mut all| all.remove(0));
        let one = answer(&self.docker, "run --rm box true")?;
        let other = answer(&self.corten, "run --rm box sh -c 'echo a; echo b >&2; exit 3'")?;
        let seen = compare::differences(&one, &other);
        if seen == [Aspect::Code, Aspect::Stdout, Aspect::Stderr] {
            Ok(())
        } else {
            Err(Failure::new(format!("differential: the control differs in all three, seen is {seen:?}")))
        }
    }

    fn compare(&self, scenarios: &[Scenario], table: &Table, options: &Options) -> Result<()> {
        let mut count = Count::default();
        let mut used = table.none_used();
        for scenario in scenarios {
            let (theirs, ours) = self.play(scenario)?;
            for ((line, theirs), ours) in scenario.lines.iter().zip(&theirs).zip(&ours) {
                count.lines += 1;
                let mut unmeant = Vec::new();
                for aspect in compare::differences(theirs, ours) {
                    let found = table.find(&line.text, aspect);
                    count.accepted += usize::from(!found.is_empty());
                    if found.is_empty() {
                        unmeant.push(aspect);
                    }
                    for entry in found {
                        used[entry] = true;
                    }
                }
                if !unmeant.is_empty() {
                    count.unmeant += unmeant.len();
                    print!("{}", compare::render(&scenario.name, &line.text, &unmeant, theirs, ours));
                } else if options.verbose {
                    print!("{}", compare::render(&scenario.name, &line.text, &Aspect::ALL, theirs, ours));
                }
            }
        }
        println!(
            "{} command lines in {} scenarios: {} differences are meant, {} are not",
            count.lines,
            scenarios.len(),
            count.accepted,
            count.unmeant
        );
        let stale = if options.only.is_empty() { table.unused(&used) } else { Vec::new() };
        for entry in &stale {
            println!("accepted, and no longer there: {entry}");
        }
        match (count.unmeant, stale.len()) {
            (0, 0) => Ok(()),
            (unmeant, stale) => Err(Failure::new(format!(
                "differential: {unmeant} differences that are not meant, {stale} that are accepted and not there"
            ))),
        }
    }

    /// Both at once: they share nothing.
    fn play(&self, scenario: &Scenario) -> Result<(Vec<Answer>, Vec<Answer>)> {
        thread::scope(|scope| {
            let theirs = scope.spawn(|| self.docker.play(scenario));
            let ours = self.corten.play(scenario);
            let theirs =
                theirs.join().unwrap_or_else(|_| Err(Failure::new("differential: docker's side panicked")));
            Ok((theirs?, ours?))
        })
    }
}

#[derive(Debug, Default)]
struct Count {
    lines: usize,
    accepted: usize,
    unmeant: usize,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    /// Compared in place of the release build.
    binary: Option<PathBuf>,
    /// Shows every line and what both said.
    verbose: bool,
    /// Parts of the names of the scenarios to play; all without.
    only: Vec<String>,
}

impl Options {
    fn parse(args: &[String]) -> Result<Self> {
        let mut options = Self::default();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--binary" => {
                    let value = args.next().ok_or_else(|| Failure::new("--binary needs a value"))?;
                    options.binary = Some(Path::new(value).to_path_buf());
                }
                "--verbose" => options.verbose = true,
                flag if flag.starts_with('-') => {
                    return Err(Failure::new(format!("differential: unknown argument {flag:?}")));
                }
                name => options.only.push(name.to_owned()),
            }
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::{ACCEPTED, Options, SCENARIOS, Table, client_major, scenario};

    #[test]
    fn the_data_can_be_read_and_is_enough() {
        let lines: usize = SCENARIOS
            .iter()
            .flat_map(|text| scenario::parse(text).expect("scenarios"))
            .map(|scenario| scenario.lines.len())
            .sum();
        assert!(lines >= 300, "{lines} command lines");
        Table::parse(ACCEPTED).expect("accepted differences");
    }

    #[test]
    fn the_client_says_its_version() {
        assert_eq!(client_major("Docker version 28.2.2, build e6534b4\n"), Some(28));
        assert_eq!(client_major("Docker version 20.10.24+dfsg1, build 297e128\n"), Some(20));
        assert_eq!(client_major("nothing"), None);
    }

    #[test]
    fn arguments() {
        let parse = |line: &str| {
            let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            Options::parse(&args).map_err(|failure| failure.to_string())
        };
        let expected =
            Options { binary: Some("/bin/x".into()), verbose: true, only: vec!["rename".to_owned()] };
        assert_eq!(parse("--binary /bin/x --verbose rename"), Ok(expected));
        assert_eq!(parse("--binary"), Err("--binary needs a value".to_owned()));
        assert_eq!(parse("--fast"), Err("differential: unknown argument \"--fast\"".to_owned()));
    }
}
