mod refusals;

use super::*;
use crate::limits::RETRY_AFTER_MAX;
use crate::model::{Labels, SeriesTable};
use crate::remote_write::messages::WriteRequest;
use crate::remote_write::protocol::Written;
use crate::remote_write::retry::{Answer, Failure, FailureKind, Outcome, Verdict, classify};
use crate::remote_write::testing::{decode, encode, label_value, scrapes, series_list};

const BODY_BYTES: u64 = 100;

fn answer(status: u16, text: &str) -> Outcome {
    Outcome { bytes_sent: BODY_BYTES, result: Ok(Answer { status, text: text.into(), ..Answer::default() }) }
}

fn no_answer() -> Outcome {
    Outcome { bytes_sent: 0, result: Err(Failure { kind: FailureKind::Connect, text: "down".into() }) }
}

fn queue(max_samples_per_send: usize) -> Queue {
    let options = QueueOptions { max_samples_per_send, ..QueueOptions::default() };
    Queue::new("test", &options, ProtobufMessage::Always(Version::V1), 1)
}

/// A window of one target.
fn window(times: std::ops::Range<i64>, series: usize) -> Window {
    let list = series_list(&SeriesTable::new(), "node", series);
    Window { batches: scrapes(0, times, &list), next_record: 42, ..Window::default() }
}

/// Series number and time of each sample of a request.
fn samples_of(request: &WriteRequest) -> Vec<(usize, i64)> {
    let number = |series| label_value(series, "i").unwrap().parse().unwrap();
    request.timeseries.iter().flat_map(|ts| ts.samples.iter().map(move |s| (number(ts), s.timestamp))).collect()
}

/// Sends a window to a receiver and gives what it accepted, in order. Time stands still unless the queue waits.
fn deliver(
    queue: &mut Queue,
    counters: &EndpointCounters,
    window: Window,
    mut receiver: impl FnMut(&[(usize, i64)]) -> Outcome,
) -> Vec<(usize, i64)> {
    queue.offer(window);
    let (mut now, mut accepted) = (Duration::ZERO, Vec::new());
    loop {
        let samples = match queue.poll(now) {
            Action::Send(Attempt { batches, request, .. }) => {
                samples_of(&decode(&encode(&Labels::default(), batches, request)))
            }
            Action::Wait { until } => {
                assert!(until > now);
                now = until;
                continue;
            }
            Action::Finished { next_record } => {
                assert_eq!(next_record, 42);
                assert!(matches!(queue.poll(now), Action::NeedWindow));
                return accepted;
            }
            Action::NeedWindow => unreachable!("it has one"),
        };
        let outcome = receiver(&samples);
        if classify(&outcome.result, Version::V1, &[]) == Verdict::Delivered {
            accepted.extend(samples);
        }
        queue.on_outcome(now, &Sent::default(), &outcome, counters);
    }
}

/// If the process ends now, this much of what the ring has evicted meanwhile is lost.
#[test]
fn what_is_unfinished_of_a_window_is_known_by_record() {
    let (mut queue, counters) = (queue(20), EndpointCounters::default());
    queue.offer(Window { records: vec![7, 9, 12], ..window(0..3, 16) });
    let unfinished = |queue: &Queue| {
        let mut all: Vec<(u64, u64)> = queue.unfinished().collect();
        all.sort_unstable();
        all
    };
    assert_eq!(unfinished(&queue), [(7, 16), (9, 16), (12, 16)]);
    let mut left = 48;
    while let Action::Send(Attempt { request, .. }) = queue.poll(Duration::ZERO) {
        left -= request.samples() as u64;
        queue.on_outcome(Duration::ZERO, &Sent::default(), &answer(204, ""), &counters);
        assert_eq!(unfinished(&queue).iter().map(|(_, samples)| samples).sum::<u64>(), left);
    }
    assert_eq!(left, 0);
}

fn attempt(queue: &mut Queue, now: Duration) -> (Request, u32) {
    match queue.poll(now) {
        Action::Send(Attempt { request, retries, .. }) => (request.clone(), retries),
        _ => panic!("nothing to send at {now:?}"),
    }
}

#[test]
fn a_window_is_delivered_request_by_request_and_then_finished() {
    let (mut queue, counters) = (queue(10), EndpointCounters::default());
    assert!(matches!(queue.poll(Duration::ZERO), Action::NeedWindow));
    let accepted = deliver(&mut queue, &counters, window(0..5, 5), |_| answer(204, ""));
    assert_eq!(accepted.len(), 25);
    assert_eq!((counters.requests.get(), counters.samples_delivered.get(), counters.retries.get()), (3, 25, 0));
    assert_eq!((counters.bytes_sent.get(), counters.dropped_total()), (3 * BODY_BYTES, 0));
}

