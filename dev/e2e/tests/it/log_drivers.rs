//! Log drivers and their options; several logs at once; lines that match.

use std::io::Read;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixDatagram;

use corten_testkit::{DEADLINE, Output, Sandbox, until};
use serde_json::json;

use crate::lifecycle::inspect;

/// Runs a shell script to its end with these flags.
fn run(sandbox: &Sandbox, name: &str, flags: &[&str], script: &str) {
    sandbox.ok(&[&["run", "-d", "--name", name], flags, &["box", "sh", "-c", script]].concat());
    sandbox.ok(&["wait", name]);
}

#[test]
fn local_keeps_the_same_lines_in_less_room() {
    let sandbox = Sandbox::new();
    let local = ["--log-driver", "local", "--log-opt", "max-size=1m"];
    run(
        &sandbox,
        "it",
        &local,
        "printf 'a\"b\\\\\\r\\n\\377\\n\\n'; echo err >&2; head -c 20000 /dev/zero | tr '\\0' x",
    );
    let long = "x".repeat(20_000);
    let expected = Output::new(0, &format!("a\"b\\\r\n\u{fffd}\n\n{long}"), "err\n");
    assert_eq!(sandbox.corten(&["logs", "it"]), expected);
    assert_eq!(sandbox.corten(&["logs", "-n", "3", "it"]).stderr, "err\n");
    let shown = sandbox.ok(&["logs", "-t", "--details", "-n", "1", "it"]);
    assert!(shown.get(19..20) == Some(".") && shown.contains("Z  x"), "{shown:.80}");
    let it = inspect(&sandbox, "it");
    assert_eq!((&it["HostConfig"]["LogConfig"]["Type"], &it["LogPath"]), (&json!("local"), &json!("")));
    sandbox.ok(&["rm", "it"]);
    // Rotated by size, followed while it grows.
    let small = ["--log-driver", "local", "--log-opt", "max-size=20k", "--log-opt", "max-file=2"];
    sandbox.ok(&[
        &["run", "-d", "-i", "--name", "it"],
        &small[..],
        &["box", "sh", "-c", "read x; seq 1 3000"],
    ]
    .concat());
    let follower = sandbox.command(&["logs", "-f", "it"]).spawn();
    sandbox.command(&["attach", "it"]).input("go\n").run();
    assert_eq!(follower.finish().code, 0);
    let lines: Vec<u32> = sandbox.ok(&["logs", "it"]).lines().map(|line| line.parse().unwrap()).collect();
    let first = *lines.first().unwrap();
    assert!(first > 1 && lines == (first..=3000).collect::<Vec<_>>(), "{first}, {} lines", lines.len());
    sandbox.ok(&["rm", "it"]);
}

#[test]
fn labels_variables_and_a_tag_go_with_each_line() {
    let sandbox = Sandbox::new();
    let options = ["labels=tier,nope", "env=WORD", "env-regex=^NUM", "tag={{.Name}} {{.ImageName}}"];
    let options = options.iter().flat_map(|option| ["--log-opt", option]);
    let asked = ["-l", "tier=a/b", "-l", "other=x", "-e", "WORD=w", "-e", "NUMBER=1", "-e", "X=y"];
    let flags: Vec<&str> = options.chain(asked).collect();
    run(&sandbox, "it", &flags, "echo one; echo two");
    let details = "NUMBER=1,WORD=w,tag=it+box,tier=a%2Fb";
    assert_eq!(sandbox.ok(&["logs", "--details", "it"]), format!("{details} one\n{details} two"));
    assert_eq!(sandbox.ok(&["logs", "it"]), "one\ntwo");
    let path = inspect(&sandbox, "it")["LogPath"].as_str().unwrap().to_owned();
    let text = std::fs::read_to_string(path).unwrap();
    let line: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(line["attrs"], json!({"NUMBER": "1", "WORD": "w", "tag": "it box", "tier": "a/b"}));
    sandbox.ok(&["rm", "it"]);
}

/// Without the time and the worker's pid.
fn syslog_messages(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let plain = |line: &str| {
        let (priority, rest) = line.split_once('>').unwrap();
        let (head, message) = rest.split_once("]: ").unwrap();
        let tag = head.split('[').next().and_then(|head| head.rsplit(' ').next()).unwrap();
        format!("{priority}> {tag} {message}")
    };
    text.lines().map(plain).collect()
}

