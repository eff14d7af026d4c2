//! The codec of one segment: streams of batches, each resembling the one before it.

use super::dictionary::{Dictionary, edited_bytes, reserve_more};
use super::error::CodecError;
use super::extras::{self, BatchFrame, ExtrasCodec, ExtrasRoom};
use super::list::{self, ListModels, Numbers};
use super::numbers::Number;
use super::range_coder::{Bit, Coder, RangeDecoder, RangeEncoder};
use super::value::{Neighbours, ValueModels, ValueState};
use crate::limits::{FRAME_EXTRAS_BYTES_MAX, FRAME_LABEL_BYTES_MAX, FRAME_RECORDS_MAX, FRAME_SAMPLES_MAX, TARGETS_MAX};
use crate::model::{Extras, OwnTimestamp, ScrapeBatch, Series, SeriesTable};
use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

/// Streams of one segment. Targets that come after so many share streams, which costs bytes and nothing else.
const STREAMS_MAX: usize = 2 * TARGETS_MAX;

/// A learnt decision costs this at most, in the mean over any decisions that a fresh model is given (in half bits): the
/// first two cost 1 and 2 bits if both are surprises, and no longer run of them is as bad.
const DECISION_HALF_BITS: usize = 3;

/// Six decisions for the length, two for the first bits, and up to 62 further bits and one that tells lengths apart.
const NUMBER_BITS: usize = 8 * DECISION_HALF_BITS / 2 + 62 + 1;

/// Changed, same unit, five for the unit, repeated; the step. And one for what the coder's whole numbers round away.
const SAMPLE_BITS: usize = 8 * DECISION_HALF_BITS / 2 + NUMBER_BITS + 1;

/// An op of the list and two more decisions, and four numbers, none of which is longer than 20 bits.
const SERIES_BITS: usize = 5 * DECISION_HALF_BITS.div_ceil(2) + 4 * (NUMBER_BITS - 62 + 18) + 1;

const TEXT_BYTE_BITS: usize = 8 * DECISION_HALF_BITS / 2;

/// Count of batches, stream, timestamp, count of timestamps, the end of the list, four decisions, and the coder's end.
const BATCH_BITS: usize = 4 * NUMBER_BITS + 7 * DECISION_HALF_BITS.div_ceil(2) + 32;

/// State of one segment, the same on both sides: after encoding or after decoding the same frames, two of them are
/// equal, if their series come from one table. A new segment starts with a new one.
pub struct SegmentCodec {
    state: State,
    /// Streams of the targets of this process, which no frame knows about.
    streams_by_target: HashMap<u32, u32>,
}

impl PartialEq for SegmentCodec {
    fn eq(&self, other: &Self) -> bool {
        self.state == other.state
    }
}

#[derive(PartialEq)]
struct State {
    dictionary: Dictionary,
    /// By number of the series.
    values: Vec<ValueState>,
    streams: Vec<Stream>,
    /// Stream and time of the last batch.
    last_stream: u32,
    last_timestamp_ms: i64,
    models: Box<Models>,
    /// From the first batch on that has any.
    extras: Option<Box<ExtrasCodec>>,
}

/// Batches of one target.
#[derive(PartialEq)]
struct Stream {
    numbers: Numbers,
    series: Rc<[Series]>,
    timestamp_ms: i64,
    interval_ms: i64,
    /// The stream whose batch came after this one's last time.
    next: u32,
    /// Some samples of the last batch had timestamps of their own.
    own_timestamps: bool,
    /// Some samples of the last batch had more than a value.
    extras: bool,
}

#[derive(Default, PartialEq)]
struct Models {
    batches: Number,
    expected_stream: Bit,
    stream: Number,
    timestamp: Number,
    same_list: Bit,
    list: ListModels,
    values: ValueModels,
    has_own_timestamps: [Bit; 2],
    has_extras: [Bit; 2],
    own_timestamps: Number,
    own_gap: Number,
    own_timestamp: Number,
}

impl Default for SegmentCodec {
    fn default() -> Self {
        Self::new()
    }
}

impl SegmentCodec {
    pub fn new() -> Self {
        let state = State {
            dictionary: Dictionary::new(),
            values: Vec::new(),
            streams: Vec::new(),
            last_stream: 0,
            last_timestamp_ms: 0,
            models: Box::default(),
            extras: None,
        };
        SegmentCodec { state, streams_by_target: HashMap::new() }
    }

