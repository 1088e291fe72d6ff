//! `cargo xtask demo`: a first look for a new user, in roots of its own that go away afterwards.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::failure::{Failure, Result};
use crate::prerequisites::{self, Installer};
use crate::rootfs::{self, Busybox};
use crate::scratch::Scratch;
use crate::shell::{self, Cmd};
use crate::workspace;

const LOOK_AROUND: &str = "echo hello from $(cat /etc/hostname); id; cat /proc/self/uid_map; hostname";

pub(crate) fn run(args: &[String]) -> Result<()> {
    let debian = match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => false,
        ["--debian"] => true,
        _ => return Err(Failure::new("demo takes no arguments but --debian")),
    };
    let installer = Installer::default();
    installer.require(&[prerequisites::GCC, prerequisites::MUSL, prerequisites::BUSYBOX])?;
    if debian {
        installer.require(&[prerequisites::DEBOOTSTRAP])?;
    }
    let root = workspace::root();
    println!("building the release binary …");
    let binary = workspace::build_release(&root)?;
    let scratch = Scratch::new("demo")?;
    let show = Show { binary, root: scratch.dir("root")?, run_root: scratch.dir("run")? };

    show.corten(&["run", "--rm", "hello-world"])?;

    let tar = scratch.path().join("busybox.tar");
    let bytes = Busybox::of_host()?.tar(&[])?;
    fs::write(&tar, bytes).map_err(|error| Failure::io("write", &tar, &error))?;
    show.corten_with_input(&["import", "-", "busybox"], &tar)?;
    show.corten(&["images"])?;
    show.corten(&["run", "--rm", "busybox", "sh", "-c", LOOK_AROUND])?;

    if debian {
        println!("making a Debian with debootstrap …");
        let tar = rootfs::debian(scratch.path())?;
        show.corten_with_input(&["import", "-", "debian"], &tar)?;
        show.corten(&["run", "--rm", "debian", "sh", "-c", "cat /etc/debian_version; id; ls /"])?;
    }
    Ok(())
}

/// Runs corten in the demo's roots and prints each command as it would be typed.
struct Show {
    binary: PathBuf,
    root: PathBuf,
    run_root: PathBuf,
}

impl Show {
    fn corten(&self, args: &[&str]) -> Result<()> {
        println!("\n$ {}", Cmd::new("corten").args(args).line());
        finish(self.command(args), args)
    }

    fn corten_with_input(&self, args: &[&str], input: &Path) -> Result<()> {
        let name = input.file_name().unwrap_or_default().to_string_lossy();
        println!("\n$ {} < {name}", Cmd::new("corten").args(args).line());
        let file = fs::File::open(input).map_err(|error| Failure::io("open", input, &error))?;
        finish(self.command(args).stdin(Stdio::from(file)), args)
    }

    fn command(&self, args: &[&str]) -> Cmd {
        let cmd = Cmd::new(&self.binary).args(args);
        cmd.env("CORTEN_ROOT", &self.root).env("CORTEN_RUN_ROOT", &self.run_root)
    }
}

fn finish(cmd: Cmd, args: &[&str]) -> Result<()> {
    let status = cmd.status()?;
    if status.success() {
        Ok(())
    } else {
        Err(Failure::new(format!("corten {}: {}", args.first().unwrap_or(&""), shell::describe(status))))
    }
}
