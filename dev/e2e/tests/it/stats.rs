//! stats: the counters of running containers, once and live.

use corten_testkit::{Output, Sandbox, Terminal, until};
use serde_json::{Value, json};

const HEADER: &str =
    "CONTAINER ID   NAME      CPU %     MEM USAGE / LIMIT   MEM %     NET I/O   BLOCK I/O   PIDS";

fn one(sandbox: &Sandbox, name: &str) -> Value {
    serde_json::from_str(&sandbox.ok(&["stats", "--no-stream", "--format", "json", name])).unwrap()
}

#[test]
fn busy_and_idle() {
    let sandbox = Sandbox::new();
    let script = "sleep 1000 & while :; do :; done";
    let id = sandbox.ok(&["run", "-d", "--name", "busy", "-m", "64m", "box", "sh", "-c", script]);
    sandbox.ok(&["run", "-d", "--name", "idle", "box", "sleep", "1000"]);
    sandbox.ok(&["create", "--name", "new", "box", "true"]);
    let percent = |value: &Value| value.as_str().unwrap().trim_end_matches('%').parse::<f64>().unwrap();
    until("a busy processor", || (percent(&one(&sandbox, "busy")["CPUPerc"]) > 5.0).then_some(()));
    let busy = one(&sandbox, "busy");
    assert_eq!(
        json!([busy["Container"], busy["ID"], busy["Name"], busy["PIDs"], busy["NetIO"]]),
        json!(["busy", id[..12], "busy", "2", "0B / 0B"])
    );
    let memory = busy["MemUsage"].as_str().unwrap();
    assert!(memory.ends_with("KiB / 64MiB") && percent(&busy["MemPerc"]) > 0.0, "{memory}");
    assert_eq!(one(&sandbox, "idle")["CPUPerc"], json!("0.00%"));
    assert_eq!(
        sandbox.ok(&[
            "stats",
            "--no-stream",
            "--format",
            "{{.Name}} {{.CPUPerc}} {{.MemUsage}} {{.PIDs}}",
            "new"
        ]),
        "new 0.00% 0B / 0B 0"
    );
    let names = |flags: &[&str]| {
        let words: Vec<&str> =
            ["stats", "--no-stream", "--format", "{{.Name}}"].iter().chain(flags).copied().collect();
        sandbox.ok(&words).replace('\n', " ")
    };
    assert_eq!((names(&[]), names(&["-a"])), ("idle busy".to_owned(), "new idle busy".to_owned()));
    let long = sandbox.ok(&["container", "stats", "--no-stream", "--no-trunc", "busy"]);
    assert!(long.lines().nth(1).unwrap().starts_with(&format!("{id}   busy ")), "{long}");
    sandbox.ok(&["pause", "idle"]);
    assert_eq!(one(&sandbox, "idle")["PIDs"], json!("1"));
    sandbox.ok(&["rm", "-f", "busy", "idle", "new"]);
}

#[test]
fn a_stream_ends_with_its_containers() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["run", "-d", "--name", "it", "box", "sleep", "1000"]);
    let mut stream = sandbox.command(&["stats", "--format", "{{.Name}} {{.PIDs}}", "it"]).spawn();
    stream.wait_for("it 1\nit 1\n");
    sandbox.ok(&["rename", "it", "other"]);
    sandbox.ok(&["rm", "-f", "other"]);
    assert_eq!(stream.finish().code, 0);
}

#[test]
fn a_terminal_is_drawn_over() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["run", "-d", "--name", "it", "box", "sleep", "1000"]);
    let mut terminal = Terminal::start(&sandbox.command(&["stats", "it"]), 24, 100);
    terminal.wait_for("\u{1b}[2J\u{1b}[HCONTAINER ID");
    terminal.wait_for("\u{1b}[J\u{1b}[HCONTAINER ID");
    terminal.send("\u{3}");
    assert_eq!(terminal.finish().1, 130);
    sandbox.ok(&["rm", "-f", "it"]);
}

#[test]
fn nothing_and_nobody() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.ok(&["stats", "--no-stream=true", "--all=false"]), HEADER);
    sandbox.ok(&["create", "--name", "it", "box", "true"]);
    let check = |words: &[&str], code, expected: &str| {
        assert_eq!(sandbox.corten(words), Output::new(code, "", &format!("{expected}\n")), "{words:?}");
    };
    let missing = "Error response from daemon: No such container: nosuch";
    check(&["stats", "--no-stream", "it", "nosuch"], 1, missing);
    check(
        &["stats", "--no-stream", "--format", "{{.Nope}}", "it"],
        1,
        "template parsing error: template: :1:2: executing \"\" at <.Nope>: can't evaluate field Nope in type \
         *container.statsContext",
    );
    assert_eq!(sandbox.corten(&["stats", "--nope"]).code, 125);
    sandbox.ok(&["rm", "it"]);
}
