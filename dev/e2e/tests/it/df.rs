//! system df: the sum is what du says.

use std::process::Command;

use corten_testkit::Sandbox;

/// The bytes that du sees below the root.
fn du(sandbox: &Sandbox) -> u64 {
    let output = Command::new("du").arg("-sB1").arg(sandbox.root()).output().unwrap();
    String::from_utf8_lossy(&output.stdout).split_whitespace().next().unwrap().parse().unwrap()
}

/// docker's three digits and unit.
fn human(bytes: u64) -> String {
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1000.0 {
        (value, unit) = (value / 1000.0, unit + 1);
    }
    let digits = if value >= 100.0 {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    let text = format!("{value:.digits$}");
    let text =
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text };
    format!("{text}{}", ["B", "kB", "MB", "GB"][unit])
}

#[test]
fn the_sum_is_what_du_says() {
    let sandbox = Sandbox::new();
    let script = "head -c 3000000 /dev/zero >/file; ln /file /link; head -c 500000 /dev/zero >/data/file";
    sandbox.ok(&["run", "--name", "one", "-v", "data:/data", "box", "sh", "-c", script]);
    sandbox.ok(&["run", "-d", "--name", "two", "box", "sleep", "1000"]);
    sandbox.ok(&["run", "--name", "gone", "box", "sh", "-c", "head -c 700000 /dev/zero >/file"]);
    sandbox.ok(&["rm", "gone"]);
    let total = || sandbox.ok(&["system", "df", "-v", "--format", "{{.Total}}"]);
    assert_eq!(total(), human(du(&sandbox)));
    let rows = sandbox.ok(&["system", "df", "--format", "{{.Type}} {{.TotalCount}} {{.Active}}"]);
    assert_eq!(
        rows,
        "Images 1 1\nContainers 2 1\nLocal Volumes 1 1\nBuild Cache 0 0\nKept for undo 0 0\nRecords 0 0"
    );
    let table = sandbox.ok(&["system", "df"]);
    assert!(table.starts_with("TYPE            TOTAL     ACTIVE    SIZE      RECLAIMABLE\n"), "{table}");
    let verbose = sandbox.ok(&["system", "df", "-v"]);
    for title in [
        "Images space usage:\n\nREPOSITORY",
        "Containers space usage:\n\nCONTAINER ID",
        "VOLUME NAME   LINKS     SIZE\ndata          1 ",
    ] {
        assert!(verbose.contains(title), "{title} in {verbose}");
    }
    sandbox.ok(&["rm", "-f", "one", "two"]);
    sandbox.ok(&["volume", "rm", "data"]);
    assert_eq!(total(), human(du(&sandbox)));
    sandbox.ok(&["undo", "--clear"]);
    assert_eq!(total(), human(du(&sandbox)));
}

#[test]
fn wrong_questions() {
    let sandbox = Sandbox::new();
    let check = |words: &[&str], part: &str| {
        let words: Vec<&str> = ["system", "df"].iter().chain(words).copied().collect();
        let output = sandbox.corten(&words);
        assert!(output.code == 1 && output.stderr.contains(part), "{words:?}: {output:?}");
    };
    check(&["one"], "accepts no arguments");
    check(&["--format", "{{.Nope}}"], "can't evaluate field Nope");
    check(&["-v", "--format", "{{.Nope"], "unclosed action");
}
