//! What is refused: parts of a request that are at fault, receivers that refuse everything, and what is held meanwhile.

use super::*;

#[test]
fn one_poisoned_series_is_found_and_only_it_is_lost() {
    for poisoned in 0..20 {
        let (mut queue, counters) = (queue(2000), EndpointCounters::default());
        let is_poisoned = |(series, _): &(usize, i64)| *series == poisoned;
        let accepted = deliver(&mut queue, &counters, window(0..8, 20), |samples| {
            if samples.iter().any(is_poisoned) { answer(400, "label value too long") } else { answer(204, "") }
        });
        assert!(!accepted.iter().any(is_poisoned));
        assert_eq!((accepted.len(), counters.samples_delivered.get()), (19 * 8, 19 * 8));
        assert_eq!(counters.dropped(DropCause::Rejected), 8);
    }
}

#[test]
fn times_that_are_too_old_are_cut_off_and_the_rest_is_delivered_in_order() {
    for too_old in [1, 2, 5, 17, 30, 50] {
        let (mut queue, counters) = (queue(2000), EndpointCounters::default());
        let mut requests = 0;
        let accepted = deliver(&mut queue, &counters, window(0..64, 20), |samples| {
            requests += 1;
            let refused = samples.iter().any(|(_, time)| *time < too_old);
            if refused { answer(400, "out of bounds") } else { answer(204, "") }
        });
        // A slice of time that is too old in part is lost as a whole.
        let lost_times = (64 - accepted.len() as i64 / 20) - too_old;
        assert!((0..=7).contains(&lost_times), "{lost_times} times of {too_old} are lost");
        for series in 0..20 {
            let times: Vec<_> = accepted.iter().filter(|(s, _)| *s == series).map(|(_, time)| *time).collect();
            assert_eq!(times, (too_old + lost_times..64).collect::<Vec<_>>());
        }
        assert_eq!(counters.dropped(DropCause::Rejected), 20 * (too_old + lost_times) as u64);
        assert!(requests <= 40, "{requests} requests");
    }
}

#[test]
fn one_series_out_of_order_is_found_and_only_it_is_lost() {
    for at_fault in 0..20 {
        let (mut queue, counters) = (queue(2000), EndpointCounters::default());
        let is_at_fault = |(series, _): &(usize, i64)| *series == at_fault;
        let accepted = deliver(&mut queue, &counters, window(0..64, 20), |samples| {
            if samples.iter().any(is_at_fault) { answer(400, "out of order sample") } else { answer(204, "") }
        });
        assert!(!accepted.iter().any(is_at_fault));
        assert_eq!((accepted.len(), counters.dropped(DropCause::Rejected)), (19 * 64, 64));
    }
}

/// Offers the queue these windows, one after the other, as the buffer does: again from the first one that is not acknowledged, unless
/// the queue looks ahead. Ends when all are acknowledged or the time is up: how many requests were sent in each second.
fn drive(
    queue: &mut Queue,
    counters: &EndpointCounters,
    windows: &[Window],
    until: Duration,
    mut receiver: impl FnMut(Duration, &[(usize, i64)]) -> Outcome,
) -> Vec<Duration> {
    let (mut now, mut acknowledged, mut sent_at) = (Duration::ZERO, 0, Vec::new());
    while now < until {
        let samples = match queue.poll(now) {
            Action::Send(Attempt { batches, request, .. }) => {
                samples_of(&decode(&encode(&Labels::default(), batches, request)))
            }
            Action::Wait { until } => {
                now = until;
                continue;
            }
            Action::Finished { next_record } => {
                acknowledged = next_record;
                continue;
            }
            Action::NeedWindow => {
                let from = queue.ahead().unwrap_or(acknowledged);
                match windows.iter().find(|window| window.next_record > from) {
                    Some(Window { batches, next_record, .. }) => {
                        queue.offer(Window {
                            batches: batches.clone(),
                            next_record: *next_record,
                            ..Window::default()
                        });
                    }
                    None if queue.ahead().is_some() => now = queue.on_nothing_ahead(now).unwrap(),
                    None => break,
                }
                continue;
            }
        };
        sent_at.push(now);
        let outcome = receiver(now, &samples);
        let sent = Sent { samples: samples.len() as u64, ..Sent::default() };
        queue.on_outcome(now, &sent, &outcome, counters);
    }
    sent_at
}

