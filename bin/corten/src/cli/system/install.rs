//! `corten system install` and `uninstall`: what makes the host's init system call `corten boot`.
//!
//! With systemd it is a unit, with OpenRC a service, elsewhere an init script with the links of the run levels. Of the
//! three the one whose init system is there.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::Args;
use corten_sys::process::{self, Cloned};
use corten_sys::{Errno, exec, fs};

use crate::cli::{CliError, Context, flags};
use crate::settings::Settings;

#[derive(Debug, Args)]
struct InstallArgs {
    /// Install for the system below this directory, which does not run: for making images of hosts
    #[arg(long, value_name = "string")]
    target: Option<PathBuf>,
    #[arg(value_name = "ARG", hide = true)]
    words: Vec<String>,
}

const UNIT: &str = "/etc/systemd/system/corten.service";
const UNIT_LINK: &str = "/etc/systemd/system/multi-user.target.wants/corten.service";
const SCRIPT: &str = "/etc/init.d/corten";
const OPENRC_LINK: &str = "/etc/runlevels/default/corten";
/// In the run levels' directories: started late, stopped early.
const START_LINKS: [&str; 4] =
    ["/etc/rc2.d/S99corten", "/etc/rc3.d/S99corten", "/etc/rc4.d/S99corten", "/etc/rc5.d/S99corten"];
const STOP_LINKS: [&str; 3] = ["/etc/rc0.d/K01corten", "/etc/rc1.d/K01corten", "/etc/rc6.d/K01corten"];

/// Which init system a host has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum InitSystem {
    Systemd,
    OpenRc,
    /// Run levels, or none at all: the script can be called by whatever boots the host.
    Script,
}

impl InitSystem {
    fn of(target: &Path) -> Self {
        let has = |path: &str| fs::exists(below(target, path));
        if has("/run/systemd/system") || target != Path::new("/") && has("/lib/systemd/systemd") {
            Self::Systemd
        } else if has("/sbin/openrc-run") {
            Self::OpenRc
        } else {
            Self::Script
        }
    }
}

pub(crate) fn install(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    let about = "Have the host start containers at boot and stop them at shutdown";
    let target = parse("corten system install", about, arguments)?;
    let command = command(&context.settings)?;
    match InitSystem::of(&target) {
        InitSystem::Systemd => {
            write(context, &target, UNIT, &unit(&command), 0o644)?;
            link(context, &target, UNIT_LINK, UNIT)?;
            if target == Path::new("/") {
                systemctl(context, &["daemon-reload"])?;
                // From now on it is there to be stopped by a shutdown.
                systemctl(context, &["start", "corten.service"])?;
            }
        }
        InitSystem::OpenRc => {
            write(context, &target, SCRIPT, &openrc_service(&command), 0o755)?;
            link(context, &target, OPENRC_LINK, SCRIPT)?;
        }
        InitSystem::Script => {
            write(context, &target, SCRIPT, &init_script(&command), 0o755)?;
            for path in START_LINKS.iter().chain(&STOP_LINKS) {
                link(context, &target, path, "../init.d/corten")?;
            }
        }
    }
    Ok(0)
}

pub(crate) fn uninstall(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    let about = "Undo what `corten system install` did; containers go on";
    let target = parse("corten system uninstall", about, arguments)?;
    let had_unit = fs::exists(below(&target, UNIT));
    for path in [UNIT_LINK, UNIT, OPENRC_LINK, SCRIPT].iter().chain(&START_LINKS).chain(&STOP_LINKS) {
        let path = below(&target, path);
        if fs::exists(&path) {
            fs::remove_file(&path)?;
            context.ui.line(format!("removed {}", path.display()));
        }
    }
    if had_unit && target == Path::new("/") && fs::exists("/run/systemd/system") {
        // It forgets the unit without stopping it: no container ends by this.
        systemctl(context, &["daemon-reload"])?;
    }
    Ok(0)
}

/// Says whether this host starts containers at boot.
pub(crate) fn is_installed() -> bool {
    [UNIT_LINK, OPENRC_LINK].iter().chain(&START_LINKS).any(fs::exists)
}

fn parse(name: &'static str, about: &'static str, arguments: Vec<OsString>) -> Result<PathBuf, CliError> {
    let args: InstallArgs =
        flags::parse(name, about, arguments).map_err(|error| error.code_unless_help(1))?;
    flags::check_count(name, "[OPTIONS]", flags::Arity::None, &args.words)?;
    if !rustix::process::geteuid().is_root() {
        return Err(CliError::denied(format!("{name} needs root: use sudo")));
    }
    Ok(args.target.unwrap_or_else(|| PathBuf::from("/")))
}

fn below(target: &Path, path: &str) -> PathBuf {
    target.join(path.trim_start_matches('/'))
}

