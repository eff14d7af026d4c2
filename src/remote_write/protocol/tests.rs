use super::*;
use crate::remote_write::retry::FailureKind;

const SENT: Sent =
    Sent { samples: 10, histograms: 2, exemplars: 1, histograms_left_out: 0, too_old: 0, oldest_ms: None };
const ALL: Written = Written { samples: 10, histograms: 2, exemplars: 1 };

fn answer(status: u16, text: &str, written: Option<Written>) -> Result<Answer, Failure> {
    Ok(Answer { status, text: text.into(), written, ..Answer::default() })
}

fn judge(setting: ProtobufMessage, result: &Result<Answer, Failure>) -> (Judgement, Version) {
    let mut protocol = Protocol::new(setting);
    assert_eq!(protocol.version(Duration::ZERO), Version::V2);
    let judgement = protocol.judge(Duration::ZERO, Version::V2, &SENT, result);
    (judgement, protocol.version(Duration::ZERO))
}

fn body(status: u16, body: BodyKind) -> Result<Answer, Failure> {
    Ok(Answer { status, body, ..Answer::default() })
}

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

const NOT_COUNTED: Judgement = Judgement::Impostor(Impostor::NotCounted);
const OTHER_BODY: Judgement = Judgement::Impostor(Impostor::OtherBody);

/// Whether 2.0 was confirmed before, and each kind of answer: what it is taken for, and what is sent next.
#[test]
fn each_answer_to_2_0_has_one_judgement() {
    use BodyKind::*;
    let fewer = Written { samples: 7, histograms: 1, exemplars: 0 };
    let no_answer = || Err(Failure { kind: FailureKind::Timeout, text: String::new() });
    let (as_v1, stays) = ((Judgement::SendAsV1, Version::V1), (Judgement::Understood, Version::V2));
    let kept = (NOT_COUNTED, Version::V2);
    for (result, unconfirmed, confirmed) in [
        (answer(415, "", None), as_v1, as_v1),
        (answer(400, "unknown protobuf message", None), as_v1, stays),
        (answer(400, "out of order sample", None), as_v1, stays),
        (answer(400, "", Some(fewer)), stays, stays),
        (answer(422, "", None), stays, stays),
        (answer(401, "", None), stays, stays),
        (answer(404, "", None), stays, stays),
        (answer(500, "unknown message", None), stays, stays),
        (no_answer(), stays, stays),
        (answer(204, "", Some(ALL)), stays, stays),
        (
            answer(200, "", Some(fewer)),
            (Judgement::WrittenDiffers { missing: 4 }, Version::V2),
            (Judgement::WrittenDiffers { missing: 4 }, Version::V2),
        ),
        (body(204, Empty), as_v1, kept),
        (body(200, Empty), as_v1, kept),
        (body(200, Other), as_v1, kept),
        // `classify` knows these.
        (body(200, Html), stays, stays),
        (body(200, JsonError), stays, stays),
    ] {
        assert_eq!(judge(ProtobufMessage::Auto, &result), unconfirmed, "{result:?}");
        let mut protocol = Protocol::new(ProtobufMessage::Auto);
        protocol.judge(Duration::ZERO, Version::V2, &SENT, &answer(204, "", Some(ALL)));
        let judgement = protocol.judge(SECOND, Version::V2, &SENT, &result);
        assert_eq!((judgement, protocol.version(SECOND)), confirmed, "{result:?} after 2.0 was confirmed");
    }
}

/// One answer without a count used to be enough for a day of 1.0.
#[test]
fn a_receiver_that_counts_nothing_is_sent_1_0_for_a_minute_and_for_a_day_when_it_says_so_again() {
    for first in [body(204, BodyKind::Empty), body(200, BodyKind::Other), answer(400, "", None)] {
        let mut protocol = Protocol::new(ProtobufMessage::Auto);
        assert_eq!(protocol.judge(SECOND, Version::V2, &SENT, &first), Judgement::SendAsV1);
        assert_eq!(protocol.version(59 * SECOND), Version::V1);
        assert_eq!(protocol.take_memory(59 * SECOND, 0), None, "that is no knowledge yet");
        assert_eq!(protocol.version(61 * SECOND), Version::V2);
        assert_eq!(protocol.judge(61 * SECOND, Version::V2, &SENT, &first), Judgement::SendAsV1);
        assert_eq!(protocol.version(24 * 3600 * SECOND), Version::V1);
        assert!(protocol.take_memory(61 * SECOND, 0).unwrap().is_worth_a_write);
        // The next day one answer is enough.
        let next_day = 61 * SECOND + RETRY_V2;
        assert_eq!(protocol.version(next_day), Version::V2);
        assert_eq!(protocol.judge(next_day, Version::V2, &SENT, &first), Judgement::SendAsV1);
        assert_eq!(protocol.version(next_day + 2 * MINUTE), Version::V1);
    }
}