#[test]
fn an_empty_window_is_finished_at_once() {
    let mut queue = queue(10);
    queue.offer(window(0..0, 0));
    assert!(matches!(queue.poll(Duration::ZERO), Action::Finished { next_record: 42 }));
    assert!(matches!(queue.poll(Duration::ZERO), Action::NeedWindow));
}

#[test]
fn the_same_request_is_sent_again_after_growing_waits_until_it_is_delivered() {
    let (mut queue, counters, mut now) = (queue(10), EndpointCounters::default(), Duration::ZERO);
    queue.offer(window(0..4, 4));
    let (first, _) = attempt(&mut queue, now);
    for failures in 1..100 {
        let outcome = if failures % 2 == 0 { no_answer() } else { answer(503, "") };
        queue.on_outcome(now, &Sent::default(), &outcome, &counters);
        let Action::Wait { until } = queue.poll(now) else { panic!("no wait after failure {failures}") };
        assert!(until - now >= Duration::from_millis(30) && until - now <= Duration::from_secs(5));
        now = until;
        assert_eq!(attempt(&mut queue, now), (first.clone(), failures));
    }
    queue.on_outcome(now, &Sent::default(), &answer(200, ""), &counters);
    let (second, retries) = attempt(&mut queue, now);
    assert!(second != first && retries == 0);
    assert_eq!((counters.requests.get(), counters.retries.get()), (100, 99));
    assert_eq!((counters.samples_delivered.get(), counters.dropped_total()), (first.samples() as u64, 0));
}

#[test]
fn retry_after_is_waited_for_up_to_an_hour_and_jittered() {
    for (asked_s, least_s) in [(120, 120), (1_000_000, RETRY_AFTER_MAX.as_secs())] {
        let mut queue = queue(10);
        queue.offer(window(0..1, 1));
        attempt(&mut queue, Duration::ZERO);
        let retry_after = Some(Duration::from_secs(asked_s));
        let result = Ok(Answer { status: 429, retry_after, ..Answer::default() });
        queue.on_outcome(
            Duration::ZERO,
            &Sent::default(),
            &Outcome { bytes_sent: 0, result },
            &EndpointCounters::default(),
        );
        let Action::Wait { until } = queue.poll(Duration::ZERO) else { panic!("no wait") };
        let least = Duration::from_secs(least_s);
        assert!(until > least && until < least + Duration::from_secs(1), "{until:?}");
    }
}

#[test]
fn polling_again_without_an_outcome_gives_the_same_request() {
    let mut queue = queue(10);
    queue.offer(window(0..4, 4));
    assert_eq!(attempt(&mut queue, Duration::ZERO), attempt(&mut queue, Duration::ZERO));
}

/// Expired credentials and wrong routes used to burn a backlog within seconds.
#[test]
fn a_fault_of_the_way_is_waited_for_with_growing_waits_and_nothing_is_lost() {
    for status in [401, 402, 403, 404, 405, 407, 408, 421, 423, 425, 426, 431, 451, 499] {
        let (mut queue, counters) = (queue(10), EndpointCounters::default());
        queue.offer(window(0..2, 10));
        let (mut now, mut attempts) = (Duration::ZERO, 0);
        while now < Duration::from_secs(3600) {
            now = match queue.poll(now) {
                Action::Wait { until } => until,
                Action::Send(attempt) => {
                    assert_eq!(attempt.retries, attempts);
                    attempts += 1;
                    queue.on_outcome(now, &Sent::default(), &answer(status, ""), &counters);
                    now
                }
                _ => panic!("it was given up"),
            };
        }
        assert!((15..45).contains(&attempts), "{attempts} attempts in an hour");
        while let Action::Send(_) = queue.poll(now) {
            queue.on_outcome(now, &Sent::default(), &answer(204, ""), &counters);
        }
        assert_eq!((counters.samples_delivered.get(), counters.dropped_total()), (20, 0), "{status}");
    }
}

