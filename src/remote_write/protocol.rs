//! Which of the two messages an endpoint is sent, and what its answers say of that. Given the time; sends nothing itself.
//!
//! ```text
//!  auto:  2.0 ──415, a 400 that speaks of the message, or a 2xx that does not tell what was written──► 1.0
//!          ▲                                                                                            │
//!          └────────────────────────────── after a day ─────────────────────────────────────────────────┘
//! ```
//!
//! A receiver of 1.0 that looks at no header takes a 2.0 request for an empty one and answers 2xx: nothing was written. So the
//! request whose answer makes the change is sent again as 1.0. Until when 1.0 is sent may be remembered over a restart.

use super::encoder::Sent;
use super::retry::{Answer, Failure};
use super::{v1, v2};
use std::time::Duration;

/// `protobuf_message`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProtobufMessage {
    #[default]
    Auto,
    Always(Version),
}

/// Of Remote-Write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    V1,
    V2,
}

impl Version {
    pub fn headers(self) -> &'static [(&'static str, &'static str); 3] {
        match self {
            Version::V1 => &v1::HEADERS,
            Version::V2 => &v2::HEADERS,
        }
    }
}

/// What a receiver says it has written, in the headers that 2.0 asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    pub samples: u64,
    pub histograms: u64,
    pub exemplars: u64,
}

/// What an answer says of the message that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Nothing: the answer is about the samples.
    Understood,
    /// As above, and the receiver wrote so many samples and histograms fewer, and has another count of exemplars.
    WrittenDiffers { missing: u64 },
    /// Not understood; the request is to be sent again as 1.0.
    SendAsV1,
    /// Not understood, and it is not to be sent in any other way.
    Ignored,
}

impl Judgement {
    /// Samples and histograms that were sent and, as the receiver says, not written.
    pub fn missing(self) -> u64 {
        match self {
            Judgement::WrittenDiffers { missing } => missing,
            _ => 0,
        }
    }
}

/// How long an endpoint is sent 1.0 before 2.0 is tried again.
const RETRY_V2: Duration = Duration::from_secs(24 * 3600);

/// One endpoint's, of all of its lanes: what one has found out costs the others no request. Times are of the monotonic clock.
pub struct Protocol {
    setting: ProtobufMessage,
    v2_again_at: Option<Duration>,
    /// It was found out just now.
    is_new: bool,
}

/// Bytes of what is remembered of an endpoint.
const MEMORY_BYTES: usize = 4;

impl Protocol {
    pub fn new(setting: ProtobufMessage) -> Self {
        Protocol { setting, v2_again_at: None, is_new: false }
    }

    /// What [`recall`](Self::recall) takes after a restart; once, when there is something new to remember. The wall clock
    /// says when 2.0 is tried again: it goes on while the device is off.
    pub fn take_memory(&mut self, now: Duration, wall_ms: i64) -> Option<[u8; MEMORY_BYTES]> {
        let left = self.v2_again_at.filter(|_| self.is_new)?.saturating_sub(now);
        self.is_new = false;
        let until_s = wall_ms / 1000 + left.as_secs() as i64;
        u32::try_from(until_s).ok().map(u32::to_le_bytes)
    }

    /// Goes on where an earlier process was. A clock that stands further before the end than the time there is to wait is wrong, or was:
    /// then 2.0 is tried at once.
    pub fn recall(&mut self, now: Duration, wall_ms: i64, memory: &[u8]) {
        let Ok(bytes) = <[u8; MEMORY_BYTES]>::try_from(memory) else { return };
        let left_s = i64::from(u32::from_le_bytes(bytes)) - wall_ms / 1000;
        let left = u64::try_from(left_s).map(Duration::from_secs).ok();
        self.v2_again_at = left.filter(|left| *left <= RETRY_V2).map(|left| now + left);
    }

    /// How a new request is to be written.
    pub fn version(&self, now: Duration) -> Version {
        match self.setting {
            ProtobufMessage::Always(version) => version,
            ProtobufMessage::Auto if self.v2_again_at.is_some_and(|at| now < at) => Version::V1,
            ProtobufMessage::Auto => Version::V2,
        }
    }

    /// After an answer, or none, to a request of this version that held this.
    pub fn judge(
        &mut self,
        now: Duration,
        version: Version,
        sent: &Sent,
        result: &Result<Answer, Failure>,
    ) -> Judgement {
        let (Ok(answer), Version::V2) = (result, version) else { return Judgement::Understood };
        let success = (200..300).contains(&answer.status) && !answer.html;
        let is_refused = answer.status == 415 || answer.status == 400 && speaks_of_the_message(&answer.text);
        let is_ignored = success && answer.written.is_none();
        match (self.setting, answer.written) {
            (ProtobufMessage::Auto, _) if is_refused || is_ignored => {
                // Another lane may have found it out while this request was under way.
                if self.version(now) == Version::V2 {
                    (self.v2_again_at, self.is_new) = (Some(now + RETRY_V2), true);
                }
                Judgement::SendAsV1
            }
            _ if is_ignored => Judgement::Ignored,
            (_, Some(written)) if success => {
                let missing =
                    sent.samples.saturating_sub(written.samples) + sent.histograms.saturating_sub(written.histograms);
                let same = (written.samples, written.histograms, written.exemplars)
                    == (sent.samples, sent.histograms, sent.exemplars);
                if same { Judgement::Understood } else { Judgement::WrittenDiffers { missing } }
            }
            _ => Judgement::Understood,
        }
    }
}

