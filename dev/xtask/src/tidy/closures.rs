//! What must not be anywhere in the dependency closure of the crates on the start path.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Violation;
use crate::failure::{Failure, Result};

/// Blocking crates stay blocking, and know no command line.
const NEVER_BLOCKING: &[&str] = &["tokio", "hyper", "clap", "async-std", "smol"];

/// Regular expressions are for the command line: what a start links with has none.
const NEVER_MATCHING: &[&str] = &["regex", "regex-automata", "regex-lite"];

/// The keeper parses nothing; the worker parses DNS (hickory-proto) and nothing else.
const NEVER_PARSING: &[&str] = &[
    "serde",
    "serde_core",
    "serde_json",
    "toml",
    "quick-xml",
    "prost",
    "httparse",
    "nom",
    "winnow",
    "pest",
    "combine",
    "tar",
    "clap_builder",
    "corten-spec",
];

struct Fence {
    of: &'static str,
    without: &'static [&'static [&'static str]],
}

const FENCES: &[Fence] = &[
    Fence { of: "corten-runtime", without: &[NEVER_BLOCKING, NEVER_MATCHING] },
    Fence { of: "corten-monitor", without: &[NEVER_BLOCKING, NEVER_MATCHING, NEVER_PARSING] },
    Fence { of: "corten-store", without: &[NEVER_BLOCKING, NEVER_MATCHING] },
    Fence { of: "corten-net", without: &[NEVER_BLOCKING, NEVER_MATCHING] },
    Fence { of: "corten-engine", without: &[NEVER_BLOCKING, NEVER_MATCHING] },
];

/// The resolved packages: id to name, and id to the ids it links with (tests and build scripts left out).
#[derive(Debug, Default)]
pub(super) struct Graph {
    names: BTreeMap<String, String>,
    edges: BTreeMap<String, Vec<String>>,
}

impl Graph {
    pub(super) fn from_metadata(metadata: &Value) -> Result<Self> {
        let malformed = || Failure::new("cargo metadata: no resolved graph");
        let mut graph = Self::default();
        for package in metadata["packages"].as_array().ok_or_else(malformed)? {
            let id = package["id"].as_str().ok_or_else(malformed)?;
            graph.names.insert(id.to_owned(), package["name"].as_str().ok_or_else(malformed)?.to_owned());
        }
        for node in metadata["resolve"]["nodes"].as_array().ok_or_else(malformed)? {
            let id = node["id"].as_str().ok_or_else(malformed)?;
            let dependencies = node["deps"].as_array().ok_or_else(malformed)?;
            let linked = dependencies.iter().filter(|dependency| {
                dependency["dep_kinds"]
                    .as_array()
                    .is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"].is_null()))
            });
            let ids = linked.filter_map(|dependency| dependency["pkg"].as_str()).map(str::to_owned).collect();
            graph.edges.insert(id.to_owned(), ids);
        }
        Ok(graph)
    }

    /// The chain of names from `start` to a package called `target`, shortest first found; `None` if there is none.
    fn chain(&self, start: &str, target: &str) -> Option<Vec<&str>> {
        let start = self.names.iter().find(|(_, name)| *name == start).map(|(id, _)| id.as_str())?;
        let mut seen = BTreeSet::from([start]);
        let mut paths = vec![vec![start]];
        while !paths.is_empty() {
            let mut longer = Vec::new();
            for path in paths {
                let last = path.last()?;
                if path.len() > 1 && self.names.get(*last).is_some_and(|name| name == target) {
                    return path.into_iter().map(|id| self.names.get(id).map(String::as_str)).collect();
                }
                for next in self.edges.get(*last).into_iter().flatten() {
                    if seen.insert(next) {
                        let mut path = path.clone();
                        path.push(next);
                        longer.push(path);
                    }
                }
            }
            paths = longer;
        }
        None
    }
}

pub(super) fn check(graph: &Graph) -> Vec<Violation> {
    let mut violations = Vec::new();
    for fence in FENCES {
        for banned in fence.without.iter().copied().flatten() {
            if let Some(chain) = graph.chain(fence.of, banned) {
                violations.push(format!("{} must not depend on {banned}: {}", fence.of, chain.join(" -> ")));
            }
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Graph, check};

    fn graph(edges: &[(&str, &str, Option<&str>)]) -> Graph {
        let mut names: Vec<&str> = edges.iter().flat_map(|(from, to, _)| [*from, *to]).collect();
        names.sort_unstable();
        names.dedup();
        let packages: Vec<_> =
            names.iter().map(|name| json!({"id": format!("id-{name}"), "name": name})).collect();
        let nodes: Vec<_> = names
            .iter()
            .map(|name| {
                let deps: Vec<_> = edges
                    .iter()
                    .filter(|(from, _, _)| from == name)
                    .map(|(_, to, kind)| json!({"pkg": format!("id-{to}"), "dep_kinds": [{"kind": kind}]}))
                    .collect();
                json!({"id": format!("id-{name}"), "deps": deps})
            })
            .collect();
        Graph::from_metadata(&json!({"packages": packages, "resolve": {"nodes": nodes}})).unwrap()
    }

    #[test]
    fn a_banned_crate_is_reported_with_the_way_to_it() {
        let graph = graph(&[("corten-store", "fetcher", None), ("fetcher", "tokio", None)]);
        assert_eq!(
            check(&graph),
            vec!["corten-store must not depend on tokio: corten-store -> fetcher -> tokio"]
        );
    }

    #[test]
    fn the_monitor_must_not_parse_but_others_may() {
        let graph = graph(&[("corten-monitor", "serde_json", None), ("corten-engine", "serde_json", None)]);
        assert_eq!(
            check(&graph),
            vec!["corten-monitor must not depend on serde_json: corten-monitor -> serde_json"]
        );
    }

    #[test]
    fn tests_builds_and_cycles_do_not_count() {
        let graph = graph(&[
            ("corten-store", "tokio", Some("dev")),
            ("corten-store", "clap", Some("build")),
            ("corten-store", "a", None),
            ("a", "b", None),
            ("b", "a", Some("dev")),
            ("corten-monitor", "hickory-proto", None),
            ("corten", "clap", None),
        ]);
        assert_eq!(check(&graph), Vec::<String>::new());
    }
}
