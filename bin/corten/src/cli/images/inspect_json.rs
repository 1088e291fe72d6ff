//! An image as docker's `inspect` shows it, and `corten image inspect`.

use std::ffi::OsString;

use corten_engine::images::{self, Listed};
use corten_engine::{Engine, Error};
use serde_json::{Map, Value, json};

use crate::cli::system::inspect;
use crate::cli::{CliError, Context};

/// `corten image inspect`.
pub(crate) fn run(context: &mut Context, arguments: Vec<OsString>) -> Result<u8, CliError> {
    let about = "Display detailed information on one or more images";
    let words = ("corten image inspect", about, "[OPTIONS] IMAGE [IMAGE...]");
    inspect::one_kind(context, words, arguments, image_json)
}

/// The image of that name, ID or start of an ID.
pub(crate) fn image_json(engine: &Engine, name: &str) -> Result<Value, Error> {
    let image = images::find(engine, name)?;
    let listed = images::describe(engine, image)?;
    Ok(render(engine, &listed))
}

fn render(engine: &Engine, listed: &Listed) -> Value {
    let image = &listed.image;
    let config = &image.config;
    let names = |references: &[corten_spec::Reference]| -> Vec<String> {
        references.iter().map(corten_spec::Reference::familiar).collect()
    };
    let mut trees: Vec<String> = image
        .layers
        .iter()
        .rev()
        .map(|layer| engine.store().layer_tree(&layer.diff_id).to_string_lossy().into_owned())
        .collect();
    let top = if trees.is_empty() { String::new() } else { trees.remove(0) };
    let mut data = json!({"UpperDir": top});
    if !trees.is_empty() {
        data["LowerDir"] = trees.join(":").into();
    }
    let diff_ids: Vec<String> = config.rootfs.diff_ids.iter().map(ToString::to_string).collect();
    let mut value = json!({
        "Id": image.id.to_string(),
        "RepoTags": names(&listed.tags),
        "RepoDigests": names(&listed.digests),
        "Parent": image.parent.as_ref().map(ToString::to_string).unwrap_or_default(),
        "Comment": config.history.last().map(|step| step.comment.as_str()).unwrap_or_default(),
        "Created": config.created,
        "DockerVersion": "",
        "Author": config.author,
        "Config": container_config(listed),
        "Architecture": config.architecture,
        "Os": config.os,
        "Size": image.size,
        "GraphDriver": {"Name": "overlay2", "Data": data},
        "RootFS": {"Type": config.rootfs.kind, "Layers": diff_ids},
    });
    if !config.variant.is_empty() {
        value["Variant"] = config.variant.as_str().into();
    }
    if !config.os_version.is_empty() {
        value["OsVersion"] = config.os_version.as_str().into();
    }
    value
}

/// docker's container config: what the image says, and its defaults for what it does not.
fn container_config(listed: &Listed) -> Value {
    let mut value = json!({
        "Hostname": "",
        "Domainname": "",
        "User": "",
        "AttachStdin": false,
        "AttachStdout": false,
        "AttachStderr": false,
        "Tty": false,
        "OpenStdin": false,
        "StdinOnce": false,
        "Env": null,
        "Cmd": null,
        "Image": "",
        "Volumes": null,
        "WorkingDir": "",
        "Entrypoint": null,
        "OnBuild": null,
        "Labels": null,
    });
    // The config has docker's names for all it can hold.
    let said = serde_json::to_value(&listed.image.config.config).unwrap_or_default();
    if let (Value::Object(value), Value::Object(said)) = (&mut value, said) {
        value.extend::<Map<String, Value>>(said);
    }
    value
}