fn speaks_of_the_message(text: &str) -> bool {
    const REFUSED: [&str; 6] = ["unknown", "unsupported", "not support", "unexpected", "unrecogni", "invalid"];
    const MESSAGE: [&str; 6] = ["protobuf", "proto message", "message type", "content-type", "content type", "proto="];
    let text = text.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    text.contains("io.prometheus.write.v2") || has(&REFUSED) && has(&MESSAGE)
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn auto_falls_back_where_a_receiver_does_not_know_2_0_and_only_there() {
        let fewer = Written { samples: 7, histograms: 1, exemplars: 0 };
        let portal = Answer { status: 200, html: true, ..Answer::default() };
        let no_answer = Failure { kind: FailureKind::Timeout, text: String::new() };
        let (falls_back, stays) = ((Judgement::SendAsV1, Version::V1), (Judgement::Understood, Version::V2));
        for (result, expected) in [
            (answer(415, "", None), falls_back),
            (answer(400, "unknown protobuf message", None), falls_back),
            (answer(400, "expected prometheus.WriteRequest, got io.prometheus.write.v2.Request", None), falls_back),
            (answer(400, "unsupported Content-Type header", None), falls_back),
            (answer(200, "", None), falls_back),
            (answer(204, "", None), falls_back),
            (answer(204, "", Some(ALL)), stays),
            (answer(400, "out of order sample", None), stays),
            (answer(400, "invalid label value", None), stays),
            (answer(400, "", Some(fewer)), stays),
            (answer(404, "", None), stays),
            (answer(500, "unknown message", None), stays),
            (Ok(portal), stays),
            (Err(no_answer), stays),
            (answer(200, "", Some(fewer)), (Judgement::WrittenDiffers { missing: 4 }, Version::V2)),
            (answer(200, "", Some(Written::default())), (Judgement::WrittenDiffers { missing: 12 }, Version::V2)),
        ] {
            assert_eq!(judge(ProtobufMessage::Auto, &result), expected, "{result:?}");
        }
    }

    #[test]
    fn what_was_configured_stays() {
        let v2 = ProtobufMessage::Always(Version::V2);
        assert_eq!(judge(v2, &answer(415, "", None)), (Judgement::Understood, Version::V2));
        assert_eq!(judge(v2, &answer(204, "", None)), (Judgement::Ignored, Version::V2));
        let mut v1 = Protocol::new(ProtobufMessage::Always(Version::V1));
        assert_eq!(v1.version(Duration::ZERO), Version::V1);
        for result in [answer(204, "", None), answer(415, "", None), answer(204, "", Some(Written::default()))] {
            assert_eq!(v1.judge(Duration::ZERO, Version::V1, &SENT, &result), Judgement::Understood);
        }
    }

    #[test]
    fn a_receiver_of_1_0_is_remembered_over_a_restart_until_the_day_is_over() {
        const BOOTED_MS: i64 = 1_700_000_000_000;
        let (hour, hour_ms) = (Duration::from_secs(3600), 3_600_000);
        let mut protocol = Protocol::new(ProtobufMessage::Auto);
        assert_eq!(protocol.take_memory(hour, BOOTED_MS), None);
        protocol.judge(hour, Version::V2, &SENT, &answer(415, "", None));
        let memory = protocol.take_memory(hour, BOOTED_MS).unwrap();
        assert_eq!(protocol.take_memory(hour, BOOTED_MS), None, "it is told once");
        for (hours_later, v1_for) in
            [(0, Some(24)), (1, Some(23)), (23, Some(1)), (25, None), (-1, None), (-10_000, None)]
        {
            let mut again = Protocol::new(ProtobufMessage::Auto);
            again.recall(5 * hour, BOOTED_MS + hours_later * hour_ms, &memory);
            assert_eq!(again.take_memory(5 * hour, 0), None, "it is known already");
            let is_v1 = |hours: u32| again.version(5 * hour + hours * hour) == Version::V1;
            let found = (0..30).find(|hours| !is_v1(*hours)).filter(|hours| *hours > 0);
            assert_eq!(found, v1_for, "{hours_later} hours later");
        }
        for garbage in [&b""[..], b"123", b"12345"] {
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
}
