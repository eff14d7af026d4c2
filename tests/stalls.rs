//! The built agent when it, or the storage of its ring, stands still for a while.

mod support;

use std::process::Command;
use std::thread;
use std::time::Duration;
use support::*;

const PATIENCE: Duration = Duration::from_secs(60);

/// A configuration with a scrape of each target every second.
fn config(targets: &[Server], receiver: &Receiver) -> String {
    let targets: Vec<String> = targets.iter().map(|server| format!("{:?}", server.address.to_string())).collect();
    format!(
        "global = {{ scrape_interval = '1s', scrape_timeout = '1s' }}\n\
         [[scrape_configs]]\njob_name = 'test'\nstatic_configs = [{{ targets = [{}] }}]\n\
         [[remote_write]]\nname = 'r'\nurl = 'http://{}/api/v1/write'\n\
         queue_config = {{ batch_send_deadline = '200ms' }}\n\
         [buffer]\npath = 'ring'\nsize = '256KiB'\nsegment_size = '16KiB'\n",
        targets.join(", "),
        receiver.address()
    )
}

fn signal(agent: &Agent, name: &str) {
    let pid = agent.pid().to_string();
    assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
}

/// After each stall every target was scraped twice, one scrape right after the other: what was due before the stall was made
/// up for, and then what came due during it. Under load both pages got one time.
#[test]
fn after_a_stall_each_target_is_scraped_once_and_then_at_its_own_time() {
    let folder = tempfile::tempdir().unwrap();
    let targets: Vec<Server> = (0..8).map(|_| exporter(|n| format!("n {n}\n"))).collect();
    let receiver = Receiver::start();
    let agent = Agent::start(folder.path(), &config(&targets, &receiver));
    eventually("two scrapes of each target", PATIENCE, || {
        targets.iter().all(|target| target.requests() > 1).then_some(())
    });
    signal(&agent, "-STOP");
    thread::sleep(Duration::from_millis(2300));
    let before: Vec<usize> = targets.iter().map(Server::requests).collect();
    signal(&agent, "-CONT");
    eventually("three more scrapes of each target", PATIENCE, || {
        targets.iter().zip(&before).all(|(target, before)| target.requests() >= before + 3).then_some(())
    });
    assert!(agent.stop().0.success());
    for target in &targets {
        let series = format!("n{{instance=\"{}\"", target.address);
        let samples = receiver.series(&series);
        let times_ms: Vec<i64> = samples.into_iter().filter(|(_, value)| !value.is_nan()).map(|(ms, _)| ms).collect();
        assert!(times_ms.windows(2).any(|pair| pair[1] - pair[0] > 1900), "there is a stall in {times_ms:?}");
        let intervals = intervals_of(&times_ms);
        assert!(intervals.is_sorted_by(|a, b| a < b), "scrapes at {times_ms:?} are in the intervals {intervals:?}");
    }
}

/// The number of the interval of one second that each of these times is in. Intervals begin where most scrapes are on time.
fn intervals_of(times_ms: &[i64]) -> Vec<i64> {
    // A wall clock in milliseconds may say a little less than the timer.
    let is_on_time = |begin_ms: i64| move |ms: &&i64| (**ms + 3 - begin_ms).rem_euclid(1000) < 10;
    let on_time = |begin_ms: &&i64| times_ms.iter().filter(is_on_time(**begin_ms)).count();
    let begin_ms = *times_ms.iter().max_by_key(on_time).unwrap();
    times_ms.iter().map(|ms| (ms + 3 - begin_ms).div_euclid(1000)).collect()
}
