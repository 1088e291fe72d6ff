//! The command line: finds the command, builds only its parser, runs it.

mod archive_file;
mod containers;
mod error;
mod filters;
mod flags;
mod human;
mod images;
mod listing;
mod moment;
mod pruning;
mod system;
mod template;
mod volumes;

use std::ffi::OsString;
use std::process::ExitCode;

use corten_engine::containers::health;
use corten_engine::launch::Keeper;
use corten_engine::{Engine, EngineConfig, ErrorKind};
use corten_sys::{exec, fs};

use crate::client_config::ClientConfig;
use crate::settings::{GlobalFlags, Settings};
use crate::ui::{Ui, show_warnings};
pub(crate) use error::CliError;

/// What every command gets.
pub(crate) struct Context {
    pub(crate) settings: Settings,
    pub(crate) ui: Ui,
    /// Cloned before anything was parsed, for commands that start a container.
    pub(crate) keeper: Option<Keeper>,
}

impl Context {
    /// Opens the store and the run directory.
    pub(crate) fn engine(&self) -> Result<Engine, CliError> {
        if !rustix::process::geteuid().is_root() {
            return Err(CliError::denied(
                "corten needs root: running it as an ordinary user (rootless) is not there yet; use sudo",
            ));
        }
        Ok(Engine::open(self.settings.engine())?)
    }

    /// The keeper of the container that this command starts.
    pub(crate) fn take_keeper(&mut self) -> Result<Keeper, CliError> {
        self.keeper.take().map_or_else(|| Ok(Keeper::spawn()?), Ok)
    }
}

type Run = fn(&mut Context, Vec<OsString>) -> Result<u8, CliError>;

/// A command: its names (the first is the one shown), one line of help, and what runs it.
pub(crate) struct Command {
    names: &'static [&'static str],
    about: &'static str,
    /// It starts a container: the keeper is cloned first.
    starts: bool,
    run: Run,
}

const fn command(names: &'static [&'static str], about: &'static str, run: Run) -> Command {
    Command { names, about, starts: false, run }
}

const fn starting(names: &'static [&'static str], about: &'static str, run: Run) -> Command {
    Command { names, about, starts: true, run }
}

/// Commands as docker groups them; a group of one name is a command by itself.
const COMMANDS: &[Command] = &[
    starting(&["run"], "Create and run a new container from an image", containers::run::run),
    starting(&["start"], "Start one or more stopped containers", containers::start::run),
    command(&["create"], "Create a new container", containers::create::run),
    command(&["exec"], "Execute a command in a running container", containers::exec::run),
    command(
        &["attach"],
        "Attach local standard input, output, and error streams to a running container",
        containers::attach::run,
    ),
    command(&["stop"], "Stop one or more running containers", containers::stop::run),
    starting(&["restart"], "Restart one or more containers", containers::restart::run),
    command(&["kill"], "Kill one or more running containers", containers::kill::run),
    command(&["pause"], "Pause all processes within one or more containers", containers::pause::run),
    command(&["unpause"], "Unpause all processes within one or more containers", containers::unpause::run),
    command(
        &["wait"],
        "Block until one or more containers stop, then print their exit codes",
        containers::wait::run,
    ),
    command(&["update"], "Update configuration of one or more containers", containers::update::run),
    command(&["port"], "List port mappings or a specific mapping for the container", containers::port::run),
    command(&["rename"], "Rename a container", containers::rename::run),
    command(&["rm"], "Remove one or more containers", containers::rm::run),
    command(&["ps"], "List containers", containers::ps::run),
    command(&["top"], "Display the running processes of a container", containers::top::run),
    command(
        &["stats"],
        "Display a live stream of container(s) resource usage statistics",
        containers::stats::run,
    ),
    command(&["logs"], "Fetch the logs of one or more containers", containers::logs::run),
    command(&["cp"], "Copy files/folders between a container and the local filesystem", containers::cp::run),
    command(&["commit"], "Create a new image from a container's changes", containers::commit::run),
    command(
        &["diff"],
        "Inspect changes to files or directories on a container's filesystem",
        containers::diff::run,
    ),
    command(&["export"], "Export a container's filesystem as a tar archive", containers::export::run),
    command(&["images"], "List images", images::list::run),
    command(&["history"], "Show the history of an image", images::history::run),
    command(
        &["import"],
        "Import the contents from a tarball to create a filesystem image",
        images::import::run,
    ),
    command(&["load"], "Load an image from a tar archive or STDIN", images::load::run),
    command(
        &["save"],
        "Save one or more images to a tar archive (streamed to STDOUT by default)",
        images::save::run,
    ),
    command(&["rmi"], "Remove one or more images", images::rmi::run),
    command(&["tag"], "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE", images::tag::run),
    command(&["inspect"], "Return low-level information on corten objects", system::inspect::run),
    command(&["events"], "Get real time events from the server", system::events::run),
    command(&["why"], "Tell why a container ended, does not start or is slow", containers::why::run),
    command(&["check"], "Check every record, layer and blob of the store", system::check::run),
    command(&["undo"], "Bring back removed containers, images and volumes", system::undo::run),
    command(&["pin"], "Protect containers, images or volumes from removal", system::pin::pin),
    command(&["unpin"], "Let pinned objects be removed again", system::pin::unpin),
    command(&["completion"], "Print the completion script for a shell", system::completion::run),
    command(&["man"], "Write the manual pages of all commands into a directory", system::man::run),
    command(&["version"], "Show the corten version information", system::version::run),
    command(&["info"], "Display system-wide information", system::info::run),
    command(
        &["boot"],
        "Start the containers that should run (restart policies always and unless-stopped)",
        system::boot::run,
    ),
];

