//! Which of the two messages an endpoint is sent, and whether a 2xx is its receiver's. Given the time; sends nothing itself.
//!
//! ```text
//!  auto:  2.0 ──415, or twice at least a minute apart: 2xx or 400 without a count of what was written──► 1.0 for a day
//!          ▲  └── between the two: 1.0 ──┘   (not where 2.0 was ever confirmed: there nothing is              │
//!          │                                 acknowledged until the second one)                            │
//!          └────────────────────────────── after a day ──────────────────────────────────────────────────────┘
//! ```
//!
//! A receiver of 1.0 that looks at no header takes a 2.0 request for an empty one and answers 2xx: nothing was written. So the
//! request whose answer makes the change is sent again as 1.0.
//!
//! A captive portal or gateway answers 2xx too, perhaps for half a minute. It is told from the receiver by what this endpoint
//! answered before:
//!
//! | sent | 2xx                                                  | it is                                                           |
//! |------|------------------------------------------------------|-----------------------------------------------------------------|
//! | 2.0  | counts what was written                              | the receiver, and 2.0 is confirmed                              |
//! | 2.0  | does not; 2.0 was confirmed; a body                  | another                                                         |
//! | 2.0  | does not; 2.0 was confirmed; no body                 | another, unless it is the same a minute later: then 1.0         |
//! | 2.0  | does not; 2.0 was never confirmed                    | a receiver of 1.0, for a minute; the same then: for a day       |
//! | 1.0  | has a body, though none had before; or conversely      | another, unless it is the same a minute later                   |
//!
//! What is known is remembered over a restart: until when 1.0 is sent, whether 2.0 was confirmed, which body 1.0 is answered with.

use super::encoder::Sent;
use super::retry::{Answer, BodyKind, Failure};
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

/// What an answer says of the message that was sent, and of who has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Nothing: the answer is about the samples.
    Understood,
    /// As above, and the receiver wrote so many samples and histograms fewer, or has another count of exemplars.
    WrittenDiffers { missing: u64 },
    /// Not understood; the request is to be sent again as 1.0.
    SendAsV1,
    /// Not an answer of this receiver, although it is a 2xx: nothing was delivered, and the request is kept.
    Impostor(Impostor),
}

/// Why a 2xx is not the receiver's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Impostor {
    /// 2.0 was sent, and the answer does not count what was written.
    NotCounted,
    /// 1.0 was sent, and the answer's body is of another kind than those before.
    OtherBody,
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

/// An answer that changes what is known of a receiver has to come twice, so far apart.
const CONFIRM_AFTER: Duration = Duration::from_secs(60);

/// One endpoint's, of all of its lanes: what one has found out costs the others no request. Times are of the monotonic clock.
pub struct Protocol {
    setting: ProtobufMessage,
    v2_again_at: Option<Duration>,
    /// 2.0 was sent, and answered with a count of what was written.
    is_v2_confirmed: bool,
    /// What 1.0 is answered with. Receivers have nothing to say there, with few exceptions.
    v1_body: BodyKind,
    /// The answer that may show that 2.0 is not known, and when it came first.
    not_v2: Option<(NotV2, Duration)>,
    /// The body of another kind that 1.0 was answered with, and when it came first.
    other_body: Option<(BodyKind, Duration)>,
    news: News,
    accepted: u64,
}

/// An answer to 2.0 that a receiver of 1.0 may give.
#[derive(Clone, Copy, PartialEq, Eq)]
enum NotV2 {
    Status(u16),
    Success(BodyKind),
}

/// What has changed since it was last remembered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum News {
    None,
    /// It may be lost with the process.
    Small,
    /// It is worth a write.
    Large,
}

/// Bytes of what is remembered of an endpoint: seconds since 1970 until which 1.0 is sent, and flags.
const MEMORY_BYTES: usize = 5;
const FLAG_V2_CONFIRMED: u8 = 1;
const FLAG_V1_BODY: u8 = 2;

/// What is to be remembered of an endpoint.
#[derive(Debug, PartialEq, Eq)]
pub struct Memory {
    pub bytes: [u8; MEMORY_BYTES],
    /// Not only along with other things.
    pub is_worth_a_write: bool,
}

impl Protocol {
    pub fn new(setting: ProtobufMessage) -> Self {
        Protocol {
            setting,
            v2_again_at: None,
            is_v2_confirmed: false,
            v1_body: BodyKind::Empty,
            not_v2: None,
            other_body: None,
            news: News::None,
            accepted: 0,
        }
    }

    /// What [`recall`](Self::recall) takes after a restart; once, when there is something new to remember. The wall clock
    /// says when 2.0 is tried again: it goes on while the device is off.
    pub fn take_memory(&mut self, now: Duration, wall_ms: i64) -> Option<Memory> {
        let news = std::mem::replace(&mut self.news, News::None);
        if news == News::None {
            return None;
        }
        let until_s = match self.v2_again_at.filter(|at| *at > now) {
            Some(at) => u32::try_from(wall_ms / 1000 + (at - now).as_secs() as i64).unwrap_or(0),
            None => 0,
        };
        let flags = [(FLAG_V2_CONFIRMED, self.is_v2_confirmed), (FLAG_V1_BODY, self.v1_body == BodyKind::Other)];
        let mut bytes = [0; MEMORY_BYTES];
        bytes[..4].copy_from_slice(&until_s.to_le_bytes());
        bytes[4] = flags.iter().filter(|(_, is_set)| *is_set).map(|(flag, _)| flag).sum();
        Some(Memory { bytes, is_worth_a_write: news == News::Large })
    }

