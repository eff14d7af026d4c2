//! How many samples were lost, by endpoint and cause, as the ring's note keeps it. Does not know what a cause means.
//!
//! ```text
//!  4 upper half of the endpoint's id │ 2 causes, a bit for each │ a LEB128 count for each bit, lowest first │ the next endpoint ...
//! ```
//!
//! - An endpoint stands once, and has at least one cause.
//! - If all causes do not fit, the causes of one endpoint become one count under [`SEVERAL_CAUSES`], those of the endpoint
//!   with the most causes first. So the sum of an endpoint is always exact.

use crate::limits::{COUNT_MAX, LOSS_CAUSES_MAX};

/// The cause of counts that were added up for want of room.
pub const SEVERAL_CAUSES: usize = LOSS_CAUSES_MAX - 1;

const HEAD_BYTES: usize = 4 + 2;

const _: () = assert!(LOSS_CAUSES_MAX == u16::BITS as usize);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LossCounts {
    /// In the order in which they were added.
    endpoints: Vec<(u32, [u64; LOSS_CAUSES_MAX])>,
}

impl LossCounts {
    /// Adds samples to the count of an endpoint, which the upper half of its id tells.
    pub fn add(&mut self, endpoint_id: u64, cause: usize, samples: u64) {
        if samples == 0 {
            return;
        }
        let endpoint = (endpoint_id >> 32) as u32;
        let at = self.endpoints.iter().position(|(known, _)| *known == endpoint).unwrap_or_else(|| {
            self.endpoints.push((endpoint, [0; LOSS_CAUSES_MAX]));
            self.endpoints.len() - 1
        });
        let count = &mut self.endpoints[at].1[cause];
        *count = count.saturating_add(samples).min(COUNT_MAX);
    }

    /// Adds all counts of another one, behind its own endpoints.
    pub fn add_all(&mut self, other: &LossCounts) {
        other.iter().for_each(|(endpoint, cause, samples)| self.add(endpoint, cause, samples));
    }

    /// The counts above zero: endpoint id (its lower half is zero), cause, samples.
    pub fn iter(&self) -> impl Iterator<Item = (u64, usize, u64)> + '_ {
        self.endpoints.iter().flat_map(|(endpoint, counts)| {
            let counts = counts.iter().enumerate().filter(|(_, samples)| **samples > 0);
            counts.map(|(cause, samples)| (u64::from(*endpoint) << 32, cause, *samples))
        })
    }

    /// Takes out the counts of one endpoint.
    pub fn take(&mut self, endpoint_id: u64) -> [u64; LOSS_CAUSES_MAX] {
        let at = self.endpoints.iter().position(|(known, _)| u64::from(*known) == endpoint_id >> 32);
        at.map_or([0; LOSS_CAUSES_MAX], |at| self.endpoints.remove(at).1)
    }

    /// At most so many bytes. If even one count for each endpoint is too much, the endpoints that were added last are left out.
    pub fn encode(&self, bytes_max: usize) -> Vec<u8> {
        let mut shown = self.clone();
        loop {
            let bytes: Vec<u8> = shown.endpoints.iter().flat_map(encode_endpoint).collect();
            if bytes.len() <= bytes_max {
                return bytes;
            }
            let causes = |counts: &[u64; LOSS_CAUSES_MAX]| counts.iter().filter(|samples| **samples > 0).count();
            match shown.endpoints.iter_mut().max_by_key(|(_, counts)| causes(counts)) {
                Some((_, counts)) if causes(counts) > 1 => {
                    let sum = counts.iter().fold(0, |sum: u64, samples| sum.saturating_add(*samples));
                    *counts = [0; LOSS_CAUSES_MAX];
                    counts[SEVERAL_CAUSES] = sum.min(COUNT_MAX);
                }
                _ => _ = shown.endpoints.pop(),
            }
        }
    }

    /// Nothing, if the bytes are no such counts.
    pub fn decode(mut bytes: &[u8]) -> LossCounts {
        let mut counts = LossCounts::default();
        while !bytes.is_empty() {
            match decode_endpoint(bytes, &mut counts) {
                Some(rest) => bytes = rest,
                None => return LossCounts::default(),
            }
        }
        counts
    }
}

