//! Health checks: what is probed, what it comes to, and what follows.

use corten_testkit::{Output, Sandbox, busybox_archive, expect_orphan, until};
use serde_json::{Value, json};

use crate::adoption::{kill, worker};
use crate::lifecycle::{inspect, state};

/// Healthy as long as there is a file /ok.
const CHECK: &str = "test -e /ok || { echo not yet; exit 4; }";

fn health(sandbox: &Sandbox, name: &str) -> Value {
    inspect(sandbox, name)["State"]["Health"].clone()
}

fn wait_for_status(sandbox: &Sandbox, name: &str, status: &str) {
    until(status, || (health(sandbox, name)["Status"] == json!(status)).then_some(()));
}

/// Starts a sleeper with these flags.
fn start(sandbox: &Sandbox, name: &str, flags: &[&str]) -> String {
    sandbox.ok(&[&["run", "-d", "--name", name], flags, &["box", "sleep", "1000"]].concat())
}

fn probes(sandbox: &Sandbox, name: &str) -> Vec<Value> {
    health(sandbox, name)["Log"].as_array().unwrap().clone()
}

#[test]
fn from_starting_to_unhealthy_to_healthy() {
    let sandbox = Sandbox::new();
    start(&sandbox, "it", &["--health-cmd", CHECK, "--health-interval", "200ms", "--health-retries", "3"]);
    start(&sandbox, "plain", &[]);
    let ps = |filter: &str| sandbox.ok(&["ps", "--filter", filter, "--format", "{{.Names}} {{.Status}}"]);
    let shown = ps("health=starting");
    assert!(shown.starts_with("it Up ") && shown.ends_with(" (health: starting)"), "{shown}");
    assert_eq!(health(&sandbox, "plain"), Value::Null);
    wait_for_status(&sandbox, "it", "unhealthy");
    let seen = health(&sandbox, "it");
    let log = seen["Log"].as_array().unwrap();
    assert!(seen["FailingStreak"].as_u64() >= Some(3) && log.len() >= 3, "{seen}");
    assert!(
        log.iter().all(|probe| probe["ExitCode"] == json!(4) && probe["Output"] == json!("not yet\n")),
        "{seen}"
    );
    assert!(log.iter().all(|probe| probe["Start"].as_str() < probe["End"].as_str()), "{seen}");
    assert!(ps("health=unhealthy").ends_with(" (unhealthy)") && ps("health=none").starts_with("plain Up "));
    sandbox.ok(&["exec", "it", "touch", "/ok"]);
    wait_for_status(&sandbox, "it", "healthy");
    assert_eq!(health(&sandbox, "it")["FailingStreak"], json!(0));
    assert!(ps("health=healthy").ends_with(" (healthy)"));
    assert_eq!(sandbox.ok(&["ps", "--filter", "name=it", "--format", "{{.HealthStatus}}"]), "healthy");
    until("five kept results", || (probes(&sandbox, "it").len() == 5).then_some(()));
    let last = probes(&sandbox, "it")[4].clone();
    until("the next result", || (probes(&sandbox, "it")[4] != last).then_some(()));
    assert_eq!(probes(&sandbox, "it").len(), 5);
    // One that does not run is unhealthy in docker's words, and its last results are still told.
    sandbox.ok(&["kill", "it"]);
    sandbox.ok(&["wait", "it"]);
    let ended = health(&sandbox, "it");
    assert_eq!((&ended["Status"], ended["Log"].as_array().unwrap().len()), (&json!("unhealthy"), 5));
    sandbox.ok(&["start", "it"]);
    let begun = health(&sandbox, "it");
    assert!(begun["Status"] == json!("starting") && begun["Log"][0] == ended["Log"][0], "{begun}");
    let events =
        ["events", "--since", "1h", "--until", "0s", "--format", "{{.Action}}", "-f", "event=health_status"];
    let told = sandbox.ok(&events);
    assert!(told.starts_with("health_status: unhealthy\nhealth_status: healthy"), "{told}");
    sandbox.ok(&["rm", "-f", "it", "plain"]);
}

#[test]
fn flags_and_image_are_taken_together() {
    let sandbox = Sandbox::new();
    let change = "HEALTHCHECK --interval=10m --retries=7 CMD [\"/bin/true\", \"a b\"]";
    sandbox.import("checked", &busybox_archive(), &[change]);
    let config = |flags: &[&str]| {
        let words: Vec<&str> =
            ["create", "--name", "it"].iter().chain(flags).chain(&["checked", "true"]).copied().collect();
        sandbox.ok(&words);
        let config = inspect(&sandbox, "it")["Config"]["Healthcheck"].clone();
        assert_eq!(health(&sandbox, "it"), Value::Null, "it has never run");
        sandbox.ok(&["rm", "it"]);
        config
    };
    let test = json!(["CMD", "/bin/true", "a b"]);
    assert_eq!(config(&[]), json!({"Test": test, "Interval": 600_000_000_000_u64, "Retries": 7}));
    assert_eq!(
        config(&[
            "--health-interval",
            "1m0.5s",
            "--health-start-period=2s",
            "--health-start-interval",
            "3ms"
        ]),
        json!({"Test": test, "Interval": 60_500_000_000_u64, "StartPeriod": 2_000_000_000, "StartInterval": 3_000_000, "Retries": 7})
    );
    let given = config(&["--health-cmd", "x y", "--health-timeout", "1h", "--health-retries", "1"]);
    assert_eq!(
        given,
        json!({"Test": ["CMD-SHELL", "x y"], "Interval": 600_000_000_000_u64, "Timeout": 3_600_000_000_000_u64, "Retries": 1})
    );
    assert_eq!(config(&["--no-healthcheck"])["Test"], json!(["NONE"]));
    sandbox.ok(&["run", "-d", "--name", "it", "--no-healthcheck", "checked", "sleep", "1000"]);
    assert_eq!(health(&sandbox, "it"), Value::Null);
    sandbox.ok(&["rm", "-f", "it"]);
}

