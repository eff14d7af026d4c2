use super::*;
use crate::model::MetricType;
use crate::remote_write::messages::{MetadataRequest, MetricMetadata};
use crate::remote_write::retry::{Answer, Failure, FailureKind};
use prost::Message;

const MINUTE: Duration = Duration::from_secs(60);

fn families(count: usize) -> Vec<Rc<MetricFamily>> {
    let family = |i: usize| MetricFamily::new(&format!("m{i}"), MetricType::Counter, "What it is.", "seconds");
    (0..count).map(|i| Rc::new(family(i).unwrap())).collect()
}

fn queue(max_samples_per_send: usize) -> MetadataQueue {
    let options = MetadataOptions { send: true, max_samples_per_send, ..MetadataOptions::default() };
    MetadataQueue::new(&options, &QueueOptions::default(), Duration::ZERO, 1)
}

fn answer(status: u16) -> Outcome {
    Outcome { bytes_sent: 10, result: Ok(Answer { status, ..Answer::default() }) }
}

fn no_answer() -> Outcome {
    Outcome { bytes_sent: 0, result: Err(Failure { kind: FailureKind::Timeout, text: "late".into() }) }
}

/// How many families there are to send.
fn to_send(queue: &MetadataQueue, now: Duration) -> Option<usize> {
    match queue.poll(now) {
        MetadataAction::Send { families, .. } => Some(families.len()),
        _ => None,
    }
}

#[test]
fn all_families_are_sent_once_an_interval_in_requests_of_so_many() {
    let (mut queue, counters) = (queue(3), EndpointCounters::default());
    assert_eq!(queue.poll(Duration::ZERO), MetadataAction::Wait { until: MINUTE });
    for minute in 1..=5 {
        let now = minute * MINUTE;
        assert_eq!(queue.poll(now), MetadataAction::Collect);
        queue.offer(now, families(7), &counters);
        for count in [3, 3, 1] {
            assert_eq!(to_send(&queue, now), Some(count));
            assert!(queue.on_outcome(now, &answer(204), &counters));
        }
        assert_eq!(queue.poll(now), MetadataAction::Wait { until: now + MINUTE });
    }
    assert_eq!((counters.metadata_sent.get(), counters.metadata_failed.get()), (35, 0));
    assert_eq!((counters.requests.get(), counters.bytes_sent.get(), counters.samples_delivered.get()), (15, 150, 0));
}

#[test]
fn what_fails_is_sent_again_after_a_wait_and_given_up_at_the_next_interval() {
    let (mut queue, counters, mut now) = (queue(5), EndpointCounters::default(), MINUTE);
    queue.offer(now, families(7), &counters);
    let mut attempts = 0;
    while now < 2 * MINUTE {
        match queue.poll(now) {
            MetadataAction::Wait { until } => {
                assert!(until > now && until <= now + Duration::from_secs(5));
                now = until;
            }
            MetadataAction::Send { families, retries } => {
                assert_eq!((families.len(), retries), (5, attempts));
                attempts += 1;
                assert!(!queue.on_outcome(now, &if attempts % 2 == 0 { no_answer() } else { answer(503) }, &counters));
            }
            MetadataAction::Collect => break,
        }
    }
    assert!(attempts > 12, "{attempts} attempts");
    assert_eq!(queue.poll(now), MetadataAction::Collect);
    queue.offer(now, families(2), &counters);
    assert_eq!((counters.metadata_failed.get(), counters.retries.get()), (7, u64::from(attempts)));
    now += Duration::from_secs(5);
    assert_eq!(queue.poll(now), MetadataAction::Send { families: &families(2), retries: 0 });
}

