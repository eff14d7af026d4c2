//! The command line as a shell uses it: exit codes, pipes that close, disks that are full, Ctrl-C.

use std::fs::{self, File};
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

fn narthex(arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_narthex"));
    command.args(arguments.split_whitespace());
    command
}

fn run(arguments: &str) -> (i32, String, String) {
    let Output { status, stdout, stderr } = narthex(arguments).output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// Scripts could not tell a mistyped option from an agent that failed: both ended with 1.
#[test]
fn a_wrong_command_line_ends_with_2_and_a_failure_with_1() {
    for (arguments, code, message) in [
        ("fly", 2, "there is no command \"fly\""),
        ("run", 2, "narthex run needs a configuration"),
        ("run --speed 3", 2, "invalid option '--speed'"),
        ("ring frob", 2, "there is no narthex ring \"frob\"; write one of info, verify, dump, format"),
        ("ring info", 2, "narthex ring info needs a file"),
        ("help --log-level loud", 2, "--log-level is \"loud\""),
        ("run --config /nonexistent/n.toml", 1, "/nonexistent/n.toml"),
        ("ring info /nonexistent/ring", 1, "/nonexistent/ring"),
    ] {
        let (found, out, error) = run(arguments);
        assert_eq!((found, out.as_str(), error.lines().count()), (code, "", 1), "{arguments}: {error}");
        assert!(error.starts_with("narthex: ") && error.contains(message), "{arguments}: {error}");
    }
}

/// `narthex help | head -1` printed `Broken pipe`, and `narthex help >/dev/full` panicked.
#[test]
fn output_that_nobody_takes_is_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    let written = |name: &str, text: &str| {
        let file = folder.path().join(name);
        fs::write(&file, text).unwrap();
        file.display().to_string()
    };
    let toml = written(
        "n.toml",
        "scrape_configs = [{ job_name = 'a', static_configs = [{ targets = ['a:1'] }] }]\n\
         remote_write = [{ url = 'http://a' }]\nbuffer.path = 'ring'\n",
    );
    let yaml = written("p.yml", "scrape_configs: []\nremote_write: [{ url: 'http://a' }]\n");
    let ring = folder.path().join("formatted").display().to_string();
    assert_eq!(run(&format!("ring format {ring} --size 64KiB --segment-size 4KiB")).0, 0);
    let commands = [format!("check {toml}"), format!("import {yaml}"), format!("ring info {ring}")];
    for arguments in ["help", "version"].into_iter().chain(commands.iter().map(String::as_str)) {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let closed = narthex(arguments).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        assert_eq!((closed.status.code(), closed.stderr.as_slice()), (Some(0), &b""[..]), "{arguments}: a closed pipe");

        let full = File::options().write(true).open("/dev/full").unwrap();
        let full = narthex(arguments).stdout(full).stderr(Stdio::piped()).output().unwrap();
        let error = String::from_utf8(full.stderr).unwrap();
        assert_eq!(full.status.code(), Some(1), "{arguments}: a full disk");
        assert_eq!(error, "narthex: standard output: No space left on device (os error 28)\n");
    }
}

#[test]
fn the_version_names_commit_target_and_features() {
    let (code, out, error) = run("--version");
    assert_eq!((code, error.as_str()), (0, ""));
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(lines[0], concat!("narthex ", env!("CARGO_PKG_VERSION")));
    let names = lines[1..].iter().map(|line| line.split_once(": ").unwrap().0);
    assert_eq!(names.collect::<Vec<_>>(), ["commit", "target", "features"]);
}

/// Ctrl-C left the demo's folder in the temporary directory.
#[test]
fn a_demo_that_is_interrupted_leaves_nothing_behind() {
    let temporary = tempfile::tempdir().unwrap();
    let mut demo = narthex("demo").env("TMPDIR", temporary.path()).stdout(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    let holds_a_ring = || {
        let folders = fs::read_dir(temporary.path()).unwrap().flatten();
        folders.into_iter().any(|folder| folder.path().join("ring").exists())
    };
    while !holds_a_ring() {
        assert!(begun.elapsed() < Duration::from_secs(30), "no demo began");
        sleep(Duration::from_millis(20));
    }
    let interrupted = Command::new("kill").args(["-INT", &demo.id().to_string()]).status().unwrap();
    assert!(interrupted.success());
    assert_eq!(demo.wait().unwrap().code(), Some(130));
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
}
