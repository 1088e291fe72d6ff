//! port: no mapping is there yet.

use corten_testkit::{Output, Sandbox};

#[test]
fn no_mapping() {
    let sandbox = Sandbox::new();
    let id = sandbox.ok(&["create", "--name", "it", "--expose", "80", "box", "true"]);
    assert_eq!(sandbox.corten(&["port", "it"]), Output::new(0, "", ""));
    assert_eq!(sandbox.corten(&["container", "port", &id[..5], ""]), Output::new(0, "", ""));
    let check = |words: &[&str], expected: &str| {
        assert_eq!(sandbox.corten(words), Output::new(1, "", &format!("{expected}\n")), "{words:?}");
    };
    check(&["port", "it", "80"], "Error: No public port '80' published for it");
    check(&["port", "it", "80/udp"], "Error: No public port '80/udp' published for it");
    check(&["port", "it", "x"], "Error: invalid port (x): strconv.ParseUint: parsing \"x\": invalid syntax");
    check(
        &["port", "it", "99999"],
        "Error: invalid port (99999): strconv.ParseUint: parsing \"99999\": value out of range",
    );
    check(&["port", "nosuch", "80"], "Error response from daemon: No such container: nosuch");
    for words in [&["port"][..], &["port", "it", "1", "2"]] {
        let output = sandbox.corten(words);
        let text = "corten: 'corten port' requires at least 1 and at most 2 arguments\n\nUsage:  corten port CONTAINER [PRIVATE_PORT[/PROTO]]";
        assert!(output.code == 1 && output.stderr.starts_with(text), "{output:?}");
    }
    sandbox.ok(&["rm", "it"]);
}
