//! completion and man.

use std::process::Command;

use corten_testkit::{Sandbox, binary};

#[test]
fn what_fits() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["create", "--name", "web", "box", "true"]);
    let check = |words: &[&str], expected: &[&str]| {
        let words: Vec<&str> = ["__complete"].iter().chain(words).copied().collect();
        let found = sandbox.ok(&words);
        let found: Vec<&str> = found.lines().filter_map(|line| line.split('\t').next()).collect();
        assert_eq!(found, expected, "{words:?}");
    };
    check(&["vol"], &["volume"]);
    check(&["volume", "pr"], &["prune"]);
    check(&["ps", "--no"], &["--no-trunc"]);
    check(&["run", "--health-c"], &["--health-cmd"]);
    check(&["rm", "w"], &["web"]);
    check(&["stop", "w"], &[]);
    check(&["run", "bo"], &["box:latest"]);
    check(&["exec", ""], &[]);
    let script = format!(
        "source <({0} completion bash); corten() {{ {0} \"$@\"; }}; COMP_WORDS=(corten rm w); COMP_CWORD=2; _corten; \
         echo ${{COMPREPLY[@]}}",
        binary().display()
    );
    let roots = [("CORTEN_ROOT", sandbox.root()), ("CORTEN_RUN_ROOT", sandbox.run_root())];
    let output = Command::new("bash").args(["-c", &script]).envs(roots).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "web\n", "{output:?}");
    let output = sandbox.corten(&["completion", "nosh"]);
    assert!(output.code == 1 && output.stderr.contains("unknown shell: nosh"), "{output:?}");
    sandbox.ok(&["rm", "web"]);
}

#[test]
fn a_page_for_every_command() {
    let sandbox = Sandbox::new();
    let directory = sandbox.directory().join("man");
    let told = sandbox.ok(&["man", directory.to_str().unwrap()]);
    let names: Vec<String> = std::fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(told, format!("{} pages in {}", names.len(), directory.display()));
    for name in
        ["corten.1", "corten-run.1", "corten-exec.1", "corten-volume-ls.1", "corten-container-prune.1"]
    {
        assert!(names.iter().any(|other| other == name), "{name} in {names:?}");
    }
    let strange =
        |name: &&String| !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte));
    assert_eq!(names.iter().find(strange), None);
    let page = std::fs::read_to_string(directory.join("corten-rm.1")).unwrap();
    assert!(
        page.contains(".SH SYNOPSIS\n.B corten rm [OPTIONS] CONTAINER") && page.contains("\\-\\-force"),
        "{page}"
    );
}