    /// Goes on where an earlier process was. A clock that stands further before the end than the time there is to wait is wrong, or was:
    /// then 2.0 is tried at once. Flags are missing where an older version remembered.
    pub fn recall(&mut self, now: Duration, wall_ms: i64, memory: &[u8]) {
        let (Some((until_s, flags)), true) = (memory.split_first_chunk::<4>(), memory.len() <= MEMORY_BYTES) else {
            return;
        };
        let left_s = i64::from(u32::from_le_bytes(*until_s)) - wall_ms / 1000;
        let left = u64::try_from(left_s).map(Duration::from_secs).ok();
        self.v2_again_at = left.filter(|left| *left <= RETRY_V2).map(|left| now + left);
        let flags = flags.first().copied().unwrap_or(0);
        self.is_v2_confirmed = flags & FLAG_V2_CONFIRMED != 0;
        self.v1_body = if flags & FLAG_V1_BODY != 0 { BodyKind::Other } else { BodyKind::Empty };
    }

    /// How a new request is to be written.
    pub fn version(&self, now: Duration) -> Version {
        let is_on_trial = || {
            let first_at = self.not_v2.filter(|_| !self.is_v2_confirmed).map(|(_, first_at)| first_at);
            first_at.is_some_and(|first_at| now < first_at + CONFIRM_AFTER)
        };
        match self.setting {
            ProtobufMessage::Always(version) => version,
            ProtobufMessage::Auto if self.v2_again_at.is_some_and(|at| now < at) || is_on_trial() => Version::V1,
            ProtobufMessage::Auto => Version::V2,
        }
    }

    /// Requests that the endpoint has accepted, of all lanes.
    pub(super) fn accepted(&self) -> u64 {
        self.accepted
    }

    pub(super) fn note_accepted(&mut self) {
        self.accepted += 1;
    }

    /// Whether the endpoint is sent 1.0 for a day.
    pub fn is_v1_for_long(&self, now: Duration) -> bool {
        self.v2_again_at.is_some_and(|at| now < at)
    }

    /// After an answer, or none, to a request of this version that held this.
    pub fn judge(
        &mut self,
        now: Duration,
        version: Version,
        sent: &Sent,
        result: &Result<Answer, Failure>,
    ) -> Judgement {
        let Ok(answer) = result else { return Judgement::Understood };
        let is_success = (200..300).contains(&answer.status) && !answer.body.is_impostor();
        match (version, answer.written) {
            (Version::V1, _) if is_success => self.judge_v1(now, answer.body),
            (Version::V2, Some(written)) if is_success => {
                self.confirm_v2();
                compare(sent, written)
            }
            (Version::V2, Some(_)) if (400..500).contains(&answer.status) => {
                self.confirm_v2();
                Judgement::Understood
            }
            (Version::V2, None) => self.judge_uncounted(now, answer, is_success),
            _ => Judgement::Understood,
        }
    }

    fn judge_v1(&mut self, now: Duration, body: BodyKind) -> Judgement {
        if self.v1_body != body {
            if !is_second(&mut self.other_body, body, now) {
                return Judgement::Impostor(Impostor::OtherBody);
            }
            self.v1_body = body;
            self.news = self.news.max(News::Small);
        }
        self.other_body = None;
        Judgement::Understood
    }

    /// An answer to 2.0 that does not tell what was written.
    fn judge_uncounted(&mut self, now: Duration, answer: &Answer, is_success: bool) -> Judgement {
        let (is_auto, is_confirmed) = (self.setting == ProtobufMessage::Auto, self.is_v2_confirmed);
        match answer.status {
            415 if is_auto => self.fall_back(now),
            400 if is_auto && !is_confirmed => self.try_v1(now, NotV2::Status(400)),
            _ if !is_success => Judgement::Understood,
            _ if is_auto && !is_confirmed => self.try_v1(now, NotV2::Success(answer.body)),
            // Receivers of 1.0 have no body to send. Whoever has one may say it for hours.
            _ if is_auto && answer.body == BodyKind::Empty => {
                match is_second(&mut self.not_v2, NotV2::Success(answer.body), now) {
                    true => self.fall_back(now),
                    false => Judgement::Impostor(Impostor::NotCounted),
                }
            }
            _ => Judgement::Impostor(Impostor::NotCounted),
        }
    }

    fn try_v1(&mut self, now: Duration, answer: NotV2) -> Judgement {
        match is_second(&mut self.not_v2, answer, now) {
            true => self.fall_back(now),
            false => Judgement::SendAsV1,
        }
    }

    /// Sends 1.0 from now on, for a day.
    fn fall_back(&mut self, now: Duration) -> Judgement {
        // Another lane may have found it out while this request was under way.
        if !self.is_v1_for_long(now) {
            (self.v2_again_at, self.is_v2_confirmed) = (Some(now + RETRY_V2), false);
            self.news = News::Large;
        }
        Judgement::SendAsV1
    }

    fn confirm_v2(&mut self) {
        self.not_v2 = None;
        if !self.is_v2_confirmed {
            self.is_v2_confirmed = true;
            self.news = News::Large;
        }
    }
}

/// Whether the same answer came before, long enough ago; takes down a new one.
fn is_second<T: PartialEq>(first: &mut Option<(T, Duration)>, answer: T, now: Duration) -> bool {
    match first {
        Some((known, first_at)) if *known == answer => now >= *first_at + CONFIRM_AFTER,
        _ => {
            *first = Some((answer, now));
            false
        }
    }
}

fn compare(sent: &Sent, written: Written) -> Judgement {
    let missing = sent.samples.saturating_sub(written.samples) + sent.histograms.saturating_sub(written.histograms);
    let same =
        (written.samples, written.histograms, written.exemplars) == (sent.samples, sent.histograms, sent.exemplars);
    if same { Judgement::Understood } else { Judgement::WrittenDiffers { missing } }
}

#[cfg(test)]
mod tests;
