//! Cases about images and logs: what writes much. The sync to the disk is inside every timing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use serde_json::json;

use super::samples::{Entrant, interleave, milliseconds};
use super::setup::Bench;
use super::table::{self, Bound, Row};
use crate::engines::{Cli, Container};
use crate::failure::{Failure, Result};
use crate::prerequisites::{self, Installer};
use crate::rootfs;
use crate::shell::Cmd;
use crate::ustar::Archive;

const DEBIAN: &str = "bench/debian:latest";
const LINES: usize = 1_000_000;

/// The same for every engine; large enough that no line is rotated away.
const LOG_OPTIONS: &[&str] = &["--log-driver", "json-file", "--log-opt", "max-size=512m"];

pub(super) fn import(bench: &Bench) -> Result<Vec<Row>> {
    let tar = debian(bench)?;
    let tar = tar.to_string_lossy();
    compare(bench, "import", |cli| {
        let took = written(&cli.root, cli.cmd(&["import", &tar, DEBIAN]))?;
        cli.cmd(&["rmi", "-f", DEBIAN]).read()?;
        Ok(took)
    })
}

pub(super) fn save(bench: &Bench) -> Result<Vec<Row>> {
    bench.import(&debian(bench)?, DEBIAN)?;
    let out = bench.scratch.dir("saved")?;
    let rows = compare(bench, "save", |cli| {
        let file = out.join(cli.name);
        let took = written(&out, cli.cmd(&["save", "-o", &file.to_string_lossy(), DEBIAN]))?;
        fs::remove_file(&file).map_err(|error| Failure::io("remove", &file, &error))?;
        Ok(took)
    });
    for cli in bench.clis() {
        cli.cmd(&["rmi", "-f", DEBIAN]).read()?;
    }
    rows
}

/// All load the archive that one engine saved: docker if it takes part, else podman, else corten.
///
/// No engine has an image with its layers when it begins, or it would win without loading them.
pub(super) fn load(bench: &Bench) -> Result<Vec<Row>> {
    let archive = bench.scratch.path().join("debian-image.tar");
    let saver = bench.docker.as_ref().or(bench.podman.as_ref()).unwrap_or(&bench.corten);
    saver.cmd(&["import", &debian(bench)?.to_string_lossy(), DEBIAN]).read()?;
    saver.cmd(&["save", "-o", &archive.to_string_lossy(), DEBIAN]).read()?;
    saver.cmd(&["rmi", "-f", DEBIAN]).read()?;
    let archive = archive.to_string_lossy();
    compare(bench, "load", |cli| {
        let took = written(&cli.root, cli.cmd(&["load", "-i", &archive]))?;
        cli.cmd(&["rmi", "-f", DEBIAN]).read()?;
        Ok(took)
    })
}

fn compare(bench: &Bench, case: &str, measure: impl Fn(&Cli) -> Result<f64>) -> Result<Vec<Row>> {
    let measure = &measure;
    let entrants =
        bench.clis().into_iter().map(|cli| Entrant::new(cli.name, move |_| measure(cli))).collect();
    Ok(table::rows_against_best(case, interleave(bench.few(20), entrants)?, Bound::Ratio(0.5)))
}

/// Milliseconds until the command has ended and what it wrote is on the disk.
fn written(dir: &Path, cmd: Cmd) -> Result<f64> {
    let begin = Instant::now();
    cmd.read()?;
    Cmd::new("sync").arg("-f").arg(dir).read()?;
    Ok(milliseconds(begin.elapsed()))
}

/// A Debian as a tar file, made once per run.
fn debian(bench: &Bench) -> Result<PathBuf> {
    let tar = bench.scratch.path().join("debian.tar");
    if tar.exists() {
        return Ok(tar);
    }
    Installer::default().require(&[prerequisites::DEBOOTSTRAP])?;
    rootfs::debian(bench.scratch.path())
}

