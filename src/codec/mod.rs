//! [`ScrapeBatch`](crate::model::ScrapeBatch)es to the payload of one frame and back. Knows nothing of flash.
//!
//! What is stored together is learnt together: a [`SegmentCodec`] lives as long as a segment, and each frame is written
//! in terms of the frames before it in the same segment. So a frame is decoded after those before it, a segment without
//! any other. Encoder and decoder run the same code over the same state (see `range_coder`), so that whoever decoded a
//! segment up to its end can go on writing it.
//!
//! ```text
//! segment.rs     batches: stream, time, list, values, timestamps of their own
//! extras.rs      what some samples have besides a value
//! histogram.rs     a native histogram, by the last one of its series
//! list.rs          which series, as changes to the stream's last list
//! dictionary.rs    the labels of a series that is new in the segment
//! value.rs         a value, by what its series and its neighbours did
//! units.rs           an f64 as a whole number of bytes, pages, hundredths ...
//! numbers.rs     whole numbers by learnt length
//! range_coder.rs learnt decisions to bytes
//! ```
//!
//! # A payload
//!
//! One range-coded string of decisions, without any alignment. `[..]` is one of: a decision `?` with what is learnt of it,
//! a number `#` (6 decisions for its bit length, 2 for the bits after the leading one, the rest as they are), a signed
//! number `±` (folded: 0, -1, 1, -2, ...).
//!
//! ```text
//! payload   [# batches] batch*                            the end may be cut: zeros follow
//! batch     [expected stream ?] else [# stream]           expected: the one that came next after the last one last time;
//!                                                         the number of streams so far: a new one
//!           [± ms after the expected time]                expected: the stream's last time and last interval;
//!                                                         a new stream takes up the time of the batch before
//!           [same list ?] else list
//!           value*                                        one for each series of the list
//!           [own timestamps ?] and then [# count]
//!               { [# samples passed over] [± ms after the one before, or the batch's] }*
//!           [extras ?] and then extras                      see extras.rs
//! list      op* end                                       see list.rs
//! op        [copy, skip, known, new or end: 3 ?]
//!           copy, skip, known: [# count - 1]; known: [± first after the last one];  new: labels
//! labels    edit of another series                        see dictionary.rs
//! value     unchanged, stale, or a step in a unit         see value.rs
//! ```
//!
//! Sums wrap, so that every i64 and every bit pattern of an f64 comes back as it was.

mod dictionary;
mod error;
mod extras;
mod histogram;
mod list;
mod numbers;
mod range_coder;
mod segment;
mod units;
mod value;

#[cfg(test)]
pub(crate) mod measure;
#[cfg(test)]
mod tests;

pub use error::CodecError;
pub use segment::SegmentCodec;
