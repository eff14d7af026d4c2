//! What some samples of a batch have besides a value: native histograms, exemplars, start timestamps.
//!
//! ```text
//! histograms    positions, then each by the last one of its series           see histogram.rs
//! exemplars     positions, then each as the last one of its series, or as an edit of it
//! starts        as the stream's last ones, or positions and times
//! positions     as the stream's last ones of their kind, or a count and gaps
//! ```
//!
//! A segment without any of these has none of the state here.

use super::dictionary::{code_edit, edit_text_models};
use super::error::CodecError;
use super::histogram::{HistogramModels, code_bits};
use super::list::Numbers;
use super::numbers::Number;
use super::range_coder::{Bit, Coder};
use crate::limits::SAMPLES_PER_BATCH_MAX;
use crate::model::{Exemplar, Extras, Histogram, Labels, StartTimestamps};
use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

/// State of one segment.
#[derive(PartialEq)]
pub struct ExtrasCodec {
    streams: Vec<StreamExtras>,
    /// Last ones, by number of the series.
    histograms: HashMap<u32, Rc<Histogram>>,
    exemplars: HashMap<u32, Rc<Exemplar>>,
    histogram: HistogramModels,
    exemplar: ExemplarModels,
    positions: [PositionModels; 2],
    same_starts: Bit,
    starts: PositionModels,
    start: Number,
}

/// What the last batch of a stream had.
#[derive(Default, PartialEq)]
struct StreamExtras {
    positions: [Vec<u32>; 2],
    starts: StartTimestamps,
}

#[derive(Default, PartialEq)]
struct PositionModels {
    same: Bit,
    count: Number,
    gap: Number,
}

#[derive(PartialEq)]
struct ExemplarModels {
    same: Bit,
    same_value: Bit,
    time: Number,
    edit: [Number; 3],
    text: Vec<Bit>,
}

/// Kinds of positions.
const HISTOGRAMS: usize = 0;
const EXEMPLARS: usize = 1;

/// Bytes of memory that the extras of one frame may still take. Only decoders ask.
pub struct ExtrasRoom(pub usize);

impl ExtrasRoom {
    pub fn take<C: Coder>(&mut self, _: &C, bytes: usize) -> Result<(), CodecError> {
        if !C::ENCODES {
            self.0 = self.0.checked_sub(bytes).ok_or(CodecError::TooManyExtras)?;
        }
        Ok(())
    }
}

/// The batch whose extras are coded.
pub struct BatchFrame<'a> {
    pub stream: u32,
    pub timestamp_ms: i64,
    pub numbers: &'a Numbers,
    pub values: &'a [f64],
}

impl Default for ExtrasCodec {
    fn default() -> Self {
        ExtrasCodec {
            streams: Vec::new(),
            histograms: HashMap::new(),
            exemplars: HashMap::new(),
            histogram: HistogramModels::default(),
            exemplar: ExemplarModels {
                same: Bit::default(),
                same_value: Bit::default(),
                time: Number::default(),
                edit: Default::default(),
                text: edit_text_models(),
            },
            positions: Default::default(),
            same_starts: Bit::default(),
            starts: PositionModels::default(),
            start: Number::default(),
        }
    }
}

impl ExtrasCodec {
    /// Codes all extras of one batch. `room` is what the frame may still bring in.
    pub fn code<C: Coder>(
        &mut self,
        coder: &mut C,
        batch: &BatchFrame<'_>,
        given: &Extras,
        room: &mut ExtrasRoom,
    ) -> Result<Extras, CodecError> {
        let stream = batch.stream as usize;
        if self.streams.len() <= stream {
            self.streams.resize_with(stream + 1, StreamExtras::default);
        }
        let histograms = self.code_histograms(coder, batch, &given.histograms, room)?;
        let exemplars = self.code_exemplars(coder, batch, &given.exemplars, room)?;
        let start_timestamps = self.code_starts(coder, batch, &given.start_timestamps, room)?;
        Ok(Extras { histograms, exemplars, start_timestamps })
    }