    /// Series that its frames have named so far.
    pub fn series_len(&self) -> usize {
        self.state.dictionary.len() as usize
    }

    /// Appends the payload of one frame with all of `batches` to `out`.
    ///
    /// The caller gives [`FRAME_RECORDS_MAX`] batches at most. Their samples are within [`FRAME_SAMPLES_MAX`] as long as
    /// they come from the RAM stage, which holds fewer. A decoder refuses a frame with more of either.
    pub fn encode(&mut self, batches: &[Rc<ScrapeBatch>], out: &mut Vec<u8>) {
        debug_assert!(batches.len() <= FRAME_RECORDS_MAX);
        debug_assert!(batches.iter().map(|batch| batch.len()).sum::<usize>() <= FRAME_SAMPLES_MAX);
        let mut coder = RangeEncoder::new(out);
        self.state.models.batches.code(&mut coder, batches.len() as u64);
        for batch in batches {
            let stream = self.stream_for(batch);
            self.state.encode_batch(&mut coder, batch, stream);
        }
        coder.finish();
        self.state.dictionary.end_frame();
    }

    /// Appends the batches of one payload to `out`; series are interned in `table`, and batches of one stream share
    /// their list for as long as it does not change. [`ScrapeBatch::target`] is the number of the stream, which stays
    /// the same within the segment.
    ///
    /// After an error the codec is of no more use, as its state is neither before nor after the frame; the batches
    /// that were appended to `out` are sound if the bytes were.
    pub fn decode(
        &mut self,
        payload: &[u8],
        table: &SeriesTable,
        out: &mut Vec<ScrapeBatch>,
    ) -> Result<(), CodecError> {
        let mut coder = RangeDecoder::new(payload);
        let batches = self.state.models.batches.code(&mut coder, 0);
        if batches > FRAME_RECORDS_MAX as u64 {
            return Err(CodecError::TooManyBatches);
        }
        let mut room = Room {
            samples: FRAME_SAMPLES_MAX,
            label_bytes: FRAME_LABEL_BYTES_MAX,
            extras: ExtrasRoom(FRAME_EXTRAS_BYTES_MAX),
        };
        for _ in 0..batches {
            let batch = self.state.decode_batch(&mut coder, table, &mut room);
            if coder.overran() {
                return Err(CodecError::Truncated);
            }
            out.push(batch?);
        }
        match (coder.overran(), coder.is_spent()) {
            (true, _) => Err(CodecError::Truncated),
            (false, false) => Err(CodecError::Trailing),
            (false, true) => Ok(()),
        }
    }

    /// The most bytes that the payload of this batch alone takes in a fresh segment, whatever its labels and values are.
    /// Real pages take a small part of it: a batch needs to be cut only if it was encoded and did not fit.
    pub fn worst_case_bytes(batch: &ScrapeBatch) -> usize {
        let extras_bytes =
            batch.extras.as_ref().map_or(0, |extras| Self::worst_case_extras_bytes(extras, 0..batch.len()));
        extras_bytes + Self::worst_case_bytes_without_extras(batch)
    }

    /// What samples in this range have besides their values takes so much of it.
    pub fn worst_case_extras_bytes(extras: &Extras, range: Range<usize>) -> usize {
        extras::worst_case_bits(extras, range, NUMBER_BITS, TEXT_BYTE_BITS).div_ceil(8)
    }

    fn worst_case_bytes_without_extras(batch: &ScrapeBatch) -> usize {
        let mut before: &[u8] = &[];
        let mut bits = BATCH_BITS;
        for series in batch.series.iter() {
            bits += SAMPLE_BITS + SERIES_BITS + TEXT_BYTE_BITS * edited_bytes(before, series.packed());
            before = series.packed();
        }
        (bits + batch.own_timestamps.len() * 2 * NUMBER_BITS).div_ceil(8)
    }

