//! `run` in the foreground: output, exit codes, input, environment, user, directory.

use corten_testkit::{Invocation, Output, Sandbox, binary};

/// A container without an input reads from its own null device, not from the caller's or the keeper's.
#[test]
fn no_input_is_the_null_device_of_the_container() {
    let sandbox = Sandbox::new();
    // With the host's ids the container has a node of its own: same file system as its /dev.
    let script = "readlink /proc/self/fd/0; stat -L -c '%t:%T' /proc/self/fd/0; cat; \
        [ $(stat -L -c %d /proc/self/fd/0) = $(stat -c %d /dev/zero) ] && echo own";
    for flags in [&["--userns", "host"][..], &["--userns", "host", "-u", "1000"], &[]] {
        let words: Vec<&str> =
            ["run", "--rm"].iter().chain(flags).chain(&["box", "sh", "-c", script]).copied().collect();
        assert_eq!(sandbox.ok(&words), "/dev/null\n1:3\nown", "{flags:?}");
    }
    // A /dev without one.
    let words =
        ["--security-opt", "systempaths=unconfined", "--tmpfs", "/dev", "box", "sh", "-c", "cat; echo ended"];
    let words: Vec<&str> = ["run", "--rm"].into_iter().chain(words).collect();
    assert_eq!(sandbox.corten(&words), Output::new(0, "ended\n", ""));
}

#[test]
fn output_and_exit_codes() {
    let sandbox = Sandbox::new();
    let check = |words: &[&str], code: i32, stdout: &str, stderr: &str| {
        let words: Vec<&str> = ["run", "--rm", "box"].iter().chain(words).copied().collect();
        assert_eq!(sandbox.corten(&words), Output::new(code, stdout, stderr), "{words:?}");
    };
    check(&["echo", "hello"], 0, "hello\n", "");
    check(&["true"], 0, "", "");
    check(&["sh", "-c", "echo out; echo err >&2; exit 3"], 3, "out\n", "err\n");
    check(&["sh", "-c", "exit 255"], 255, "", "");
    check(&["printf", "%s|", "", "a b", "\"c\"", "$HOME", "\u{e4}"], 0, "|a b|\"c\"|$HOME|\u{e4}|", "");
    check(&["sh", "-c", "trap '' TERM; kill -TERM $$; echo still"], 0, "still\n", "");
    let failed = |text: &str| {
        format!(
            "corten: Error response from daemon: {text}\n\nRun 'corten run --help' for more information\n"
        )
    };
    check(&["/nope"], 127, "", &failed("exec: \"/nope\": stat /nope: no such file or directory"));
    check(&["nope"], 127, "", &failed("exec: \"nope\": executable file not found in $PATH"));
    check(&["/etc/plain"], 126, "", &failed("exec: \"/etc/plain\": permission denied"));
    check(&["/data"], 126, "", &failed("exec: \"/data\": is a directory"));
}

#[test]
fn a_signal_is_128_and_its_number() {
    let sandbox = Sandbox::new();
    for (signal, code) in [("KILL", 137), ("TERM", 143), ("USR1", 138)] {
        let id = sandbox.ok(&["run", "-d", "--init", "box", "sleep", "1000"]);
        sandbox.ok(&["kill", "-s", signal, &id]);
        assert_eq!(sandbox.ok(&["wait", &id]), code.to_string(), "{signal}");
        sandbox.ok(&["rm", &id]);
    }
    let segfault = ["run", "--rm", "--init", "box", "sh", "-c", "kill -SEGV $$"];
    assert_eq!(sandbox.corten(&segfault).code, 139);
}

#[test]
fn input_reaches_the_payload_and_ends() {
    let sandbox = Sandbox::new();
    let check = |words: &[&str], input: &[u8], stdout: &str| {
        let output = sandbox.command(words).input(input).run();
        assert_eq!(output, Output::new(0, stdout, ""), "{words:?}");
    };
    check(&["run", "--rm", "-i", "box", "cat"], b"one\ntwo", "one\ntwo");
    check(&["run", "--rm", "-i", "box", "cat"], b"", "");
    check(&["run", "--rm", "box", "cat"], b"not read", "");
    let big = vec![b'x'; 3 << 20];
    check(&["run", "--rm", "-i", "box", "wc", "-c"], &big, "3145728\n");
    check(&["run", "--rm", "-i", "box", "sh", "-c", "head -c 3; exec 0<&-; echo"], &big, "xxx\n");
}

