//! The file of the built agent's ring: deleted, replaced, cut short, or not where it should be.

mod support;

use std::fs;
use std::path::Path;
use std::time::Duration;
use support::*;

const PATIENCE: Duration = Duration::from_secs(60);

/// Samples of one scrape: `n` and what the agent reports of it.
const SAMPLES_PER_SCRAPE: usize = 6;

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

fn arrived(receiver: &Receiver) -> Vec<usize> {
    receiver.series("n{").values().filter(|value| !value.is_nan()).map(|value| *value as usize).collect()
}

fn wait_until_arrived(receiver: &Receiver, number: usize) {
    eventually(&format!("scrape {number} at the receiver"), PATIENCE, || {
        (arrived(receiver).last() >= Some(&number)).then_some(())
    });
}

fn scrapes(exporter: &Server, more: usize) {
    let until = exporter.requests() + more;
    eventually("some scrapes", PATIENCE, || (exporter.requests() > until).then_some(()));
}

fn metric(agent: &Agent, name: &str) -> usize {
    let page = get(&agent.status_address(), "/metrics");
    let line = page.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in {page}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// An outage in which something happens to the ring's file, and then a kill: what was committed has to arrive.
fn outage_with(what: impl Fn(&Path)) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let ring = folder.path().join("ring");
    let (exporter, mut receiver) = (counting_exporter(), Receiver::start());
    let address = receiver.go_away();
    let config = config(&exporter, &address.to_string(), "ring");
    let agent = Agent::start(folder.path(), &config);
    scrapes(&exporter, 15);
    what(&ring);
    agent.wait_for_log("the ring goes on in a new file");
    scrapes(&exporter, 10);
    let killed_at = exporter.requests();
    agent.kill();
    receiver.back_at(address);
    let agent = Agent::start(folder.path(), &config);
    wait_until_arrived(&receiver, killed_at + 5);
    assert!(agent.stop().0.success());
    let arrived = arrived(&receiver);
    let missing: Vec<usize> = (0..killed_at + 5).filter(|n| !arrived.contains(n)).collect();
    // Two scrapes of commit interval, one in flight, and some for a slow machine.
    assert!(
        missing.iter().all(|n| (killed_at.saturating_sub(8)..=killed_at).contains(n)),
        "{missing:?} of {killed_at}"
    );
    folder
}

/// The agent went on writing to the deleted file, and all that it wrote was lost with its process, uncounted.
#[test]
fn a_ring_that_is_deleted_while_the_agent_runs_is_put_back() {
    outage_with(|ring| fs::remove_file(ring).unwrap());
}

#[test]
fn what_replaces_the_ring_while_the_agent_runs_is_kept_beside_it() {
    let folder = outage_with(|ring| {
        let other = ring.with_file_name("other");
        fs::write(&other, "something else").unwrap();
        fs::rename(&other, ring).unwrap();
    });
    assert_eq!(fs::read(folder.path().join("ring.replaced")).unwrap(), b"something else");
}

#[test]
fn a_ring_that_is_deleted_right_before_a_clean_stop_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (exporter, mut receiver) = (counting_exporter(), Receiver::start());
    let address = receiver.go_away();
    let config = config(&exporter, &address.to_string(), "ring");
    let agent = Agent::start(folder.path(), &config);
    scrapes(&exporter, 10);
    fs::remove_file(folder.path().join("ring")).unwrap();
    assert!(agent.stop().0.success());
    let stopped_at = exporter.requests();
    receiver.back_at(address);
    let agent = Agent::start(folder.path(), &config);
    wait_until_arrived(&receiver, stopped_at + 2);
    assert!(agent.stop().0.success());
    let arrived = arrived(&receiver);
    assert!((0..stopped_at - 1).all(|n| arrived.contains(&n)), "{stopped_at}: {arrived:?}");
}

