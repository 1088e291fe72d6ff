//! Where things are in the checkout, and what cargo says about it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::failure::{Failure, Result};
use crate::shell::Cmd;

/// What corten is released for; also the default target of the workspace.
pub(crate) const TARGET: &str = "x86_64-unknown-linux-musl";

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    let manifest = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    manifest.ancestors().nth(2).map_or_else(|| manifest.clone(), Path::to_path_buf)
}

/// Where cargo puts what it builds.
pub(crate) fn target_dir(root: &Path) -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}

/// Builds the release binary and returns its path.
pub(crate) fn build_release(root: &Path) -> Result<PathBuf> {
    Cmd::cargo(root).args(["build", "--release", "--package", "corten", "--target", TARGET]).run()?;
    let binary = target_dir(root).join(TARGET).join("release/corten");
    if binary.is_file() {
        Ok(binary)
    } else {
        Err(Failure::new(format!("no {} after the build", binary.display())))
    }
}

/// `cargo metadata`: with the resolved graph for the release target, or only what the manifests say.
pub(crate) fn metadata(root: &Path, depth: Depth) -> Result<Value> {
    let cmd = Cmd::cargo(root).args(["metadata", "--format-version", "1"]);
    let cmd = match depth {
        Depth::Manifests => cmd.args(["--offline", "--no-deps"]),
        Depth::Resolved => cmd.args(["--filter-platform", TARGET]),
    };
    let text = cmd.read()?;
    serde_json::from_str(&text).map_err(|error| Failure::new(format!("parse cargo metadata: {error}")))
}

/// How much [`metadata`] asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    Manifests,
    Resolved,
}

/// Reads a text file.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|error| Failure::io("read", path, &error))
}

/// Every file below `root` that git would keep (build output and hidden directories left out), sorted.
pub(crate) fn source_files(root: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut pending = vec![root.to_path_buf()];
    while let Some(dir) = pending.pop() {
        let entries = fs::read_dir(&dir).map_err(|error| Failure::io("read directory", &dir, &error))?;
        for entry in entries {
            let entry = entry.map_err(|error| Failure::io("read directory", &dir, &error))?;
            let path = entry.path();
            let name = entry.file_name();
            let kind = entry.file_type().map_err(|error| Failure::io("stat", &path, &error))?;
            if kind.is_dir() {
                if name != "target" && !name.to_string_lossy().starts_with('.') {
                    pending.push(path);
                }
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}