#[test]
fn much_output_arrives_whole_and_in_order() {
    let sandbox = Sandbox::new();
    let output = sandbox.corten(&["run", "--rm", "box", "seq", "1", "300000"]);
    let expected: String = (1..=300_000).map(|n| format!("{n}\n")).collect();
    assert!(output.code == 0 && output.stdout == expected, "{} bytes", output.stdout.len());
}

#[test]
fn the_user_and_its_groups_and_home() {
    let sandbox = Sandbox::new();
    let check = |user: &str, expected: &str| {
        let script = "echo $(id -u):$(id -g) [$(id -G | tr ' ' '\\n' | sort -n | tr '\\n' ' ')] $HOME";
        let output = sandbox.corten(&["run", "--rm", "-u", user, "box", "sh", "-c", script]);
        assert_eq!(output, Output::new(0, &format!("{expected}\n"), ""), "{user}");
    };
    check("root", "0:0 [0 ] /root");
    check("user", "1000:1000 [50 1000 2000 ] /home/user");
    check("1000", "1000:1000 [50 1000 2000 ] /home/user");
    check("user:staff", "1000:50 [50 ] /home/user");
    check("user:7", "1000:7 [7 ] /home/user");
    check(":staff", "0:50 [50 ] /root");
    check("1234", "1234:0 [0 ] /");
    check("1234:4321", "1234:4321 [4321 ] /");
    // A name of digits is an id, never a name (A06).
    check("4000", "4000:0 [0 ] /");
    check("65535", "65535:0 [0 ] /");
    let groups =
        ["run", "--rm", "-u", "user", "--group-add", "extra", "--group-add", "77", "box", "id", "-G"];
    let output = sandbox.ok(&groups);
    let mut groups: Vec<&str> = output.split(' ').collect();
    groups.sort_unstable();
    assert_eq!(groups, ["1000", "2000", "50", "77"]);
}

#[test]
fn a_bad_user_is_refused_and_never_root() {
    let sandbox = Sandbox::new();
    // 65536 and more are outside the container's range of ids.
    let bad = [
        "-1",
        "65536",
        "2147483647",
        "4294967295",
        "4294967296",
        "0x0",
        " 0",
        "+0",
        "\u{660}",
        "nobody-here",
        "user:nogroup",
        "0:-1",
    ];
    for user in bad {
        let output = sandbox.corten(&["run", "--rm", &format!("--user={user}"), "box", "id", "-u"]);
        assert_eq!((output.code, output.stdout.as_str()), (125, ""), "{user}: {}", output.stderr);
        assert!(
            output.stderr.starts_with("corten: Error response from daemon: "),
            "{user}: {}",
            output.stderr
        );
    }
}

#[test]
fn the_working_directory() {
    let sandbox = Sandbox::new();
    let check = |directory: &str, expected: &str| {
        let output = sandbox.corten(&["run", "--rm", "-w", directory, "box", "pwd"]);
        assert_eq!(output, Output::new(0, &format!("{expected}\n"), ""), "{directory}");
    };
    check("/", "/");
    check("/tmp", "/tmp");
    check("/new/below/new", "/new/below/new");
    check("/tmp/../etc/./", "/etc");
    let output = sandbox.corten(&["run", "--rm", "-w", "relative", "box", "pwd"]);
    let text = "the working directory 'relative' is invalid, it needs to be an absolute path";
    let expected = format!(
        "corten: Error response from daemon: {text}\n\nRun 'corten run --help' for more information\n"
    );
    assert_eq!(output, Output::new(125, "", &expected));
}

