//! The built binary on cards that block, fail, are read-only or full: loop devices with ext4. As root: `cargo on-devices`.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;
use support::*;

const PATIENCE: Duration = Duration::from_secs(60);

/// A mounted file system over a file of its own, until it is dropped.
struct Card {
    folder: PathBuf,
}

impl Card {
    fn new(folder: &Path) -> Card {
        let (backing, folder) = (folder.join("card.img"), folder.join("card"));
        fs::File::create(&backing).unwrap().set_len(16 << 20).unwrap();
        fs::create_dir(&folder).unwrap();
        run(&["mkfs.ext4", "-q", backing.to_str().unwrap()]);
        run(&["mount", "-o", "loop", backing.to_str().unwrap(), folder.to_str().unwrap()]);
        Card { folder }
    }

    fn name(&self) -> &str {
        self.folder.to_str().unwrap()
    }

    /// Every write blocks until the answer is dropped.
    fn freeze(&self) -> Frozen<'_> {
        run(&["fsfreeze", "--freeze", self.name()]);
        Frozen(self)
    }

    fn remount(&self, how: &str) {
        run(&["mount", "-o", &format!("remount,{how}"), self.name()]);
    }
}

impl Drop for Card {
    fn drop(&mut self) {
        run(&["umount", "--lazy", self.name()]);
    }
}

struct Frozen<'c>(&'c Card);

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        run(&["fsfreeze", "--unfreeze", self.0.name()]);
    }
}

/// Runs a program that has to succeed.
fn run(words: &[&str]) {
    let output = Command::new(words[0]).args(&words[1..]).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn config(exporter: &Server, receiver: &str, card: &Card) -> String {
    format!(
        "[global]\nscrape_interval = '100ms'\nscrape_timeout = '100ms'\n\
         [[scrape_configs]]\njob_name = 'test'\nstatic_configs = [{{ targets = ['{}'] }}]\n\
         [[remote_write]]\nurl = 'http://{receiver}/api/v1/write'\nname = 'r'\nremote_timeout = '2s'\n\
         queue_config = {{ batch_send_deadline = '200ms', max_backoff = '500ms' }}\n\
         [status]\nlisten = '127.0.0.1:0'\n\
         [buffer]\ncommit_interval = '200ms'\npath = '{}/ring'\nsize = '1MiB'\n",
        exporter.address,
        card.name()
    )
}

fn counting_exporter() -> Server {
    exporter(|n| format!("# TYPE n counter\nn {n}\n"))
}

/// Numbers of scrapes that arrived.
fn arrived(receiver: &Receiver) -> Vec<usize> {
    receiver.series("n{").values().filter(|value| !value.is_nan()).map(|value| *value as usize).collect()
}

fn wait_until_arrived(receiver: &Receiver, number: usize) {
    eventually(&format!("scrape {number} at the receiver"), PATIENCE, || {
        (arrived(receiver).last() >= Some(&number)).then_some(())
    });
}

fn missing(receiver: &Receiver) -> Vec<usize> {
    let arrived = arrived(receiver);
    (0..*arrived.last().unwrap()).filter(|n| !arrived.contains(n)).collect()
}

/// A commit was made on the one thread that scrapes as well: while the card blocked no target was scraped, and then each twice.
#[test]
#[ignore = "needs root and loop devices: cargo on-devices"]
fn a_card_that_blocks_holds_no_scrape_up() {
    let folder = tempfile::tempdir().unwrap();
    let card = Card::new(folder.path());
    let (exporter, mut receiver) = (counting_exporter(), Receiver::start());
    let address = receiver.go_away();
    let agent = Agent::start(folder.path(), &config(&exporter, &address.to_string(), &card));
    eventually("ten scrapes", PATIENCE, || (exporter.requests() > 10).then_some(()));
    let frozen = card.freeze();
    thread::sleep(Duration::from_millis(500));
    let before = exporter.requests();
    thread::sleep(Duration::from_secs(3));
    let during = exporter.requests() - before;
    assert!(during > 15, "{during} scrapes in 3 s while the card blocks");
    receiver.back_at(address);
    wait_until_arrived(&receiver, before + during);
    drop(frozen);
    wait_until_arrived(&receiver, exporter.requests() + 5);
    assert!(agent.stop().0.success());
    assert!(missing(&receiver).is_empty(), "{:?}", missing(&receiver));
}

/// The agent refused to start, and scraped nothing although its uplink worked.
#[test]
#[ignore = "needs root and loop devices: cargo on-devices"]
fn a_card_that_is_read_only_at_boot_is_used_as_soon_as_it_takes_writes() {
    let folder = tempfile::tempdir().unwrap();
    let card = Card::new(folder.path());
    card.remount("ro");
    let (exporter, mut receiver) = (counting_exporter(), Receiver::start());
    let config = config(&exporter, &receiver.address().to_string(), &card);
    let agent = Agent::start(folder.path(), &config);
    agent.wait_for_log("samples are in memory only until the ring can be opened");
    wait_until_arrived(&receiver, 5);
    let address = receiver.go_away();
    let away_at = exporter.requests();
    eventually("twenty scrapes", PATIENCE, || (exporter.requests() > away_at + 20).then_some(()));
    card.remount("rw");
    agent.wait_for_log("the ring is open now");
    eventually("ten scrapes", PATIENCE, || (exporter.requests() > away_at + 40).then_some(()));
    let killed_at = exporter.requests();
    agent.kill();
    receiver.back_at(address);
    let agent = Agent::start(folder.path(), &config);
    wait_until_arrived(&receiver, killed_at + 3);
    assert!(agent.stop().0.success());
    // Two scrapes of commit interval, one in flight, and some for a slow machine.
    let missing = missing(&receiver);
    assert!(
        missing.iter().all(|n| (killed_at.saturating_sub(8)..=killed_at).contains(n)),
        "{missing:?} of {killed_at}"
    );
}
