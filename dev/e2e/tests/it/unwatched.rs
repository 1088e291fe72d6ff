//! Ends that no keeper saw or saw through: recorded, cleaned up after and restarted by the next look (architecture D12).

use std::os::unix::fs::FileExt;

use corten_testkit::{Output, Sandbox, expect_orphan, until};
use serde_json::{Value, json};

use crate::adoption::{kill, worker};
use crate::lifecycle::{inspect, state};
use crate::restart::signal;

const SLEEP: [&str; 7] = ["run", "-d", "--name", "it", "box", "sleep", "1000"];

/// Says whether the kernel keeps an exit code for who holds a pidfd (PIDFD_GET_INFO, Linux 6.15).
fn kernel_remembers() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(['.', '-']).map(|number| number.parse::<u32>().unwrap_or(0));
    (numbers.next(), numbers.next()) >= (Some(6), Some(15))
}

fn is_gone(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.is_empty() || stat.contains(") Z ")
}

/// Kills a container's keeper, worker and init, which are then our zombies.
pub(crate) fn kill_all(sandbox: &Sandbox, id: &str) {
    let (keeper, init) = (sandbox.pid_of(id, "keeper"), sandbox.pid_of(id, "init"));
    kill(keeper);
    kill(worker(sandbox, id));
    kill(init);
    until("all ends", || [keeper, init].into_iter().all(is_gone).then_some(()));
}

/// What is left of runs, whatever else there is.
fn remains(sandbox: &Sandbox) -> Vec<String> {
    let mut left = sandbox.leftovers();
    left.retain(|line| line.starts_with("cgroup") || line.starts_with("run "));
    left
}

/// What the check for leftovers says of zombies.
fn zombies(sandbox: &Sandbox) -> Vec<i32> {
    let pid = |line: String| line.strip_prefix("zombie: ")?.split(' ').next()?.parse().ok();
    sandbox.leftovers().into_iter().filter_map(pid).collect()
}

/// Its parent is then a PID 1 that reaps at once, before anybody of corten has looked: here it is this test that does.
#[test]
fn the_code_of_a_payload_that_was_reaped() {
    const STOP: i32 = 19;
    const CONTINUE: i32 = 18;
    let sandbox = Sandbox::new();
    let go = sandbox.directory().join("go");
    std::fs::create_dir(&go).unwrap();
    let bind = format!("{}:/go", go.display());
    let script = "echo up; until [ -e /go/now ]; do sleep 0.02; done; exit 43";
    let id = sandbox.ok(&["run", "-d", "--name", "it", "-v", &bind, "box", "sh", "-c", script]);
    let (keeper, init) = (sandbox.pid_of(&id, "keeper"), sandbox.pid_of(&id, "init"));
    let pidfd = corten_sys::process::open_pidfd(corten_sys::process::Pid::from_raw(init).unwrap()).unwrap();
    let orphan = worker(&sandbox, &id);
    expect_orphan(orphan);
    kill(keeper);
    signal(orphan, STOP);
    std::fs::write(go.join("now"), "").unwrap();
    let reaped = until("our child", || corten_sys::process::wait(&pidfd).ok());
    assert_eq!(reaped.code(), 43);
    drop(pidfd);
    signal(orphan, CONTINUE);
    let output = sandbox.corten(&["wait", "it"]);
    let error = inspect(&sandbox, "it")["State"]["Error"].as_str().unwrap().to_owned();
    if kernel_remembers() {
        assert_eq!((output, error.as_str()), (Output::new(0, "43\n", ""), ""));
    } else {
        assert_eq!((output.code, output.stdout.as_str()), (0, "255\n"));
        assert!(output.stderr.contains("its exit code is not known"), "{output:?}");
        assert!(error.contains("not known"), "{error}");
    }
    assert_eq!(sandbox.ok(&["logs", "it"]), "up");
    sandbox.ok(&["rm", "it"]);
}

/// The keeper was killed between the exit record and the clean-up.
#[test]
fn a_recorded_end_is_cleaned_up_by_the_next_look() {
    let sandbox = Sandbox::new();
    let id = sandbox.ok(&SLEEP);
    kill_all(&sandbox, &id);
    let exits = sandbox.root().join("containers").join(&id).join("exits");
    let file = std::fs::OpenOptions::new().write(true).open(exits).unwrap();
    let line = "generation=1 code=7 oom=0 started=1 finished=2 restarts=0 backoff=0 end";
    file.write_all_at(format!("{line:<191}\n").as_bytes(), 192).unwrap();
    let status = sandbox.ok(&["ps", "-a", "--format", "{{.Names}} {{.Status}}"]);
    assert!(status.starts_with("it Exited (7) "), "{status}");
    assert_eq!(remains(&sandbox), [""; 0]);
    sandbox.ok(&["rm", "it"]);
}

