//! container prune: what does not run goes, and nothing else.

use corten_testkit::{Output, Sandbox, until};

const ASKED: &str =
    "WARNING! This will remove all stopped containers.\nAre you sure you want to continue? [y/N] ";

#[test]
fn what_does_not_run_goes() {
    let sandbox = Sandbox::new();
    let ended = {
        sandbox.ok(&[
            "run",
            "--name",
            "ended",
            "-v",
            "/data",
            "box",
            "sh",
            "-c",
            "head -c 3000 /dev/zero > /file",
        ]);
        sandbox.ok(&["ps", "-aq", "--no-trunc"])
    };
    let new = sandbox.ok(&["create", "--name", "new", "box", "true"]);
    for name in ["up", "still"] {
        sandbox.ok(&["run", "-d", "--name", name, "box", "sleep", "1000"]);
    }
    sandbox.ok(&["pause", "still"]);
    sandbox.ok(&["run", "-d", "--name", "again", "--restart", "always", "box", "sleep", "1000"]);
    let expected = format!("Deleted Containers:\n{new}\n{ended}\n\nTotal reclaimed space: 3kB\n");
    assert_eq!(sandbox.corten(&["container", "prune", "-f"]), Output::new(0, &expected, ""));
    let left = sandbox.ok(&["ps", "-a", "--format", "{{.Names}}"]);
    assert_eq!(left, "again\nstill\nup");
    assert_eq!(sandbox.ok(&["container", "prune", "--force=true"]), "Total reclaimed space: 0B");
    sandbox.ok(&["rm", "-f", "up", "still", "again"]);
    // The volume that was made for it is nobody's now, and is not removed by inference.
    let volume = sandbox.ok(&["volume", "ls", "-q"]);
    assert_eq!(volume.len(), 64);
    sandbox.ok(&["volume", "rm", &volume]);
}

#[test]
fn it_asks_first() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["create", "--name", "it", "box", "true"]);
    for answer in ["", "n\n", "yes\n", "maybe\n"] {
        let output = sandbox.command(&["container", "prune"]).input(answer).run();
        assert_eq!(output, Output::new(0, ASKED, ""), "{answer:?}");
    }
    assert_eq!(sandbox.corten(&["container", "prune"]), Output::new(0, ASKED, ""));
    let output = sandbox.command(&["container", "prune"]).input("Y\n").run();
    assert!(output.stdout.starts_with(&format!("{ASKED}Deleted Containers:\n")), "{output:?}");
    assert_eq!(sandbox.ok(&["ps", "-aq"]), "");
}

#[test]
fn filters() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["create", "--name", "aa", "-l", "x=1", "box", "true"]);
    sandbox.ok(&["create", "--name", "bb", "-l", "keep", "box", "true"]);
    let prune = |filters: &[&str]| {
        let filters = filters.iter().flat_map(|filter| ["--filter", filter]);
        let words: Vec<&str> = ["container", "prune", "-f"].into_iter().chain(filters).collect();
        sandbox.ok(&words);
        sandbox.ok(&["ps", "-a", "--format", "{{.Names}}"]).replace('\n', " ")
    };
    assert_eq!(prune(&["until=1h"]), "bb aa");
    assert_eq!(prune(&["label=x=2"]), "bb aa");
    assert_eq!(prune(&["label=x", "label!=x=1"]), "bb aa");
    assert_eq!(prune(&["label!=keep", "until=0s"]), "bb");
    // The user's own configuration protects it.
    sandbox.file("config.json", br#"{"pruneFilters": ["label!=keep"]}"#);
    let config = sandbox.directory().to_str().unwrap().to_owned();
    let words = ["--config", &config, "container", "prune", "-f"];
    assert_eq!(sandbox.ok(&words), "Total reclaimed space: 0B");
    let check = |words: &[&str], code: i32, part: &str| {
        let words: Vec<&str> = ["container", "prune"].iter().chain(words).copied().collect();
        let output = sandbox.corten(&words);
        assert!(output.code == code && output.stderr.contains(part), "{words:?}: {output:?}");
    };
    check(&["-f", "--filter", "nope=1"], 1, "Error response from daemon: invalid filter 'nope'");
    check(&["-f", "--filter", "until=nope"], 1, "failed to parse value as time or duration: \"nope\"");
    check(
        &["-f", "--filter", "x"],
        125,
        "invalid argument \"x\" for \"--filter\" flag: bad format of filter",
    );
    check(&["x"], 1, "corten: 'corten container prune' accepts no arguments");
    assert_eq!(prune(&["label=keep"]), "");
}

/// Started and removed while it is pruned: nothing that runs is lost, and nobody fails.
#[test]
fn among_others() {
    let sandbox = Sandbox::new();
    for n in 0..10 {
        sandbox.ok(&["create", "--name", &format!("it{n}"), "box", "sleep", "1000"]);
    }
    let mut running = Vec::new();
    for n in 0..10 {
        running.push(sandbox.command(&["start", &format!("it{n}")]).spawn());
        if n % 3 == 0 {
            running.push(sandbox.command(&["container", "prune", "-f"]).spawn());
        }
    }
    for command in running {
        let output = command.finish();
        let gone = output.stderr.contains("No such container");
        assert!(output.code == 0 && output.stderr.is_empty() || gone, "{output:?}");
    }
    let left = sandbox.ok(&["ps", "-a", "--format", "{{.Names}} {{.State}}"]);
    assert!(left.lines().all(|line| line.ends_with(" running")), "{left}");
    let names: Vec<&str> = left.lines().filter_map(|line| line.split(' ').next()).collect();
    let words: Vec<&str> = ["rm", "-f"].into_iter().chain(names).collect();
    sandbox.ok(&words);
    until("nothing", || sandbox.ok(&["ps", "-aq"]).is_empty().then_some(()));
}

#[test]
fn the_whole_system() {
    let sandbox = Sandbox::new();
    let id = sandbox.ok(&["create", "--name", "it", "-v", "/anon", "-v", "named:/named", "box", "true"]);
    sandbox.ok(&["create", "--name", "gone", "box", "true"]);
    sandbox.ok(&["rm", "gone"]);
    let asked = "WARNING! This will remove:\n  - all stopped containers\n  - all dangling images\n  \
                 - everything that undo could bring back\n\nAre you sure you want to continue? [y/N] ";
    let output = sandbox.command(&["system", "prune"]).input("n\n").run();
    assert_eq!(output, Output::new(0, asked, ""));
    let output = sandbox.corten(&["system", "prune", "--volumes", "--filter", "until=1h"]);
    let told = "ERROR: The \"until\" filter is not supported with \"--volumes\"\n";
    assert_eq!(output, Output::new(1, "", told));
    let output = sandbox.ok(&["system", "prune", "-f", "--volumes", "--filter", "label!=keep"]);
    assert!(output.starts_with(&format!("Deleted Containers:\n{id}\n\nDeleted Volumes:\n")), "{output}");
    assert!(output.contains("\n\nTotal reclaimed space: "), "{output}");
    assert_eq!(sandbox.ok(&["volume", "ls", "-q"]), "named");
    assert_eq!(sandbox.ok(&["undo", "-l", "--format", "{{.Name}}"]), "");
    assert_eq!(sandbox.ok(&["images", "-q"]).lines().count(), 1);
    let output = sandbox.ok(&["system", "prune", "-af"]);
    assert!(output.starts_with("Deleted Images:\nuntagged: box:latest\ndeleted: sha256:"), "{output}");
    assert_eq!(sandbox.ok(&["images", "-q"]), "");
    sandbox.ok(&["volume", "rm", "named"]);
}