#[test]
fn what_give_up_on_names_is_dropped_at_once() {
    let options = QueueOptions { max_samples_per_send: 10, give_up_on: vec![401, 400], ..QueueOptions::default() };
    for status in [400, 401] {
        let mut queue = Queue::new("test", &options, ProtobufMessage::Always(Version::V1), 1);
        let counters = EndpointCounters::default();
        deliver(&mut queue, &counters, window(0..2, 10), |_| answer(status, ""));
        assert_eq!((counters.requests.get(), counters.dropped(DropCause::Rejected)), (2, 20), "{status}");
    }
}

/// The first of two scrapes was sent again, refused as out of order, and counted as lost although the receiver had it.
#[test]
fn what_a_receiver_of_2_0_has_written_in_part_is_not_sent_again() {
    let mut queue = Queue::new("test", &QueueOptions::default(), ProtobufMessage::Auto, 1);
    let counters = EndpointCounters::default();
    let found = versions(&mut queue, &counters, |_| {
        let written = Some(Written { samples: 2, ..Written::default() });
        (Sent { samples: 3, ..Sent::default() }, Answer { status: 400, written, ..Answer::default() })
    });
    assert_eq!(found, [Version::V2]);
    assert_eq!((counters.samples_delivered.get(), counters.dropped(DropCause::Rejected)), (2, 1));
}

#[test]
fn a_half_that_can_not_be_sent_now_is_retried_and_not_lost() {
    let (mut queue, counters) = (queue(2000), EndpointCounters::default());
    let mut requests = 0;
    let accepted = deliver(&mut queue, &counters, window(0..8, 20), |samples| {
        requests += 1;
        match samples.iter().any(|(series, _)| *series == 3) {
            _ if requests % 3 == 0 => no_answer(),
            true => answer(400, "bad"),
            false => answer(204, ""),
        }
    });
    assert_eq!((accepted.len(), counters.dropped(DropCause::Rejected)), (19 * 8, 8));
    assert!(counters.retries.get() > 0);
}

#[test]
fn waiting_samples_are_sent_when_they_fill_a_request_or_have_waited_long_enough() {
    let (options, interval, came_at) = (QueueOptions::default(), Duration::from_secs(15), Duration::from_secs(100));
    assert_eq!(send_at(&options, interval, 0, came_at), None);
    assert_eq!(send_at(&options, interval, 1, came_at), Some(Duration::from_secs(105)));
    assert_eq!(send_at(&options, interval, 1999, came_at), Some(Duration::from_secs(105)));
    assert_eq!(send_at(&options, interval, 2000, came_at), Some(came_at));
}

#[test]
fn a_deadline_of_several_scrapes_is_waited_for_until_a_window_is_full() {
    let options = QueueOptions { batch_send_deadline: Duration::from_secs(60), ..QueueOptions::default() };
    let (interval, came_at) = (Duration::from_secs(15), Duration::from_secs(100));
    assert_eq!(send_at(&options, interval, 0, came_at), None);
    assert_eq!(send_at(&options, interval, options.capacity - 1, came_at), Some(Duration::from_secs(160)));
    assert_eq!(send_at(&options, interval, options.capacity, came_at), Some(came_at));
    assert_eq!(send_at(&options, Duration::from_secs(60), 2000, came_at), Some(came_at), "nothing would be gained");
}

#[test]
#[should_panic(expected = "before the last one was finished")]
fn a_window_can_not_take_the_place_of_an_unfinished_one() {
    let mut queue = queue(10);
    queue.offer(window(0..1, 1));
    queue.offer(window(1..2, 1));
}

/// Says which version each attempt of a window has, and what became of its samples.
fn versions(
    queue: &mut Queue,
    counters: &EndpointCounters,
    mut receiver: impl FnMut(Version) -> (Sent, Answer),
) -> Vec<Version> {
    queue.offer(window(0..1, 3));
    let mut versions = Vec::new();
    while let Action::Send(Attempt { version, .. }) = queue.poll(Duration::ZERO) {
        versions.push(version);
        let (sent, answer) = receiver(version);
        queue.on_outcome(Duration::ZERO, &sent, &Outcome { bytes_sent: 1, result: Ok(answer) }, counters);
    }
    versions
}

