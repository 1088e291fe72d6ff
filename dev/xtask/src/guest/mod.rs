//! `cargo xtask guest`: a QEMU guest with Debian's 6.1 kernel, the floor corten supports, and cgroup v2.
//!
//! Emulated, so that it needs nothing of the host's kernel. The command runs under a PID 1 that reaps
//! (busybox init); corten's roots are on an ext4 disk made for the run.

mod boot;
mod cpio;
mod initramfs;
mod kernel;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use crate::failure::{Failure, Result};
use crate::prerequisites::{self, Installer};
use crate::rootfs::Busybox;
use crate::scratch::Scratch;
use crate::workspace;

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(300);

/// What to run in a guest.
#[derive(Debug)]
pub(crate) struct Task {
    /// A script for the guest's sh.
    pub(crate) script: String,
    /// Put at /bin/corten.
    pub(crate) binary: PathBuf,
    /// More files: the path in the guest, without its leading slash, and the file on the host.
    pub(crate) files: Vec<(String, PathBuf)>,
    /// More words for the kernel's command line.
    pub(crate) arguments: String,
    /// From the start of QEMU to the exit of the script.
    pub(crate) timeout: Duration,
}

pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    let options = Options::parse(args)?;
    let root = workspace::root();
    let binary = workspace::build_release(&root)?;
    let Options { script, files, arguments, timeout } = options;
    let task = Task { script, binary, files, arguments, timeout };
    Ok(ExitCode::from(boot(&root, &task)?))
}

/// Boots a guest, runs the task in it with its output on our stdout, and returns the script's exit code.
///
/// Fetches and unpacks the kernel below the target directory the first time.
pub(crate) fn boot(root: &Path, task: &Task) -> Result<u8> {
    Guest::new(root)?.boot(task)
}

/// A guest with its disk, which outlives its boots.
#[derive(Debug)]
pub(crate) struct Guest {
    kernel: kernel::Kernel,
    scratch: Scratch,
    disk: PathBuf,
}

impl Guest {
    /// Fetches the kernel the first time, and makes an empty disk.
    pub(crate) fn new(root: &Path) -> Result<Self> {
        let installer = Installer::default();
        installer.require(&[prerequisites::QEMU, prerequisites::BUSYBOX, prerequisites::E2FSPROGS])?;
        let kernel = kernel::Kernel::fetched(&workspace::target_dir(root).join("guest"), &installer)?;
        let scratch = Scratch::new("guest")?;
        let disk = boot::make_disk(scratch.path())?;
        Ok(Self { kernel, scratch, disk })
    }

    /// As [`boot()`], on the disk as the last boot has left it.
    pub(crate) fn boot(&self, task: &Task) -> Result<u8> {
        let initrd = self.scratch.path().join("initramfs.cpio");
        initramfs::write(&initrd, &self.kernel, &Busybox::of_host()?, task)?;
        boot::run(&self.kernel.image, &initrd, &self.disk, task)
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Options {
    script: String,
    files: Vec<(String, PathBuf)>,
    arguments: String,
    timeout: Duration,
}

impl Options {
    fn parse(args: &[String]) -> Result<Self> {
        let mut options = Self {
            script: String::new(),
            files: Vec::new(),
            arguments: String::new(),
            timeout: DEFAULT_TIMEOUT,
        };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| Failure::new(format!("{arg} needs a value")));
            match arg.as_str() {
                "--" => {
                    options.script = args.map(String::as_str).collect::<Vec<_>>().join(" ");
                    break;
                }
                "--timeout" => {
                    let text = value()?;
                    let seconds = text
                        .parse()
                        .map_err(|_| Failure::new(format!("--timeout {text}: not a number of seconds")))?;
                    options.timeout = Duration::from_secs(seconds);
                }
                "--append" => value()?.clone_into(&mut options.arguments),
                "--script" => options.script = workspace::read_text(Path::new(value()?))?,
                "--file" => {
                    let text = value()?;
                    let (host, guest) = text
                        .split_once(':')
                        .ok_or_else(|| Failure::new(format!("--file {text}: not HOST:GUEST")))?;
                    options.files.push((guest.trim_start_matches('/').to_owned(), PathBuf::from(host)));
                }
                other => {
                    return Err(Failure::new(format!(
                        "guest: unknown argument {other:?}; the command comes after --"
                    )));
                }
            }
        }
        if options.script.is_empty() {
            options.script = "uname -a; corten version".to_owned();
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use super::Options;

    fn parse(line: &str) -> Result<Options, String> {
        let args: Vec<String> = line.split(' ').map(str::to_owned).collect();
        Options::parse(&args).map_err(|failure| failure.to_string())
    }

    #[test]
    fn the_command_is_what_follows_the_dashes() {
        let expected = Options {
            script: "corten run --rm hello-world".to_owned(),
            files: vec![("bin/it".to_owned(), PathBuf::from("/t/it"))],
            arguments: "enforcing=1".to_owned(),
            timeout: Duration::from_secs(9),
        };
        assert_eq!(
            parse("--timeout 9 --append enforcing=1 --file /t/it:/bin/it -- corten run --rm hello-world"),
            Ok(expected)
        );
    }

    #[test]
    fn bad_arguments_are_named() {
        let check = |line, message: &str| assert_eq!(parse(line), Err(message.to_owned()));
        check("--timeout soon", "--timeout soon: not a number of seconds");
        check("--file x", "--file x: not HOST:GUEST");
        check("--timeout", "--timeout needs a value");
        check("ls", "guest: unknown argument \"ls\"; the command comes after --");
    }
}
