//! Windows of samples become requests, and answers become decisions: what to send, again, later, or no more.
//!
//! Knows the protocol and one endpoint's state; refuses to know where samples come from and where they are kept.

mod options;

pub use options::{Auth, EndpointOptions, QueueOptions, SecretSource};
