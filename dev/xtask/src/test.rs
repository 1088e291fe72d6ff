//! `cargo xtask test`: everything CI runs, in the order that fails soonest.
//!
//! A failing step fails the run and is named at the end; the steps after it still run, so that one run
//! shows everything that is wrong.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::elf::Linkage;
use crate::failure::{Failure, Result};
use crate::guest;
use crate::prerequisites::{self, Installer};
use crate::shell::{self, Cmd};
use crate::workspace::{self, TARGET};

const TYPOS_VERSION: &str = "typos==1.52.0";

/// Told to the guest's sh, with corten and corten-e2e on its PATH; skipped, and said so, until it is there.
const GUEST_SCRIPT: &str = "dev/e2e/guest.sh";
/// As that, for a guest that is booted several times; its first argument is the number of the boot.
const REBOOT_SCRIPT: &str = "dev/e2e/reboot.sh";
const REBOOTS: u32 = 4;

/// The same for a boot with SELinux.
const GUEST_SELINUX_SCRIPT: &str = "dev/e2e/guest-selinux.sh";

const GUEST_TIMEOUT: Duration = Duration::from_secs(600);

type Check = fn(&Path) -> Result<Outcome>;

/// Cheap and often broken first.
const CHECKS: &[(&str, Check)] = &[
    ("format", |root| passed(Cmd::cargo(root).args(["fmt", "--all", "--check"]).run())),
    ("clippy", clippy),
    ("tidy", |_| passed(crate::tidy::run(&[]))),
    ("deny", deny),
    ("typos", typos),
    ("aarch64", aarch64),
    ("tests", tests),
    ("release", release),
    ("e2e", end_to_end),
    ("seccomp", |_| passed(crate::seccomp::run(&[]))),
    ("guest", in_guest),
    ("reboot", reboots),
    ("docs", docs),
];

pub(crate) fn run(args: &[String]) -> Result<()> {
    let only: Option<&str> = match args {
        [] => None,
        [step] if CHECKS.iter().any(|(name, _)| name == step) => Some(step),
        _ => {
            let names: Vec<&str> = CHECKS.iter().map(|(name, _)| *name).collect();
            return Err(Failure::new(format!(
                "test takes at most one step to run alone: {}",
                names.join(", ")
            )));
        }
    };
    let root = workspace::root();
    let mut steps = Steps { only, done: Vec::new() };
    let begin = Instant::now();
    steps.run("prerequisites", install)?;
    for (name, check) in CHECKS {
        if let Err(failure) = steps.run(name, || check(&root)) {
            println!("   {failure}");
        }
    }
    steps.conclude(begin.elapsed())
}

/// What a step that did not fail came to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    Passed,
    /// Not run, and why.
    Skipped(String),
}

fn passed(result: Result<()>) -> Result<Outcome> {
    result.map(|()| Outcome::Passed)
}

struct Steps<'a> {
    only: Option<&'a str>,
    done: Vec<(&'static str, Option<Outcome>)>,
}

impl Steps<'_> {
    fn run(&mut self, name: &'static str, step: impl FnOnce() -> Result<Outcome>) -> Result<()> {
        if self.only.is_some_and(|only| only != name && name != "prerequisites") {
            return Ok(());
        }
        println!("== {name}");
        let begin = Instant::now();
        let result = step();
        let seconds = begin.elapsed().as_secs_f64();
        match &result {
            Ok(Outcome::Passed) => println!("== {name}: ok in {seconds:.1} s"),
            Ok(Outcome::Skipped(reason)) => println!("== {name}: skipped: {reason}"),
            Err(_) => println!("== {name}: FAILED in {seconds:.1} s"),
        }
        self.done.push((name, result.as_ref().ok().cloned()));
        result.map(|_| ())
    }

    fn conclude(&self, took: Duration) -> Result<()> {
        let named = |wanted: fn(&Option<Outcome>) -> bool| {
            self.done.iter().filter(|(_, outcome)| wanted(outcome)).map(|(name, _)| *name).collect::<Vec<_>>()
        };
        let skipped = named(|outcome| matches!(outcome, Some(Outcome::Skipped(_))));
        if !skipped.is_empty() {
            println!("skipped steps: {}", skipped.join(", "));
        }
        let failed = named(Option::is_none);
        if failed.is_empty() {
            println!("all {} steps passed in {:.0} s", self.done.len() - skipped.len(), took.as_secs_f64());
            Ok(())
        } else {
            Err(Failure::new(format!("failed steps: {}", failed.join(", "))))
        }
    }
}

fn install() -> Result<Outcome> {
    Installer::default().require(&[
        prerequisites::GCC,
        prerequisites::MUSL,
        prerequisites::BUSYBOX,
        prerequisites::DEBOOTSTRAP,
        prerequisites::QEMU,
        prerequisites::E2FSPROGS,
        prerequisites::PYTHON,
        prerequisites::PYTHON_VENV,
    ])?;
    Ok(Outcome::Passed)
}