#[test]
fn a_receiver_of_1_0_is_found_out_and_loses_nothing() {
    for refusal in [415, 204] {
        let options = QueueOptions { max_samples_per_send: 2, ..QueueOptions::default() };
        let mut queue = Queue::new("test", &options, ProtobufMessage::Auto, 1);
        let counters = EndpointCounters::default();
        let answer_of = |version| match version {
            Version::V2 => (Sent { samples: 2, ..Sent::default() }, Answer { status: refusal, ..Answer::default() }),
            Version::V1 => (Sent { samples: 2, ..Sent::default() }, Answer { status: 204, ..Answer::default() }),
        };
        let found = versions(&mut queue, &counters, answer_of);
        assert_eq!(found, [Version::V2, Version::V1, Version::V1]);
        assert_eq!((counters.samples_delivered.get(), counters.dropped_total()), (3, 0));
    }
}

#[test]
fn what_a_receiver_did_not_write_and_what_is_left_out_is_counted() {
    let mut queue = Queue::new("test", &QueueOptions::default(), ProtobufMessage::Auto, 1);
    let counters = EndpointCounters::default();
    let found = versions(&mut queue, &counters, |_| {
        let written = Some(Written { samples: 1, ..Written::default() });
        let sent = Sent { samples: 2, histograms_left_out: 1, ..Sent::default() };
        (sent, Answer { status: 200, written, ..Answer::default() })
    });
    assert_eq!(found, [Version::V2]);
    assert_eq!((counters.samples_delivered.get(), counters.written_differs.get()), (1, 1));
    assert_eq!((counters.dropped(DropCause::NotWritten), counters.dropped(DropCause::HistogramsOff)), (1, 1));
}

#[test]
fn a_request_of_nothing_but_what_is_left_out_is_not_sent() {
    let (mut queue, counters) = (queue(10), EndpointCounters::default());
    queue.offer(window(0..1, 3));
    attempt(&mut queue, Duration::ZERO);
    queue.on_nothing_to_send(Duration::ZERO, &Sent { histograms_left_out: 3, ..Sent::default() }, &counters);
    assert!(matches!(queue.poll(Duration::ZERO), Action::Finished { .. }));
    assert_eq!((counters.requests.get(), counters.dropped(DropCause::HistogramsOff)), (0, 3));
}

#[test]
fn a_429_is_refused_and_counted_without_retry_on_http_429() {
    let options = QueueOptions { retry_on_http_429: false, max_samples_per_send: 10, ..QueueOptions::default() };
    let mut queue = Queue::new("test", &options, ProtobufMessage::Always(Version::V1), 1);
    let (counters, mut answered) = (EndpointCounters::default(), 0);
    let accepted = deliver(&mut queue, &counters, window(0..5, 4), |_| {
        answered += 1;
        answer(if answered == 1 { 429 } else { 204 }, "slow down")
    });
    assert_eq!((accepted.len(), answered), (11, 3));
    assert_eq!((counters.dropped(DropCause::Rejected), counters.samples_delivered.get()), (9, 11));
}

#[test]
fn a_body_that_is_too_large_is_parted_until_it_fits_and_the_size_is_remembered() {
    let options = QueueOptions { max_samples_per_send: 64, max_bytes_per_send: Some(1000), ..QueueOptions::default() };
    let mut queue = Queue::new("test", &options, ProtobufMessage::Always(Version::V1), 1);
    let (counters, mut sent_samples, mut written) = (EndpointCounters::default(), Vec::new(), 0);
    for _ in 0..2 {
        queue.offer(window(0..8, 16));
        while let Action::Send(Attempt { request, .. }) = queue.poll(Duration::ZERO) {
            let samples = request.samples();
            written += 1;
            if queue.takes_body(Duration::ZERO, 100 * samples) {
                sent_samples.push(samples);
                queue.on_outcome(Duration::ZERO, &Sent::default(), &answer(204, ""), &counters);
            }
        }
        assert!(matches!(queue.poll(Duration::ZERO), Action::NeedWindow));
    }
    assert!(sent_samples.iter().all(|samples| *samples <= 10), "{sent_samples:?}");
    assert_eq!((sent_samples.iter().sum::<usize>(), counters.samples_delivered.get()), (256, 256));
    // Only the first one was written in vain: whole, its halves, and their halves.
    assert_eq!(written, sent_samples.len() + 1 + 2 + 4);
}

#[test]
fn a_single_sample_is_sent_however_large_it_is() {
    let options = QueueOptions { max_bytes_per_send: Some(1000), ..QueueOptions::default() };
    let mut queue = Queue::new("test", &options, ProtobufMessage::Always(Version::V1), 1);
    queue.offer(window(0..1, 1));
    attempt(&mut queue, Duration::ZERO);
    assert!(queue.takes_body(Duration::ZERO, 5000));
}