pub(super) fn logs(bench: &Bench) -> Result<Vec<Row>> {
    const IMAGE: &str = "bench/lines";
    // 42 bytes each, every line another.
    let lines: String = (0..LINES).map(|number| format!("{number:041}\n")).collect();
    let tar = bench.scratch.path().join("lines.tar");
    let archive = bench.busybox.tar(&[("lines", lines.as_bytes())])?;
    fs::write(&tar, archive).map_err(|error| Failure::io("write", &tar, &error))?;
    bench.import(&tar, IMAGE)?;
    let lines = lines.as_bytes();
    let entrants = bench.clis().into_iter().map(|cli| {
        Entrant::new(cli.name, move |_| {
            let read = bench.scratch.path().join("read");
            let flags = [&["-d", "--name", "lines"], LOG_OPTIONS].concat();
            let begin = Instant::now();
            cli.run(&flags, IMAGE, &["cat", "/lines"]).read()?;
            let container = Container::adopt(cli, "lines");
            cli.cmd(&["wait", "lines"]).read()?;
            logs_to_file(cli, &read)?;
            Cmd::new("sync").arg("-f").arg(&cli.root).read()?;
            let took = begin.elapsed();
            let content = fs::read(&read).map_err(|error| Failure::io("read", &read, &error))?;
            if content != lines {
                return Err(Failure::new(format!(
                    "logs: {} bytes of {}, or in another order",
                    content.len(),
                    lines.len()
                )));
            }
            drop(container);
            Ok(milliseconds(took))
        })
    });
    let measured = interleave(bench.few(20), entrants.collect())?;
    Ok(table::rows_against_best("logs-1M", measured, Bound::Ratio(0.5)))
}

fn logs_to_file(cli: &Cli, path: &Path) -> Result<()> {
    let file = fs::File::create(path).map_err(|error| Failure::io("create", path, &error))?;
    let mut command = cli.cmd(&["logs", "lines"]).into_command();
    let status = command.stdout(file).stderr(Stdio::null()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::new(format!("{} logs: {status}", cli.name))),
        Err(error) => Err(Failure::new(format!("{} logs: {error}", cli.name))),
    }
}

/// Writes a docker archive of an image with busybox in its first layer and one file in each other layer.
pub(super) fn layered_archive(bench: &Bench, tag: &str, layers: usize) -> Result<PathBuf> {
    let mut archive = Archive::default();
    let mut diff_ids = Vec::new();
    let mut names = Vec::new();
    for number in 0..layers {
        let layer = match number {
            0 => bench.busybox.tar(&[])?,
            _ => {
                let mut layer = Archive::default();
                layer.file(&format!("layer-{number}"), 0o644, b"of ten\n")?;
                layer.finish()
            }
        };
        let name = format!("layer-{number}.tar");
        diff_ids.push(format!("sha256:{}", sha256(bench, &layer)?));
        archive.file(&name, 0o644, &layer)?;
        names.push(name);
    }
    let config = json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux",
        "config": { "Cmd": ["sh"] },
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    })
    .to_string();
    let config_name = format!("{}.json", sha256(bench, config.as_bytes())?);
    archive.file(&config_name, 0o644, config.as_bytes())?;
    let manifest = json!([{ "Config": config_name, "RepoTags": [tag], "Layers": names }]).to_string();
    archive.file("manifest.json", 0o644, manifest.as_bytes())?;
    let path = bench.scratch.path().join("layered.tar");
    fs::write(&path, archive.finish()).map_err(|error| Failure::io("write", &path, &error))?;
    Ok(path)
}

fn sha256(bench: &Bench, content: &[u8]) -> Result<String> {
    let path = bench.scratch.path().join("hashed");
    fs::write(&path, content).map_err(|error| Failure::io("write", &path, &error))?;
    let line = Cmd::new("sha256sum").arg(&path).read()?;
    line.split_whitespace().next().map(str::to_owned).ok_or_else(|| Failure::new("sha256sum: no output"))
}