/// The keeper was killed while it waited for the next start.
#[test]
fn a_restart_survives_its_keeper() {
    let sandbox = Sandbox::new();
    let script = "echo run; exit 1";
    let id = sandbox.ok(&["run", "-d", "--name", "it", "--restart", "always", "box", "sh", "-c", script]);
    let runs = || sandbox.corten(&["logs", "it"]).stdout.lines().count();
    let restarting = || state(&sandbox, "it")[0] == json!("restarting");
    until("a pause of a second or so", || (runs() >= 4 && restarting()).then_some(()));
    kill(sandbox.pid_of(&id, "keeper"));
    let before = runs();
    until("another run", || (runs() > before).then_some(()));
    sandbox.ok(&["rm", "-f", "it"]);
    // The dead keeper's last worker.
    for zombie in zombies(&sandbox) {
        expect_orphan(zombie);
    }
}

/// A sweep, which goes with the removal of what is not there, takes nobody's end away and leaves nobody's claims.
#[test]
fn a_sweep_records_ends_and_frees_what_has_no_record() {
    let sandbox = Sandbox::new();
    let id = sandbox.ok(&SLEEP);
    kill_all(&sandbox, &id);
    let lost = sandbox.ok(&["run", "-d", "--rm", "box", "sleep", "1000"]);
    kill_all(&sandbox, &lost);
    let boot = corten_sys::clock::boot_id().unwrap();
    std::fs::remove_file(sandbox.run_root().join(boot).join("records").join(&lost)).unwrap();
    assert_eq!(sandbox.corten(&["rm", "-f", "other"]).code, 0);
    assert_eq!(remains(&sandbox), [""; 0]);
    assert_eq!(state(&sandbox, "it"), json!(["exited", false, 137, false]));
    sandbox.ok(&["rm", "it"]);
}

/// A worker that cannot start is tried again in growing pauses, each failure is noted, and nothing is lost meanwhile.
#[test]
fn a_worker_that_cannot_start_is_not_tried_all_the_time() {
    let sandbox = Sandbox::new();
    let id = sandbox.ok(&["run", "-d", "--name", "it", "-i", "box", "sh", "-c", "read x; echo $x; exit 9"]);
    let boot = corten_sys::clock::boot_id().unwrap();
    let run = sandbox.run_root().join(boot);
    let output = run.join("containers").join(&id).join("stdout");
    let first = worker(&sandbox, &id);
    std::fs::rename(&output, output.with_extension("away")).unwrap();
    signal(first, 9);
    let journal = sandbox.ok(&["info", "--format", "{{.SupervisorLog}}"]);
    assert_eq!(journal, run.join("supervisors.log").to_string_lossy());
    let failures = || {
        let text = std::fs::read_to_string(&journal).unwrap_or_default();
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        assert!(lines.iter().all(|line| line.contains(&format!("worker {id} "))), "{text}");
        lines.len()
    };
    until("three failures", || (failures() >= 3).then_some(()));
    let before = failures();
    corten_testkit::pause(std::time::Duration::from_millis(1500));
    assert!(failures() - before <= 4, "{} failures in 1.5 s", failures() - before);
    std::fs::rename(output.with_extension("away"), &output).unwrap();
    let mut last = None;
    until("a worker that lives", || {
        let now = sandbox.worker_of(&id);
        (std::mem::replace(&mut last, now) == now).then_some(now?)
    });
    let output = sandbox.command(&["attach", "it"]).input("word\n").run();
    assert_eq!((output.code, output.stdout.as_str()), (9, "word\n"), "{output:?}");
    assert_eq!(sandbox.ok(&["logs", "it"]), "word");
    sandbox.ok(&["rm", "it"]);
}

/// What cannot be made durable has not been started, and leaves nothing: neither of the creation nor of the start.
#[test]
fn a_record_that_cannot_be_synced_is_no_start() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["volume", "create", "vol"]);
    let before = sandbox.leftovers();
    for ((call, number), volume) in SYNCS.into_iter().zip(["/data", "vol:/data"]) {
        // A filter is its thread's, and that of whom the thread starts.
        let output = std::thread::scope(|scope| {
            let full = scope.spawn(|| {
                corten_sys::seccomp::set_mode_filter(&no_space_for(number), 0).unwrap();
                sandbox.corten(&["run", "-d", "-v", volume, "box", "sleep", "1000"])
            });
            full.join().unwrap()
        });
        assert_eq!((output.code, output.stdout.as_str()), (125, ""), "{output:?}");
        let lines: Vec<_> = output.stderr.lines().collect();
        let [error, _hint, "", "Run 'corten run --help' for more information"] = lines[..] else {
            panic!("{lines:?}")
        };
        let is_about = format!("corten: Error response from daemon: {call} ");
        assert!(error.starts_with(&is_about) && error.ends_with(": no space left on device"), "{error}");
        // At once, not in time: the command has waited for it.
        let mut left = sandbox.leftovers();
        // A keeper that nothing was asked of may take its time to leave.
        left.retain(|line| !before.contains(line) && !line.starts_with("process: "));
        assert_eq!(left, [""; 0], "{call}");
        assert_eq!(sandbox.ok(&["ps", "-a", "-q"]), "");
    }
    sandbox.ok(&["volume", "rm", "vol"]);
}

