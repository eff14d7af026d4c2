//! A page with more series than a segment can describe, or than may come back from one frame, is kept as several records.

use crate::codec::SegmentCodec;
use crate::limits::FRAME_LABEL_BYTES_MAX;
use crate::model::{OwnTimestamp, ScrapeBatch, Series};
use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

/// Remembers how each target's list was cut, if at all: an unchanged page costs no look at its labels, and the parts of one
/// share their lists as well.
#[derive(Default)]
pub(super) struct Splitter {
    cuts: HashMap<u32, Cut>,
    parts: Vec<ScrapeBatch>,
}

struct Cut {
    whole: Rc<[Series]>,
    /// Which of the samples had times of their own: parts have room for these.
    own_timestamps: Box<[u32]>,
    parts: Vec<(Range<usize>, Rc<[Series]>)>,
}

impl Splitter {
    /// The batch, in parts that each fit into `room_bytes` even where nothing compresses. The caller drains them.
    pub fn split(&mut self, batch: ScrapeBatch, room_bytes: usize) -> &mut Vec<ScrapeBatch> {
        let cut = match self.cuts.remove(&batch.target) {
            Some(cut) if cut.suits(&batch) => cut,
            _ => cut(&batch, room_bytes),
        };
        let target = batch.target;
        if cut.parts.len() == 1 {
            self.parts.push(batch);
        } else {
            self.parts.extend(cut.parts.iter().map(|(range, series)| part_of(&batch, range.clone(), series.clone())));
        }
        self.cuts.insert(target, cut);
        &mut self.parts
    }
}

impl Cut {
    fn suits(&self, batch: &ScrapeBatch) -> bool {
        let own_timestamps = batch.own_timestamps.iter().map(|own| &own.index);
        Rc::ptr_eq(&self.whole, &batch.series)
            && (batch.own_timestamps.is_empty() || own_timestamps.eq(self.own_timestamps.iter()))
    }
}

fn cut(batch: &ScrapeBatch, room_bytes: usize) -> Cut {
    let whole = batch.series.clone();
    let own_timestamps = batch.own_timestamps.iter().map(|own| own.index).collect();
    if fits(batch, room_bytes) {
        return Cut { parts: vec![(0..batch.len(), whole.clone())], whole, own_timestamps };
    }
    let (mut open, mut parts) = (vec![0..batch.len(); 1], Vec::new());
    while let Some(range) = open.pop() {
        let series: Rc<[Series]> = batch.series[range.clone()].into();
        let part = part_of(batch, range.clone(), series.clone());
        if fits(&part, room_bytes) {
            parts.push((range, series));
        } else {
            let middle = range.start + range.len() / 2;
            open.push(middle..range.end);
            open.push(range.start..middle);
        }
    }
    Cut { whole, own_timestamps, parts }
}

/// A single series is not cut, whether it fits or not.
fn fits(batch: &ScrapeBatch, room_bytes: usize) -> bool {
    let is_readable = || label_bytes(&batch.series) <= FRAME_LABEL_BYTES_MAX;
    batch.len() < 2 || SegmentCodec::worst_case_bytes(batch) <= room_bytes && is_readable()
}

/// What a list's labels take once they are read back.
fn label_bytes(list: &[Series]) -> usize {
    list.iter().map(|series| series.packed().len()).sum()
}

/// Whether a frame of these batches has room for the labels of one more: a reader takes only so many. `bytes` is what those
/// of the frame take so far. The first batch always has room.
pub(super) fn admits(batches: &[Rc<ScrapeBatch>], bytes: &mut usize, next: &ScrapeBatch) -> bool {
    // Lists come in turn, so that one seen before is not far back.
    if batches.iter().rev().any(|known| Rc::ptr_eq(&known.series, &next.series)) {
        return true;
    }
    *bytes += label_bytes(&next.series);
    *bytes <= FRAME_LABEL_BYTES_MAX || batches.is_empty()
}

fn part_of(batch: &ScrapeBatch, range: Range<usize>, series: Rc<[Series]>) -> ScrapeBatch {
    let own = batch.own_timestamps.iter().filter(|own| range.contains(&(own.index as usize)));
    ScrapeBatch {
        target: batch.target,
        timestamp_ms: batch.timestamp_ms,
        series,
        values: batch.values[range.clone()].to_vec(),
        own_timestamps: own.map(|own| OwnTimestamp { index: own.index - range.start as u32, ..*own }).collect(),
    }
}
