//! `cargo xtask tidy`: the rules of the house that no compiler checks.
//!
//! Each check is a pure function from what was read to a list of violations; this file reads and prints.

mod closures;
mod layers;
mod lock;
mod sources;

use std::path::Path;

use serde_json::Value;

use crate::failure::{Failure, Result};
use crate::workspace::{self, Depth};

/// One broken rule, in one line that says where.
pub(crate) type Violation = String;

pub(crate) fn run(args: &[String]) -> Result<()> {
    if let Some(arg) = args.first() {
        return Err(Failure::new(format!("tidy takes no arguments, not {arg:?}")));
    }
    let root = workspace::root();
    let violations = check(&root)?;
    for violation in &violations {
        println!("tidy: {violation}");
    }
    match violations.len() {
        0 => {
            println!("tidy: clean");
            Ok(())
        }
        1 => Err(Failure::new("tidy: 1 rule broken")),
        count => Err(Failure::new(format!("tidy: {count} rules broken"))),
    }
}

fn check(root: &Path) -> Result<Vec<Violation>> {
    let mut violations = layers::check(&members(&workspace::metadata(root, Depth::Manifests)?, root)?);
    violations.extend(closures::check(&closures::Graph::from_metadata(&workspace::metadata(
        root,
        Depth::Resolved,
    )?)?));
    violations.extend(lock::check(&workspace::read_text(&root.join("Cargo.lock"))?));
    for path in workspace::source_files(root, "rs")? {
        let relative = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
        violations.extend(sources::check(&relative, &workspace::read_text(&path)?));
    }
    Ok(violations)
}

/// The workspace's crates as their manifests have them.
fn members(metadata: &Value, root: &Path) -> Result<Vec<layers::Member>> {
    let malformed = || Failure::new("cargo metadata: unexpected shape");
    let packages = metadata["packages"].as_array().ok_or_else(malformed)?;
    packages
        .iter()
        .map(|package| {
            let manifest = package["manifest_path"].as_str().ok_or_else(malformed)?;
            let folder = Path::new(manifest).parent().and_then(|dir| dir.strip_prefix(root).ok());
            let dependencies = package["dependencies"].as_array().ok_or_else(malformed)?;
            Ok(layers::Member {
                name: package["name"].as_str().ok_or_else(malformed)?.to_owned(),
                folder: folder.ok_or_else(malformed)?.to_string_lossy().into_owned(),
                dependencies: dependencies
                    .iter()
                    .filter(|dependency| dependency["path"].is_string())
                    .map(|dependency| layers::Edge {
                        to: dependency["name"].as_str().unwrap_or_default().to_owned(),
                        for_tests: dependency["kind"] == "dev",
                    })
                    .collect(),
            })
        })
        .collect()
}
