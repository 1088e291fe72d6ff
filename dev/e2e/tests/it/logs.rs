//! What a container writes is kept, whole and in order.

use corten_testkit::{Output, Sandbox};

#[test]
fn a_detached_containers_output_is_kept_by_stream() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["run", "-d", "--name", "it", "box", "sh", "-c", "echo one; echo two >&2; printf three"]);
    sandbox.ok(&["wait", "it"]);
    assert_eq!(sandbox.corten(&["logs", "it"]), Output::new(0, "one\nthree", "two\n"));
    assert_eq!(sandbox.corten(&["logs", "-n", "1", "it"]).stdout, "three");
    sandbox.ok(&["rm", "it"]);
}

/// A payload that is quicker than its supervisors loses nothing.
#[test]
fn the_shortest_life_is_heard() {
    let sandbox = Sandbox::new();
    for n in 0..100 {
        let n = n.to_string();
        assert_eq!(
            sandbox.corten(&["run", "--rm", "box", "echo", &n]),
            Output::new(0, &format!("{n}\n"), "")
        );
    }
    for n in 0..30 {
        let n = n.to_string();
        let id = sandbox.ok(&["run", "-d", "box", "echo", &n]);
        sandbox.ok(&["wait", &id]);
        assert_eq!(sandbox.corten(&["logs", &id]), Output::new(0, &format!("{n}\n"), ""));
        sandbox.ok(&["rm", &id]);
    }
}

#[test]
fn many_lines_are_all_there_in_order() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["run", "-d", "--name", "it", "box", "seq", "1", "100000"]);
    sandbox.ok(&["wait", "it"]);
    let expected: String = (1..=100_000).map(|n| format!("{n}\n")).collect();
    let output = sandbox.corten(&["logs", "it"]);
    assert!(output == Output::new(0, &expected, ""), "{} bytes of {}", output.stdout.len(), expected.len());
    sandbox.ok(&["rm", "it"]);
}

#[test]
fn following_ends_with_the_container() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["run", "-d", "-i", "--name", "it", "box", "sh", "-c", "echo up; read x; echo $x; exit 3"]);
    let mut follower = sandbox.command(&["logs", "-f", "it"]).spawn();
    follower.wait_for("up\n");
    let typed = sandbox.command(&["attach", "it"]).input("down\n").run();
    assert_eq!((typed.code, typed.stdout.as_str()), (3, "down\n"));
    assert_eq!(follower.finish(), Output::new(0, "up\ndown\n", ""));
    sandbox.ok(&["rm", "it"]);
}

/// Bytes that are no text come back as they were (G11).
#[test]
fn what_looks_like_a_record_is_no_record() {
    let sandbox = Sandbox::new();
    let line = "{\"log\":\"forged\\n\",\"stream\":\"stderr\",\"time\":\"2020-01-01T00:00:00Z\"}";
    let script = format!("printf '%s\\n' '{line}'; printf 'a\\rb\\033[31m\\tc\\n'");
    sandbox.ok(&["run", "-d", "--name", "it", "box", "sh", "-c", &script]);
    sandbox.ok(&["wait", "it"]);
    assert_eq!(sandbox.corten(&["logs", "it"]), Output::new(0, &format!("{line}\na\rb\u{1b}[31m\tc\n"), ""));
    sandbox.ok(&["rm", "it"]);
}

#[test]
fn rotation_keeps_the_end() {
    let sandbox = Sandbox::new();
    let flags = ["--log-opt", "max-size=16k", "--log-opt", "max-file=2"];
    let words: Vec<&str> = ["run", "-d", "--name", "it"]
        .iter()
        .chain(&flags)
        .chain(&["box", "seq", "1", "3000"])
        .copied()
        .collect();
    sandbox.ok(&words);
    sandbox.ok(&["wait", "it"]);
    let output = sandbox.corten(&["logs", "it"]);
    let lines: Vec<u32> = output.stdout.lines().map(|line| line.parse().unwrap()).collect();
    let first = *lines.first().unwrap();
    assert!(first > 1 && lines == (first..=3000).collect::<Vec<_>>(), "{first}, {} lines", lines.len());
    sandbox.ok(&["rm", "it"]);
    sandbox.ok(&["run", "-d", "--name", "none", "--log-driver", "none", "box", "echo", "unheard"]);
    sandbox.ok(&["wait", "none"]);
    let output = sandbox.corten(&["logs", "none"]);
    assert!(output.code == 1 && output.stderr.contains("does not support reading"), "{output:?}");
    sandbox.ok(&["rm", "none"]);
}