/// What no help shows.
const HIDDEN: &[Command] =
    &[command(&["__complete"], "What the scripts of `completion` ask", system::completion::complete)];

/// A group's name, its line of help, and its members with the commands they stand for.
type Group = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

/// `corten GROUP COMMAND`: docker's management commands.
const GROUPS: &[Group] = &[
    (
        "container",
        "Manage containers",
        &[
            ("attach", "attach"),
            ("commit", "commit"),
            ("cp", "cp"),
            ("create", "create"),
            ("diff", "diff"),
            ("exec", "exec"),
            ("export", "export"),
            ("kill", "kill"),
            ("logs", "logs"),
            ("ls", "ps"),
            ("list", "ps"),
            ("pause", "pause"),
            ("port", "port"),
            ("ps", "ps"),
            ("rename", "rename"),
            ("restart", "restart"),
            ("rm", "rm"),
            ("remove", "rm"),
            ("run", "run"),
            ("start", "start"),
            ("stats", "stats"),
            ("stop", "stop"),
            ("top", "top"),
            ("unpause", "unpause"),
            ("update", "update"),
            ("wait", "wait"),
        ],
    ),
    (
        "image",
        "Manage images",
        &[
            ("history", "history"),
            ("import", "import"),
            ("load", "load"),
            ("ls", "images"),
            ("list", "images"),
            ("rm", "rmi"),
            ("remove", "rmi"),
            ("save", "save"),
            ("tag", "tag"),
        ],
    ),
    ("system", "Manage corten", &[("events", "events"), ("info", "info")]),
    ("volume", "Manage volumes", &[]),
];

/// Commands that are only there in their group.
const MEMBERS: &[(&str, &[Command])] = &[
    (
        "container",
        &[
            command(
                &["inspect"],
                "Display detailed information on one or more containers",
                system::inspect::container,
            ),
            command(&["prune"], "Remove all stopped containers", containers::prune::run),
        ],
    ),
    (
        "image",
        &[
            command(
                &["inspect"],
                "Display detailed information on one or more images",
                images::inspect_json::run,
            ),
            command(&["prune"], "Remove unused images", images::prune::run),
        ],
    ),
    (
        "system",
        &[
            command(&["df"], "Show corten disk usage", system::df::run),
            command(&["prune"], "Remove unused data", system::prune::run),
            command(
                &["install"],
                "Have the host start containers at boot and stop them at shutdown",
                system::install::install,
            ),
            command(&["uninstall"], "Undo what install did", system::install::uninstall),
        ],
    ),
    (
        "volume",
        &[
            command(&["create"], "Create a volume", volumes::create::run),
            command(
                &["inspect"],
                "Display detailed information on one or more volumes",
                volumes::inspect::run,
            ),
            command(&["ls", "list"], "List volumes", volumes::ls::run),
            command(&["prune"], "Remove unused local volumes", volumes::prune::run),
            command(&["rm", "remove"], "Remove one or more volumes", volumes::rm::run),
        ],
    ),
];