fn clippy(root: &Path) -> Result<Outcome> {
    passed(Cmd::cargo(root).args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]).run())
}

fn deny(root: &Path) -> Result<Outcome> {
    crate::deny::run(&[])?;
    // Advisories come from a database that is fetched; a machine without one is not a failure.
    if shell::find_program("cargo-deny").is_none() {
        println!("   advisories not checked: cargo-deny is not installed");
    } else if !Cmd::cargo(root).args(["deny", "check", "advisories"]).status()?.success() {
        println!("   advisories not clean or not reachable (does not fail the run)");
    }
    Ok(Outcome::Passed)
}

fn typos(root: &Path) -> Result<Outcome> {
    let program = match shell::find_program("typos") {
        Some(program) => program,
        None => install_typos(root)?,
    };
    passed(Cmd::new(program).args(["--config", "typos.toml"]).dir(root).run())
}

/// Installs typos into a virtual environment below the target directory; idempotent.
fn install_typos(root: &Path) -> Result<PathBuf> {
    let tools = workspace::target_dir(root).join("tools");
    let program = tools.join("bin/typos");
    let marker = tools.join(TYPOS_VERSION);
    if !marker.exists() {
        Cmd::new("python3").args(["-m", "venv"]).arg(&tools).read()?;
        Cmd::new(tools.join("bin/pip"))
            .args(["install", "--quiet", "--disable-pip-version-check", TYPOS_VERSION])
            .read()?;
        fs::write(&marker, "").map_err(|error| Failure::io("write", &marker, &error))?;
    }
    Ok(program)
}

/// A check links nothing, so the host's musl-gcc may stand in for a cross compiler of zstd's C code.
fn aarch64(root: &Path) -> Result<Outcome> {
    let cmd = Cmd::cargo(root).args(["check", "--workspace", "--target", "aarch64-unknown-linux-musl"]);
    passed(
        cmd.env("CC_aarch64_unknown_linux_musl", "musl-gcc")
            .env("CFLAGS_aarch64_unknown_linux_musl", "-O0")
            .run(),
    )
}

fn tests(root: &Path) -> Result<Outcome> {
    let nextest = Cmd::cargo(root).args(["nextest", "--version"]).silent().status()?.success();
    let cmd = if nextest {
        Cmd::cargo(root).args(["nextest", "run", "--workspace", "--no-fail-fast"])
    } else {
        Cmd::cargo(root).args(["test", "--workspace", "--tests", "--no-fail-fast"])
    };
    let cmd = if has_end_to_end(root) { cmd.args(["--exclude", "corten-e2e"]) } else { cmd };
    passed(strict_in_ci(cmd).run())
}

/// In CI a test that cannot run for lack of these fails instead of being skipped.
fn strict_in_ci(cmd: Cmd) -> Cmd {
    let ci = env::var_os("CI").is_some_and(|value| !value.is_empty());
    if ci { cmd.env("CORTEN_TEST_REQUIRE", "root,userns") } else { cmd }
}

fn release(root: &Path) -> Result<Outcome> {
    let binary = workspace::build_release(root)?;
    let bytes = fs::read(&binary).map_err(|error| Failure::io("read", &binary, &error))?;
    let linkage = Linkage::parse(&bytes)?;
    if !linkage.is_static() {
        return Err(Failure::new(format!("{} is dynamically linked or static-pie", binary.display())));
    }
    if !linkage.fixed {
        return Err(Failure::new(format!("{} is position independent", binary.display())));
    }
    let start = median_start(&binary)?;
    println!(
        "   {} bytes, static, fixed address; `corten --version` in {:.2} ms (median)",
        bytes.len(),
        start.as_secs_f64() * 1e3
    );
    Ok(Outcome::Passed)
}

fn median_start(binary: &Path) -> Result<Duration> {
    let mut times = Vec::new();
    for _ in 0..51 {
        let begin = Instant::now();
        Cmd::new(binary).arg("--version").silent().status()?;
        times.push(begin.elapsed());
    }
    times.sort_unstable();
    Ok(times[times.len() / 2])
}

fn has_end_to_end(root: &Path) -> bool {
    root.join("dev/e2e/Cargo.toml").exists()
}

fn end_to_end(root: &Path) -> Result<Outcome> {
    if !has_end_to_end(root) {
        return Ok(Outcome::Skipped("no dev/e2e yet".to_owned()));
    }
    let binary = workspace::target_dir(root).join(TARGET).join("release/corten");
    let cmd = Cmd::cargo(root)
        .args(["test", "--package", "corten-e2e", "--tests", "--no-fail-fast"])
        .env("CORTEN_BIN", binary);
    passed(strict_in_ci(cmd).run())
}

