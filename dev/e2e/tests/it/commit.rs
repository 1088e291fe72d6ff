//! commit: an image of what a container changed.

use corten_testkit::{Output, Sandbox, until};

const SIGKILL: i32 = 9;
const SIGINT: i32 = 2;

fn field(sandbox: &Sandbox, name: &str, template: &str) -> String {
    sandbox.ok(&["inspect", "-f", template, name])
}

#[test]
fn changes_become_a_layer() {
    let sandbox = Sandbox::new();
    let script = "rm /data/mine; echo new > /data/new; chown 1000:50 /data/new; rm -r /home; mkdir /home; echo h > /home/h; \
        ln /home/h /home/g; echo done; exec sleep 1000";
    sandbox.ok(&["run", "-d", "--name", "it", "-v", "/vol", "box", "sh", "-c", script]);
    until("done", || sandbox.ok(&["logs", "it"]).contains("done").then_some(()));
    let id = sandbox.ok(&["commit", "-m", "a message", "-a", "me", "it", "made:v1"]);
    assert!(id.starts_with("sha256:") && id.len() == 71, "{id}");
    assert_eq!(sandbox.ok(&["images", "-q", "--no-trunc", "made"]), id);
    assert_eq!(field(&sandbox, "it", "{{.State.Status}}"), "running", "it goes on");
    let look = "ls /data /home; cat /data/new; stat -c '%u:%g' /data/new; stat -c %h /home/h";
    let seen = "/data:\nnew\n\n/home:\ng\nh\nnew\n1000:50\n2";
    assert_eq!(sandbox.ok(&["run", "--rm", "made:v1", "sh", "-c", look]), seen);
    let parent = field(&sandbox, "box", "{{.Id}}");
    let shown = field(&sandbox, "made:v1", "{{.Author}} {{.Comment}} {{.Parent}} {{len .RootFS.Layers}}");
    assert_eq!(shown, format!("me a message {parent} 2"));
    // An archive brings the same image back, though its layer's tar was never kept.
    let path = sandbox.directory().join("made.tar");
    let path = path.to_str().unwrap();
    sandbox.ok(&["save", "-o", path, "made:v1"]);
    sandbox.ok(&["rmi", "made:v1"]);
    sandbox.ok(&["load", "-i", path]);
    assert_eq!(sandbox.ok(&["images", "-q", "--no-trunc", "made"]), id);
    assert_eq!(sandbox.ok(&["run", "--rm", "made:v1", "sh", "-c", look]), seen);
    sandbox.ok(&["rm", "-f", "-v", "it"]);
    sandbox.ok(&["rmi", "made:v1"]);
}

#[test]
fn the_container_s_config_and_more() {
    let sandbox = Sandbox::new();
    let words = [
        "create",
        "--name",
        "it",
        "-e",
        "A=1",
        "-l",
        "l=1",
        "-u",
        "user",
        "-w",
        "/data",
        "--expose",
        "80",
        "-v",
        "/vol",
        "--stop-signal",
        "USR1",
        "--entrypoint",
        "/bin/echo",
        "box",
        "said",
    ];
    sandbox.ok(&words);
    sandbox.ok(&[
        "commit",
        "-c",
        "ENV B=2",
        "-c",
        "LABEL m=2",
        "-c",
        "EXPOSE 90/udp",
        "-c",
        "CMD [\"other\"]",
        "-c",
        "USER root",
        "it",
        "made",
    ]);
    let template = "{{json .Config.Env}} {{json .Config.Labels}} {{json .Config.ExposedPorts}} {{json .Config.Volumes}} \
        {{.Config.User}} {{.Config.WorkingDir}} {{.Config.StopSignal}} {{json .Config.Entrypoint}} {{json .Config.Cmd}}";
    let expected = "[\"A=1\",\"B=2\"] {\"l\":\"1\",\"m\":\"2\"} {\"80/tcp\":{},\"90/udp\":{}} {\"/vol\":{}} root /data USR1 \
        [\"/bin/echo\"] [\"other\"]";
    assert_eq!(field(&sandbox, "made", template), expected);
    assert_eq!(sandbox.ok(&["run", "--rm", "made"]), "other");
    // Nothing was changed: no layer more, but a step of history.
    assert_eq!(field(&sandbox, "made", "{{len .RootFS.Layers}}"), "1");
    let nameless = sandbox.ok(&["commit", "it"]);
    assert_eq!(field(&sandbox, &nameless, "{{json .RepoTags}}"), "[]");
    sandbox.ok(&["rm", "-v", "it"]);
    sandbox.ok(&["rmi", "made", &nameless]);
}

#[test]
fn refused() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["create", "--name", "it", "box", "true"]);
    let digest = format!("a@sha256:{}", "0".repeat(64));
    let cases: [(&[&str], &str); 3] = [
        (
            &["it", "x/UP"],
            "Error response from daemon: invalid reference format: repository name (x/UP) must be lowercase",
        ),
        (&["it", &digest], "refusing to create a tag with a digest reference"),
        (&["-c", "NOPE x", "it", "made"], "Error response from daemon: nope is not a valid change command"),
    ];
    for (words, expected) in cases {
        let words: Vec<&str> = ["commit"].iter().chain(words).copied().collect();
        assert_eq!(sandbox.corten(&words), Output::new(1, "", &format!("{expected}\n")));
    }
    assert_eq!(sandbox.ok(&["images", "-q"]).lines().count(), 1, "nothing was made");
    sandbox.ok(&["rm", "it"]);
}

/// Whatever ends the command, the container does not stay paused, and nothing of the image stays.
#[test]
fn a_killed_commit() {
    let sandbox = Sandbox::new();
    // Larger than what can be read before the signal, on any machine.
    let script = "truncate -s 16G /data/big; echo done; exec sleep 1000";
    sandbox.ok(&["run", "-d", "--name", "it", "box", "sh", "-c", script]);
    until("done", || sandbox.ok(&["logs", "it"]).contains("done").then_some(()));
    let status = || field(&sandbox, "it", "{{.State.Status}}");
    for signal in [SIGKILL, SIGINT] {
        let command = sandbox.command(&["commit", "it", "made"]).spawn();
        until("paused", || (status() == "paused").then_some(()));
        command.signal(signal);
        let output = command.finish();
        assert_eq!(output.code, 128 + signal, "{output:?}");
        until("it goes on", || (status() == "running").then_some(()));
    }
    assert_eq!(sandbox.ok(&["images", "-q"]).lines().count(), 1);
    sandbox.ok(&["exec", "it", "rm", "/data/big"]);
    // One that was paused by somebody else stays so.
    sandbox.ok(&["pause", "it"]);
    sandbox.ok(&["commit", "it", "made"]);
    assert_eq!(status(), "paused");
    sandbox.ok(&["unpause", "it"]);
    // Without a pause it is never seen paused.
    sandbox.ok(&["commit", "--pause=false", "it", "made"]);
    sandbox.ok(&["commit", "--no-pause", "it", "made"]);
    assert_eq!(std::fs::read_dir(sandbox.root().join("ingest")).unwrap().count(), 0);
    sandbox.ok(&["rm", "-f", "it"]);
    sandbox.ok(&["image", "prune", "-af"]);
}

#[test]
fn usage() {
    let sandbox = Sandbox::new();
    let text = "corten: 'corten commit' requires at least 1 and at most 2 arguments\n\n\
        Usage:  corten commit [OPTIONS] CONTAINER [REPOSITORY[:TAG]]\n\nRun 'corten commit --help' for more information\n";
    assert_eq!(sandbox.corten(&["commit"]), Output::new(1, "", text));
}
