//! What a person reads in the built agent's log: at a start, while the uplink is down, when it is back, and under journald.

mod support;

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::time::Duration;
use support::*;

fn config(exporter: &Server, url: &str) -> String {
    format!(
        "global = {{ scrape_interval = '100ms', scrape_timeout = '100ms' }}\nstatus = {{ listen = '127.0.0.1:0' }}\n\
         [[scrape_configs]]\njob_name = 'j'\nstatic_configs = [{{ targets = ['{}'] }}]\n\
         [[remote_write]]\nurl = '{url}'\nqueue_config = {{ batch_send_deadline = '100ms', max_backoff = '200ms' }}\n\
         [buffer]\npath = 'ring'\nsize = '1MiB'\nsegment_size = '32KiB'\ncommit_interval = '300ms'\n[uplink]\nspread = '0s'\n",
        exporter.address
    )
}

fn count(log: &str, text: &str) -> usize {
    log.matches(text).count()
}

/// The log called the endpoint `3b1f9c5c`, was silent about success, said an outage anew each minute without what it meant for the
/// samples, and told of an outage's attempts once more after it was over.
#[test]
fn an_outage_is_told_with_what_is_pending_and_once() {
    let (folder, page) = (tempfile::tempdir().unwrap(), exporter(|n| format!("v {n}\n")));
    let mut receiver = Receiver::start();
    let address = receiver.address();
    let url = format!("http://localhost:{}/api/v1/write", address.port());
    let agent = Agent::start(folder.path(), &config(&page, &url));
    agent.wait_for_log("is running with");
    agent.wait_for_log("narthex.toml: 1 jobs, endpoints \"localhost\"");
    agent.wait_for_log("remote_write \"localhost\": first delivery, ");
    receiver.go_away();
    agent.wait_for_log("remote_write \"localhost\": not delivered, will retry: ");
    agent.wait_for_log(" samples pending, ring ");
    let failures = || {
        let page = get(&agent.status_address(), "/metrics");
        let line = page.lines().find(|line| line.starts_with("narthex_request_retries_total")).map(String::from);
        line.and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).unwrap_or(0)
    };
    eventually("several attempts", Duration::from_secs(30), || (failures() > 4).then_some(()));
    receiver.back_at(address);
    agent.wait_for_log("delivered again after ");
    std::thread::sleep(Duration::from_millis(500));
    let log = agent.log();
    assert!(count(&log, "not delivered") <= 2, "each cause once: {log}");
    assert_eq!(log.rfind("not delivered"), log[..log.find("delivered again").unwrap()].rfind("not delivered"), "{log}");
    assert!(get(&agent.status_address(), "/metrics").contains("{endpoint=\"localhost\""));
    let (ring, toml) = (folder.path().join("ring"), folder.path().join("narthex.toml"));
    assert!(agent.stop().0.success());
    let shown = narthex(&["ring", "info", ring.to_str().unwrap(), "--config", toml.to_str().unwrap()]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("localhost"), "{shown}");
}

/// journald stamps and sorts lines itself: each had two times, and warnings looked like everything else.
#[test]
fn under_journald_lines_have_a_priority_and_no_time() {
    let (folder, page, receiver) = (tempfile::tempdir().unwrap(), exporter(|n| format!("v {n}\n")), Receiver::start());
    let log = folder.path().join("journal");
    let file = File::create(&log).unwrap();
    let stream = file.metadata().map(|metadata| format!("{}:{}", metadata.dev(), metadata.ino())).unwrap();
    let toml = folder.path().join("narthex.toml");
    fs::write(&toml, config(&page, &format!("http://{}/", receiver.address()))).unwrap();
    let lines_of = |journal_stream: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_narthex"));
        command.args(["run", "--config", toml.to_str().unwrap()]).env("JOURNAL_STREAM", journal_stream);
        let mut agent = command.stderr(file.try_clone().unwrap()).spawn().unwrap();
        eventually("a line", Duration::from_secs(30), || {
            fs::read_to_string(&log).unwrap().contains("first delivery").then_some(())
        });
        agent.kill().unwrap();
        agent.wait().unwrap();
        let text = fs::read_to_string(&log).unwrap();
        fs::write(&log, "").unwrap();
        text
    };
    let journal = lines_of(&stream);
    assert!(journal.lines().all(|line| line.starts_with("<6>") || line.starts_with("<4>")), "{journal}");
    let elsewhere = lines_of("8:12345");
    assert!(elsewhere.contains("Z INFO  "), "stderr was redirected: {elsewhere}");
}