/// Runs the command line of this process.
pub(crate) fn main() -> ExitCode {
    let mut arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let flags = match take_global_flags(&mut arguments) {
        Ok(flags) => flags,
        Err(text) => return usage_error(&text),
    };
    let settings = Settings::read(flags);
    if find(&arguments).is_none() {
        replace_alias(&mut arguments, settings.client());
    }
    let Some((command, rest)) = find(&arguments) else { return help_or_unknown(&arguments) };
    // Before the first allocation of any size: what the keeper inherits, it keeps.
    show_warnings();
    let keeper = if command.starts && rustix::process::geteuid().is_root() {
        let usual = command.names == ["run"] && asks_for_usual_namespaces(&arguments);
        Keeper::spawn_for(usual.then(|| settings.engine().run_root)).ok()
    } else {
        None
    };
    let mut context = Context { settings, ui: Ui::new(), keeper };
    if let Some(warning) = context.settings.client().warning() {
        context.ui.note(warning);
    }
    match (command.run)(&mut context, rest) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            if let Some(keeper) = context.keeper.take() {
                keeper.dismiss();
            }
            error.report(&mut context.ui)
        }
    }
}

/// Puts what an alias of docker's client configuration stands for in its place. None takes the place of a command, or
/// stands for another alias.
fn replace_alias(arguments: &mut Vec<OsString>, client: &ClientConfig) {
    let words = arguments.first().and_then(|word| client.alias(word.to_str()?));
    let Some(words) = words else { return };
    arguments.splice(..1, words.into_iter().map(OsString::from));
}

fn find(arguments: &[OsString]) -> Option<(&'static Command, Vec<OsString>)> {
    let word = arguments.first()?.to_str()?;
    let rest = |count: usize| arguments.get(count..).unwrap_or_default().to_vec();
    let by_name = |commands: &'static [Command], name: &str| {
        commands.iter().find(|command| command.names.contains(&name))
    };
    if let Some(command) = by_name(COMMANDS, word).or_else(|| by_name(HIDDEN, word)) {
        return Some((command, rest(1)));
    }
    let second = arguments.get(1)?.to_str()?;
    let own = MEMBERS.iter().find(|(group, _)| *group == word).map(|(_, commands)| *commands);
    if let Some(command) = own.and_then(|commands| by_name(commands, second)) {
        return Some((command, rest(2)));
    }
    let (.., members) = GROUPS.iter().find(|(group, ..)| *group == word)?;
    let (_, target) = members.iter().find(|(member, _)| *member == second)?;
    by_name(COMMANDS, target).map(|command| (command, rest(2)))
}

/// Takes `--root DIR` and its like from in front of the command.
fn take_global_flags(arguments: &mut Vec<OsString>) -> Result<GlobalFlags, String> {
    let mut flags = GlobalFlags::default();
    while let Some(text) = arguments.first().and_then(|argument| argument.to_str()).map(str::to_owned) {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(OsString::from(value))),
            None => (text.as_str(), None),
        };
        let slot = match name {
            "--root" => &mut flags.root,
            "--run-root" => &mut flags.run_root,
            "--config" => &mut flags.config,
            _ => return Ok(flags),
        };
        arguments.remove(0);
        *slot = match value {
            Some(value) => Some(value),
            None if arguments.is_empty() => return Err(format!("flag needs an argument: {name}")),
            None => Some(arguments.remove(0)),
        };
    }
    Ok(flags)
}

/// Flags of `run` that change which namespaces a container gets.
const NAMESPACE_FLAGS: &[&str] =
    &["--network", "--net", "--userns", "--privileged", "--pid", "--ipc", "--uts", "--cgroupns"];

/// A guess, from the words as they are: a wrong one costs time, nothing else. `--network none` is what there is anyway.
fn asks_for_usual_namespaces(arguments: &[OsString]) -> bool {
    arguments.iter().enumerate().all(|(index, argument)| {
        let text = argument.to_string_lossy();
        let (name, value) = text.split_once('=').unwrap_or((&text, ""));
        let none = value == "none" || arguments.get(index + 1).is_some_and(|next| next == "none");
        let harmless = matches!(name, "--network" | "--net") && none;
        text != "--help" && (harmless || !NAMESPACE_FLAGS.contains(&name))
    })
}

fn usage_error(text: &str) -> ExitCode {
    Ui::new().note(format!("{text}\n\nRun 'corten --help' for more information"));
    ExitCode::from(125)
}

/// Says whether a word begins a command of two words.
pub(crate) fn is_group(word: &str) -> bool {
    GROUPS.iter().any(|(name, ..)| *name == word)
}