#[test]
fn the_environment() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("env", b"# a comment\nFROM_FILE=1\n\nTAKEN\nABSENT\nSPACED= a b \n");
    let words = [
        "run", "--rm", "-h", "box", "-e", "A=1", "-e", "A=2", "-e", "EMPTY=", "-e", "TAKEN2", "-e", "NOT_SET",
    ];
    let tail = ["--env-file", file.to_str().unwrap(), "box", "env"];
    let words: Vec<&str> = words.iter().chain(&tail).copied().collect();
    let command = sandbox.command(&words).env("TAKEN", "yes").env("TAKEN2", "too").env("CANARY", "no");
    let output = command.run();
    let mut lines: Vec<&str> = output.stdout.lines().collect();
    lines.sort_unstable();
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let expected = [
        "A=2",
        "EMPTY=",
        "FROM_FILE=1",
        "HOME=/root",
        "HOSTNAME=box",
        path,
        "SPACED= a b ",
        "TAKEN2=too",
        "TAKEN=yes",
    ];
    assert_eq!((output.code, lines, output.stderr.as_str()), (0, expected.to_vec(), ""));
}

#[test]
fn the_host_name_and_the_files_about_it() {
    let sandbox = Sandbox::new();
    let script = "hostname; cat /etc/hostname; echo $HOSTNAME; grep -c added /etc/hosts; dnsdomainname; \
                  cat /proc/sys/kernel/domainname; ls -A /.dockerenv";
    let flags = ["--hostname", "name", "--domainname", "example.test", "--add-host", "added:10.1.2.3"];
    let words: Vec<&str> =
        ["run", "--rm"].iter().chain(&flags).chain(&["box", "sh", "-c", script]).copied().collect();
    let output = sandbox.corten(&words);
    let lines: Vec<&str> = output.stdout.lines().collect();
    assert_eq!(lines[..4], ["name", "name", "name", "1"], "{output:?}");
    assert_eq!(lines[lines.len() - 2..], ["example.test", "/.dockerenv"], "{output:?}");
    let id = sandbox.ok(&["run", "-d", "box", "sleep", "1000"]);
    assert_eq!(sandbox.ok(&["exec", &id, "hostname"]), id[..12]);
    sandbox.ok(&["rm", "-f", &id]);
}

#[test]
fn entrypoint_and_command() {
    let sandbox = Sandbox::new();
    let tar = corten_testkit::busybox_archive();
    sandbox.import(
        "said",
        &tar,
        &[
            "ENTRYPOINT [\"echo\",\"said\"]",
            "CMD [\"by\",\"image\"]",
            "ENV FROM=image",
            "WORKDIR /tmp",
            "USER 1000:50",
        ],
    );
    let check = |words: &[&str], stdout: &str| {
        let words: Vec<&str> = ["run", "--rm"].iter().chain(words).copied().collect();
        assert_eq!(sandbox.corten(&words), Output::new(0, stdout, ""), "{words:?}");
    };
    check(&["said"], "said by image\n");
    check(&["said", "by", "me"], "said by me\n");
    check(&["--entrypoint", "printf", "said", "x"], "x");
    check(&["--entrypoint", "", "said", "echo", "bare"], "bare\n");
    let script = "echo $FROM; pwd; id -u; id -g";
    check(&["--entrypoint", "sh", "said", "-c", script], "image\n/tmp\n1000\n50\n");
}

#[test]
fn the_built_in_image_greets() {
    let sandbox = Sandbox::new();
    let output = sandbox.corten(&["run", "--rm", "hello-world"]);
    assert!(
        output.code == 0 && output.stdout.contains("Hello from") && output.stderr.is_empty(),
        "{output:?}"
    );
}