/// As an exec: the container's user, directory, environment and cgroup; and a program that is not there.
#[test]
fn where_a_check_runs() {
    let sandbox = Sandbox::new();
    let check = "id -u; pwd; echo $WORD; echo $$ >&2; grep -c . /proc/self/cgroup; exit 9";
    let flags =
        ["--health-cmd", check, "--health-interval", "50ms", "-u", "user", "-w", "/tmp", "-e", "WORD=a b"];
    start(&sandbox, "it", &flags);
    until("a result", || (!probes(&sandbox, "it").is_empty()).then_some(()));
    let probe = probes(&sandbox, "it")[0].clone();
    let output = probe["Output"].as_str().unwrap();
    assert!(output.contains("1000\n/tmp\na b\n") && probe["ExitCode"] == json!(9), "{probe}");
    sandbox.ok(&["rm", "-f", "it"]);
    sandbox.import("broken", &busybox_archive(), &["HEALTHCHECK --interval=50ms CMD [\"/nosuch\"]"]);
    sandbox.ok(&["run", "-d", "--name", "it", "--privileged", "broken", "sleep", "1000"]);
    until("a result", || (!probes(&sandbox, "it").is_empty()).then_some(()));
    let probe = probes(&sandbox, "it")[0].clone();
    assert_eq!(probe["ExitCode"], json!(-1));
    assert!(probe["Output"].as_str().unwrap().contains("\"/nosuch\""), "{probe}");
    sandbox.ok(&["rm", "-f", "it"]);
}

/// The check is killed with what it started, and what it said before is told; no more than 4,096 bytes of it.
#[test]
fn a_check_that_takes_too_long_and_one_that_says_too_much() {
    let sandbox = Sandbox::new();
    let check = "echo begun; sleep 777 & wait; echo never";
    start(&sandbox, "it", &["--health-cmd", check, "--health-interval", "50ms", "--health-timeout", "100ms"]);
    until("two results", || (probes(&sandbox, "it").len() >= 2).then_some(()));
    for probe in probes(&sandbox, "it") {
        let said = json!("Health check exceeded timeout (100ms): begun\n");
        assert_eq!((&probe["ExitCode"], &probe["Output"]), (&json!(-1), &said));
    }
    sandbox.ok(&["pause", "it"]);
    let sleepers = sandbox.ok(&["top", "it", "-o", "args"]).matches("sleep 777").count();
    assert!(sleepers <= 1, "{sleepers} checks are left");
    sandbox.ok(&["rm", "-f", "it"]);
    start(&sandbox, "it", &["--health-cmd", "yes abc | head -n 2000", "--health-interval", "50ms"]);
    until("a result", || (!probes(&sandbox, "it").is_empty()).then_some(()));
    let output = probes(&sandbox, "it")[0]["Output"].as_str().unwrap().to_owned();
    assert_eq!(output, "abc\n".repeat(1024) + "...");
    sandbox.ok(&["rm", "-f", "it"]);
}

#[test]
fn in_the_start_period_failures_do_not_count() {
    let sandbox = Sandbox::new();
    let flags = ["--health-cmd", CHECK, "--health-interval", "10m", "--health-retries", "1"];
    let period = ["--health-start-period", "20m", "--health-start-interval", "50ms"];
    start(&sandbox, "it", &flags.iter().chain(&period).copied().collect::<Vec<_>>());
    until("five failures", || (probes(&sandbox, "it").len() == 5).then_some(()));
    let seen = health(&sandbox, "it");
    assert_eq!((&seen["Status"], &seen["FailingStreak"]), (&json!("starting"), &json!(0)));
    sandbox.ok(&["exec", "it", "touch", "/ok"]);
    wait_for_status(&sandbox, "it", "healthy");
    // From now on every ten minutes.
    let log = probes(&sandbox, "it");
    corten_testkit::pause(std::time::Duration::from_millis(300));
    assert_eq!(probes(&sandbox, "it"), log);
    sandbox.ok(&["rm", "-f", "it"]);
}

