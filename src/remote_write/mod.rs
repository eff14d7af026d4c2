//! Windows of samples become requests, and answers become decisions: what to send, again, later, or no more.
//!
//! Knows the protocol and one endpoint's state; refuses to know where samples come from and where they are kept.
//!
//! ```text
//!  window ─► queue ─► batching   which samples go into one request         pure
//!              │ ▲
//!              │ └─── retry      what an answer means                       pure
//!              │      protocol   1.0 or 2.0
//!              │      send_size  how many samples a request takes
//!              │      growth     how many more while slow answers hold an endpoint back
//!              │                 (halving: what to save of a refused request;
//!              ▼                 backoff: when; failures: what is logged)
//!            gate      what the link costs and carries             pure
//!              ▼
//!         encoder ─► uplink      bytes, and the exchange with the receiver  edge
//!         v1, v2
//! ```
//!
//! Beside these, on a schedule of its own: `metadata`, what metrics are, for receivers of 1.0.
//!
//! One endpoint's task, in short:
//!
//! ```text
//!  match queue.poll(now) {
//!      NeedWindow => wait until send_at(..), then queue.offer(window), relabelled if there are rules,
//!      Send(attempt) => if attempt.retries == 0 { sent = encoder.encode(version, batches, request, &mut body) },
//!                       parted and encoded again unless queue.takes_body(now, ..), and again without what has become too old,
//!                       outcome = uplink.send(body.as_bytes(), version.headers(), retries).await,
//!                       queue.on_outcome(now, &sent, &outcome, counters),
//!      Wait { until } => wait,
//!      Finished { next_record } => acknowledge it,
//!  }
//! ```

mod backoff;
mod batching;
mod body;
mod encoder;
mod failures;
mod gate;
mod growth;
mod halving;
mod histogram_message;
mod holding;
pub mod messages;
#[cfg(test)]
mod messages_v2;
mod metadata;
mod options;
mod priority;
mod protocol;
mod queue;
mod relabeling;
mod retry;
mod retry_after;
mod send_size;
mod symbols;
#[cfg(test)]
mod testing;
mod uplink;
mod v1;
mod v2;
mod wire;

pub use batching::{Block, Request};
pub use body::Body;
pub use encoder::{Content, Encoder, Sent};
pub use gate::{Gate, Hours, Meter, RateOptions, Traffic, Turns, UplinkOptions, backlog_age, estimated_bytes};
pub use metadata::{MetadataAction, MetadataEncoder, MetadataOptions, MetadataQueue};
pub use options::{CatchUp, EndpointOptions, QueueOptions};
pub use priority::{ClassCounter, ClassFilter, PRIORITY_LABEL, classes, fixed_replacement, rules_hash, sets_priority};
pub use protocol::{ProtobufMessage, Protocol, Version, Written};
pub use queue::{Action, Attempt, Queue, send_at};
pub use relabeling::WriteRelabeling;
pub use retry::{Answer, BodyKind, Failure, FailureKind, Outcome};
pub use uplink::{Uplink, UplinkError, read_answer};
