//! What the kernel tells of links, addresses and routes by rtnetlink: whoever waits for a network to come back need not ask.
//! Refuses to know what is done about it.
//!
//! ```text
//!  kernel ─► LinkSocket ─ datagrams ─► Links: what came up      pure
//!              edge
//! ```

mod message;
mod socket;

pub use message::Links;
pub use socket::{ADDRESSES, LinkSocket, ROUTES};
