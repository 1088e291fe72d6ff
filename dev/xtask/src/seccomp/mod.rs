//! `cargo xtask seccomp`: corten's default policy against docker's, system call by system call.
//!
//! A probe makes every call of every interface in containers of both, started alike. Every difference is printed; one
//! that is not in the table of those that are meant fails the run, and so does a control that finds none.

mod accepted;
mod compare;
mod names;
mod observations;
mod setups;

use std::fs;
use std::path::{Path, PathBuf};

use crate::docker::Docker;
use crate::elf::Linkage;
use crate::engines::Cli;
use crate::failure::{Failure, Result};
use crate::prerequisites::{self, Installer};
use crate::scratch::Scratch;
use crate::shell::{self, Cmd};
use crate::ustar::Archive;
use crate::workspace::{self, TARGET};
use compare::{Findings, Ids};
use names::Names;
use observations::Observations;
use setups::SETUPS;

const IMAGE: &str = "seccomp/probe";

/// What must be found to differ from docker's default, on which interfaces.
const CONTROLS: [(&str, &[&str], &[&str]); 2] = [
    ("no policy", &["x86_64", "i386", "x32"], &["--security-opt", "seccomp=unconfined"]),
    ("SYS_TIME added", &["x86_64", "i386", "x32"], &["--cap-add", "SYS_TIME"]),
];

/// The ways corten maps ids: host ids as docker does, then its own default.
const ID_MODES: [(Ids, &[&str]); 2] = [(Ids::Host, &["--userns=host"]), (Ids::Own, &[])];

pub(crate) fn run(args: &[String]) -> Result<()> {
    let options = Options::parse(args)?;
    if !prerequisites::is_root() {
        return Err(Failure::new("seccomp: needs root"));
    }
    Installer::default().require(&[prerequisites::MUSL, prerequisites::RUNC, prerequisites::DOCKER])?;
    let root = workspace::root();
    let names = Names::load(&root)?;
    let probe = build_probe(&root)?;
    let binary = match &options.binary {
        Some(binary) => binary.clone(),
        None => workspace::build_release(&root)?,
    };
    let scratch = Scratch::new("seccomp")?;
    let tar = scratch.path().join("probe.tar");
    fs::write(&tar, image(&probe)?).map_err(|error| Failure::io("write", &tar, &error))?;
    let daemon = Docker::start(&scratch.dir("docker")?, &scratch.dir("run")?)?;
    let docker = Cli::docker(&daemon.socket, &scratch.path().join("docker"));
    let corten = Cli::corten(&binary, &scratch.dir("corten")?, &scratch.path().join("run/corten"));
    for cli in [&docker, &corten] {
        cli.cmd(&["import", &tar.to_string_lossy(), IMAGE]).read()?;
    }
    let sides = Sides { docker, corten, profile: options.profile.as_deref(), names: &names };
    let verdict = sides.compare();
    drop(daemon);
    verdict
}

/// Both engines with the probe's image, and what docker is told to use in place of its own policy.
struct Sides<'a> {
    docker: Cli,
    corten: Cli,
    profile: Option<&'a Path>,
    names: &'a Names,
}

