//! docker's client configuration: formats, keys and aliases in it are honoured, and a broken one costs one line.

use corten_testkit::{Output, Sandbox, Terminal};

fn with(sandbox: &Sandbox, config: &str, words: &[&str]) -> Output {
    sandbox.file("config.json", config.as_bytes());
    sandbox.command(words).env("DOCKER_CONFIG", sandbox.directory()).run()
}

#[test]
fn formats() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["create", "--name", "it", "box", "true"]);
    sandbox.ok(&["volume", "create", "vol"]);
    let config = r#"{"psFormat": "{{.Names}}!", "imagesFormat": "{{.Repository}}?", "volumesFormat": "table {{.Name}}",
        "statsFormat": "{{.Name}}:{{.PIDs}}"}"#;
    let check = |words: &[&str], expected: &str| {
        assert_eq!(with(&sandbox, config, words), Output::new(0, expected, ""), "{words:?}");
    };
    check(&["ps", "-a"], "it!\n");
    check(&["images"], "box?\n");
    check(&["volume", "ls"], "VOLUME NAME\nvol\n");
    check(&["stats", "-a", "--no-stream"], "it:0\n");
    // The command line's has precedence, and names alone are names alone.
    check(&["ps", "-a", "--format", "{{.Image}}"], "box\n");
    check(&["volume", "ls", "-q"], "vol\n");
    let output = with(&sandbox, r#"{"psFormat": "{{.ID}"}"#, &["ps"]);
    assert!(
        output.code == 1
            && output.stderr == "failed to parse template: template: :1: bad character U+007D '}'\n",
        "{output:?}"
    );
    sandbox.ok(&["rm", "it"]);
    sandbox.ok(&["volume", "rm", "vol"]);
}

#[test]
fn aliases() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["create", "--name", "it", "box", "true"]);
    let config = r#"{"aliases": {"all": "ps -a --format '{{.Names}} {{.Image}}'", "ps": "images", "loop": "all", "vols": "volume ls"}}"#;
    assert_eq!(with(&sandbox, config, &["all"]), Output::new(0, "it box\n", ""));
    assert_eq!(with(&sandbox, config, &["all", "--no-trunc"]), Output::new(0, "it box\n", ""));
    assert_eq!(with(&sandbox, config, &["vols", "-q"]), Output::new(0, "", ""));
    // None takes a command's place, and none stands for another.
    assert!(with(&sandbox, config, &["ps"]).stdout.starts_with("CONTAINER ID"));
    let output = with(&sandbox, config, &["loop"]);
    assert!(
        output.code == 1 && output.stderr.starts_with("corten: unknown command: corten all"),
        "{output:?}"
    );
    sandbox.ok(&["rm", "it"]);
}

#[test]
fn a_broken_file_is_one_line() {
    let sandbox = Sandbox::new();
    let path = sandbox.directory().join("config.json");
    let warning =
        |reason: &str| format!("WARNING: Error parsing config file ({}): {reason}\n", path.display());
    for (config, reason) in [
        ("{bad", "invalid character 'b' looking for beginning of object key string"),
        (
            r#"{"psFormat": 3}"#,
            "json: cannot unmarshal number into Go struct field ConfigFile.psFormat of type string",
        ),
    ] {
        assert_eq!(with(&sandbox, config, &["ps", "-q"]), Output::new(0, "", &warning(reason)));
        let output = with(&sandbox, config, &["run", "--rm", "box", "echo", "on"]);
        assert_eq!(output, Output::new(0, "on\n", &warning(reason)));
    }
    assert_eq!(with(&sandbox, "", &["ps", "-q"]), Output::new(0, "", ""));
}

#[test]
fn detach_keys() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["run", "-d", "--name", "it", "box", "sleep", "1000"]);
    for words in [&["exec", "it", "true"][..], &["attach", "it"], &["run", "--rm", "box", "true"]] {
        let output = with(&sandbox, r#"{"detachKeys": "zz"}"#, words);
        assert!(
            output.code == 1 && output.stderr.contains("Invalid escape keys (zz) provided"),
            "{output:?}"
        );
    }
    sandbox.ok(&["rm", "-f", "it"]);
    sandbox.file("config.json", br#"{"detachKeys": "ctrl-a,x"}"#);
    let command = sandbox.command(&["run", "-it", "--name", "it", "box", "cat"]);
    let mut terminal = Terminal::start(&command.env("DOCKER_CONFIG", sandbox.directory()), 24, 80);
    terminal.send("typed\n");
    terminal.wait_for("typed");
    terminal.send("\u{1}x");
    assert_eq!(terminal.finish().1, 0);
    sandbox.ok(&["rm", "-f", "it"]);
}