#[test]
fn a_ring_that_is_cut_to_nothing_while_the_agent_runs_is_counted_as_lost() {
    let folder = tempfile::tempdir().unwrap();
    let (exporter, mut receiver) = (counting_exporter(), Receiver::start());
    let address = receiver.go_away();
    let agent = Agent::start(folder.path(), &config(&exporter, &address.to_string(), "ring"));
    scrapes(&exporter, 20);
    let was_committed = metric(&agent, "narthex_samples_committed_total");
    assert!(was_committed > 0);
    fs::File::options().write(true).open(folder.path().join("ring")).unwrap().set_len(0).unwrap();
    agent.wait_for_log("was cut short to 0 bytes");
    receiver.back_at(address);
    wait_until_arrived(&receiver, exporter.requests() + 5);
    let arrived = arrived(&receiver);
    let missing = (0..*arrived.last().unwrap()).filter(|n| !arrived.contains(n)).count();
    let dropped = metric(&agent, "narthex_samples_dropped_total{endpoint=\"r\",cause=\"ring_damaged\"}");
    assert!(dropped >= missing * SAMPLES_PER_SCRAPE, "{missing} scrapes are missing, {dropped} samples are counted");
    assert!(agent.stop().0.success());
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

/// An agent whose card was not there refused to start, and scraped nothing although its uplink worked.
#[test]
fn without_its_card_the_agent_sends_from_memory_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let (exporter, receiver) = (counting_exporter(), Receiver::start());
    let config = config(&exporter, &receiver.address().to_string(), "/dev/narthex-no-such-device");
    let agent = Agent::start(folder.path(), &config);
    agent.wait_for_log("samples are in memory only until the ring can be opened");
    wait_until_arrived(&receiver, 10);
    assert_eq!(metric(&agent, "narthex_ring_open"), 0);
    assert!(agent.stop().0.success(), "everything was delivered");
    let arrived = arrived(&receiver);
    assert!((0..10).all(|n| arrived.contains(&n)), "{arrived:?}");
}

/// A path that is taken for that of a device, which is not there until the test makes the file.
fn card_that_comes_later(folder: &Path) -> (String, impl Fn() + use<>) {
    let file = folder.join("ring");
    (format!("/dev/..{}", file.display()), move || fs::write(&file, "").unwrap())
}

/// In an outage, without a ring; then the card comes back, and the agent ends in some way. Nothing may be missing but what a kill
/// takes.
fn outage_without_a_card(ends: impl Fn(Agent)) -> (usize, Vec<usize>) {
    let folder = tempfile::tempdir().unwrap();
    let (path, comes) = card_that_comes_later(folder.path());
    let (exporter, mut receiver) = (counting_exporter(), Receiver::start());
    let address = receiver.go_away();
    let config = config(&exporter, &address.to_string(), &path);
    let agent = Agent::start(folder.path(), &config);
    agent.wait_for_log("samples are in memory only until the ring can be opened");
    scrapes(&exporter, 10);
    comes();
    ends(agent);
    let ended_at = exporter.requests();
    receiver.back_at(address);
    let agent = Agent::start(folder.path(), &config);
    wait_until_arrived(&receiver, ended_at + 3);
    assert!(agent.stop().0.success());
    let arrived = arrived(&receiver);
    (ended_at, (0..ended_at).filter(|n| !arrived.contains(n)).collect())
}

#[test]
fn what_memory_holds_goes_to_the_ring_once_its_card_comes_back() {
    let (killed_at, missing) = outage_without_a_card(|agent| {
        agent.wait_for_log("the ring is open now");
        eventually("samples on flash", PATIENCE, || {
            (metric(&agent, "narthex_samples_committed_total") > 60).then_some(())
        });
        assert_eq!(metric(&agent, "narthex_ring_open"), 1);
        agent.kill();
    });
    // Two scrapes of commit interval, one in flight, and some for a slow machine.
    assert!(missing.iter().all(|n| *n >= killed_at.saturating_sub(8)), "{missing:?} of {killed_at}");
}

#[test]
fn a_card_that_comes_back_right_before_a_clean_stop_is_still_used() {
    let (stopped_at, missing) = outage_without_a_card(|agent| assert!(agent.stop().0.success()));
    assert!(missing.iter().all(|n| *n >= stopped_at - 1), "{missing:?} of {stopped_at}");
}
