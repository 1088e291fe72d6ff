//! `corten info`: the store and the machine, as docker lays them out.

use std::ffi::OsString;

use clap::Args;
use corten_engine::info::{self, SystemInfo};
use serde_json::{Value, json};

use crate::cli::flags::{self, Arity};
use crate::cli::{CliError, Context, human};

const NAME: &str = "corten info";
const VERSION: &str = env!("CARGO_PKG_VERSION");

#[derive(Debug, Args)]
#[command(override_usage = "corten info [OPTIONS]")]
struct InfoArgs {
    /// Format output using a custom template: 'json' or a Go template
    #[arg(short, long, value_name = "string")]
    format: Option<String>,
    #[arg(hide = true)]
    words: Vec<String>,
}

pub(crate) fn run(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    let args: InfoArgs = flags::parse(NAME, "Display system-wide information", arguments)?;
    flags::check_count(NAME, "[OPTIONS]", Arity::None, &args.words)?;
    let info = info::system(&context.engine()?)?;
    match args.format.as_deref() {
        Some(format) => {
            let text = super::formatted(format, &document(&info), "system.dockerInfo")?;
            context.ui.line(text);
        }
        None => context.ui.raw(text(&info).as_bytes()),
    }
    Ok(0)
}

fn text(info: &SystemInfo) -> String {
    let apparmor =
        "  apparmor\n   Default: unconfined (--security-opt apparmor=PROFILE enters one that is loaded)\n";
    let lines = [
        "Client:".to_owned(),
        format!(" Version:    {VERSION}"),
        String::new(),
        "Server:".to_owned(),
        format!(" Containers: {}", info.running + info.paused + info.stopped),
        format!("  Running: {}", info.running),
        format!("  Paused: {}", info.paused),
        format!("  Stopped: {}", info.stopped),
        format!(" Images: {}", info.images),
        format!(" Server Version: {VERSION}"),
        " Storage Driver: overlay2".to_owned(),
        format!("  Backing Filesystem: {}", info.file_system),
        "  userxattr: true".to_owned(),
        " Logging Driver: json-file".to_owned(),
        " Cgroup Driver: cgroupfs".to_owned(),
        format!(" Cgroup Version: {}", info.cgroup_version),
        " Plugins:".to_owned(),
        "  Volume: local".to_owned(),
        "  Network: host none".to_owned(),
        "  Log: journald json-file local none syslog".to_owned(),
        " Runtimes: corten".to_owned(),
        " Default Runtime: corten".to_owned(),
        " Security Options:".to_owned(),
        format!(
            "{}{}  seccomp",
            if info.apparmor { apparmor } else { "" },
            if info.selinux { "  selinux\n" } else { "" }
        ),
        "   Profile: builtin".to_owned(),
        "  userns".to_owned(),
        "   Default: a range of ids for each container".to_owned(),
        format!(" Kernel Version: {}", info.kernel),
        format!(" Operating System: {}", info.operating_system),
        " OSType: linux".to_owned(),
        format!(" Architecture: {}", info.machine),
        format!(" CPUs: {}", info.cpus),
        format!(" Total Memory: {}", human::binary_size(info.memory)),
        format!(" Name: {}", info.host_name),
        format!(" Docker Root Dir: {}", info.root.display()),
        format!(" Supervisor Log: {}", info.supervisor_log.display()),
    ];
    let mut text = lines.join("\n");
    text.push('\n');
    text
}

fn security_options(info: &SystemInfo) -> Vec<&'static str> {
    let apparmor = info.apparmor.then_some("name=apparmor,profile=unconfined");
    let selinux = info.selinux.then_some("name=selinux");
    apparmor.into_iter().chain(selinux).chain(["name=seccomp,profile=builtin", "name=userns"]).collect()
}

/// The members of docker's document that mean something here.
fn document(info: &SystemInfo) -> Value {
    json!({
        "Containers": info.running + info.paused + info.stopped,
        "ContainersRunning": info.running,
        "ContainersPaused": info.paused,
        "ContainersStopped": info.stopped,
        "Images": info.images,
        "Driver": "overlay2",
        "DriverStatus": [["Backing Filesystem", info.file_system], ["userxattr", "true"]],
        "Plugins": {
            "Volume": ["local"],
            "Network": ["host", "none"],
            "Authorization": null,
            "Log": ["journald", "json-file", "local", "none", "syslog"],
        },
        "MemoryLimit": true,
        "SwapLimit": info.swap_limit,
        "CpuCfsPeriod": true,
        "CpuCfsQuota": true,
        "CPUShares": true,
        "CPUSet": true,
        "PidsLimit": true,
        "LoggingDriver": "json-file",
        "CgroupDriver": "cgroupfs",
        "CgroupVersion": info.cgroup_version.to_string(),
        "KernelVersion": info.kernel,
        "OperatingSystem": info.operating_system,
        "OSVersion": info.os_version,
        "OSType": "linux",
        "Architecture": info.machine,
        "NCPU": info.cpus,
        "MemTotal": info.memory,
        "DockerRootDir": info.root.to_string_lossy(),
        "SupervisorLog": info.supervisor_log.to_string_lossy(),
        "Name": info.host_name,
        "Labels": [],
        "ServerVersion": VERSION,
        "Runtimes": {"corten": {"path": "corten"}},
        "DefaultRuntime": "corten",
        "LiveRestoreEnabled": true,
        "SecurityOptions": security_options(info),
        "Warnings": null,
        "ClientInfo": {"Version": VERSION},
    })
}