/// The first part is another request than the one whose retries were counted: it has to be written anew.
#[test]
fn what_was_parted_in_a_retry_counts_as_new() {
    let options = QueueOptions { max_bytes_per_send: Some(1000), ..QueueOptions::default() };
    let mut queue = Queue::new("test", &options, ProtobufMessage::Always(Version::V1), 1);
    queue.offer(window(0..1, 4));
    attempt(&mut queue, Duration::ZERO);
    queue.on_outcome(Duration::ZERO, &Sent::default(), &answer(503, ""), &EndpointCounters::default());
    let later = Duration::from_secs(9);
    assert_eq!(attempt(&mut queue, later).1, 1);
    assert!(!queue.takes_body(Duration::ZERO, 5000));
    assert_eq!(attempt(&mut queue, later).1, 0);
}

#[test]
fn what_is_too_old_is_counted_once_its_request_is_done_with_and_told() {
    let (mut queue, counters) = (queue(10), EndpointCounters::default());
    queue.offer(window(0..2, 5));
    attempt(&mut queue, Duration::ZERO);
    let sent = Sent { samples: 6, too_old: 4, ..Sent::default() };
    queue.on_outcome(Duration::ZERO, &sent, &answer(503, ""), &counters);
    assert_eq!(counters.dropped(DropCause::TooOld), 0, "it is sent again, and counted then");
    let later = Duration::from_secs(9);
    attempt(&mut queue, later);
    queue.on_outcome(later, &Sent { samples: 1, too_old: 9, ..Sent::default() }, &answer(204, ""), &counters);
    assert_eq!((counters.dropped(DropCause::TooOld), counters.samples_delivered.get()), (9, 1));

    queue.poll(later);
    queue.offer(window(0..2, 5));
    attempt(&mut queue, later);
    queue.on_nothing_to_send(later, &Sent { too_old: 10, ..Sent::default() }, &counters);
    assert!(matches!(queue.poll(later), Action::Finished { .. }));
    assert_eq!(counters.dropped(DropCause::TooOld), 19);
}

/// An uplink that came back used to be noticed at the end of a five-minute backoff.
#[test]
fn a_link_that_comes_up_ends_a_wait_but_not_one_that_the_receiver_asked_for() {
    let seconds = Duration::from_secs;
    let busy = |after| Answer { status: 503, retry_after: Some(after), ..Answer::default() };
    let asked = Outcome { bytes_sent: BODY_BYTES, result: Ok(busy(seconds(120))) };
    for (outcome, earliest, latest) in
        [(no_answer(), seconds(1000), seconds(1001)), (asked, seconds(1120), seconds(1120))]
    {
        let options = QueueOptions { min_backoff: seconds(300), max_backoff: seconds(300), ..QueueOptions::default() };
        let mut queue = Queue::new("test", &options, ProtobufMessage::Always(Version::V1), 1);
        queue.on_link_up(Duration::ZERO);
        queue.offer(window(0..1, 1));
        attempt(&mut queue, seconds(1000));
        queue.on_outcome(seconds(1000), &Sent::default(), &outcome, &EndpointCounters::default());
        queue.on_link_up(seconds(1000));
        let Action::Wait { until } = queue.poll(seconds(1000)) else { panic!("it does not wait") };
        assert!((earliest..=latest).contains(&until), "{until:?}");
        assert_eq!(attempt(&mut queue, until).1, 1, "the same request");
    }
}

/// Each lane of an endpoint found out for itself that its receiver knows 1.0 alone: a request each, once a day.
#[test]
fn what_one_lane_finds_out_of_the_receiver_the_others_know() {
    let (protocol, counters) =
        (Rc::new(RefCell::new(Protocol::new(ProtobufMessage::Auto))), EndpointCounters::default());
    let lane =
        || Queue::new("test", &QueueOptions::default(), ProtobufMessage::Auto, 1).with_protocol(protocol.clone());
    let (mut one, mut other) = (lane(), lane());
    let version = |queue: &mut Queue| match queue.poll(Duration::ZERO) {
        Action::Send(Attempt { version, .. }) => version,
        _ => panic!("nothing to send"),
    };
    [&mut one, &mut other].into_iter().for_each(|lane| lane.offer(window(0..1, 1)));
    assert_eq!(version(&mut one), Version::V2);
    one.on_outcome(Duration::ZERO, &Sent::default(), &answer(415, ""), &counters);
    assert_eq!((version(&mut one), version(&mut other)), (Version::V1, Version::V1));
}