#[test]
fn what_is_refused_is_counted_and_the_next_request_goes_on() {
    for (status, retry_on_http_429) in [(400, true), (415, true), (429, false)] {
        let (mut queue, counters) = (queue(2), EndpointCounters::default());
        queue.give_up_on = if retry_on_http_429 { vec![] } else { vec![429] };
        queue.offer(MINUTE, families(3), &counters);
        assert_eq!(to_send(&queue, MINUTE), Some(2));
        assert!(!queue.on_outcome(MINUTE, &answer(status), &counters));
        assert_eq!(to_send(&queue, MINUTE), Some(1));
        assert!(queue.on_outcome(MINUTE, &answer(200), &counters));
        assert_eq!((counters.metadata_sent.get(), counters.metadata_failed.get()), (1, 2));
    }
}

/// `Retry-After` counts beyond the interval, and intervals that were slept through are left out.
#[test]
fn a_receiver_that_asks_for_a_pause_gets_it() {
    let (mut queue, counters) = (queue(2), EndpointCounters::default());
    queue.offer(MINUTE, families(2), &counters);
    let mut outcome = answer(429);
    outcome.result.as_mut().unwrap().retry_after = Some(3 * MINUTE);
    queue.on_outcome(MINUTE, &outcome, &counters);
    assert_eq!(queue.poll(MINUTE), MetadataAction::Wait { until: 2 * MINUTE });
    queue.offer(2 * MINUTE, families(2), &counters);
    assert_eq!(to_send(&queue, 2 * MINUTE), None);
    let late = 4 * MINUTE + MINUTE / 2;
    assert_eq!(queue.poll(late), MetadataAction::Collect);
    queue.offer(late, families(1), &counters);
    assert_eq!(to_send(&queue, late), Some(1));
    queue.on_outcome(late, &answer(200), &counters);
    assert_eq!(queue.poll(late), MetadataAction::Wait { until: 5 * MINUTE });
}

#[test]
fn a_request_is_what_prost_and_snappy_make() {
    let mut families = families(3000);
    families.push(Rc::new(MetricFamily::new("s", MetricType::StateSet, "", "").unwrap()));
    families.push(Rc::new(MetricFamily::new("u", MetricType::Unknown, "ü \"\n", "").unwrap()));
    let message = |family: &Rc<MetricFamily>| MetricMetadata {
        r#type: family.metric_type as i32,
        metric_family_name: family.name().into(),
        help: family.help().into(),
        unit: family.unit().into(),
    };
    let plain = MetadataRequest { metadata: families.iter().map(message).collect() }.encode_to_vec();
    let (mut encoder, mut body) = (MetadataEncoder::default(), Body::default());
    for _ in 0..2 {
        encoder.encode(&families, &mut body);
        assert_eq!(body.as_bytes(), snap::raw::Encoder::new().compress_vec(&plain).unwrap());
    }
}

/// `prompb.MetricMetadata_MetricType`, and `writev2.Metadata_MetricType`.
#[test]
fn types_have_the_numbers_of_the_protocol() {
    use MetricType::*;
    let types = [Unknown, Counter, Gauge, Histogram, GaugeHistogram, Summary, Info, StateSet];
    let numbers: Vec<u64> = types.iter().map(|metric_type| v1::type_number(*metric_type)).collect();
    assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn a_request_that_is_too_large_is_made_of_fewer_families_from_then_on() {
    let limit = QueueOptions { max_bytes_per_send: Some(1000), ..QueueOptions::default() };
    let options = MetadataOptions { send: true, ..MetadataOptions::default() };
    let (mut queue, counters) = (MetadataQueue::new(&options, &limit, Duration::ZERO, 1), EndpointCounters::default());
    queue.offer(MINUTE, families(7), &counters);
    let mut sent = Vec::new();
    while let Some(count) = to_send(&queue, MINUTE) {
        if queue.takes_body(count * 400) {
            sent.push(count);
            queue.on_outcome(MINUTE, &answer(204), &counters);
        }
    }
    assert_eq!(sent, [1; 7], "seven, then three are too large");
    queue.offer(2 * MINUTE, families(1), &counters);
    assert!(queue.takes_body(5000), "a single one is sent whatever it takes");
}