    /// The stream that this batch continues: the one with the same list, as after a restart; else the one of its
    /// target; else one that no target has taken and whose list begins likewise; else a new one.
    fn stream_for(&mut self, batch: &ScrapeBatch) -> u32 {
        let streams = &self.state.streams;
        let usual = self.streams_by_target.get(&batch.target).copied();
        let has_list = |stream: &Stream| Rc::ptr_eq(&stream.series, &batch.series) || stream.series == batch.series;
        if let Some(usual) = usual
            && has_list(&streams[usual as usize])
        {
            return usual;
        }
        let taken = |number: &u32| self.streams_by_target.values().any(|taken| taken == number);
        let begins_likewise = |stream: &Stream| stream.series.first() == batch.series.first();
        let find = |fits: &dyn Fn(&Stream) -> bool, free: bool| {
            let mut numbers = (0..streams.len() as u32).filter(|&number| fits(&streams[number as usize]));
            numbers.find(|number| !(free && taken(number)))
        };
        let same = if batch.series.is_empty() { None } else { find(&has_list, false) };
        let found = same.or(usual).or_else(|| find(&begins_likewise, true));
        let stream = found.unwrap_or_else(|| match streams.len() {
            STREAMS_MAX.. => batch.target % STREAMS_MAX as u32,
            new => new as u32,
        });
        if self.streams_by_target.len() >= STREAMS_MAX {
            self.streams_by_target.clear();
        }
        self.streams_by_target.insert(batch.target, stream);
        stream
    }
}

/// What a frame may still bring in.
struct Room {
    samples: usize,
    label_bytes: usize,
    extras: ExtrasRoom,
}

impl State {
    fn encode_batch(&mut self, coder: &mut RangeEncoder<'_>, batch: &ScrapeBatch, stream: u32) {
        self.code_stream(coder, stream).expect("a stream that exists or the next new one");
        self.code_timestamp(coder, batch.timestamp_ms);
        let State { dictionary, streams, models, .. } = self;
        let held = &streams[stream as usize];
        let same = Rc::ptr_eq(&held.series, &batch.series) || held.series == batch.series;
        if !coder.bit(&mut models.same_list, same) {
            let likely: Vec<u32> = streams.iter().filter_map(|stream| stream.numbers.first()).collect();
            let old = (&held.series[..], &held.numbers);
            let numbers = list::encode(coder, &mut models.list, dictionary, old, &batch.series, &likely);
            streams[stream as usize].numbers = numbers;
        }
        streams[stream as usize].series = batch.series.clone();
        let mut values = batch.values.iter();
        self.code_values(coder, || values.next().map_or(0, |value| value.to_bits()), |_| {});
        self.code_own_timestamps(coder, &batch.own_timestamps).expect("positions that exist");
        let coded = self.code_extras(coder, batch.extras.as_deref(), &batch.values, &mut ExtrasRoom(0));
        coded.expect("positions that exist, and nothing past the limits that are checked");
    }

    fn decode_batch(
        &mut self,
        coder: &mut RangeDecoder<'_>,
        table: &SeriesTable,
        room: &mut Room,
    ) -> Result<ScrapeBatch, CodecError> {
        let target = self.code_stream(coder, 0)?;
        let timestamp_ms = self.code_timestamp(coder, 0);
        let State { dictionary, streams, models, .. } = self;
        let held = &mut streams[target as usize];
        if !coder.bit(&mut models.same_list, false) {
            let old = (&held.series[..], &held.numbers);
            let bytes = &mut room.label_bytes;
            let (series, numbers) = list::decode(coder, &mut models.list, dictionary, old, table, bytes)?;
            (held.series, held.numbers) = (series.into(), numbers);
        }
        let series = held.series.clone();
        room.samples = room.samples.checked_sub(series.len()).ok_or(CodecError::TooManySamples)?;
        if coder.overran() {
            return Err(CodecError::Truncated);
        }
        let mut values = Vec::with_capacity(series.len());
        self.code_values(coder, || 0, |bits| values.push(f64::from_bits(bits)));
        let own_timestamps = self.code_own_timestamps(coder, &[])?;
        let extras = self.code_extras(coder, None, &values, &mut room.extras)?;
        Ok(ScrapeBatch { target, timestamp_ms, series, values, own_timestamps, extras })
    }