/// How this very corten is called on these roots, quoted for a shell and for systemd alike.
fn command(settings: &Settings) -> Result<String, CliError> {
    let program = fs::read_link("/proc/self/exe")?;
    let program = program.to_string_lossy().into_owned();
    if let Some(gone) = program.strip_suffix(" (deleted)") {
        return Err(CliError::new(format!("{gone} was replaced while it ran: call it again"), 1));
    }
    let config = settings.engine();
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let (root, run_root) = (text(&config.root), text(&config.run_root));
    let words = [program, "--root".to_owned(), root, "--run-root".to_owned(), run_root];
    for word in &words {
        let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:@=".contains(c);
        if !word.chars().all(plain) {
            return Err(CliError::new(
                format!("{word:?} cannot be written into a unit: move it to a plainer path"),
                1,
            ));
        }
    }
    Ok(words.join(" "))
}

fn unit(command: &str) -> String {
    format!(
        "\
# Made by `corten system install`.
[Unit]
Description=Containers of corten with a restart policy
Documentation=man:corten(1)
After=local-fs.target network-online.target time-sync.target
Wants=network-online.target
RequiresMountsFor={root}

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={command} boot
ExecStop={command} boot --stop
# What holds the containers is in a cgroup of its own, and ends with them.
KillMode=process
TimeoutStartSec=infinity
TimeoutStopSec=120

[Install]
WantedBy=multi-user.target
",
        root = command.split(' ').nth(2).unwrap_or("/var/lib/corten")
    )
}

fn init_script(command: &str) -> String {
    format!(
        "\
#!/bin/sh
### BEGIN INIT INFO
# Provides:          corten
# Required-Start:    $local_fs $network $remote_fs
# Required-Stop:     $local_fs $network $remote_fs
# Default-Start:     2 3 4 5
# Default-Stop:      0 1 6
# Short-Description: Containers of corten with a restart policy
### END INIT INFO
# Made by `corten system install`.
case \"$1\" in
    start) exec {command} boot ;;
    stop) exec {command} boot --stop ;;
    restart|force-reload) {command} boot --stop && exec {command} boot ;;
    status) exec {command} ps ;;
    *) echo \"usage: $0 start|stop|restart|status\" >&2; exit 2 ;;
esac
"
    )
}

fn openrc_service(command: &str) -> String {
    format!(
        "\
#!/sbin/openrc-run
# Made by `corten system install`.
description=\"Containers of corten with a restart policy\"
depend() {{
    need localmount
    after net time-sync cgroups
}}
start() {{
    ebegin \"Starting containers\"
    {command} boot
    eend $?
}}
stop() {{
    ebegin \"Stopping containers\"
    {command} boot --stop
    eend $?
}}
"
    )
}

/// Writes a file, unless it is so already, and says so.
fn write(context: &mut Context, target: &Path, path: &str, text: &str, mode: u32) -> Result<(), CliError> {
    let path = below(target, path);
    if fs::read_if_exists(&path)?.is_some_and(|now| now == text.as_bytes()) {
        context.ui.line(format!("{} is there already", path.display()));
        return Ok(());
    }
    make_parent(&path)?;
    fs::write_durable(&path, text.as_bytes())?;
    fs::set_mode(&path, mode)?;
    context.ui.line(format!("wrote {}", path.display()));
    Ok(())
}

fn link(context: &mut Context, target: &Path, path: &str, to: &str) -> Result<(), CliError> {
    let path = below(target, path);
    make_parent(&path)?;
    match fs::symlink(to, &path) {
        Err(error) if error.errno() == Errno::EXIST => return Ok(()),
        made => made?,
    }
    context.ui.line(format!("linked {} to {to}", path.display()));
    Ok(())
}

fn make_parent(path: &Path) -> Result<(), CliError> {
    match path.parent() {
        Some(parent) => Ok(fs::create_dir_all(parent, 0o755)?),
        None => Ok(()),
    }
}

/// Runs systemctl, whose own words go where ours go.
fn systemctl(context: &mut Context, words: &[&str]) -> Result<(), CliError> {
    let line = format!("systemctl {}", words.join(" "));
    context.ui.flush();
    let code = match process::clone(0, None)? {
        Cloned::Parent { pidfd, .. } => process::wait(&pidfd)?.code(),
        Cloned::Child => {
            let arguments =
                ["systemctl"].iter().chain(words).map(|&word| word.to_owned()).collect::<Vec<_>>();
            let places = ["/usr/bin/systemctl", "/bin/systemctl"];
            let error = places.map(|path| exec::replace(path, &arguments, &crate::settings::environment()));
            log::warn!("{}", error[1]);
            process::exit_now(127)
        }
    };
    if code != 0 {
        return Err(CliError::new(format!("{line} ended with {code}"), 1));
    }
    context.ui.line(format!("ran {line}"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_installed_calls_boot_and_its_stop() {
        let command = "/usr/bin/corten --root /var/lib/corten --run-root /run/corten";
        for text in [unit(command), init_script(command), openrc_service(command)] {
            assert!(
                text.contains(&format!("{command} boot\n")) || text.contains(&format!("{command} boot ;;\n")),
                "{text}"
            );
            assert!(text.contains(&format!("{command} boot --stop")), "{text}");
        }
        assert!(unit(command).contains("RequiresMountsFor=/var/lib/corten\n"));
    }
}