fn encode_endpoint((endpoint, counts): &(u32, [u64; LOSS_CAUSES_MAX])) -> Vec<u8> {
    let causes = (0..LOSS_CAUSES_MAX).filter(|cause| counts[*cause] > 0);
    let bits = causes.clone().fold(0u16, |bits, cause| bits | 1 << cause);
    let mut bytes = endpoint.to_le_bytes().to_vec();
    bytes.extend(bits.to_le_bytes());
    for cause in causes {
        let mut rest = counts[cause];
        while rest > 0x7f {
            bytes.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        bytes.push(rest as u8);
    }
    bytes
}

/// Adds one endpoint's counts; what is behind them. `None` if the bytes are none.
fn decode_endpoint<'b>(bytes: &'b [u8], counts: &mut LossCounts) -> Option<&'b [u8]> {
    let (head, mut rest) = bytes.split_first_chunk::<HEAD_BYTES>()?;
    let [a, b, c, d, low, high] = *head;
    let (endpoint, bits) = (u32::from_le_bytes([a, b, c, d]), u16::from_le_bytes([low, high]));
    for cause in (0..LOSS_CAUSES_MAX).filter(|cause| bits >> cause & 1 == 1) {
        let (mut samples, mut shift) = (0u64, 0);
        loop {
            let (byte, behind) = rest.split_first()?;
            rest = behind;
            samples |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
            if shift > 56 {
                return None;
            }
        }
        if samples == 0 || samples > COUNT_MAX {
            return None;
        }
        counts.add(u64::from(endpoint) << 32, cause, samples);
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn counts(all: &[(u64, usize, u64)]) -> LossCounts {
        let mut counts = LossCounts::default();
        all.iter().for_each(|(endpoint, cause, samples)| counts.add(endpoint << 32, *cause, *samples));
        counts
    }

    #[test]
    fn the_bytes_are_those_that_the_format_says() {
        let bytes = counts(&[(0x9ebb_5c95, 0, 300), (0x9ebb_5c95, 6, 5)]).encode(195);
        assert_eq!(bytes, [0x95, 0x5c, 0xbb, 0x9e, 0b0100_0001, 0, 0xac, 0x02, 5]);
    }

    #[test]
    fn sums_of_endpoints_stay_exact_where_causes_do_not_fit() {
        let all: Vec<(u64, usize, u64)> =
            (1..=16).flat_map(|endpoint| (0..10).map(move |cause| (endpoint, cause, 1000 * endpoint))).collect();
        let bytes = counts(&all).encode(195);
        assert!(bytes.len() <= 195, "{}", bytes.len());
        let mut found = LossCounts::decode(&bytes);
        for endpoint in 1..=16u64 {
            assert_eq!(found.take(endpoint << 32).iter().sum::<u64>(), 10_000 * endpoint, "endpoint {endpoint}");
        }
    }

    #[test]
    fn endpoints_of_which_nothing_fits_are_the_last() {
        let all: Vec<(u64, usize, u64)> = (1..=40).map(|endpoint| (endpoint, 0, 1)).collect();
        let found = LossCounts::decode(&counts(&all).encode(195));
        assert_eq!(found.iter().map(|(endpoint, ..)| endpoint >> 32).collect::<Vec<_>>(), (1..=27).collect::<Vec<_>>());
    }

    proptest! {
        #[test]
        fn counts_come_back(all in prop::collection::vec((0u64..6, 0usize..16, 0..COUNT_MAX / 64), 0..12)) {
            let counts = counts(&all);
            prop_assert_eq!(LossCounts::decode(&counts.encode(usize::MAX)), counts);
        }

        #[test]
        fn garbage_is_nothing_or_counts(garbage in prop::collection::vec(any::<u8>(), 0..200)) {
            LossCounts::decode(&garbage).encode(195);
        }
    }
}
