//! A page with more series than a segment can describe is kept as several records.

use crate::codec::SegmentCodec;
use crate::model::{OwnTimestamp, ScrapeBatch, Series};
use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

/// Remembers how each target's list was cut, so that the parts of an unchanged page share their lists as well.
#[derive(Default)]
pub(super) struct Splitter {
    cuts: HashMap<u32, Cut>,
    parts: Vec<ScrapeBatch>,
}

struct Cut {
    whole: Rc<[Series]>,
    parts: Vec<(Range<usize>, Rc<[Series]>)>,
}

impl Splitter {
    /// The batch, in parts that each fit into `room_bytes` even where nothing compresses. The caller drains them.
    pub fn split(&mut self, batch: ScrapeBatch, room_bytes: usize) -> &mut Vec<ScrapeBatch> {
        if SegmentCodec::worst_case_bytes(&batch) <= room_bytes || batch.len() < 2 {
            self.cuts.remove(&batch.target);
            self.parts.push(batch);
            return &mut self.parts;
        }
        let cut = match self.cuts.remove(&batch.target) {
            Some(cut) if Rc::ptr_eq(&cut.whole, &batch.series) => cut,
            _ => cut(&batch, room_bytes),
        };
        self.parts.extend(cut.parts.iter().map(|(range, series)| part_of(&batch, range.clone(), series.clone())));
        self.cuts.insert(batch.target, cut);
        &mut self.parts
    }
}

fn cut(batch: &ScrapeBatch, room_bytes: usize) -> Cut {
    let whole = 0..batch.len();
    let (mut open, mut parts) = (vec![whole; 1], Vec::new());
    while let Some(range) = open.pop() {
        let series: Rc<[Series]> = batch.series[range.clone()].into();
        let part = part_of(batch, range.clone(), series.clone());
        if SegmentCodec::worst_case_bytes(&part) <= room_bytes || range.len() < 2 {
            parts.push((range, series));
        } else {
            let middle = range.start + range.len() / 2;
            open.push(middle..range.end);
            open.push(range.start..middle);
        }
    }
    Cut { whole: batch.series.clone(), parts }
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