    fn code_histograms<C: Coder>(
        &mut self,
        coder: &mut C,
        batch: &BatchFrame<'_>,
        given: &[(u32, Rc<Histogram>)],
        room: &mut ExtrasRoom,
    ) -> Result<Vec<(u32, Rc<Histogram>)>, CodecError> {
        let positions = self.code_positions(coder, HISTOGRAMS, batch, positions_of(given), room)?;
        let mut series = SeriesAt::new(batch.numbers);
        let mut taken = Vec::new();
        for (at, &position) in positions.iter().enumerate() {
            let number = series.number(position);
            let last = self.histograms.get(&number).map(|last| &**last);
            let sum = batch.values[position as usize];
            let known = given.get(at).map(|(_, histogram)| histogram);
            let found = self.histogram.code(coder, last, known.map(|known| &**known), sum, room)?;
            let histogram = known.cloned().unwrap_or_else(|| Rc::new(found));
            self.histograms.insert(number, histogram.clone());
            if !C::ENCODES {
                taken.push((position, histogram));
            }
            if coder.overran() {
                return Err(CodecError::Truncated);
            }
        }
        Ok(taken)
    }

    fn code_exemplars<C: Coder>(
        &mut self,
        coder: &mut C,
        batch: &BatchFrame<'_>,
        given: &[(u32, Rc<Exemplar>)],
        room: &mut ExtrasRoom,
    ) -> Result<Vec<(u32, Rc<Exemplar>)>, CodecError> {
        let positions = self.code_positions(coder, EXEMPLARS, batch, positions_of(given), room)?;
        let mut series = SeriesAt::new(batch.numbers);
        let mut taken = Vec::new();
        for (at, &position) in positions.iter().enumerate() {
            let number = series.number(position);
            let last = self.exemplars.get(&number).map(|last| &**last);
            let known = given.get(at).map(|(_, exemplar)| exemplar);
            let found = self.exemplar.code(coder, last, known.map(|known| &**known), batch.timestamp_ms)?;
            room.take(coder, found.held_bytes())?;
            let exemplar = known.cloned().unwrap_or_else(|| Rc::new(found));
            self.exemplars.insert(number, exemplar.clone());
            if !C::ENCODES {
                taken.push((position, exemplar));
            }
            if coder.overran() {
                return Err(CodecError::Truncated);
            }
        }
        Ok(taken)
    }

    fn code_starts<C: Coder>(
        &mut self,
        coder: &mut C,
        batch: &BatchFrame<'_>,
        given: &StartTimestamps,
        room: &mut ExtrasRoom,
    ) -> Result<StartTimestamps, CodecError> {
        let stream = &mut self.streams[batch.stream as usize];
        if !coder.bit(&mut self.same_starts, stream.starts.is_same(given)) {
            let given = given.as_slice();
            let positions = code_new_positions(coder, &mut self.starts, true, given.iter().map(|(at, _)| *at), room)?;
            let mut before_ms = batch.timestamp_ms;
            let mut starts = Vec::with_capacity(positions.len());
            for (at, position) in positions.iter().enumerate() {
                let start_ms = given.get(at).map_or(0, |(_, start_ms)| *start_ms);
                before_ms = before_ms.wrapping_add(self.start.code_signed(coder, start_ms.wrapping_sub(before_ms)));
                starts.push((*position, before_ms));
            }
            stream.starts = starts[..].into();
        } else {
            room.take(coder, size_of_val(stream.starts.as_slice()))?;
        }
        check_positions(stream.starts.as_slice().iter().map(|(at, _)| *at), batch)?;
        Ok(stream.starts.clone())
    }

    fn code_positions<C: Coder>(
        &mut self,
        coder: &mut C,
        kind: usize,
        batch: &BatchFrame<'_>,
        given: impl ExactSizeIterator<Item = u32> + Clone,
        room: &mut ExtrasRoom,
    ) -> Result<Vec<u32>, CodecError> {
        let (models, last) = (&mut self.positions[kind], &mut self.streams[batch.stream as usize].positions[kind]);
        let same = given.clone().eq(last.iter().copied());
        if !coder.bit(&mut models.same, same) {
            *last = code_new_positions(coder, models, kind != EXEMPLARS, given, room)?;
        }
        check_positions(last.iter().copied(), batch)?;
        Ok(last.clone())
    }
}

/// The most that the extras of samples in this range take in a fresh segment. A decision costs no more than a number does.
pub fn worst_case_bits(extras: &Extras, range: Range<usize>, number_bits: usize, text_byte_bits: usize) -> usize {
    let is_in = |at: &u32| range.contains(&(*at as usize));
    let histograms = extras.histograms.iter().filter(|(at, _)| is_in(at)).map(|(_, histogram)| {
        let spans = histogram.positive_spans.len() + histogram.negative_spans.len();
        // Hint, kind, schema, threshold, three counts of what follows, two counts of observations.
        let numbers = 10 + 2 * spans + histogram.custom_values.len() + 2 * (histogram.buckets() + 2);
        (1 + numbers) * number_bits
    });
    let exemplars = extras.exemplars.iter().filter(|(at, _)| is_in(at));
    let exemplars = exemplars.map(|(_, exemplar)| 7 * number_bits + exemplar.labels.packed().len() * text_byte_bits);
    let starts = extras.start_timestamps.as_slice().iter().filter(|(at, _)| is_in(at)).count();
    8 * number_bits + histograms.sum::<usize>() + exemplars.sum::<usize>() + 2 * starts * number_bits
}