impl Sides<'_> {
    fn compare(&self) -> Result<()> {
        let mut findings = Findings::default();
        let mut default = None;
        let (mut calls, mut compared) = (0, 0);
        for setup in SETUPS {
            let theirs = match (self.observe_docker(setup.flags), setup.excuse) {
                (Ok(theirs), _) => theirs,
                (Err(failure), Some(excuse)) => {
                    println!("not compared, {excuse}: {failure}");
                    continue;
                }
                (Err(failure), None) => return Err(failure),
            };
            compared += 1;
            for (ids, flags) in ID_MODES {
                let ours = observe(&self.corten, &[setup.flags, flags].concat())?;
                findings.add((&setup.name(), ids), &theirs, &ours, self.names)?;
            }
            calls = theirs.len();
            default.get_or_insert(theirs);
        }
        print!("{}", findings.render(self.names));
        println!(
            "{calls} calls in {compared} containers of docker and {} of corten",
            compared * ID_MODES.len()
        );
        let default = default.ok_or_else(|| Failure::new("no setups"))?;
        self.control(&default)?;
        match findings.unmeant() {
            0 => Ok(()),
            count => Err(Failure::new(format!("seccomp: {count} differences that are not meant"))),
        }
    }

    /// A corten without a policy, and one with a capability more, must be seen to differ: on every interface, or the
    /// comparison proves nothing.
    fn control(&self, docker: &Observations) -> Result<()> {
        for (what, interfaces, flags) in CONTROLS {
            let other = observe(&self.corten, &[&["--userns=host"][..], flags].concat())?;
            let mut findings = Findings::default();
            findings.add((what, Ids::Host), docker, &other, self.names)?;
            let seen = findings.unmeant_interfaces();
            println!("control: {what}: {} differences that are not meant", findings.unmeant());
            if !interfaces.iter().all(|interface| seen.contains(interface)) {
                return Err(Failure::new(format!(
                    "control: {what}: differs on {seen:?}, must on {interfaces:?}"
                )));
            }
        }
        Ok(())
    }

    fn observe_docker(&self, flags: &[&str]) -> Result<Observations> {
        let unconfined = flags.iter().any(|flag| *flag == "--privileged" || flag.starts_with("seccomp="));
        let own = match self.profile {
            Some(profile) if !unconfined => format!("seccomp={}", profile.display()),
            _ => return observe(&self.docker, flags),
        };
        observe(&self.docker, &[flags, &["--security-opt", &own]].concat())
    }
}

fn observe(cli: &Cli, flags: &[&str]) -> Result<Observations> {
    let output = cli.run(&[&["--rm"], flags].concat(), IMAGE, &["/probe"]).output()?;
    if output.status.success() {
        return observations::parse(&String::from_utf8_lossy(&output.stdout));
    }
    // The first line is the reason; docker ends with an advice.
    let stderr = String::from_utf8_lossy(&output.stderr);
    let first = stderr.lines().next().unwrap_or("no message");
    let (name, flags) = (cli.name, flags.join(" "));
    Err(Failure::new(format!("{name} run {flags}: {}: {first}", shell::describe(output.status))))
}

/// Builds the probe; it runs where nothing else is, so it must be static.
fn build_probe(root: &Path) -> Result<Vec<u8>> {
    Cmd::cargo(root).args(["build", "--release", "--package", "corten-probe", "--target", TARGET]).run()?;
    let path = workspace::target_dir(root).join(TARGET).join("release/corten-probe");
    let bytes = fs::read(&path).map_err(|error| Failure::io("read", &path, &error))?;
    if Linkage::parse(&bytes)?.is_static() {
        Ok(bytes)
    } else {
        Err(Failure::new(format!("{} is not static", path.display())))
    }
}

fn image(probe: &[u8]) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    for dir in ["dev", "etc", "proc", "sys", "tmp"] {
        archive.dir(dir, 0o755)?;
    }
    archive.file("probe", 0o755, probe)?;
    Ok(archive.finish())
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    /// Compared in place of the release build.
    binary: Option<PathBuf>,
    /// Given to docker in place of its own policy: that of a newer release, say.
    profile: Option<PathBuf>,
}

impl Options {
    fn parse(args: &[String]) -> Result<Self> {
        let mut options = Self::default();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| Failure::new(format!("{arg} needs a value")));
            match arg.as_str() {
                "--binary" => options.binary = Some(PathBuf::from(value()?)),
                "--profile" => options.profile = Some(PathBuf::from(value()?)),
                other => return Err(Failure::new(format!("seccomp: unknown argument {other:?}"))),
            }
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::Options;

    fn parse(line: &str) -> Result<Options, String> {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Options::parse(&args).map_err(|failure| failure.to_string())
    }

    #[test]
    fn arguments() {
        let expected = Options { binary: Some("/bin/x".into()), profile: Some("/p.json".into()) };
        assert_eq!(parse("--profile /p.json --binary /bin/x"), Ok(expected));
        assert_eq!(parse(""), Ok(Options::default()));
        assert_eq!(parse("--profile"), Err("--profile needs a value".to_owned()));
        assert_eq!(parse("--fast"), Err("seccomp: unknown argument \"--fast\"".to_owned()));
    }
}
