//! ps: filters and fields that have no life of their own elsewhere.

use corten_testkit::{Output, Sandbox};

#[test]
fn filters() {
    let sandbox = Sandbox::new();
    sandbox.ok(&[
        "create",
        "--name",
        "one",
        "--expose",
        "80",
        "-l",
        "tier=front",
        "-v",
        "vol:/data",
        "box",
        "true",
    ]);
    sandbox.ok(&["create", "--name", "two", "--expose", "9000-9005/udp", "-v", "/data", "box", "true"]);
    let check = |filters: &[&str], expected: &str| {
        let filters = filters.iter().flat_map(|filter| ["--filter", filter]);
        let words: Vec<&str> = ["ps", "-a", "--format", "{{.Names}}"].into_iter().chain(filters).collect();
        assert_eq!(sandbox.ok(&words).replace('\n', " "), expected, "{words:?}");
    };
    check(&["expose=80"], "one");
    check(&["expose=79-81/tcp"], "one");
    check(&["expose=9004/udp"], "two");
    check(&["publish=80"], "");
    check(&["volume=vol"], "one");
    check(&["volume=/data"], "two one");
    check(&["label=tier=front"], "one");
    check(&["ancestor=box"], "two one");
    check(&["before=two"], "one");
    check(&["since=one"], "two");
    check(&["network=none"], "two one");
    check(&["health=none", "is-task=false", "isolation=default"], "two one");
    check(&["health=healthy"], "");
    check(&["is-task=1"], "");
    for status in ["paused", "restarting", "removing", "dead"] {
        check(&[&format!("status={status}")], "");
    }
    check(&["status=dead", "status=created"], "two one");
    let fields =
        sandbox.ok(&["ps", "-a", "-n", "1", "--format", "{{.HealthStatus}}|{{.State}}|{{.Networks}}"]);
    assert_eq!(fields, "|created|none");
    sandbox.ok(&["rm", "-v", "one", "two"]);
    sandbox.ok(&["volume", "rm", "vol"]);
}

#[test]
fn wrong_filters() {
    let sandbox = Sandbox::new();
    let check = |filter: &str, expected: &str| {
        let text = format!("Error response from daemon: {expected}\n");
        assert_eq!(sandbox.corten(&["ps", "--filter", filter]), Output::new(1, "", &text), "{filter}");
    };
    check("nope=1", "invalid filter 'nope'");
    check("health=nope", "unrecognized filter value for health: nope");
    check("status=nope", "invalid filter 'status=nope'");
    check("is-task=2", "invalid filter 'is-task=[2]'");
    check("exited=x", "strconv.Atoi: parsing \"x\": invalid syntax");
    check(
        "publish=x",
        "error while looking up for publish x: strconv.ParseUint: parsing \"x\": invalid syntax",
    );
    check(
        "expose=99999",
        "error while looking up for expose 99999: strconv.ParseUint: parsing \"99999\": value out of range",
    );
    check("before=nosuch", "No such container: nosuch");
    let output = sandbox.corten(&["ps", "--filter", "x"]);
    assert!(output.code == 125 && output.stderr.contains("bad format of filter"), "{output:?}");
}
