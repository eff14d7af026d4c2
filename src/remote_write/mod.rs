//! Windows of samples become requests, and answers become decisions: what to send, again, later, or no more.
//!
//! Knows the protocol and one endpoint's state; refuses to know where samples come from and where they are kept.
//!
//! ```text
//!  window ─► queue ─► batching   which samples go into one request         pure
//!              │ ▲
//!              │ └─── retry      what an answer means                       pure
//!              │                 (halving: what to save of a refused request;
//!              ▼                 backoff: when; failures: what is logged)
//!            v1 ─► uplink        bytes, and the exchange with the receiver  edge
//! ```
//!
//! One endpoint's task, in short:
//!
//! ```text
//!  match queue.poll(now) {
//!      NeedWindow => wait until send_at(..), then queue.offer(window),
//!      Send(attempt) => if attempt.retries == 0 { encoder.encode(attempt.batches, attempt.request, &mut body) },
//!                       outcome = uplink.send(body.as_bytes(), &v1::HEADERS, retries).await,
//!                       queue.on_outcome(now, &outcome, counters),
//!      Wait { until } => wait,
//!      Finished { next_record } => acknowledge it,
//!  }
//! ```

mod backoff;
mod batching;
mod failures;
mod halving;
pub mod messages;
mod options;
mod queue;
mod retry;
#[cfg(test)]
mod testing;
mod uplink;
pub mod v1;

pub use batching::{Block, Request};
pub use options::{EndpointOptions, QueueOptions};
pub use queue::{Action, Attempt, Queue, send_at};
pub use retry::{Answer, Failure, FailureKind, Outcome};
pub use uplink::{Uplink, UplinkError};