fn windows(count: u64, series: usize) -> Vec<Window> {
    let list = series_list(&SeriesTable::new(), "node", series);
    let one = |i: u64| {
        let batches = scrapes(0, i as i64..i as i64 + 1, &list);
        Window { batches, next_record: i + 1, ..Window::default() }
    };
    (0..count).map(one).collect()
}

fn auto_queue() -> (Queue, EndpointCounters) {
    let mut queue = Queue::new("test", &QueueOptions::default(), ProtobufMessage::Always(Version::V2), 1);
    queue = queue.with_start(0);
    (queue, EndpointCounters::default())
}

fn v1_queue() -> (Queue, EndpointCounters) {
    (queue(2000), EndpointCounters::default())
}

fn counted(samples: usize) -> Outcome {
    let written = Some(Written { samples: samples as u64, ..Written::default() });
    Outcome { bytes_sent: 1, result: Ok(Answer { status: 204, written, ..Answer::default() }) }
}

/// A receiver that refused everything got 62 requests in 8 s for a page of six series, and had the backlog burnt.
#[test]
fn a_receiver_that_refuses_everything_costs_nothing_and_gets_few_requests() {
    for (mut queue, counters) in [auto_queue(), v1_queue()] {
        let sent_at =
            drive(&mut queue, &counters, &windows(100, 6), Duration::from_secs(3600), |_, _| answer(400, "no"));
        let first = sent_at.iter().filter(|at| **at < Duration::from_secs(8)).count();
        assert!(first <= 30, "{first} requests in 8 s");
        assert!(sent_at.len() < 450, "{} requests in an hour", sent_at.len());
        assert_eq!((counters.dropped_total(), counters.samples_delivered.get()), (0, 0));
    }
}

/// A receiver that was misconfigured for ten minutes gets everything, and in order.
#[test]
fn a_receiver_that_is_mended_gets_everything_in_order() {
    for (mut queue, counters) in [auto_queue(), v1_queue()] {
        let mut accepted = Vec::new();
        drive(&mut queue, &counters, &windows(100, 6), Duration::from_secs(3600), |now, samples| {
            if now < Duration::from_secs(600) {
                return answer(422, "no tenant");
            }
            accepted.extend_from_slice(samples);
            counted(samples.len())
        });
        assert_eq!((counters.dropped_total(), accepted.len()), (0, 600));
        assert!(accepted.is_sorted_by_key(|(_, time)| *time));
    }
}

/// With 2.0 nothing is sent again once the receiver refused it, unless it refuses all else too.
#[test]
fn a_refused_request_is_rejected_when_the_next_one_is_accepted_and_not_sent_again() {
    let (mut queue, counters) = auto_queue();
    let sent_at = drive(&mut queue, &counters, &windows(50, 6), Duration::from_secs(3600), |_, samples| {
        if samples.iter().any(|(_, time)| time % 10 == 3) { answer(400, "bad") } else { counted(samples.len()) }
    });
    assert_eq!(sent_at, vec![Duration::ZERO; 50]);
    assert_eq!((counters.dropped(DropCause::Rejected), counters.samples_delivered.get()), (30, 270));
}

#[test]
fn a_backlog_that_is_too_old_goes_by_within_minutes() {
    for (mut queue, counters) in [auto_queue(), v1_queue()] {
        let sent_at = drive(&mut queue, &counters, &windows(300, 20), Duration::from_secs(3600), |_, samples| {
            if samples.iter().any(|(_, time)| *time < 200) {
                answer(400, "out of bounds")
            } else {
                counted(samples.len())
            }
        });
        assert_eq!((counters.dropped(DropCause::Rejected), counters.samples_delivered.get()), (4000, 2000));
        assert!(*sent_at.last().unwrap() < Duration::from_secs(600), "{:?}", sent_at.last());
        assert!(sent_at.len() < 1500, "{}", sent_at.len());
    }
}