/// What makes the exit record, then the container's record durable.
const SYNCS: [(&str, u32); 2] = if cfg!(target_arch = "x86_64") {
    [("fdatasync", 75), ("fsync", 74)]
} else {
    [("fdatasync", 83), ("fsync", 82)]
};

/// A seccomp filter: the call of this number fails with ENOSPC, everything else is allowed.
fn no_space_for(number: u32) -> Vec<u8> {
    let instruction = |code: u16, otherwise: u8, k: u32| {
        let [a, b] = code.to_le_bytes();
        [[a, b, 0, otherwise].as_slice(), &k.to_le_bytes()].concat()
    };
    let load_number = instruction(0x20, 0, 0);
    let is_it = instruction(0x15, 1, number);
    let no_space = instruction(0x06, 0, 0x0005_0000 | 28);
    let allow = instruction(0x06, 0, 0x7fff_0000);
    [load_number, is_it, no_space, allow].concat()
}

/// The session knows a number; whose it is by now is asked first.
#[test]
fn a_signal_is_forwarded_to_the_very_process_only() {
    let sandbox = Sandbox::new();
    let script = "trap 'echo caught' USR1; trap 'exit 3' TERM; echo up; while :; do sleep 0.01; done";
    let mut session = sandbox.command(&["run", "--name", "it", "box", "sh", "-c", script]).spawn();
    session.wait_for("up\n");
    let id = inspect(&sandbox, "it")["Id"].as_str().unwrap().to_owned();
    let boot = corten_sys::clock::boot_id().unwrap();
    let path = sandbox.run_root().join(boot).join("containers").join(&id).join("state");
    let recorded = std::fs::read_to_string(&path).unwrap();
    // As if the payload had ended and its number were another process's.
    let other: Vec<String> = recorded
        .lines()
        .map(|line| if line.starts_with("init ") { format!("{line}1") } else { line.to_owned() })
        .collect();
    std::fs::write(&path, other.join("\n") + "\n").unwrap();
    session.signal(10);
    corten_testkit::pause(std::time::Duration::from_millis(300));
    std::fs::write(&path, &recorded).unwrap();
    assert_eq!(sandbox.ok(&["logs", "it"]), "up");
    session.signal(10);
    session.wait_for("caught\n");
    session.signal(15);
    let output = session.finish();
    assert_eq!((output.code, output.stdout.as_str()), (3, "up\ncaught\n"), "{output:?}");
    sandbox.ok(&["rm", "it"]);
}

/// What the check for leftovers must find: a worker that nobody reaped, and whose it is.
#[test]
fn a_zombie_is_told_by_its_case() {
    let (sandbox, neighbour) = (Sandbox::new(), Sandbox::new());
    let ids = [&sandbox, &neighbour].map(|sandbox| sandbox.ok(&SLEEP));
    let (keeper, orphan) = (sandbox.pid_of(&ids[0], "keeper"), worker(&sandbox, &ids[0]));
    expect_orphan(sandbox.pid_of(&ids[0], "init"));
    signal(keeper, 9);
    sandbox.ok(&["rm", "-f", "it"]);
    until("the worker's end", || is_gone(orphan).then_some(()));
    assert_eq!((zombies(&sandbox), zombies(&neighbour)), (vec![orphan], Vec::new()));
    expect_orphan(orphan);
    neighbour.ok(&["rm", "-f", "it"]);
}

#[test]
fn the_supervisors_log_is_named_by_info() {
    let sandbox = Sandbox::new();
    let path = sandbox.ok(&["info", "--format", "{{.SupervisorLog}}"]);
    let info = sandbox.ok(&["info"]);
    assert!(info.contains(&format!(" Supervisor Log: {path}")), "{info}");
    let value: Value = serde_json::from_str(&sandbox.ok(&["info", "--format", "json"])).unwrap();
    assert_eq!(value["SupervisorLog"], json!(path));
    assert!(!std::path::Path::new(&path).exists(), "nothing to say, nothing written");
}
