//! One of the two: plays a scenario in its own store and says what every line came to.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use super::normal;
use super::scenario::{Line, Scenario};
use crate::engines::Cli;
use crate::failure::{Failure, Result};
use crate::shell::Cmd;

const IMAGE: &str = "box:latest";
/// A line that waits for ever is a difference, not the end of the run.
const SECONDS: &str = "60";

/// What a line came to, normalised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) code: i32,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

pub(super) struct Side {
    cli: Cli,
    dir: PathBuf,
    tar: PathBuf,
}

impl Side {
    /// `dir` is what `{dir}` means; the image is imported from `tar`.
    pub(super) fn new(cli: Cli, dir: &Path, tar: &Path) -> Result<Self> {
        let side = Self { cli, dir: dir.to_path_buf(), tar: tar.to_path_buf() };
        side.import()?;
        Ok(side)
    }

    fn import(&self) -> Result<()> {
        self.read(&["import", &self.tar.to_string_lossy(), IMAGE]).map(drop)
    }

    /// Every line, after a reset.
    pub(super) fn play(&self, scenario: &Scenario) -> Result<Vec<Answer>> {
        self.reset()?;
        scenario.lines.iter().map(|line| self.answer(line)).collect()
    }

    fn answer(&self, line: &Line) -> Result<Answer> {
        let expand = |word: &String| word.replace("{dir}", &self.dir.to_string_lossy());
        let words = without_network(line.words.iter().map(expand).collect());
        let mut cmd = self.cmd(&words.iter().map(String::as_str).collect::<Vec<_>>());
        if let Some(path) = line.stdin.as_ref().map(expand) {
            let file = File::open(&path).map_err(|error| Failure::io("open", &path, &error))?;
            cmd = cmd.stdin(Stdio::from(file));
        }
        let output = cmd.output()?;
        let dir = self.dir.to_string_lossy();
        let text = |bytes: &[u8]| normal::text(&String::from_utf8_lossy(bytes).replace(&*dir, "{dir}"));
        Ok(Answer { code: code(output.status), stdout: text(&output.stdout), stderr: text(&output.stderr) })
    }

    /// No containers, no volumes, no image but one; the files as at first.
    fn reset(&self) -> Result<()> {
        self.for_each(&["ps", "-aq"], &["rm", "-fv"])?;
        self.for_each(&["volume", "ls", "-q"], &["volume", "rm", "-f"])?;
        let images = self.read(&["images", "--format", "{{.Repository}}:{{.Tag}}"])?;
        let mut found = false;
        for image in images.lines() {
            found |= image == IMAGE;
            if image != IMAGE && !image.contains("<none>") {
                self.read(&["rmi", "-f", image])?;
            }
        }
        self.read(&["image", "prune", "-f"])?;
        if !found {
            self.import()?;
        }
        self.files()
    }

    fn for_each(&self, list: &[&str], remove: &[&str]) -> Result<()> {
        let names = self.read(list)?;
        if names.trim().is_empty() {
            return Ok(());
        }
        self.read(&[remove, &names.lines().collect::<Vec<_>>()].concat()).map(drop)
    }

    /// What the lines read and write: a file, a tree, an archive of one file, an env file, no archive.
    fn files(&self) -> Result<()> {
        let gone = fs::remove_dir_all(&self.dir).and_then(|()| fs::create_dir_all(self.dir.join("tree/sub")));
        gone.map_err(|error| Failure::io("make anew", &self.dir, &error))?;
        let contents = [
            ("file", "text\n"),
            ("tree/a", "a\n"),
            ("tree/sub/b", "b\n"),
            ("env", "# comment\nA=1\nB=two words\n"),
            ("bad-env", "A B=1\n"),
            ("noise", "not an archive\n"),
        ];
        for (name, content) in contents {
            let path = self.dir.join(name);
            fs::write(&path, content).map_err(|error| Failure::io("write", &path, &error))?;
        }
        Cmd::new("tar").arg("-C").arg(&self.dir).arg("-cf").arg(self.dir.join("file.tar")).arg("file").run()
    }

    fn cmd(&self, args: &[&str]) -> Cmd {
        // The host's settings are nobody's business here.
        self.cli
            .cmd_below(&["timeout", "-s", "KILL", SECONDS], args)
            .env("DOCKER_CONFIG", self.dir.join("config"))
            .env("DOCKER_CLI_HINTS", "false")
    }

    fn read(&self, args: &[&str]) -> Result<String> {
        self.cmd(args).read()
    }
}

/// Neither has a network here: corten none yet, docker's daemon no bridge.
fn without_network(mut words: Vec<String>) -> Vec<String> {
    let container = words.first().is_some_and(|word| word == "container");
    let verb = usize::from(container);
    if words.get(verb).is_some_and(|word| word == "run" || word == "create") {
        let flags = ["--network", "none"].map(str::to_owned);
        words.splice(verb + 1..verb + 1, flags);
    }
    words
}

fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::without_network;

    fn check(line: &str, expected: &str) {
        let words = line.split(' ').map(str::to_owned).collect();
        assert_eq!(without_network(words).join(" "), expected);
    }

    #[test]
    fn only_run_and_create_have_a_network() {
        check("run box", "run --network none box");
        check("container create box", "container create --network none box");
        check("start run", "start run");
    }
}