#[test]
fn the_second_answer_has_to_be_the_same() {
    let mut protocol = Protocol::new(ProtobufMessage::Auto);
    protocol.judge(Duration::ZERO, Version::V2, &SENT, &body(200, BodyKind::Other));
    protocol.judge(MINUTE, Version::V2, &SENT, &body(204, BodyKind::Empty));
    assert_eq!(protocol.version(MINUTE + SECOND), Version::V1);
    assert_eq!(protocol.version(2 * MINUTE), Version::V2, "it is asked again");
    protocol.judge(2 * MINUTE, Version::V2, &SENT, &answer(204, "", Some(ALL)));
    protocol.judge(3 * MINUTE, Version::V2, &SENT, &body(204, BodyKind::Empty));
    assert_eq!(protocol.version(3 * MINUTE), Version::V2, "it has counted meanwhile");
}

/// A gateway that answered an empty 204 for half a minute once had half of the samples.
#[test]
fn where_2_0_was_confirmed_nothing_is_delivered_by_1_0_until_the_answer_was_the_same_for_a_minute() {
    let (empty, ok) = (body(204, BodyKind::Empty), body(200, BodyKind::Other));
    let mut protocol = Protocol::new(ProtobufMessage::Auto);
    protocol.judge(Duration::ZERO, Version::V2, &SENT, &answer(204, "", Some(ALL)));
    assert!(protocol.take_memory(Duration::ZERO, 0).unwrap().is_worth_a_write, "it is to outlive the process");
    for second in 1..=60 {
        assert_eq!(protocol.judge(second * SECOND, Version::V2, &SENT, &empty), NOT_COUNTED);
        assert_eq!(protocol.version(second * SECOND), Version::V2);
    }
    assert_eq!(protocol.judge(61 * SECOND, Version::V2, &SENT, &empty), Judgement::SendAsV1);
    assert_eq!(protocol.version(61 * SECOND), Version::V1);

    let mut protocol = Protocol::new(ProtobufMessage::Auto);
    protocol.judge(Duration::ZERO, Version::V2, &SENT, &answer(204, "", Some(ALL)));
    for minute in 1..600 {
        assert_eq!(protocol.judge(minute * MINUTE, Version::V2, &SENT, &ok), NOT_COUNTED, "no receiver of 1.0 says ok");
    }
}

#[test]
fn an_answer_to_1_0_with_another_body_than_those_before_has_to_last_for_a_minute() {
    let (empty, ok) = (body(204, BodyKind::Empty), body(200, BodyKind::Other));
    for setting in [ProtobufMessage::Auto, ProtobufMessage::Always(Version::V1)] {
        let mut protocol = Protocol::new(setting);
        let mut judge = |second: u32, result| protocol.judge(second * SECOND, Version::V1, &SENT, result);
        assert_eq!(judge(0, &empty), Judgement::Understood);
        assert_eq!(judge(1, &ok), OTHER_BODY);
        assert_eq!(judge(60, &ok), OTHER_BODY);
        assert_eq!(judge(61, &ok), Judgement::Understood);
        assert_eq!(judge(62, &empty), OTHER_BODY);
        assert_eq!(judge(63, &ok), Judgement::Understood);
        assert_eq!(judge(123, &empty), OTHER_BODY, "it was the receiver meanwhile");
        let memory = protocol.take_memory(Duration::ZERO, 0).unwrap();
        assert!(!memory.is_worth_a_write);
        let mut again = Protocol::new(setting);
        again.recall(Duration::ZERO, 0, &memory.bytes);
        assert_eq!(again.judge(SECOND, Version::V1, &SENT, &ok), Judgement::Understood);
    }
}

#[test]
fn what_was_configured_stays() {
    let v2 = ProtobufMessage::Always(Version::V2);
    assert_eq!(judge(v2, &answer(415, "", None)), (Judgement::Understood, Version::V2));
    assert_eq!(judge(v2, &answer(204, "", None)), (NOT_COUNTED, Version::V2));
    let mut v1 = Protocol::new(ProtobufMessage::Always(Version::V1));
    assert_eq!(v1.version(Duration::ZERO), Version::V1);
    for result in [answer(204, "", None), answer(415, "", None), answer(204, "", Some(Written::default()))] {
        assert_eq!(v1.judge(Duration::ZERO, Version::V1, &SENT, &result), Judgement::Understood);
    }
}

