//! Which crate may use which: the table of ARCHITECTURE.md as data. Arrows point down only.

use super::Violation;

/// The folders of the workspace, bottom first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Layer {
    Base,
    Parts,
    Domain,
    Front,
    Bin,
    /// Beside the others: checks the product, is never part of it.
    Dev,
}

/// What a crate may use of the crates below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// Every layer below.
    Below,
    /// These, and the layer `base`.
    BaseAnd(&'static [&'static str]),
    /// None of ours.
    Nothing,
}

#[derive(Debug, Clone, Copy)]
struct Rule {
    name: &'static str,
    folder: &'static str,
    layer: Layer,
    reach: Reach,
}

const fn rule(name: &'static str, folder: &'static str, layer: Layer, reach: Reach) -> Rule {
    Rule { name, folder, layer, reach }
}

/// Every crate of the design, those not written yet included.
const RULES: &[Rule] = &[
    rule("corten-spec", "base/spec", Layer::Base, Reach::Nothing),
    rule("corten-sys", "base/sys", Layer::Base, Reach::Nothing),
    rule("corten-runtime", "parts/runtime", Layer::Parts, Reach::Below),
    rule("corten-monitor", "parts/monitor", Layer::Parts, Reach::Below),
    rule("corten-store", "parts/store", Layer::Parts, Reach::Below),
    rule("corten-net", "parts/net", Layer::Parts, Reach::Below),
    rule("corten-http", "parts/http", Layer::Parts, Reach::Below),
    rule("corten-distribution", "parts/distribution", Layer::Parts, Reach::Below),
    rule("corten-engine", "domain/engine", Layer::Domain, Reach::Below),
    rule("corten-build", "domain/build", Layer::Domain, Reach::Below),
    rule("corten-docker", "front/docker", Layer::Front, Reach::Below),
    // A product of its own: the store's blobs over http, no containers.
    rule("corten-registry", "front/registry", Layer::Front, Reach::BaseAnd(&["corten-store", "corten-http"])),
    rule("corten-cri", "front/cri", Layer::Front, Reach::Below),
    rule("corten-cri-proto", "front/cri-proto", Layer::Front, Reach::Nothing),
    rule("corten", "bin/corten", Layer::Bin, Reach::Below),
    rule("corten-testkit", "dev/testkit", Layer::Dev, Reach::BaseAnd(&[])),
    rule("corten-e2e", "dev/e2e", Layer::Dev, Reach::BaseAnd(&["corten-testkit"])),
    rule("corten-probe", "dev/probe", Layer::Dev, Reach::BaseAnd(&[])),
    rule("xtask", "dev/xtask", Layer::Dev, Reach::Nothing),
];

/// The only arrows between crates of one layer.
const SAME_LAYER: &[(&str, &str)] = &[
    ("corten-distribution", "corten-http"),
    ("corten-build", "corten-engine"),
    ("corten-cri", "corten-cri-proto"),
];

/// What tests of any crate may use besides its own dependencies.
const FOR_TESTS: &str = "corten-testkit";

/// A crate of the workspace, as its manifest has it.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) folder: String,
    pub(super) dependencies: Vec<Edge>,
}

/// A dependency on another crate of the workspace.
#[derive(Debug, Clone)]
pub(super) struct Edge {
    pub(super) to: String,
    pub(super) for_tests: bool,
}

pub(super) fn check(members: &[Member]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for member in members {
        let Some(from) = find(&member.name) else {
            violations
                .push(format!("{}: not in the layer table (dev/xtask/src/tidy/layers.rs)", member.name));
            continue;
        };
        if member.folder != from.folder {
            violations.push(format!("{}: lives in {}, belongs in {}", from.name, member.folder, from.folder));
        }
        for edge in &member.dependencies {
            if edge.to == member.name || (edge.for_tests && edge.to == FOR_TESTS) {
                continue;
            }
            match find(&edge.to) {
                Some(to) if is_allowed(from, to) => {}
                _ => violations.push(format!("{} must not use {}", from.name, edge.to)),
            }
        }
    }
    violations
}

fn find(name: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.name == name)
}