/// One poisoned request, and nothing else to send: it is kept until other samples come.
#[test]
fn one_poisoned_request_alone_is_held_until_another_is_accepted() {
    let (mut queue, counters) = auto_queue();
    let mut all = windows(1, 6);
    drive(&mut queue, &counters, &all, Duration::from_secs(3600), |_, _| answer(400, "bad"));
    assert_eq!(counters.dropped_total(), 0);
    all.extend(windows(2, 6).into_iter().skip(1));
    drive(&mut queue, &counters, &all, Duration::from_secs(7200), |_, samples| {
        if samples[0].1 == 0 { answer(400, "bad") } else { counted(samples.len()) }
    });
    assert_eq!((counters.dropped(DropCause::Rejected), counters.samples_delivered.get()), (6, 6));
}

/// In each half of each request one series is at fault.
#[test]
fn several_series_at_fault_are_found_in_time() {
    let (mut queue, counters) = v1_queue();
    drive(&mut queue, &counters, &windows(20, 40), Duration::from_secs(24 * 3600), |_, samples| {
        if samples.iter().any(|(series, _)| [7, 30].contains(series)) { answer(400, "bad") } else { answer(204, "") }
    });
    assert_eq!(counters.samples_delivered.get() + counters.dropped(DropCause::Rejected), 20 * 40);
    assert!(counters.samples_delivered.get() > 0);
}

#[test]
fn without_halve_refused_a_request_is_sent_once() {
    let options = QueueOptions { halve_refused: false, ..QueueOptions::default() };
    let mut queue = Queue::new("test", &options, ProtobufMessage::Always(Version::V1), 1);
    let counters = EndpointCounters::default();
    let sent_at = drive(&mut queue, &counters, &windows(10, 6), Duration::from_secs(3600), |_, samples| {
        if samples[0].1 == 4 { answer(400, "bad") } else { answer(204, "") }
    });
    assert_eq!((sent_at.len(), counters.dropped(DropCause::Rejected)), (10, 6));
}

/// After a restart what the earlier process delivered last is refused: it was counted as lost, and sent sample by sample.
#[test]
fn what_an_earlier_process_delivered_is_counted_as_repeated() {
    for ((queue, counters), is_v2) in [(auto_queue(), true), (v1_queue(), false)] {
        let mut queue = queue.with_start(1000);
        let sent_at = drive(&mut queue, &counters, &windows(40, 500), Duration::from_secs(3600), |_, samples| {
            match samples.iter().any(|(_, time)| *time < 20) {
                true => answer(400, "out of order sample"),
                false => counted(samples.len()),
            }
        });
        assert_eq!((counters.dropped(DropCause::Repeated), counters.dropped(DropCause::Rejected)), (20 * 500, 0));
        assert!(sent_at.len() < 150, "{} requests, {is_v2}", sent_at.len());
    }
}

/// What another lane of the endpoint delivers shows as well that the receiver works.
#[test]
fn what_another_lane_delivers_rejects_what_is_held() {
    let protocol = Rc::new(RefCell::new(Protocol::new(ProtobufMessage::Always(Version::V2))));
    let (mut held, counters) = auto_queue();
    let mut other = auto_queue().0.with_protocol(protocol.clone());
    held = held.with_protocol(protocol);
    let all = windows(1, 6);
    drive(&mut held, &counters, &all, Duration::from_secs(60), |_, _| answer(400, "bad"));
    drive(&mut other, &EndpointCounters::default(), &all, Duration::from_secs(60), |_, s| counted(s.len()));
    drive(&mut held, &counters, &all, Duration::from_secs(3600), |_, _| answer(400, "bad"));
    assert_eq!(counters.dropped(DropCause::Rejected), 6);
}

#[test]
fn each_request_has_its_own_splits() {
    let (mut queue, counters) = (queue(16), EndpointCounters::default());
    // Ten requests of 16 samples, in each of which the first series is refused: 40 splits, 4 a request, would not
    // be enough for 30 requests if they were shared.
    let accepted = deliver(&mut queue, &counters, window(0..1, 480), |samples| {
        if samples.iter().any(|(series, _)| series % 16 == 0) { answer(400, "bad") } else { answer(204, "") }
    });
    assert_eq!((accepted.len(), counters.dropped(DropCause::Rejected)), (450, 30));
}
