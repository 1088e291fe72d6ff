//! Cases about starting, entering and ending containers.

use std::process::{Child, Stdio};
use std::time::Instant;

use super::images;
use super::samples::{self, Entrant, Measured, interleave, time};
use super::setup::{Bench, IMAGE};
use super::table::{self, Bound, Row, Unit};
use crate::engines::{Cli, Container};
use crate::failure::{Failure, Result};
use crate::shell::{self, Cmd};

const BACK_TO_BACK: usize = 200;
const AT_ONCE: usize = 20;
const OTHERS: usize = 500;
const MOUNTS: usize = 1000;
const LAYERS: usize = 10;

/// Blocks of runs with and without the mounts take turns.
const BLOCKS: usize = 5;

pub(super) fn run_true(bench: &Bench) -> Result<Vec<Row>> {
    let mut entrants: Vec<Entrant<'_>> = Vec::new();
    for cli in bench.clis() {
        entrants.push(Entrant::new(cli.name, |_| time(run_true_in(cli, IMAGE))));
    }
    if let Some(crun) = &bench.crun {
        entrants.push(Entrant::new("crun", |round| time(crun.run_true(&format!("true-{round}")))));
    }
    let measured = interleave(bench.runs, entrants)?;
    let mut rows = table::rows("run-true", measured.clone(), "crun", Bound::Ratio(0.5));
    // Not beside crun, whose namespaces the kernel still dismantles while the next one starts.
    let quiet =
        interleave(bench.runs, vec![Entrant::new("corten", |_| time(run_true_in(&bench.corten, IMAGE)))])?;
    rows.extend(alone("run-true, quiet", quiet, Bound::Most(5.0)));
    Ok(rows)
}

pub(super) fn run_true_200(bench: &Bench) -> Result<Vec<Row>> {
    let mut entrants = vec![Entrant::new("corten", |_| repeat(|_| run_true_in(&bench.corten, IMAGE)))];
    if let Some(crun) = &bench.crun {
        entrants
            .push(Entrant::new("crun", |round| repeat(|turn| crun.run_true(&format!("row-{round}-{turn}")))));
    }
    Ok(table::rows("run-true-200", interleave(bench.few(20), entrants)?, "crun", Bound::Ratio(0.5)))
}

/// Milliseconds for all of them, one after the other.
fn repeat(cmd: impl Fn(usize) -> Cmd) -> Result<f64> {
    (0..BACK_TO_BACK).map(|turn| time(cmd(turn))).sum()
}

pub(super) fn exec_true(bench: &Bench) -> Result<Vec<Row>> {
    let mut sleepers = Vec::new();
    let mut entrants = Vec::new();
    for cli in bench.clis() {
        sleepers.push(cli.start_sleeper("exec", IMAGE)?);
        entrants.push(Entrant::new(cli.name, |_| time(cli.cmd(&["exec", "exec", "true"]))));
    }
    let mut of_crun = None;
    if let Some(crun) = &bench.crun {
        of_crun = Some(crun.start_sleeper("exec")?);
        entrants.push(Entrant::new("crun", |_| time(crun.exec_true("exec"))));
    }
    let measured = interleave(bench.runs, entrants);
    drop(of_crun);
    drop(sleepers);
    Ok(table::rows("exec-true", measured?, "crun", Bound::Ratio(0.4)))
}

pub(super) fn run_detached(bench: &Bench) -> Result<Vec<Row>> {
    let entrants = bench
        .clis()
        .into_iter()
        .map(|cli| Entrant::new(cli.name, move |_| time_run_detached(cli, IMAGE)))
        .collect();
    compare_and_bound("run-d", interleave(bench.few(2), entrants)?, Bound::Most(10.0))
}

pub(super) fn remove_running(bench: &Bench) -> Result<Vec<Row>> {
    let entrants = bench
        .clis()
        .into_iter()
        .map(|cli| Entrant::new(cli.name, move |_| time_remove(cli, IMAGE)))
        .collect();
    compare_and_bound("rm-f", interleave(bench.few(2), entrants)?, Bound::Most(10.0))
}

pub(super) fn parallel(bench: &Bench) -> Result<Vec<Row>> {
    let mut entrants = vec![Entrant::new("corten", |_| at_once(|_| run_true_in(&bench.corten, IMAGE)))];
    if let Some(crun) = &bench.crun {
        entrants.push(Entrant::new("crun", |round| {
            at_once(|turn| crun.run_true(&format!("par-{round}-{turn}")))
        }));
    }
    Ok(table::rows("parallel-20", interleave(bench.runs, entrants)?, "crun", Bound::Ratio(0.8)))
}

/// Milliseconds until the last of them has exited.
fn at_once(cmd: impl Fn(usize) -> Cmd) -> Result<f64> {
    let begin = Instant::now();
    let mut children = Vec::with_capacity(AT_ONCE);
    for turn in 0..AT_ONCE {
        let cmd = cmd(turn);
        let line = cmd.line();
        let child = cmd.silent().into_command().spawn();
        children.push((line.clone(), child.map_err(|error| Failure::new(format!("run {line}: {error}")))?));
    }
    let ended: Vec<Result<()>> =
        children.into_iter().map(|(line, child)| must_succeed(&line, child)).collect();
    let took = samples::milliseconds(begin.elapsed());
    ended.into_iter().collect::<Result<()>>().map(|()| took)
}

fn must_succeed(line: &str, mut child: Child) -> Result<()> {
    let status = child.wait().map_err(|error| Failure::new(format!("wait for {line}: {error}")))?;
    if status.success() { Ok(()) } else { Err(Failure::new(format!("{line}: {}", shell::describe(status)))) }
}