#[test]
fn a_pause_stops_the_probes_and_dead_supervisors_do_not() {
    let sandbox = Sandbox::new();
    let id = start(&sandbox, "it", &["--health-cmd", "true", "--health-interval", "100ms"]);
    wait_for_status(&sandbox, "it", "healthy");
    sandbox.ok(&["pause", "it"]);
    let log = probes(&sandbox, "it");
    corten_testkit::pause(std::time::Duration::from_millis(400));
    assert_eq!(probes(&sandbox, "it"), log);
    let status = sandbox.ok(&["ps", "--format", "{{.Status}}"]);
    assert!(status.ends_with("(Paused)"), "{status}");
    sandbox.ok(&["unpause", "it"]);
    let newer = |log: &[Value]| until("a newer result", || (probes(&sandbox, "it") != log).then_some(()));
    newer(&log);
    let before = worker(&sandbox, &id);
    kill(before);
    until("another worker", || sandbox.worker_of(&id).filter(|now| *now != before));
    newer(&probes(&sandbox, "it"));
    expect_orphan(worker(&sandbox, &id));
    kill(sandbox.pid_of(&id, "keeper"));
    newer(&probes(&sandbox, "it"));
    assert_eq!(sandbox.ok(&["ps", "--filter", "health=healthy", "--format", "{{.Names}}"]), "it");
    sandbox.ok(&["rm", "-f", "it"]);
}

/// A script that says when it begins and ends at TERM.
const LISTENS: &str = "trap 'exit 0' TERM; echo run; while :; do sleep 0.01; done";

#[test]
fn what_follows_when_it_is_unhealthy() {
    let sandbox = Sandbox::new();
    let run = |action: &str, flags: &[&str]| {
        let check = ["--health-cmd", "false", "--health-interval", "50ms", "--health-retries", "2"];
        let words = ["run", "-d", "--name", "it", "--health-on-failure", action];
        sandbox.ok(&[&words[..], &check, flags, &["box", "sh", "-c", LISTENS]].concat())
    };
    let runs = |count: usize| {
        until("its runs", || {
            (sandbox.corten(&["logs", "it"]).stdout.matches("run\n").count() >= count).then_some(())
        });
    };
    run("stop", &["--restart", "always"]);
    until("its stop", || (state(&sandbox, "it")[0] == json!("exited")).then_some(()));
    assert_eq!(inspect(&sandbox, "it")["State"]["ExitCode"], json!(0));
    sandbox.ok(&["rm", "it"]);
    run("kill", &[]);
    assert_eq!(sandbox.ok(&["wait", "it"]), "137");
    assert_eq!(inspect(&sandbox, "it")["Corten"]["HealthOnFailure"], json!("kill"));
    sandbox.ok(&["rm", "it"]);
    // The policy acts on a kill.
    run("kill", &["--restart", "always"]);
    runs(2);
    sandbox.ok(&["rm", "-f", "it"]);
    run("restart", &[]);
    runs(3);
    assert_eq!(inspect(&sandbox, "it")["RestartCount"], json!(0));
    sandbox.ok(&["rm", "-f", "it"]);
    run("none", &[]);
    wait_for_status(&sandbox, "it", "unhealthy");
    assert_eq!(state(&sandbox, "it")[0], json!("running"));
    sandbox.ok(&["rm", "-f", "it"]);
    run("stop", &["--rm"]);
    let gone = Output::new(1, "", "Error response from daemon: No such container: it\n");
    until("its end", || (sandbox.corten(&["stop", "it"]) == gone).then_some(()));
}

#[test]
fn bad_health_flags() {
    let sandbox = Sandbox::new();
    let refused = |flags: &[&str], reason: &str| {
        let words: Vec<&str> = ["run", "-d"].iter().chain(flags).chain(&["box", "true"]).copied().collect();
        let output = sandbox.corten(&words);
        assert!(
            output.code == 125 && output.stderr.contains(reason) && output.stdout.is_empty(),
            "{output:?}"
        );
    };
    refused(
        &["--health-interval", "5"],
        "invalid argument \"5\" for \"--health-interval\" flag: time: missing unit in duration \"5\"",
    );
    refused(
        &["--health-timeout=x"],
        "invalid argument \"x\" for \"--health-timeout\" flag: time: invalid duration \"x\"",
    );
    refused(
        &["--health-retries", "x"],
        "\"--health-retries\" flag: strconv.ParseInt: parsing \"x\": invalid syntax",
    );
    refused(&["--health-retries", "-1"], "--health-retries cannot be negative");
    refused(&["--health-start-period", "-1s"], "--health-start-period cannot be negative");
    refused(&["--no-healthcheck", "--health-cmd", "x"], "--no-healthcheck conflicts with --health-* options");
    refused(
        &["--health-interval", "1us"],
        "Error response from daemon: Interval in Healthcheck cannot be less than 1ms",
    );
    refused(
        &["--health-on-failure", "reboot"],
        "invalid argument \"reboot\" for \"--health-on-failure\" flag: ",
    );
    assert_eq!(sandbox.ok(&["ps", "-aq"]), "");
}