#[test]
fn a_confirmed_2_0_is_remembered_over_a_restart() {
    let mut protocol = Protocol::new(ProtobufMessage::Auto);
    protocol.judge(Duration::ZERO, Version::V2, &SENT, &answer(204, "", Some(ALL)));
    let memory = protocol.take_memory(Duration::ZERO, 1_700_000_000_000).unwrap();
    let mut again = Protocol::new(ProtobufMessage::Auto);
    again.recall(Duration::ZERO, 1_700_000_000_000, &memory.bytes);
    assert_eq!(again.version(Duration::ZERO), Version::V2);
    assert_eq!(again.judge(Duration::ZERO, Version::V2, &SENT, &answer(204, "", None)), NOT_COUNTED);
}

#[test]
fn a_receiver_of_1_0_is_remembered_over_a_restart_until_the_day_is_over() {
    const BOOTED_MS: i64 = 1_700_000_000_000;
    let (hour, hour_ms) = (Duration::from_secs(3600), 3_600_000);
    let mut protocol = Protocol::new(ProtobufMessage::Auto);
    assert_eq!(protocol.take_memory(hour, BOOTED_MS), None);
    protocol.judge(hour, Version::V2, &SENT, &answer(415, "", None));
    let memory = protocol.take_memory(hour, BOOTED_MS).unwrap().bytes;
    assert_eq!(protocol.take_memory(hour, BOOTED_MS), None, "it is told once");
    for (hours_later, v1_for) in [(0, Some(24)), (1, Some(23)), (23, Some(1)), (25, None), (-1, None), (-10_000, None)]
    {
        let mut again = Protocol::new(ProtobufMessage::Auto);
        again.recall(5 * hour, BOOTED_MS + hours_later * hour_ms, &memory);
        assert_eq!(again.take_memory(5 * hour, 0), None, "it is known already");
        let is_v1 = |hours: u32| again.version(5 * hour + hours * hour) == Version::V1;
        let found = (0..30).find(|hours| !is_v1(*hours)).filter(|hours| *hours > 0);
        assert_eq!(found, v1_for, "{hours_later} hours later");
    }
    for garbage in [&b""[..], b"123", b"123456"] {
        let mut again = Protocol::new(ProtobufMessage::Auto);
        again.recall(Duration::ZERO, BOOTED_MS, garbage);
        assert_eq!(again.version(Duration::ZERO), Version::V2);
    }
    let mut v2 = Protocol::new(ProtobufMessage::Always(Version::V2));
    v2.recall(Duration::ZERO, BOOTED_MS, &memory);
    assert_eq!(v2.version(Duration::ZERO), Version::V2, "what was configured stays");
}

#[test]
fn what_two_lanes_find_out_at_once_is_remembered_once() {
    let mut protocol = Protocol::new(ProtobufMessage::Auto);
    let (second, refusal) = (Duration::from_secs(1), answer(415, "", None));
    assert_eq!(protocol.judge(second, Version::V2, &SENT, &refusal), Judgement::SendAsV1);
    assert!(protocol.take_memory(second, 0).is_some());
    assert_eq!(protocol.judge(2 * second, Version::V2, &SENT, &refusal), Judgement::SendAsV1);
    assert_eq!(protocol.take_memory(2 * second, 0), None);
}

#[test]
fn after_a_day_2_0_is_tried_again_and_taken_if_it_is_understood() {
    let mut protocol = Protocol::new(ProtobufMessage::Auto);
    let hour = Duration::from_secs(3600);
    protocol.judge(hour, Version::V2, &SENT, &answer(415, "", None));
    assert_eq!(protocol.version(24 * hour), Version::V1);
    assert_eq!(protocol.version(25 * hour), Version::V2);
    protocol.judge(25 * hour, Version::V2, &SENT, &answer(415, "", None));
    assert_eq!(protocol.version(48 * hour), Version::V1);
    assert_eq!(protocol.judge(49 * hour, Version::V2, &SENT, &answer(204, "", Some(ALL))), Judgement::Understood);
    assert_eq!(protocol.version(50 * hour), Version::V2);
}
