//! `narthex check` comes to what `narthex run` comes to: everything that would stop an agent is told before it is started.

mod support;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use support::*;

const WHOLE: &str = "[[scrape_configs]]\njob_name = 'j'\nstatic_configs = [{ targets = ['127.0.0.1:1'] }]\n\
                     [[remote_write]]\nname = 'r'\nurl = 'http://127.0.0.1:1/write'\n[buffer]\npath = 'ring'\nsize = '64KiB'\n";

/// Exit code and lines of standard output and standard error, without the folder's name.
fn check(folder: &Path, text: &str) -> (i32, Vec<String>, Vec<String>) {
    let file = folder.join("n.toml");
    fs::write(&file, text).unwrap();
    let output = narthex(&["check", file.to_str().unwrap()]);
    let lines = |bytes: Vec<u8>| {
        let text = String::from_utf8(bytes).unwrap().replace(&format!("{}/", folder.display()), "");
        text.lines().map(str::to_owned).collect()
    };
    (output.status.code().unwrap(), lines(output.stdout), lines(output.stderr))
}

/// Whether an agent starts on the file that was checked: it runs until it is stopped.
fn starts(folder: &Path) -> bool {
    let mut run = Command::new(env!("CARGO_BIN_EXE_narthex"));
    run.args(["run", "--config"]).arg(folder.join("n.toml")).stderr(Stdio::piped());
    let mut agent = run.spawn().unwrap();
    let mut log = std::io::BufReader::new(agent.stderr.take().unwrap());
    let mut line = String::new();
    let is_running = loop {
        line.clear();
        match std::io::BufRead::read_line(&mut log, &mut line).unwrap() {
            0 => break false,
            _ if line.contains("is running") => break true,
            _ => {}
        }
    };
    _ = agent.kill();
    agent.wait().unwrap();
    is_running
}

/// A set-up: files to make (a name with a slash at its end is a folder), changes of the configuration, what is said.
type SetUp<'s> = (&'s str, &'s [(&'s str, &'s str)], (&'s str, &'s str), &'s [&'s str]);

/// `check` said 0 of what `run` refused: files that are missing or hold something else, a ring that can't be, nothing to do.
#[test]
fn check_and_run_refuse_the_same() {
    let set_ups: [SetUp; 13] = [
        ("a whole one", &[], ("", ""), &[]),
        (
            "no ca_file",
            &[],
            ("[buffer]", "tls_config.ca_file = 'ca.pem'\n[buffer]"),
            &["remote_write \"r\": tls_config ca_file: can't read"],
        ),
        (
            "garbage in ca_file",
            &[("ca.pem", "nonsense")],
            ("[buffer]", "tls_config.ca_file = 'ca.pem'\n[buffer]"),
            &["tls_config ca_file is not what it should be"],
        ),
        (
            "a job's ca_file",
            &[],
            ("[[remote_write]]", "tls_config.ca_file = 'ca.pem'\n[[remote_write]]"),
            &["scrape_configs \"j\": tls_config ca_file: can't read"],
        ),
        (
            "no password_file",
            &[],
            ("[buffer]", "basic_auth = { username = 'u', password_file = 'pw' }\n[buffer]"),
            &["remote_write \"r\": basic_auth password_file: can't read"],
        ),
        (
            "no credentials_file",
            &[],
            ("[[remote_write]]", "authorization.credentials_file = 'token'\n[[remote_write]]"),
            &["scrape_configs \"j\": authorization credentials_file: can't read"],
        ),
        (
            "an empty token",
            &[("token", "")],
            ("[buffer]", "authorization.credentials_file = 'token'\n[buffer]"),
            &["\"token\" is empty"],
        ),
        (
            "a header's file",
            &[],
            ("[buffer]", "http_headers.X-A.files = ['h']\n[buffer]"),
            &["http_headers files: can't read"],
        ),
        ("the ring is a folder", &[("ring/", "")], ("", ""), &["Is a directory"]),
        ("the ring is a text", &[("ring", "a text of somebody")], ("", ""), &["not a ring"]),
        ("the ring's folder is a file", &[("f", "")], ("'ring'", "'f/ring'"), &["Not a directory"]),
        (
            "nobody's address",
            &[],
            ("[buffer]", "[status]\nlisten = '192.0.2.1:80'\n[buffer]"),
            &["status.listen: 192.0.2.1:80"],
        ),
        (
            "an empty file",
            &[],
            (WHOLE, ""),
            &["there is no [buffer]", "nowhere to send samples to", "nothing to scrape"],
        ),
    ];
    for (name, files, (from, to), expected) in set_ups {
        let folder = tempfile::tempdir().unwrap();
        for (file, content) in files {
            match file.strip_suffix('/') {
                Some(directory) => fs::create_dir(folder.path().join(directory)).unwrap(),
                None => fs::write(folder.path().join(file), content).unwrap(),
            }
        }
        let text = if from.is_empty() { WHOLE.into() } else { WHOLE.replacen(from, to, 1) };
        let (code, out, errors) = check(folder.path(), &text);
        assert_eq!((code, errors.len()), (i32::from(!expected.is_empty()), expected.len()), "{name}: {errors:?}");
        for (line, said) in errors.iter().zip(expected) {
            assert!(line.starts_with("narthex: ") && line.contains(said), "{name}: {line}");
        }
        assert_eq!(
            out.last().is_some_and(|line| line == "OK: 1 job, 1 target, 1 endpoint"),
            expected.is_empty(),
            "{name}"
        );
        assert_eq!(starts(folder.path()), expected.is_empty(), "{name}");
        assert!(
            expected.is_empty() || !folder.path().join("ring").is_file() || name.contains("text"),
            "{name}: no ring is made"
        );
    }
}

#[test]
fn check_lists_every_mistake_and_counts_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let text = WHOLE.replace("name = 'r'", "nam = 'r'\nremote_timeout = 3").replace("'64KiB'", "'x'");
    let (code, out, errors) = check(folder.path(), &text);
    let places: Vec<&str> = errors.iter().filter_map(|line| line.split(": ").nth(1)).collect();
    assert_eq!((code, out.len(), &places[..]), (1, 0, &["n.toml:5", "n.toml:6", "n.toml:10"][..]), "{errors:?}");

    let text = WHOLE.replace("basic", "").replace(
        "[[remote_write]]",
        "file_sd_configs = [{ files = ['t.json', 'gone.yml'] }]\n[[scrape_configs]]\njob_name = 'k'\n\
         static_configs = [{ targets = [':9100'] }]\n[[remote_write]]",
    );
    fs::write(folder.path().join("t.json"), "[{\"targets\":[\"a:1\",\"b:1\"]},{\"targets\":[\"c:1\"]}]").unwrap();
    let (code, out, errors) = check(folder.path(), &text);
    assert_eq!((code, errors), (0, vec![]));
    assert_eq!(out.last().unwrap(), "OK: 2 jobs, 5 targets, 1 endpoint");
}

