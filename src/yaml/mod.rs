//! What Go's YAML parser, which Prometheus uses, takes beyond the grammar that `saphyr-parser` holds texts to.
//!
//! Refuses to know what documents are for.

mod binary;
mod layout;

pub use binary::decode_binary;
pub use layout::strict_layout;