    /// Makes the stream the last one, and makes it if it is new.
    fn code_stream<C: Coder>(&mut self, coder: &mut C, stream: u32) -> Result<u32, CodecError> {
        let expected = self.streams.get(self.last_stream as usize).map_or(0, |last| last.next);
        let models = &mut self.models;
        let stream = match coder.bit(&mut models.expected_stream, stream == expected) {
            true => expected,
            false => u32::try_from(models.stream.code(coder, u64::from(stream))).unwrap_or(u32::MAX),
        };
        if stream as usize > self.streams.len() || stream as usize >= STREAMS_MAX {
            return Err(CodecError::NoSuch("stream"));
        }
        if stream as usize == self.streams.len() {
            self.streams.push(Stream {
                numbers: Numbers::default(),
                series: Rc::new([]),
                timestamp_ms: self.last_timestamp_ms,
                interval_ms: 0,
                next: stream + 1,
                own_timestamps: false,
                extras: false,
            });
        }
        if let Some(last) = self.streams.get_mut(self.last_stream as usize) {
            last.next = stream;
        }
        self.last_stream = stream;
        Ok(stream)
    }

    /// By how far the batch's time is from one interval after the stream's last batch, in milliseconds.
    fn code_timestamp<C: Coder>(&mut self, coder: &mut C, timestamp_ms: i64) -> i64 {
        let stream = &mut self.streams[self.last_stream as usize];
        let expected = stream.timestamp_ms.wrapping_add(stream.interval_ms);
        let error = self.models.timestamp.code_signed(coder, timestamp_ms.wrapping_sub(expected));
        let timestamp_ms = expected.wrapping_add(error);
        stream.interval_ms = timestamp_ms.wrapping_sub(stream.timestamp_ms);
        (stream.timestamp_ms, self.last_timestamp_ms) = (timestamp_ms, timestamp_ms);
        timestamp_ms
    }

    fn code_values<C: Coder>(&mut self, coder: &mut C, mut given: impl FnMut() -> u64, mut take: impl FnMut(u64)) {
        let series = self.dictionary.len() as usize;
        let more = series - self.values.len();
        reserve_more(&mut self.values, more);
        self.values.resize(series, ValueState::default());
        let mut near = Neighbours::default();
        for run in self.streams[self.last_stream as usize].numbers.runs() {
            for series in &mut self.values[run.range()] {
                take(self.models.values.code(coder, &mut near, series, given()));
            }
        }
    }

    fn code_extras<C: Coder>(
        &mut self,
        coder: &mut C,
        given: Option<&Extras>,
        values: &[f64],
        room: &mut ExtrasRoom,
    ) -> Result<Option<Box<Extras>>, CodecError> {
        let stream = &mut self.streams[self.last_stream as usize];
        stream.extras = coder.bit(&mut self.models.has_extras[usize::from(stream.extras)], given.is_some());
        if !stream.extras {
            return Ok(None);
        }
        let (stream, timestamp_ms, numbers) = (self.last_stream, stream.timestamp_ms, &stream.numbers);
        let frame = BatchFrame { stream, timestamp_ms, numbers, values };
        let none = Extras::default();
        let codec = self.extras.get_or_insert_default();
        Ok(Some(Box::new(codec.code(coder, &frame, given.unwrap_or(&none), room)?)))
    }

    /// Positions as gaps, and times by how far each is from the one before.
    fn code_own_timestamps<C: Coder>(
        &mut self,
        coder: &mut C,
        given: &[OwnTimestamp],
    ) -> Result<Vec<OwnTimestamp>, CodecError> {
        let (models, stream) = (&mut self.models, &mut self.streams[self.last_stream as usize]);
        let mut taken = Vec::new();
        stream.own_timestamps =
            coder.bit(&mut models.has_own_timestamps[usize::from(stream.own_timestamps)], !given.is_empty());
        if !stream.own_timestamps {
            return Ok(taken);
        }
        let count = models.own_timestamps.code(coder, given.len() as u64);
        if count > stream.series.len() as u64 {
            return Err(CodecError::NoSuch("sample"));
        }
        let (mut next, mut before_ms) = (0u64, stream.timestamp_ms);
        for at in 0..count as usize {
            let own = given.get(at).copied().unwrap_or(OwnTimestamp { index: 0, timestamp_ms: 0 });
            let gap = models.own_gap.code(coder, u64::from(own.index).wrapping_sub(next));
            let index = next.wrapping_add(gap);
            if index >= stream.series.len() as u64 {
                return Err(CodecError::NoSuch("sample"));
            }
            let step = models.own_timestamp.code_signed(coder, own.timestamp_ms.wrapping_sub(before_ms));
            before_ms = before_ms.wrapping_add(step);
            next = index + 1;
            if !C::ENCODES {
                taken.push(OwnTimestamp { index: index as u32, timestamp_ms: before_ms });
            }
        }
        Ok(taken)
    }
}