/// What may be meant, or be over when the agent starts, is told and is no mistake.
#[test]
fn check_warns_of_what_is_hardly_meant() {
    let folder = tempfile::tempdir().unwrap();
    for (file, mode) in [("token", 0o644), ("key", 0o600)] {
        fs::write(folder.path().join(file), "hunter2").unwrap();
        fs::set_permissions(folder.path().join(file), fs::Permissions::from_mode(mode)).unwrap();
    }
    fs::write(folder.path().join("bad.json"), "{}").unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let text = format!(
        "[status]\nlisten = '{}'\n{}",
        taken.local_addr().unwrap(),
        WHOLE.replace("127.0.0.1:1'", "node'").replace(
            "[[remote_write]]",
            "authorization.credentials_file = 'token'\nfile_sd_configs = [{ files = ['bad.json', 'none.json'] }]\n\
             [[remote_write]]\nbasic_auth.password_file = 'key'\nqueue_config.batch_send_deadline = '30s'"
        )
    );
    let (code, out, errors) = check(folder.path(), &text);
    assert_eq!((code, out.last().map(String::as_str)), (0, Some("OK: 1 job, 1 target, 1 endpoint")), "{errors:?}");
    for said in [
        "scrape_configs \"j\": target \"node\" has no port",
        "remote_write \"r\": basic_auth has a password and no username",
        "remote_write \"r\": every sample is written to flash",
        "scrape_configs \"j\": authorization credentials_file: everybody may read the secret in token (mode 0644); run: chmod o-r token",
        "scrape_configs \"j\": file_sd_configs: bad.json: ",
        "status.listen: 127.0.0.1:",
    ] {
        assert!(errors.iter().any(|line| line.starts_with(&format!("narthex: warning: {said}"))), "{said}: {errors:?}");
    }
    assert_eq!(errors.len(), 6, "{errors:?}");
}

/// A device is checked while its agent runs: the ring that this holds is no mistake.
#[test]
fn check_beside_an_agent_that_runs_warns_of_its_ring() {
    let folder = tempfile::tempdir().unwrap();
    let agent = Agent::start(folder.path(), WHOLE);
    agent.wait_for_log("is running");
    let (code, _, errors) = check(folder.path(), WHOLE);
    assert_eq!((code, errors.len()), (0, 1), "{errors:?}");
    assert!(errors[0].contains("ring is in use by another process"), "{errors:?}");
}

/// The README's configuration for a device named a password file and a folder that nobody has.
#[test]
fn the_readme_s_configuration_for_a_device_is_checked_as_it_stands() {
    let folder = tempfile::tempdir().unwrap();
    let readme = include_str!("../README.md");
    let device = readme.split("```toml\n").nth(2).and_then(|rest| rest.split("```").next()).unwrap();
    assert!(device.contains("/var/lib/narthex/ring") && device.contains("uplink.password"), "{device}");
    let password = folder.path().join("uplink.password");
    fs::write(&password, "secret").unwrap();
    fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).unwrap();
    let text = device.replace("/var/lib/narthex", folder.path().to_str().unwrap());
    let (code, out, errors) = check(folder.path(), &text);
    assert_eq!((code, out.last().map(String::as_str)), (0, Some("OK: 1 job, 1 target, 1 endpoint")), "{errors:?}");
}

/// An agent starts without its card, and says so: `check` must not call it a mistake.
#[test]
fn a_card_that_is_not_there_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let text = WHOLE.replace("'ring'", "'/dev/narthex-no-such-device'");
    let (code, out, errors) = check(folder.path(), &text);
    assert_eq!((code, errors.len()), (0, 1), "{errors:?}");
    assert!(errors[0].contains("until the ring can be opened samples are in memory only"), "{errors:?}");
    assert_eq!(out.last().map(String::as_str), Some("OK: 1 job, 1 target, 1 endpoint"));
    assert!(starts(folder.path()));
}