pub(super) fn with_other_containers(bench: &Bench) -> Result<Vec<Row>> {
    let run = bench.runs_on.path.join("crowded");
    let crowded = Cli::corten(&bench.binary, &bench.scratch.dir("crowded")?, &run);
    let tar = bench.scratch.path().join("busybox.tar");
    crowded.cmd(&["import", &tar.to_string_lossy(), IMAGE]).read()?;
    let mut others = Vec::with_capacity(OTHERS);
    for number in 0..OTHERS {
        let name = format!("other-{number}");
        crowded.create(&["--name", &name], IMAGE, &["true"]).read()?;
        others.push(Container::adopt(&crowded, &name));
    }
    let rows = beside_plain(bench, "with-500-containers", &crowded, IMAGE);
    drop(others);
    rows
}

pub(super) fn with_layers(bench: &Bench) -> Result<Vec<Row>> {
    const LAYERED: &str = "bench/layered:latest";
    let archive = images::layered_archive(bench, LAYERED, LAYERS)?;
    bench.corten.cmd(&["load", "-i", &archive.to_string_lossy()]).read()?;
    beside_plain(bench, "10-layers", &bench.corten, LAYERED)
}

/// The four basic operations in a situation, against the same without it.
fn beside_plain(bench: &Bench, case: &str, cli: &Cli, image: &str) -> Result<Vec<Row>> {
    type Operation = fn(&Cli, &str) -> Result<f64>;
    let operations: [(&str, Operation); 3] = [
        ("run-true", |cli, image| time(run_true_in(cli, image))),
        ("run-d", time_run_detached),
        ("rm-f", time_remove),
    ];
    let mut rows = Vec::new();
    for (name, operation) in operations {
        let entrants = vec![
            Entrant::new("corten", move |_| operation(cli, image)),
            Entrant::new("plain", move |_| operation(&bench.corten, IMAGE)),
        ];
        rows.extend(table::rows(
            &format!("{case}: {name}"),
            interleave(bench.runs, entrants)?,
            "plain",
            Bound::Ratio(1.1),
        ));
    }
    let sleepers = (cli.start_sleeper("exec-case", image)?, bench.corten.start_sleeper("exec-plain", IMAGE)?);
    let entrants = vec![
        Entrant::new("corten", |_| time(cli.cmd(&["exec", "exec-case", "true"]))),
        Entrant::new("plain", |_| time(bench.corten.cmd(&["exec", "exec-plain", "true"]))),
    ];
    let measured = interleave(bench.runs, entrants);
    drop(sleepers);
    rows.extend(table::rows(&format!("{case}: exec-true"), measured?, "plain", Bound::Ratio(1.1)));
    Ok(rows)
}

pub(super) fn with_mounts(bench: &Bench) -> Result<Vec<Row>> {
    let base = bench.scratch.dir("mounts")?;
    let mount = format!(
        "mount -t tmpfs none {0} && i=0; while [ $i -lt {MOUNTS} ]; do mkdir {0}/$i && mount --bind {0}/$i {0}/$i || exit 1; i=$((i+1)); done",
        base.display()
    );
    let mut plain = Vec::new();
    let mut crowded = Vec::new();
    let per_block = bench.runs.div_ceil(BLOCKS);
    let one = || time(run_true_in(&bench.corten, IMAGE));
    one()?;
    for _ in 0..BLOCKS {
        for _ in 0..per_block {
            plain.push(one()?);
        }
        Cmd::new("sh").args(["-c", &mount]).read()?;
        let block: Result<Vec<f64>> = (0..per_block).map(|_| one()).collect();
        Cmd::new("umount").arg("-lR").arg(&base).read()?;
        crowded.extend(block?);
    }
    let measured: Option<Vec<Measured>> = [("corten", crowded), ("plain", plain)]
        .into_iter()
        .map(|(name, values)| Some((name.to_owned(), samples::Samples::new(values)?)))
        .collect();
    Ok(table::rows("with-1000-mounts: run-true", measured.unwrap_or_default(), "plain", Bound::Ratio(1.1)))
}

pub(super) fn version_start(bench: &Bench) -> Result<Vec<Row>> {
    let entrants = vec![
        Entrant::new("corten", |_| time(Cmd::new(&bench.binary).arg("--version"))),
        // The cost of starting any process at all.
        Entrant::new("busybox true", |_| time(Cmd::new("busybox").arg("true"))),
    ];
    compare_and_bound("version-start", interleave(bench.runs.max(300), entrants)?, Bound::Most(0.5))
}

/// Rows that show the peers, and one with the bound on our own value.
fn compare_and_bound(case: &str, measured: Vec<Measured>, bound: Bound) -> Result<Vec<Row>> {
    let mut rows = table::rows(case, measured.clone(), "", Bound::Shown);
    rows.extend(alone(case, measured, bound));
    Ok(rows)
}

fn alone(case: &str, measured: Vec<Measured>, bound: Bound) -> Option<Row> {
    let (_, ours) = measured.into_iter().next()?;
    Some(Row { case: case.to_owned(), unit: Unit::Milliseconds, ours, peer: None, bound })
}

fn run_true_in(cli: &Cli, image: &str) -> Cmd {
    cli.run(&["--rm"], image, &["true"])
}

fn time_run_detached(cli: &Cli, image: &str) -> Result<f64> {
    let took = time(cli.run(&["-d", "--name", "timed"], image, &["sleep", "1000000"]))?;
    drop(Container::adopt(cli, "timed"));
    Ok(took)
}

fn time_remove(cli: &Cli, image: &str) -> Result<f64> {
    cli.run(&["-d", "--name", "timed"], image, &["sleep", "1000000"]).stdin(Stdio::null()).read()?;
    time(cli.remove("timed"))
}