fn in_guest(root: &Path) -> Result<Outcome> {
    let script = root.join(GUEST_SCRIPT);
    if !script.exists() {
        return Ok(Outcome::Skipped(format!("no {GUEST_SCRIPT} yet")));
    }
    let binary = workspace::build_release(root)?;
    let mut task = guest::Task {
        // The control: a guest that cannot fail would pass everything.
        script: "exit 3".to_owned(),
        binary,
        files: vec![("bin/corten-e2e".to_owned(), end_to_end_binary(root)?)],
        arguments: String::new(),
        timeout: GUEST_TIMEOUT,
    };
    let code = guest::boot(root, &task)?;
    if code != 3 {
        return Err(Failure::new(format!(
            "the guest's control ended with {code}, not with the 3 it was told"
        )));
    }
    task.script = workspace::read_text(&script)?;
    guest_passes(root, &task, GUEST_SCRIPT)?;
    // A kernel has one of the two: the first boot is AppArmor's.
    task.script = workspace::read_text(&root.join(GUEST_SELINUX_SCRIPT))?;
    "security=selinux".clone_into(&mut task.arguments);
    passed(guest_passes(root, &task, GUEST_SELINUX_SCRIPT))
}

fn guest_passes(root: &Path, task: &guest::Task, name: &str) -> Result<()> {
    match guest::boot(root, task)? {
        0 => Ok(()),
        code => Err(Failure::new(format!("{name} in the guest: exit code {code}"))),
    }
}

/// Boots one guest again and again: what is to run after a boot runs, and nothing else.
fn reboots(root: &Path) -> Result<Outcome> {
    let script = workspace::read_text(&root.join(REBOOT_SCRIPT))?;
    let binary = workspace::build_release(root)?;
    let mut task = guest::Task {
        script: String::new(),
        binary,
        files: Vec::new(),
        arguments: String::new(),
        timeout: GUEST_TIMEOUT,
    };
    let machine = guest::Guest::new(root)?;
    for boot in 1..=REBOOTS {
        task.script = format!("set -- {boot}\n{script}");
        match machine.boot(&task)? {
            0 => {}
            code => return Err(Failure::new(format!("{REBOOT_SCRIPT} in boot {boot}: exit code {code}"))),
        }
    }
    Ok(Outcome::Passed)
}

/// Builds the end-to-end tests and returns their binary, static like everything built here.
fn end_to_end_binary(root: &Path) -> Result<PathBuf> {
    let cmd = Cmd::cargo(root).args([
        "test",
        "--package",
        "corten-e2e",
        "--tests",
        "--no-run",
        "--message-format",
        "json",
    ]);
    test_binary(&cmd.read()?)
        .ok_or_else(|| Failure::new("cargo test --no-run: names no test binary of corten-e2e"))
}

/// The integration test's binary among cargo's messages, which come in any order.
fn test_binary(messages: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["kind"] == json!(["test"]))
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
}

fn docs(root: &Path) -> Result<Outcome> {
    let cmd =
        Cmd::cargo(root).args(["doc", "--workspace", "--no-deps", "--document-private-items", "--quiet"]);
    passed(cmd.env("RUSTDOCFLAGS", "-D warnings").run())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::{Outcome, Steps, test_binary};
    use crate::failure::Failure;

    #[test]
    fn a_failing_step_fails_the_run_and_is_named() {
        let mut steps = Steps { only: None, done: Vec::new() };
        assert!(steps.run("one", || Ok(Outcome::Passed)).is_ok());
        assert!(steps.run("two", || Err(Failure::new("broken"))).is_err());
        assert!(steps.run("three", || Ok(Outcome::Skipped("not here".to_owned()))).is_ok());
        assert_eq!(steps.conclude(Duration::ZERO), Err(Failure::new("failed steps: two")));
    }

    #[test]
    fn the_test_binary_is_that_of_the_integration_test() {
        let artifact = |kind, path| {
            json!({ "reason": "compiler-artifact", "target": { "kind": [kind] }, "executable": path })
                .to_string()
        };
        let messages =
            [artifact("test", "/t/e2e"), artifact("lib", "/t/lib"), "not json".to_owned()].join("\n");
        assert_eq!(test_binary(&messages), Some("/t/e2e".into()));
        assert_eq!(test_binary(&artifact("lib", "/t/lib")), None);
    }

    #[test]
    fn one_step_can_run_alone() {
        let mut steps = Steps { only: Some("two"), done: Vec::new() };
        assert!(steps.run("one", || Err(Failure::new("not asked for"))).is_ok());
        assert!(steps.run("two", || Ok(Outcome::Passed)).is_ok());
        assert_eq!(steps.conclude(Duration::ZERO), Ok(()));
    }
}
