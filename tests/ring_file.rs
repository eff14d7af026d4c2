//! The file of the built agent's ring: empty, or not where it should be.

mod support;

use std::fs;
use std::path::Path;
use support::*;

fn config(exporter: &Server, receiver: &str, path: &str) -> String {
    format!(
        "global = {{ scrape_interval = '100ms', scrape_timeout = '100ms' }}\n\
         status = {{ listen = '127.0.0.1:0' }}\n\
         [[scrape_configs]]\njob_name = 'test'\nstatic_configs = [{{ targets = ['{}'] }}]\n\
         [[remote_write]]\nname = 'r'\nurl = 'http://{receiver}/api/v1/write'\n\
         queue_config = {{ batch_send_deadline = '200ms', max_backoff = '500ms' }}\n\
         [buffer]\npath = '{path}'\nsize = '256KiB'\nsegment_size = '16KiB'\ncommit_interval = '200ms'\n",
        exporter.address,
    )
}

fn counting_exporter() -> Server {
    exporter(|n| format!("# TYPE n counter\nn {n}\n"))
}

/// It was told like a ring that was made for the first time.
#[test]
fn a_ring_of_no_bytes_is_not_new_without_a_word() {
    let folder = tempfile::tempdir().unwrap();
    let (exporter, receiver) = (counting_exporter(), Receiver::start());
    fs::write(folder.path().join("ring"), b"").unwrap();
    let agent = Agent::start(folder.path(), &config(&exporter, &receiver.address().to_string(), "ring"));
    agent.wait_for_log("the file had 0 bytes");
    assert!(agent.stop().0.success());
}

#[test]
fn a_ring_in_memory_gets_a_warning_at_the_start_and_from_check() {
    let path = "/dev/shm/narthex-no-such-folder/ring";
    if narthex::ring::Volatile::under(Path::new(path)).is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let text = config(&counting_exporter(), "127.0.0.1:9", path);
    let file = folder.path().join("narthex.toml");
    fs::write(&file, &text).unwrap();
    let checked = narthex(&["check", file.to_str().unwrap()]);
    assert!(checked.status.success());
    let said = String::from_utf8(checked.stderr).unwrap();
    assert!(said.contains("is on tmpfs, which is lost when the power goes"), "{said}");
}