#[test]
fn syslog_by_udp_and_by_a_local_socket() {
    let sandbox = Sandbox::new();
    let script = "echo out; echo err >&2";
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.set_read_timeout(Some(DEADLINE)).unwrap();
    let address = format!("syslog-address=udp://{}", udp.local_addr().unwrap());
    let flags = ["--log-driver", "syslog", "--log-opt", &address, "--log-opt", "tag={{.Name}}"];
    run(&sandbox, "it", &flags, script);
    let mut buffer = [0; 4096];
    let mut received = Vec::new();
    for _ in 0..2 {
        let length = udp.recv(&mut buffer).unwrap();
        received.extend(syslog_messages(&buffer[..length]));
    }
    received.sort_unstable();
    assert_eq!(received, ["<27> it err", "<30> it out"]);
    let unreadable = "Error response from daemon: configured logging driver does not support reading\n";
    assert_eq!(sandbox.corten(&["logs", "it"]), Output::new(1, "", unreadable));
    sandbox.ok(&["rm", "it"]);
    let path = sandbox.directory().join("log");
    let local = UnixDatagram::bind(&path).unwrap();
    local.set_read_timeout(Some(DEADLINE)).unwrap();
    let address = format!("syslog-address=unixgram://{}", path.display());
    let options = [&address, "syslog-facility=local3", "syslog-format=rfc5424", "tag=t", "mode=non-blocking"];
    let options: Vec<&str> = options.iter().flat_map(|option| ["--log-opt", option]).collect();
    run(&sandbox, "it", &[&["--log-driver", "syslog"], options.as_slice()].concat(), "echo out");
    let length = local.recv(&mut buffer).unwrap();
    let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
    let fields: Vec<&str> = message.split(' ').collect();
    assert_eq!((fields[0], fields[3], fields[5], fields[7]), ("<158>1", "t", "t", "out\n"), "{message}");
    sandbox.ok(&["rm", "it"]);
}

/// A server that is not there stops nobody; one that comes is used.
#[test]
fn syslog_by_tcp_while_the_server_comes_and_goes() {
    let sandbox = Sandbox::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let option = format!("syslog-address=tcp://{address}");
    let flags = ["--log-driver", "syslog", "--log-opt", &option, "--log-opt", "tag=t"];
    let script =
        "i=0; while :; do i=$((i+1)); echo line $i; [ $i = 5 ] && echo five > /data/five; sleep 0.1; done";
    let data = ["-v", "data:/data", "--stop-signal", "KILL"];
    let words = [&["run", "-d", "--name", "it"], &flags[..], &data, &["box", "sh", "-c", script]].concat();
    sandbox.ok(&words);
    let five = sandbox.root().join("volumes/data/_data/five");
    until("five lines", || five.exists().then_some(()));
    for _ in 0..2 {
        let listener = TcpListener::bind(address).unwrap();
        let (mut client, _) = listener.accept().unwrap();
        drop(listener);
        client.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut buffer = [0; 64];
        let length = client.read(&mut buffer).unwrap();
        assert!(syslog_messages(&buffer[..length])[0].starts_with("<30> t line "));
    }
    sandbox.ok(&["rm", "-f", "it"]);
    sandbox.ok(&["volume", "rm", "data"]);
    let boot = corten_sys::clock::boot_id().unwrap();
    let warnings = std::fs::read_to_string(sandbox.run_root().join(boot).join("supervisors.log")).unwrap();
    assert!(warnings.contains(&format!("output is lost: syslog server tcp://{address}: ")), "{warnings}");
    assert!(warnings.contains("lines of output were not taken by the syslog server"), "{warnings}");
}

/// With a journal of the case's own where the host has none, and the refusal before that.
#[test]
fn journald_where_there_is_one() {
    const SOCKET: &str = "/run/systemd/journal/socket";
    let sandbox = Sandbox::new();
    if std::path::Path::new(SOCKET).exists() {
        return corten_testkit::skip("journald", "the host's own journal listens");
    }
    let flags =
        ["--log-driver", "journald", "--log-opt", "labels=team.x", "-l", "team.x=red", "--log-opt", "tag=t"];
    let words =
        [&["run", "-d", "--name", "it"], &flags[..], &["box", "sh", "-c", "echo out; echo err >&2"]].concat();
    let refused = sandbox.corten(&words);
    let text = "failed to initialize logging driver: journald is not enabled on this host";
    assert!(refused.code == 125 && refused.stderr.contains(text), "{refused:?}");
    std::fs::create_dir_all("/run/systemd/journal").unwrap();
    let journal = UnixDatagram::bind(SOCKET).unwrap();
    journal.set_read_timeout(Some(DEADLINE)).unwrap();
    sandbox.ok(&["start", "it"]);
    let mut entries = Vec::new();
    for _ in 0..2 {
        let mut buffer = [0; 4096];
        let length = journal.recv(&mut buffer).unwrap();
        entries.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
    }
    std::fs::remove_file(SOCKET).unwrap();
    entries.sort_unstable_by_key(|entry| entry.contains("MESSAGE=out"));
    let id = inspect(&sandbox, "it")["Id"].as_str().unwrap().to_owned();
    for (entry, (priority, message)) in entries.iter().zip([("3", "err"), ("6", "out")]) {
        for field in [
            format!("CONTAINER_ID={}\n", &id[..12]),
            format!("CONTAINER_ID_FULL={id}\n"),
            "CONTAINER_NAME=it\n".to_owned(),
            "CONTAINER_TAG=t\n".to_owned(),
            "SYSLOG_IDENTIFIER=t\n".to_owned(),
            "IMAGE_NAME=box\n".to_owned(),
            "TEAM_X=red\n".to_owned(),
            format!("PRIORITY={priority}\n"),
            format!("MESSAGE={message}\n"),
        ] {
            assert!(entry.contains(&field), "{field} in {entry}");
        }
    }
    sandbox.ok(&["wait", "it"]);
    sandbox.ok(&["rm", "it"]);
}