fn positions_of<T>(items: &[(u32, T)]) -> impl ExactSizeIterator<Item = u32> + Clone + '_ {
    items.iter().map(|(at, _)| *at)
}

/// Positions by their gaps; where they are `distinct`, each gap starts behind the position before it.
fn code_new_positions<C: Coder>(
    coder: &mut C,
    models: &mut PositionModels,
    distinct: bool,
    mut given: impl ExactSizeIterator<Item = u32>,
    room: &mut ExtrasRoom,
) -> Result<Vec<u32>, CodecError> {
    let count = models.count.code(coder, given.len() as u64);
    let count = usize::try_from(count).ok().filter(|count| *count <= SAMPLES_PER_BATCH_MAX);
    let count = count.ok_or(CodecError::TooManyExtras)?;
    room.take(coder, count * size_of::<(u32, i64)>())?;
    let mut next = 0u64;
    let mut positions = Vec::new();
    for _ in 0..count {
        let gap = models.gap.code(coder, u64::from(given.next().unwrap_or(0)).wrapping_sub(next));
        let position = u32::try_from(next.wrapping_add(gap)).map_err(|_| CodecError::NoSuch("sample"))?;
        next = u64::from(position) + u64::from(distinct);
        positions.push(position);
        if coder.overran() {
            return Err(CodecError::Truncated);
        }
    }
    Ok(positions)
}

/// Positions rise, since gaps are not negative unless they wrap, and then the last one is not in the batch either or a later
/// one is before an earlier one.
fn check_positions(positions: impl Iterator<Item = u32>, batch: &BatchFrame<'_>) -> Result<(), CodecError> {
    let mut before = 0;
    for position in positions {
        if position < before || position as usize >= batch.values.len() {
            return Err(CodecError::NoSuch("sample"));
        }
        before = position;
    }
    Ok(())
}

/// Numbers of series by rising position.
struct SeriesAt<'a> {
    runs: std::slice::Iter<'a, super::list::Run>,
    run: super::list::Run,
    start: u32,
}

impl<'a> SeriesAt<'a> {
    fn new(numbers: &'a Numbers) -> Self {
        let mut runs = numbers.runs().iter();
        let run = runs.next().copied().unwrap_or_default();
        SeriesAt { runs, run, start: 0 }
    }

    /// Of a position that is within the list and not before the last one asked for.
    fn number(&mut self, position: u32) -> u32 {
        while position >= self.start + self.run.count {
            self.start += self.run.count;
            match self.runs.next() {
                Some(run) => self.run = *run,
                None => return 0,
            }
        }
        self.run.first + (position - self.start)
    }
}

impl ExemplarModels {
    fn code<C: Coder>(
        &mut self,
        coder: &mut C,
        last: Option<&Exemplar>,
        given: Option<&Exemplar>,
        timestamp_ms: i64,
    ) -> Result<Exemplar, CodecError> {
        let same = last.is_some() && last == given;
        if coder.bit(&mut self.same, same) {
            return last.cloned().ok_or(CodecError::NoSuch("exemplar"));
        }
        let last_bits = last.map_or(0, |last| last.value.to_bits());
        let bits = given.map_or(0, |given| given.value.to_bits());
        let bits = if coder.bit(&mut self.same_value, bits == last_bits) { last_bits } else { code_bits(coder, bits) };
        let given_ms = given.map_or(0, |given| given.timestamp_ms);
        let timestamp_ms = timestamp_ms.wrapping_add(self.time.code_signed(coder, given_ms.wrapping_sub(timestamp_ms)));
        let mut text = given.map_or(Vec::new(), |given| given.labels.packed().to_vec());
        let old = last.map_or(&[][..], |last| last.labels.packed());
        code_edit(coder, &mut self.edit, &mut self.text, old, &mut text)?;
        Ok(Exemplar { labels: Labels::from_packed(&text)?, value: f64::from_bits(bits), timestamp_ms })
    }
}
