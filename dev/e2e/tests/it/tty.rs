//! Terminals: of the container, of the caller, and parting from them.

use corten_testkit::{Sandbox, Terminal};
use serde_json::json;

use crate::lifecycle::state;

#[test]
fn a_terminal_of_its_own_and_its_size() {
    let sandbox = Sandbox::new();
    assert_eq!(
        sandbox.corten(&["run", "--rm", "-t", "box", "sh", "-c", "tty; echo $TERM"]).stdout,
        "/dev/pts/0\r\nxterm\r\n"
    );
    let mut terminal = Terminal::start(&sandbox.command(&["run", "--rm", "-it", "box", "sh"]), 33, 77);
    terminal.send("PS1='$ '; stty size; ls -l /dev/console; ls -l /proc/self/fd/0\n");
    let shown = terminal.wait_for("/dev/pts/0");
    assert!(shown.contains("33 77") && shown.contains("136,"), "{shown}");
    terminal.send("trap 'echo \"[$(stty size)]\"' WINCH\n");
    terminal.resize(40, 100);
    terminal.send("while :; do echo \"<$(stty size)>\"; sleep 0.1; done\n");
    terminal.wait_for("<40 100>");
    terminal.send("\u{3}");
    terminal.send("exit 4\n");
    assert_eq!(terminal.finish().1, 4);
}

#[test]
fn detach_and_attach_again() {
    let sandbox = Sandbox::new();
    let mut terminal =
        Terminal::start(&sandbox.command(&["run", "-it", "--name", "it", "box", "sh"]), 24, 80);
    terminal.send("A=remembered; echo up\"\"now\n");
    terminal.wait_for("upnow");
    terminal.send("\u{10}\u{11}");
    assert_eq!(terminal.finish().1, 0);
    assert_eq!(state(&sandbox, "it"), json!(["running", true, 0, false]));
    let mut terminal = Terminal::start(&sandbox.command(&["attach", "it"]), 24, 80);
    terminal.send("echo again-$A\n");
    terminal.wait_for("again-remembered");
    terminal.send("exit 5\n");
    assert_eq!(terminal.finish().1, 5);
    assert_eq!(sandbox.ok(&["wait", "it"]), "5");
    sandbox.ok(&["rm", "it"]);
}

#[test]
fn other_detach_keys() {
    let sandbox = Sandbox::new();
    let words = ["run", "-it", "--name", "it", "--detach-keys", "ctrl-a,x", "box", "cat"];
    let mut terminal = Terminal::start(&sandbox.command(&words), 24, 80);
    terminal.send("\u{10}typed\n");
    terminal.wait_for("typed");
    terminal.send("\u{1}x");
    assert_eq!(terminal.finish().1, 0);
    sandbox.ok(&["rm", "-f", "it"]);
}

#[test]
fn two_clients_see_the_same() {
    let sandbox = Sandbox::new();
    let mut first = Terminal::start(&sandbox.command(&["run", "-it", "--name", "it", "box", "sh"]), 24, 80);
    first.send("echo up\"\"now\n");
    first.wait_for("upnow");
    let mut second = Terminal::start(&sandbox.command(&["attach", "it"]), 24, 80);
    second.send("echo from\"\"second\n");
    second.wait_for("fromsecond");
    first.wait_for("fromsecond");
    first.send("exit 0\n");
    assert_eq!((first.finish().1, second.finish().1), (0, 0));
    sandbox.ok(&["rm", "it"]);
}

/// A window that is closed takes the client, not the container.
#[test]
fn hanging_up_detaches() {
    let sandbox = Sandbox::new();
    let mut terminal = Terminal::start(
        &sandbox.command(&["run", "-it", "--sig-proxy=false", "--name", "it", "box", "sh"]),
        24,
        80,
    );
    terminal.send("echo up\"\"now\n");
    terminal.wait_for("upnow");
    terminal.hang_up();
    assert_eq!(state(&sandbox, "it"), json!(["running", true, 0, false]));
    sandbox.ok(&["rm", "-f", "it"]);
}

#[test]
fn exec_on_a_terminal() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["run", "-d", "--name", "it", "box", "sleep", "1000"]);
    let mut terminal = Terminal::start(&sandbox.command(&["exec", "-it", "it", "sh"]), 31, 71);
    terminal.send("tty; stty size; echo $((40 + 2))done\n");
    let shown = terminal.wait_for("42done");
    assert!(shown.contains("/dev/pts/0") && shown.contains("31 71"), "{shown}");
    terminal.send("exit 6\n");
    assert_eq!(terminal.finish().1, 6);
    sandbox.ok(&["rm", "-f", "it"]);
}

/// The terminal keeps its settings: raw mode ends with the client.
#[test]
fn the_callers_terminal_is_restored() {
    let sandbox = Sandbox::new();
    let settings = sandbox.directory().join("settings");
    let script = format!(
        "stty -g > {0}.before; \"$0\" run --rm -it box true; stty -g > {0}.after",
        settings.display()
    );
    let binary = corten_testkit::binary();
    let invocation = sandbox.command(&[] as &[&str]).through(["sh", "-c", &script]);
    assert!(binary.exists());
    let terminal = Terminal::start(&invocation, 24, 80);
    assert_eq!(terminal.finish().1, 0);
    let read = |when: &str| std::fs::read_to_string(format!("{}.{when}", settings.display())).unwrap();
    assert_eq!(read("before"), read("after"));
}

/// F07: nothing typed into a terminal by the payload reaches the caller's shell.
#[test]
fn no_input_can_be_forged() {
    let sandbox = Sandbox::new();
    // TIOCSTI can only reach a terminal that one has: the payload's streams are never the caller's.
    for flags in
        [&["run", "--rm"][..], &["run", "--rm", "-i"], &["run", "--rm", "-t"], &["run", "--rm", "-it"]]
    {
        let words: Vec<&str> = flags
            .iter()
            .chain(&["box", "sh", "-c", "stat -L -c %d:%t /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2"])
            .copied()
            .collect();
        let own = corten_testkit::Invocation::new(["stat", "-L", "-c", "%d", "/dev/pts"]).run().stdout;
        let (shown, code) = Terminal::start(&sandbox.command(&words), 24, 80).finish();
        let device = format!("{}:88", own.trim());
        assert!(code == 0 && !shown.contains(&device), "{words:?}: {shown} has {device}");
    }
}

#[test]
fn input_without_a_terminal_is_refused() {
    let sandbox = Sandbox::new();
    let output = sandbox.corten(&["run", "--rm", "-it", "box", "true"]);
    assert!(output.code == 1 && output.stderr.contains("the input device is not a TTY"), "{output:?}");
}
