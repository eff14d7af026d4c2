use super::super::{Agent, lanes_of};
use super::{Passed, Sender};
use crate::buffer::Buffer;
use crate::clock::Clock;
use crate::config::{Config, parse};
use crate::model::{Class, LabelsBuilder, ScrapeBatch, SeriesTable};
use crate::remote_write::Traffic;
use smol::LocalExecutor;
use smol::future::{poll_once, yield_now};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

const DROP_ALL: &str = "write_relabel_configs = [{ action = 'drop', source_labels = ['__name__'], regex = '.*' }]";
const TWO_LANES: &str = "write_relabel_configs = [{ target_label = '__priority__', source_labels = ['__name__'], \
                         regex = 'a', replacement = 'high' }]";

fn config(folder: &Path, endpoint: &str) -> Config {
    let text = format!(
        "[[scrape_configs]]\njob_name = 'j'\nstatic_configs = [{{ targets = ['127.0.0.1:9'] }}]\n\
         [[remote_write]]\nurl = 'http://127.0.0.1:9/'\nname = 'r'\n{endpoint}\n\
         [buffer]\npath = 'ring'\nsize = '1MiB'\n"
    );
    parse(&text, &folder.join("narthex.toml")).unwrap()
}

/// Leaves so many scrapes of one series in the ring.
fn leave_backlog(config: &Config, scrapes: i64) {
    let (table, options) = (Rc::new(SeriesTable::new()), config.buffer.as_ref().unwrap());
    let labels = [("__name__", "m")].into_iter().collect::<LabelsBuilder>().build().unwrap();
    let list: Rc<[_]> = [table.intern(&labels)].into();
    let lanes: Vec<_> = config.endpoints.iter().map(lanes_of).collect();
    let (mut buffer, ..) = Buffer::open_ring(options, &lanes, table, Rc::default()).unwrap();
    for timestamp_ms in 1..=scrapes {
        let (series, values) = (list.clone(), vec![1.0]);
        let batch = ScrapeBatch { target: 0, timestamp_ms, series, values, own_timestamps: vec![], extras: None };
        buffer.push(batch, Duration::ZERO);
    }
    buffer.close().unwrap();
}

/// A backlog of which nothing was to be sent (too old, or dropped by rules) was gone through without a pause: nothing was scraped
/// meanwhile, and no order to stop was heard.
#[test]
fn a_backlog_of_which_nothing_is_sent_lets_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), DROP_ALL);
    leave_backlog(&config, 10_000);
    let (agent, executor) = (Agent::open(&config).unwrap(), LocalExecutor::new());
    let shared = agent.shared.clone();
    assert!(shared.buffer.borrow().waiting(0).has_backlog);
    let watching = executor.spawn(async move {
        let mut turns = 0;
        while shared.buffer.borrow().waiting(0).has_backlog {
            turns += 1;
            yield_now().await;
        }
        turns
    });
    let mut turns = 0;
    smol::block_on(executor.run(agent.run(&executor, async { turns = watching.await }))).unwrap();
    assert!(turns > 20, "others had {turns} turns while twenty windows went by");
}

/// A request that could not be sent gives back what was set aside for it; a lane that had been told to wait for all of that
/// to be paid off slept on, and held up those after it.
#[test]
fn a_lane_that_waits_hears_of_a_request_that_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    let agent = Agent::open(&config(folder.path(), &format!("max_bytes_per_second = '1KiB'\n{TWO_LANES}"))).unwrap();
    let (shared, turns) = (&agent.shared, agent.shared.turns_of(&agent.endpoints[0].0));
    turns.borrow_mut().hurry();
    let [high, normal] = [Class::High, Class::Normal].map(|class| Traffic::Samples { class, is_backlog: false });
    let (now, minute) = (shared.clock.monotonic(), Duration::from_secs(60));
    assert_eq!(turns.borrow_mut().ready_at(1, now, 0, normal, 100_000), None);
    assert!(turns.borrow_mut().ready_at(0, now, 0, high, 1000).is_some_and(|at| at > now + minute));
    let is_woken = || smol::block_on(poll_once(shared.senders[0].wait())).is_some();
    assert!(!is_woken());
    shared.account(&turns, (now, 0), normal, 100_000, 0);
    assert!(is_woken());
    assert_eq!(turns.borrow_mut().ready_at(0, now, 0, high, 1000), None);
}

#[test]
fn what_became_too_old_at_the_gate_does_not_go_and_takes_nothing_of_the_rate() {
    let folder = tempfile::tempdir().unwrap();
    let keys = "max_bytes_per_second = '1KiB'\nqueue_config = { sample_age_limit = '1m' }";
    let agent = Agent::open(&config(folder.path(), keys)).unwrap();
    let (shared, (options, uplink)) = (&agent.shared, &agent.endpoints[0]);
    let (turns, role) = (shared.turns_of(options), shared.buffer.borrow().senders()[0]);
    turns.borrow_mut().hurry();
    let mut sender = Sender::new(shared.clone(), 0, role, options, uplink.beside(), turns.clone(), None);
    let wall_ms = shared.clock.wall_ms();
    for (age_ms, goes) in [(90_000, false), (90_000, false), (30_000, true)] {
        sender.sent.oldest_ms = Some(wall_ms - age_ms);
        let passed = smol::block_on(sender.pass_gate());
        assert_eq!(matches!(passed, Passed::Yes(..)), goes, "{age_ms}");
        assert_eq!(matches!(passed, Passed::TooOld), !goes, "{age_ms}");
    }
    let now = shared.clock.monotonic();
    let traffic = Traffic::Samples { class: Class::Normal, is_backlog: false };
    assert!(turns.borrow_mut().ready_at(0, now, wall_ms, traffic, 1024).is_some(), "one request is under way");
    assert_eq!(shared.counters.endpoint(0).requests_held_back.get(), 0, "none had to wait");
}