fn help_or_unknown(arguments: &[OsString]) -> ExitCode {
    let mut ui = Ui::new();
    let word = arguments.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
    match word.as_str() {
        "" | "help" | "-h" | "--help" => ui.raw(help().as_bytes()),
        "-v" | "--version" => ui.line(concat!("corten version ", env!("CARGO_PKG_VERSION"))),
        group if is_group(group) && asks_for_help(arguments.get(1)) => {
            for group in GROUPS.iter().filter(|(name, ..)| *name == group) {
                ui.raw(group_help(group).as_bytes());
            }
        }
        flag if flag.starts_with('-') => return usage_error(&format!("unknown flag: {flag}")),
        _ => {
            ui.note(format!(
                "corten: unknown command: corten {word}\n\nRun 'corten --help' for more information"
            ));
            return ExitCode::from(1);
        }
    }
    ExitCode::SUCCESS
}

fn asks_for_help(word: Option<&OsString>) -> bool {
    word.is_none_or(|word| ["help", "-h", "--help"].iter().any(|help| word == help))
}

fn help() -> String {
    let mut text =
        String::from("Usage:  corten [OPTIONS] COMMAND\n\nRun containers without a daemon\n\nCommands:\n");
    for command in COMMANDS {
        text.push_str(&format!("  {:<11} {}\n", command.names[0], command.about));
    }
    text.push_str("\nManagement Commands:\n");
    for (name, about, _) in GROUPS {
        text.push_str(&format!("  {name:<11} {about}\n"));
    }
    text.push_str(
        "\nGlobal Options:\n      --config string     Location of client config files (default \"~/.docker\")\n      \
         --root string       Directory of images, containers and volumes (default \"/var/lib/corten\", env CORTEN_ROOT)\n      \
         --run-root string   Directory of what does not outlive a boot (default \"/run/corten\", env CORTEN_RUN_ROOT)\n  \
         -v, --version           Print version information and quit\n\nRun 'corten COMMAND --help' for more information on a command.\n",
    );
    text
}

/// A command that a group has under several names is shown under the first.
fn group_help(&(name, about, members): &Group) -> String {
    let mut text = format!("Usage:  corten {name} COMMAND\n\n{about}\n\nCommands:\n");
    let mut shown: Vec<(&str, &str)> = Vec::new();
    let mut targets = Vec::new();
    for (member, target) in members {
        let command = COMMANDS.iter().find(|command| command.names.contains(target));
        if let Some(command) = command.filter(|_| !targets.contains(target)) {
            targets.push(*target);
            shown.push((member, command.about));
        }
    }
    let own = MEMBERS.iter().filter(|(group, _)| *group == name).flat_map(|(_, commands)| *commands);
    shown.extend(own.filter_map(|command| Some((*command.names.first()?, command.about))));
    shown.sort_unstable();
    for (member, about) in shown {
        text.push_str(&format!("  {member:<11} {about}\n"));
    }
    text
}

/// The internal entry by which a worker has its container's health probed. Never returns but to end the process.
pub(crate) fn health_probe(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<String> = arguments.map(|word| word.to_string_lossy().into_owned()).collect();
    let [root, run_root, id] = arguments.as_slice() else { return ExitCode::FAILURE };
    let config = EngineConfig { root: root.into(), run_root: run_root.into() };
    let probed = Engine::open(config).and_then(|engine| {
        engine.keep_journal(id);
        let record = corten_engine::containers::load(&engine, id)?;
        if corten_engine::containers::has_host_ids(&engine, &record)? && exec::is_exposed()? {
            let program = exec::detached_self()?;
            return Err(exec::replace_with(program, &crate::settings::arguments(), &[]).into());
        }
        health::probe(&engine, id)
    });
    let error = match probed {
        Ok(health::Outcome::Done) => return ExitCode::SUCCESS,
        Ok(health::Outcome::Restart) => {
            let words = ["corten", "--root", root, "--run-root", run_root, "restart", id].map(str::to_owned);
            fs::open("/proc/self/exe")
                .map_or_else(|error| error, |program| exec::replace_with(program, &words, &[]))
                .into()
        }
        // It ended, or went, meanwhile.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Conflict) => {
            return ExitCode::SUCCESS;
        }
        Err(error) => error,
    };
    log::warn!("health probe: {error}");
    ExitCode::FAILURE
}

/// The internal entry by which a keeper starts its container again. Never returns.
pub(crate) fn start_over(mut arguments: impl Iterator<Item = OsString>) -> ! {
    Keeper::become_with(|keeper| {
        let (Some(root), Some(run_root), Some(id)) = (arguments.next(), arguments.next(), arguments.next())
        else {
            return 1;
        };
        let config = EngineConfig { root: root.into(), run_root: run_root.into() };
        let id = id.to_string_lossy();
        let started = Engine::open(config)
            .is_ok_and(|engine| corten_engine::containers::restart_by_policy(&engine, &id, keeper));
        i32::from(!started)
    })
}