fn is_allowed(from: &Rule, to: &Rule) -> bool {
    if SAME_LAYER.contains(&(from.name, to.name)) {
        return true;
    }
    match from.reach {
        Reach::Nothing => false,
        Reach::Below => to.layer < from.layer,
        Reach::BaseAnd(names) => to.layer == Layer::Base || names.contains(&to.name),
    }
}

#[cfg(test)]
mod tests {
    use super::{Edge, Layer, Member, RULES, Reach, SAME_LAYER, check, find};

    fn violations(from: &str, to: &str, for_tests: bool) -> Vec<String> {
        let folder = find(from).map_or_else(|| "elsewhere".to_owned(), |rule| rule.folder.to_owned());
        let dependencies = vec![Edge { to: to.to_owned(), for_tests }];
        check(&[Member { name: from.to_owned(), folder, dependencies }])
    }

    #[test]
    fn allowed_edges_pass() {
        let check =
            |from, to| assert_eq!(violations(from, to, false), Vec::<String>::new(), "{from} -> {to}");
        check("corten-runtime", "corten-sys");
        check("corten-engine", "corten-store");
        check("corten", "corten-engine");
        check("corten", "corten-spec");
        check("corten-cri", "corten-engine");
        check("corten-distribution", "corten-http");
        check("corten-build", "corten-engine");
        check("corten-cri", "corten-cri-proto");
        check("corten-registry", "corten-store");
        check("corten-registry", "corten-http");
        check("corten-registry", "corten-spec");
        check("corten-e2e", "corten-testkit");
    }

    #[test]
    fn every_other_edge_is_named() {
        let check = |from: &str, to: &str| {
            assert_eq!(violations(from, to, false), vec![format!("{from} must not use {to}")]);
        };
        check("corten-spec", "corten-sys");
        check("corten-sys", "corten-spec");
        check("corten-runtime", "corten-store");
        check("corten-monitor", "corten-runtime");
        check("corten-http", "corten-distribution");
        check("corten-engine", "corten-build");
        check("corten-engine", "corten");
        check("corten-store", "corten-engine");
        check("corten-registry", "corten-engine");
        check("corten-registry", "corten-distribution");
        check("corten-docker", "corten-registry");
        check("corten-cri-proto", "corten-spec");
        check("corten-engine", "corten-testkit");
        check("corten", "corten-unheard-of");
        check("xtask", "corten-sys");
        check("corten-testkit", "corten-engine");
        check("corten-probe", "corten-runtime");
    }

    #[test]
    fn tests_may_use_the_testkit_but_no_layer_above() {
        assert_eq!(violations("corten-store", "corten-testkit", true), Vec::<String>::new());
        assert_eq!(
            violations("corten-store", "corten-engine", true),
            vec!["corten-store must not use corten-engine"]
        );
    }

    #[test]
    fn a_crate_has_a_row_and_sits_in_its_folder() {
        let stray =
            Member { name: "corten-extra".into(), folder: "parts/extra".into(), dependencies: Vec::new() };
        let moved =
            Member { name: "corten-store".into(), folder: "base/store".into(), dependencies: Vec::new() };
        assert_eq!(
            check(&[stray, moved]),
            vec![
                "corten-extra: not in the layer table (dev/xtask/src/tidy/layers.rs)",
                "corten-store: lives in base/store, belongs in parts/store",
            ]
        );
    }

    #[test]
    fn the_table_agrees_with_itself() {
        for rule in RULES {
            let top = rule.folder.split('/').next().unwrap();
            let layer = match top {
                "base" => Layer::Base,
                "parts" => Layer::Parts,
                "domain" => Layer::Domain,
                "front" => Layer::Front,
                "bin" => Layer::Bin,
                "dev" => Layer::Dev,
                other => panic!("{other}"),
            };
            assert_eq!(rule.layer, layer, "{}", rule.name);
            if let Reach::BaseAnd(names) = rule.reach {
                assert!(names.iter().all(|name| find(name).is_some()), "{}", rule.name);
            }
        }
        for (from, to) in SAME_LAYER {
            assert_eq!(find(from).unwrap().layer, find(to).unwrap().layer);
        }
    }
}