#[test]
fn bad_log_options() {
    let sandbox = Sandbox::new();
    let cases: [(&[&str], &str); 9] = [
        (&["local", "nope=1"], "unknown log opt 'nope' for log driver local"),
        (&["syslog", "max-size=1m"], "unknown log opt 'max-size' for syslog log driver"),
        (&["syslog", "syslog-address=http://x"], "unsupported scheme: 'http'"),
        (&["syslog", "syslog-format=nope"], "Invalid syslog format"),
        (&["syslog", "syslog-facility=nope"], "invalid syslog facility"),
        (&["json-file", "mode=maybe"], "logger: logging mode not supported: maybe"),
        (&["json-file", "compress=maybe"], "strconv.ParseBool: parsing \"maybe\": invalid syntax"),
        (&["json-file", "tag={{.Nope}}"], "log opt tag: '.Nope'"),
        (&["splunk", "x=1"], "plugin \"splunk\" not found"),
    ];
    for (flags, text) in cases {
        let output = sandbox.corten(&["run", "--log-driver", flags[0], "--log-opt", flags[1], "box", "true"]);
        assert!(output.code == 125 && output.stderr.contains(text), "{flags:?}: {output:?}");
    }
    assert_eq!(sandbox.ok(&["ps", "-aq"]), "");
}

#[test]
fn several_logs_in_the_order_of_their_times() {
    let sandbox = Sandbox::new();
    let wait =
        |name: &str| format!("echo {name} one; read x; echo {name} two; echo {name} err >&2; printf end");
    for name in ["first", "longer"] {
        sandbox.ok(&["run", "-d", "-i", "--name", name, "box", "sh", "-c", &wait(name)]);
        until("its line", || (!sandbox.ok(&["logs", name]).is_empty()).then_some(()));
    }
    let mut follower = sandbox.command(&["logs", "-f", "longer", "first"]).spawn();
    follower.wait_for("first  | first one\nlonger | longer one\n");
    for name in ["longer", "first"] {
        sandbox.command(&["attach", name]).input("go\n").run();
        // With its end its log is complete: an unfinished line has the time of that.
        sandbox.ok(&["wait", name]);
    }
    let followed = follower.finish();
    let out = "first  | first one\nlonger | longer one\nlonger | longer two\nlonger | end\nfirst  | first two\nfirst  | end\n";
    assert_eq!(followed, Output::new(0, out, "longer | longer err\nfirst  | first err\n"));
    assert_eq!(sandbox.corten(&["logs", "first", "longer"]), followed);
    let output = sandbox.corten(&["logs", "-n", "1", "nosuch", "first"]);
    let missing = "Error response from daemon: No such container: nosuch\n";
    assert_eq!(output, Output::new(1, "first | end\n", missing));
    sandbox.ok(&["rm", "first", "longer"]);
}

#[test]
fn lines_that_match() {
    let sandbox = Sandbox::new();
    run(&sandbox, "it", &[], "seq 1 1000; echo 'é [x]'; echo error: 7 >&2");
    assert_eq!(
        sandbox.ok(&["logs", "--grep", "^1\\d?$", "it"]),
        (10..20).fold("1".to_owned(), |all, n| format!("{all}\n{n}"))
    );
    assert_eq!(
        sandbox.corten(&["logs", "--grep", "er+or:|é", "it"]),
        Output::new(0, "é [x]\n", "error: 7\n")
    );
    assert_eq!(sandbox.ok(&["logs", "--grep", "nope", "it"]), "");
    let wrong = sandbox.corten(&["logs", "--grep", "(", "it"]);
    assert!(
        wrong.code == 125 && wrong.stderr.starts_with("invalid argument \"(\" for \"--grep\" flag: "),
        "{wrong:?}"
    );
    let none = sandbox.corten(&["logs"]);
    assert!(
        none.code == 1 && none.stderr.starts_with("corten: 'corten logs' requires at least 1 argument"),
        "{none:?}"
    );
    sandbox.ok(&["rm", "it"]);
}
