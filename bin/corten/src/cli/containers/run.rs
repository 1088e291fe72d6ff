//! `corten run`: create, start, and unless detached stay attached until the end.

use std::ffi::OsString;

use corten_engine::containers::spec::Restart;
use corten_engine::containers::{self, Beginning, ContainerRecord, ContainerSpec, StartOptions};
use corten_engine::{Engine, ErrorKind};
use corten_sys::{fs, socket};

use super::session::{Session, SessionOptions};
use crate::cli::flags::table::{self, Usage};
use crate::cli::flags::{self, AttachFlags, ContainerFlags};
use crate::cli::system::install;
use crate::cli::{CliError, Context};
use crate::ui::Ui;

const USAGE: Usage = Usage {
    name: "corten run",
    synopsis: "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    about: "Create and run a new container from an image",
};

pub(crate) fn run(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    let (mut args, words): (ContainerFlags, _) =
        table::parse(&USAGE, &[flags::RUN, flags::CONTAINER, flags::LACKING], arguments)?;
    args.words = words;
    let engine = context.engine().map_err(|error| error.code(125))?;
    let mut spec = flags::to_spec(&engine, &context.settings, &args)?;
    if args.detach && !args.attach.is_empty() {
        return Err(CliError::new("Conflicting options: -a and -d", 125));
    }
    let attaching =
        AttachFlags { detach_keys: args.detach_keys.clone(), sig_proxy: args.sig_proxy.unwrap_or(true) };
    let options = if args.detach {
        None
    } else {
        Some(SessionOptions::new(&context.settings, &attaching, &args.attach, &spec)?)
    };
    // A detached container keeps its input open for whoever attaches later.
    spec.stdin_once &= options.as_ref().is_some_and(|options| options.stdin);
    let beginning = Beginning::new(&engine).map_err(|error| CliError::from(error).code(125))?;
    if let Some(keeper) = &mut context.keeper {
        let begun = keeper.clone_early(&engine, beginning.id(), &spec, options.is_some());
        begun.map_err(|error| CliError::from(error).code(125))?;
    }
    note_about_boots(context, &spec);
    let result = start(context, &engine, &args, beginning, spec, options);
    result.map_err(|error| error.prefixed().hint("Run 'corten run --help' for more information"))
}

/// Tells a person, and no script, that the restart policy ends with this boot.
pub(super) fn note_about_boots(context: &mut Context, spec: &ContainerSpec) {
    let asks = matches!(spec.restart, Restart::Always | Restart::UnlessStopped);
    if asks && Ui::is_watched() && !install::is_installed() {
        context.ui.note(
            "Note: the restart policy does not act after a reboot until `corten system install` was run",
        );
    }
}

fn start(
    context: &mut Context,
    engine: &Engine,
    args: &ContainerFlags,
    beginning: Beginning,
    spec: ContainerSpec,
    options: Option<SessionOptions>,
) -> Result<u8, CliError> {
    let cidfile = CidFile::reserve(context, args.cidfile.as_deref())?;
    let auto_remove = spec.auto_remove;
    let terminal = spec.tty;
    // What can fail without a container comes before there is one.
    let (client, session) = match options {
        None => (None, None),
        Some(options) => {
            let (ours, theirs) = socket::pair()?;
            (Some(theirs), Some(Session::new(ours, options, terminal)?))
        }
    };
    let record =
        containers::create_as(engine, &beginning, spec).map_err(|error| CliError::from(error).code(125))?;
    cidfile.write(engine, &record).map_err(|error| error.code(125))?;
    let keeper = context.take_keeper().inspect_err(|_| {
        if auto_remove {
            containers::forget(engine, &record);
        }
    })?;
    let start = StartOptions { client, sync_record: true, ..StartOptions::default() };
    let running = containers::start(engine, &record, keeper, start).map_err(|error| {
        if auto_remove {
            // The keeper has removed what there was; the record must not stay where it died first.
            containers::forget(engine, &record);
        }
        let code = match error.kind() {
            ErrorKind::NotStarted(code) => code,
            _ => 125,
        };
        CliError::from(error).code(code)
    })?;
    drop(beginning);
    let Some(session) = session else {
        context.ui.line(&record.id);
        return Ok(0);
    };
    session.serve(engine, &record, running)
}

/// `--cidfile`: refused where it exists, before anything is made.
pub(super) struct CidFile(Option<std::path::PathBuf>);

impl CidFile {
    pub(super) fn reserve(context: &Context, path: Option<&str>) -> Result<Self, CliError> {
        let path = path.map(|path| context.settings.directory.join(path));
        if let Some(path) = path.as_ref().filter(|path| fs::exists(path)) {
            let text = "container ID file found, make sure the other container isn't running or delete";
            return Err(CliError::new(format!("{text} {}", path.display()), 125));
        }
        Ok(Self(path))
    }

    /// Writes it; a container whose id could not be told is removed again.
    pub(super) fn write(self, engine: &Engine, record: &ContainerRecord) -> Result<(), CliError> {
        let Some(path) = self.0 else { return Ok(()) };
        fs::write_atomic(path, record.id.as_bytes()).map_err(|error| {
            containers::forget(engine, record);
            CliError::from(error)
        })
    }
}
