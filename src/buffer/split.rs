//! A page with more series than a segment can describe, or than may come back from one frame, is kept as several records.

use crate::codec::SegmentCodec;
use crate::limits::FRAME_LABEL_BYTES_MAX;
use crate::model::{Extras, OwnTimestamp, ScrapeBatch, Series};
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
    parts: Vec<Part>,
}

struct Part {
    range: Range<usize>,
    series: Rc<[Series]>,
    /// What its samples may have besides values.
    extras_room_bytes: usize,
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
            self.parts.extend(cut.parts.iter().map(|part| part_of(&batch, part.range.clone(), part.series.clone())));
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
            && batch.extras.as_ref().is_none_or(|extras| self.parts.iter().all(|part| part.has_room_for(extras)))
    }
}

impl Part {
    fn has_room_for(&self, extras: &Extras) -> bool {
        SegmentCodec::worst_case_extras_bytes(extras, self.range.clone()) <= self.extras_room_bytes
    }
}

fn cut(batch: &ScrapeBatch, room_bytes: usize) -> Cut {
    let whole = batch.series.clone();
    let own_timestamps = batch.own_timestamps.iter().map(|own| own.index).collect();
    if let Some(extras_room_bytes) = extras_room(batch, room_bytes) {
        let part = Part { range: 0..batch.len(), series: whole.clone(), extras_room_bytes };
        return Cut { parts: vec![part], whole, own_timestamps };
    }
    let (mut open, mut parts) = (vec![0..batch.len(); 1], Vec::new());
    while let Some(range) = open.pop() {
        let series: Rc<[Series]> = batch.series[range.clone()].into();
        let part = part_of(batch, range.clone(), series.clone());
        if let Some(extras_room_bytes) = extras_room(&part, room_bytes) {
            parts.push(Part { range, series, extras_room_bytes });
        } else {
            let middle = range.start + range.len() / 2;
            open.push(middle..range.end);
            open.push(range.start..middle);
        }
    }
    Cut { whole, own_timestamps, parts }
}

/// If the batch fits: what there is room for besides values. A single series is not cut, whether it fits or not.
fn extras_room(batch: &ScrapeBatch, room_bytes: usize) -> Option<usize> {
    if batch.len() < 2 {
        return Some(usize::MAX);
    }
    let left = room_bytes.checked_sub(SegmentCodec::worst_case_bytes(batch))?;
    let extras = batch.extras.as_ref();
    let taken = extras.map_or(0, |extras| SegmentCodec::worst_case_extras_bytes(extras, 0..batch.len()));
    (label_bytes(&batch.series) <= FRAME_LABEL_BYTES_MAX).then_some(left.saturating_add(taken))
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
    let extras = batch.extras.as_ref().map(|extras| extras.part(range.clone()));
    ScrapeBatch {
        target: batch.target,
        timestamp_ms: batch.timestamp_ms,
        series,
        values: batch.values[range.clone()].to_vec(),
        own_timestamps: own.map(|own| OwnTimestamp { index: own.index - range.start as u32, ..*own }).collect(),
        extras: extras.filter(|extras| !extras.is_empty()).map(Box::new),
    }
}