/// A03: whatever the caller has open, the payload has 0, 1 and 2 and what it opens itself.
#[test]
fn no_descriptor_of_the_caller_is_passed_on() {
    let sandbox = Sandbox::new();
    let opened = "exec 3</etc/passwd 4</ 5>/dev/null 9</proc; exec \"$@\"";
    let listing = ["sh", "-c", "for fd in /proc/self/fd/*; do echo ${fd##*/}; done"];
    let listed = |words: &[&str]| {
        let words: Vec<&str> = words.iter().chain(&listing).copied().collect();
        sandbox.command(&words).through(["sh", "-c", opened, "sh"]).run()
    };
    // The shell reads the directory through a descriptor of its own, which it then lists: 3.
    let expected = Output::new(0, "0\n1\n2\n3\n", "");
    let expanded = listed(&["run", "--rm", "box"]);
    assert_eq!(expanded, expected);
    let id =
        sandbox.command(&["run", "-d", "box", "sleep", "1000"]).through(["sh", "-c", opened, "sh"]).run();
    let id = id.stdout.trim().to_owned();
    assert_eq!(listed(&["exec", &id]), expected);
    for who in ["init", "keeper"] {
        let pid = sandbox.pid_of(&id, who);
        let of_caller: Vec<String> =
            descriptors(pid).into_iter().filter(|file| file == "/etc/passwd" || file == "/").collect();
        assert_eq!(of_caller, Vec::<String>::new(), "{who}");
    }
    assert_eq!(descriptors(sandbox.pid_of(&id, "init")).len(), 3);
    sandbox.ok(&["rm", "-f", &id]);
}

fn descriptors(pid: i32) -> Vec<String> {
    let directory = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    directory.map(|entry| std::fs::read_link(entry.unwrap().path()).unwrap().display().to_string()).collect()
}

/// A terminal or file of the caller's is never the payload's own.
#[test]
fn output_goes_through_a_pipe_of_cortens_own() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("out", b"");
    let script = format!(
        "exec {} run --rm box sh -c 'echo one; : > /dev/stdout; echo two' >> {}",
        binary().display(),
        file.display()
    );
    let output = Invocation::new(["sh", "-c", &script])
        .env("CORTEN_ROOT", sandbox.root())
        .env("CORTEN_RUN_ROOT", sandbox.run_root())
        .run();
    assert_eq!(
        (output, std::fs::read_to_string(&file).unwrap()),
        (Output::new(0, "", ""), "one\ntwo\n".to_owned())
    );
    // As another user as well (F24).
    let words =
        ["run", "--rm", "-u", "1000", "box", "sh", "-c", "echo a > /dev/stdout; echo b > /dev/stderr"];
    assert_eq!(sandbox.corten(&words), Output::new(0, "a\n", "b\n"));
}

/// A02 (CVE-2024-21626): no descriptor of ours is a way out.
#[test]
fn a_working_directory_among_our_descriptors_leads_nowhere() {
    let sandbox = Sandbox::new();
    let id = sandbox.ok(&["run", "-d", "box", "sleep", "1000"]);
    for number in 3..40 {
        for directory in [format!("/proc/self/fd/{number}"), format!("/proc/1/fd/{number}")] {
            let script = "cd -P . 2>/dev/null; ls -d ../../../../../../work ../../../usr";
            for words in [["run", "--rm", "-w", &directory, "box"], ["exec", "-i", "-w", &directory, &id]] {
                let words: Vec<&str> = words.iter().chain(&["sh", "-c", script]).copied().collect();
                let output = sandbox.corten(&words);
                assert!(output.code != 0 && output.stdout.is_empty(), "{words:?}: {output:?}");
            }
        }
    }
    sandbox.ok(&["rm", "-f", &id]);
}

#[test]
fn output_that_cannot_be_written_and_too_few_descriptors() {
    let sandbox = Sandbox::new();
    let full = sandbox
        .command(&["run", "--rm", "box", "echo", "text"])
        .through(["sh", "-c", "exec \"$@\" > /dev/full", "sh"])
        .run();
    assert_eq!(full, Output::new(1, "", "corten: write /dev/stdout: no space left on device\n"));
    let few = sandbox
        .command(&["run", "--rm", "box", "true"])
        .through(["sh", "-c", "ulimit -n 10; exec \"$@\"", "sh"])
        .run();
    assert_eq!(few.code, 125, "{few:?}");
    // Giving an id range back takes a descriptor too: the sweep does what could not be done.
    sandbox.corten(&["rm", "-f", "nothing"]);
    let inside = sandbox.ok(&["run", "--rm", "-w", "/a/../tmp/./x", "box", "pwd"]);
    assert_eq!(inside, "/tmp/x");
}
