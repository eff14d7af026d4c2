//! A reader of rings written from docs/FORMAT.md alone, as plainly as that page: it trusts what it reads, and panics at anything else.

use crate::coder::{Coder, Models, unfold};
use crate::packed::{pack, unpack};
use std::collections::HashMap;

pub type Batch = Vec<Sample>;

#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub labels: Vec<(String, String)>,
    pub bits: u64,
    pub timestamp_ms: i64,
    pub histogram: Option<Histogram>,
    pub exemplars: Vec<Exemplar>,
    pub start_ms: Option<i64>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    pub hint: usize,
    pub is_float: bool,
    pub schema: i64,
    pub zero_threshold: u64,
    /// Positive and negative; offset and length.
    pub spans: [Vec<(i64, u64)>; 2],
    pub custom: Vec<u64>,
    /// Whole numbers, or the bits of an f64.
    pub zero_count: u64,
    pub buckets: [Vec<u64>; 2],
    pub count: u64,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exemplar {
    pub packed: Vec<u8>,
    pub bits: u64,
    pub timestamp_ms: i64,
}

/// Every sample of an image as a JSON line.
pub fn dump(image: &[u8]) -> String {
    let size = (0..)
        .map(|step| step * 4096)
        .find(|at| image[*at..].starts_with(b"NARTHEX\n"))
        .map(|at| u32_at(image, at + 12));
    let size = size.unwrap() as usize;
    let mut segments: Vec<&[u8]> = image.chunks(size).filter(|segment| is_header(&segment[..512])).collect();
    segments.sort_by_key(|segment| u64_at(segment, 24));
    segments.into_iter().flat_map(batches).flatten().map(|sample| json(&sample)).collect()
}

/// The entries of the newest note: their keys' hashes and their values.
pub fn note(image: &[u8], size: usize) -> Vec<(u32, Vec<u8>)> {
    let segments = image.chunks(size).filter(|segment| is_header(&segment[..512]));
    let newest = segments.max_by_key(|segment| u64_at(segment, 24)).unwrap();
    let (unit, mut note) = (u32_at(newest, 20) as usize, &newest[306..306 + u16_at(newest, 304) as usize]);
    let mut offset = unit;
    while let Some(frame) = whole_frame(newest, offset) {
        let (acks, records) = (u16_at(frame, 8) as usize, u16_at(frame, 10) as usize);
        let payload = &frame[24 + 16 * acks + 4 * records..];
        if records == 0 && (1..=200).contains(&payload.len()) {
            note = payload;
        }
        offset += frame.len().next_multiple_of(unit);
    }
    let mut entries = Vec::new();
    while !note.is_empty() {
        let end = 5 + usize::from(note[4]);
        entries.push((u32_at(note, 0), note[5..end].to_vec()));
        note = &note[end..];
    }
    entries
}

fn is_header(unit: &[u8]) -> bool {
    unit.starts_with(b"NARTHEX\n") && unit[8..10] == [2, 0] && u32_at(unit, 508) == crc32(&[&unit[..508]])
}

fn batches(segment: &[u8]) -> Vec<Batch> {
    let (mut decoder, mut batches, mut offset) = (Segment::new(), Vec::new(), u32_at(segment, 20) as usize);
    let unit = offset;
    while let Some(frame) = whole_frame(segment, offset) {
        let len = frame.len();
        let (acks, records) = (u16_at(frame, 8) as usize, u16_at(frame, 10) as usize);
        let counts_at = 24 + 16 * acks;
        if records > 0 {
            let decoded = decoder.decode(&frame[counts_at + 4 * records..len]);
            let counts: Vec<usize> = (0..records).map(|r| u32_at(frame, counts_at + 4 * r) as usize).collect();
            assert_eq!(decoded.iter().map(Vec::len).collect::<Vec<_>>(), counts);
            batches.extend(decoded);
        }
        offset += len.next_multiple_of(unit);
    }
    batches
}

fn whole_frame(segment: &[u8], offset: usize) -> Option<&[u8]> {
    let rest = &segment[offset..];
    let len = u32_at(rest.get(..24)?, 4) as usize;
    let frame = rest.get(..len).filter(|frame| frame.len() >= 24)?;
    let salt = (offset as u32).to_le_bytes();
    (u32_at(frame, 0) == crc32(&[&segment[24..32], &salt, &frame[4..]])).then_some(frame)
}

fn json(sample: &Sample) -> String {
    let labels: Vec<String> = sample.labels.iter().map(|(name, value)| format!("{name:?}:{value:?}")).collect();
    let value = f64::from_bits(sample.bits);
    format!("{{\"labels\":{{{}}},\"value\":\"{value}\",\"timestamp_ms\":{}}}\n", labels.join(","), sample.timestamp_ms)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap())
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn crc32(parts: &[&[u8]]) -> u32 {
    let mut crc = u32::MAX;
    for byte in parts.iter().flat_map(|part| part.iter()) {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

fn bits(x: i64) -> i64 {
    let u = if x >= 0 { (x as u64) << 1 } else { ((-(x + 1)) as u64) << 1 | 1 };
    i64::from(64 - u.leading_zeros())
}

#[derive(Clone)]
struct Stream {
    list: Vec<usize>,
    time: i64,
    interval: i64,
    follower: usize,
    own: usize,
    extras: usize,
    /// Of histograms and of exemplars.
    positions: [Vec<usize>; 2],
    starts: Vec<(usize, i64)>,
}

#[derive(Clone)]
struct Series {
    packed: Vec<u8>,
    last: u64,
    drift: i64,
    unit: usize,
    history: usize,
    length: Option<i64>,
    steadiness: i64,
    repeats: usize,
    histogram: Option<Histogram>,
    exemplar: Option<Exemplar>,
}

pub struct Segment {
    models: Models,
    dictionary: Vec<Series>,
    streams: Vec<Stream>,
    last_stream: usize,
    last_time: i64,
    last_op: usize,
    followed: usize,
    follow: i64,
    replaced: Option<(String, String)>,
}

impl Segment {
    pub fn new() -> Self {
        Segment {
            models: Models::default(),
            dictionary: Vec::new(),
            streams: Vec::new(),
            last_stream: 0,
            last_time: 0,
            last_op: 4,
            followed: 0,
            follow: 0,
            replaced: None,
        }
    }

    pub fn decode(&mut self, payload: &[u8]) -> Vec<Batch> {
        let mut coder = Coder::new(payload);
        let batches = coder.number(&mut self.models, "batches", 0);
        let decoded = (0..batches).map(|_| self.batch(&mut coder)).collect();
        assert!((payload.len()..=payload.len() + 3).contains(&coder.taken), "all of it, and not more");
        decoded
    }

    fn batch(&mut self, coder: &mut Coder) -> Batch {
        let stream = self.stream(coder);
        let error = coder.signed(&mut self.models, "time");
        let state = &mut self.streams[stream];
        let time = state.time.wrapping_add(state.interval).wrapping_add(error);
        state.interval = time.wrapping_sub(state.time);
        (state.time, self.last_time) = (time, time);
        if coder.bit(&mut self.models, "same list", [0; 3]) == 0 {
            let list = self.list(coder, &self.streams[stream].list.clone());
            self.streams[stream].list = list;
        }
        let list = self.streams[stream].list.clone();
        let (mut near, mut step_before) = (0, None);
        let values: Vec<u64> = list.iter().map(|s| self.value(coder, *s, &mut near, &mut step_before)).collect();
        let mut times = vec![time; list.len()];
        let own = coder.bit(&mut self.models, "has own", [self.streams[stream].own, 0, 0]);
        self.streams[stream].own = own;
        if own == 1 {
            let (mut next, mut before) = (0, time);
            for _ in 0..coder.number(&mut self.models, "own count", 0) {
                next += coder.number(&mut self.models, "gap", 0) as usize;
                before = before.wrapping_add(coder.signed(&mut self.models, "own time"));
                times[next] = before;
                next += 1;
            }
        }
        let samples = list.iter().zip(values).zip(times);
        let sample = |((series, bits), timestamp_ms): ((&usize, u64), i64)| Sample {
            labels: unpack(&self.dictionary[*series].packed),
            bits,
            timestamp_ms,
            histogram: None,
            exemplars: Vec::new(),
            start_ms: None,
        };
        let mut samples = samples.map(sample).collect();
        self.streams[stream].extras = coder.bit(&mut self.models, "has extras", [self.streams[stream].extras, 0, 0]);
        if self.streams[stream].extras == 1 {
            self.extras(coder, stream, &mut samples);
        }
        samples
    }

    fn extras(&mut self, coder: &mut Coder, stream: usize, samples: &mut Batch) {
        let list = self.streams[stream].list.clone();
        for position in self.positions(coder, stream, 0) {
            let last = self.dictionary[list[position]].histogram.clone();
            let histogram = histogram(coder, &mut self.models, last);
            self.dictionary[list[position]].histogram = Some(histogram.clone());
            samples[position].histogram = Some(histogram);
        }
        for position in self.positions(coder, stream, 1) {
            let last = self.dictionary[list[position]].exemplar.clone().unwrap_or_default();
            if coder.bit(&mut self.models, "same exemplar", [0; 3]) == 1 {
                samples[position].exemplars.push(last);
                continue;
            }
            let bits = match coder.bit(&mut self.models, "same value", [0; 3]) {
                1 => last.bits,
                _ => raw(coder),
            };
            let timestamp_ms = self.streams[stream].time.wrapping_add(coder.signed(&mut self.models, "exemplar time"));
            let packed = self.edit(coder, 2, &last.packed);
            let exemplar = Exemplar { packed, bits, timestamp_ms };
            self.dictionary[list[position]].exemplar = Some(exemplar.clone());
            samples[position].exemplars.push(exemplar);
        }
        if coder.bit(&mut self.models, "same starts", [0; 3]) == 0 {
            let positions = new_positions(coder, &mut self.models, 2);
            let mut before = self.streams[stream].time;
            let mut start = |at| {
                before = before.wrapping_add(coder.signed(&mut self.models, "start time"));
                (at, before)
            };
            self.streams[stream].starts = positions.into_iter().map(&mut start).collect();
        }
        for (position, start_ms) in &self.streams[stream].starts {
            samples[*position].start_ms = Some(*start_ms);
        }
    }

    fn positions(&mut self, coder: &mut Coder, stream: usize, kind: usize) -> Vec<usize> {
        if coder.bit(&mut self.models, "same positions", [kind, 0, 0]) == 0 {
            self.streams[stream].positions[kind] = new_positions(coder, &mut self.models, kind);
        }
        self.streams[stream].positions[kind].clone()
    }

    fn stream(&mut self, coder: &mut Coder) -> usize {
        let expected = self.streams.get(self.last_stream).map_or(0, |last| last.follower);
        let stream = match coder.bit(&mut self.models, "expected", [0; 3]) {
            1 => expected,
            _ => coder.number(&mut self.models, "stream", 0) as usize,
        };
        if stream == self.streams.len() {
            self.streams.push(Stream {
                list: Vec::new(),
                time: self.last_time,
                interval: 0,
                follower: stream + 1,
                own: 0,
                extras: 0,
                positions: Default::default(),
                starts: Vec::new(),
            });
        }
        self.streams[self.last_stream].follower = stream;
        self.last_stream = stream;
        stream
    }

    fn list(&mut self, coder: &mut Coder, old: &[usize]) -> Vec<usize> {
        let (mut list, mut from) = (Vec::new(), 0);
        loop {
            let op = coder.symbol(&mut self.models, "op", [self.last_op, 0], 3);
            self.last_op = op;
            let count = if op < 3 { 1 + coder.number(&mut self.models, "count", op) as usize } else { 0 };
            match op {
                0 | 1 => {
                    if op == 0 {
                        list.extend_from_slice(&old[from..from + count]);
                    }
                    from += count;
                }
                2 => {
                    let expected = list.last().map_or(0, |last| last + 1) as i64;
                    let first = (expected + coder.signed(&mut self.models, "jump")) as usize;
                    list.extend(first..first + count);
                }
                3 => {
                    let packed = self.labels(coder, list.last().copied());
                    let (unit, history) = (30, 1);
                    list.push(self.dictionary.len());
                    self.dictionary.push(Series {
                        packed,
                        last: 0,
                        drift: 0,
                        unit,
                        history,
                        length: None,
                        steadiness: 0,
                        repeats: 0,
                        histogram: None,
                        exemplar: None,
                    });
                }
                4 => return list,
                _ => panic!("there is no operation {op}"),
            }
        }
    }

    fn labels(&mut self, coder: &mut Coder, before: Option<usize>) -> Vec<u8> {
        self.followed = coder.bit(&mut self.models, "follows", [self.followed, 0, 0]);
        if self.followed == 0 {
            let old = before.map_or(Vec::new(), |number| self.dictionary[number].packed.clone());
            return self.edit(coder, 0, &old);
        }
        let number = self.follow + coder.signed(&mut self.models, "offset");
        self.follow = number + 1;
        let old = self.dictionary[number as usize].packed.clone();
        if coder.bit(&mut self.models, "again", [0; 3]) == 1 {
            let (name, value) = self.replaced.clone().expect("a label was replaced before");
            let mut labels = unpack(&old);
            labels.iter_mut().find(|label| label.0 == name).expect("it has such a label").1 = value;
            return pack(&labels);
        }
        let new = self.edit(coder, 1, &old);
        let (olds, news) = (unpack(&old), unpack(&new));
        let changed: Vec<_> = olds.iter().zip(&news).filter(|(old, new)| old != new).collect();
        self.replaced = match changed[..] {
            [(before, after)] if olds.len() == news.len() && before.0 == after.0 => Some(after.clone()),
            _ => None,
        };
        new
    }

    fn edit(&mut self, coder: &mut Coder, m: usize, old: &[u8]) -> Vec<u8> {
        let [start, end, between] =
            ["start", "end", "between"].map(|name| coder.number(&mut self.models, name, m) as usize);
        let mut text = old[..start].to_vec();
        for _ in 0..between {
            let near = match text[..] {
                [.., before, last] => u32::from(last) * 256 + u32::from(before),
                [last] => u32::from(last),
                [] => 0,
            };
            let place = near.wrapping_mul(0x9e37_79b1) as usize >> 19;
            let mut node = 1;
            for _ in 0..8 {
                node = 2 * node + coder.bit(&mut self.models, "text", [(place ^ (node * 29)) % 8192, m / 2, 0]);
            }
            text.push(node as u8);
        }
        text.extend_from_slice(&old[old.len() - end..]);
        text
    }

    fn value(
        &mut self,
        coder: &mut Coder,
        series: usize,
        near: &mut usize,
        step_before: &mut Option<(usize, i64)>,
    ) -> u64 {
        let (models, series) = (&mut self.models, &mut self.dictionary[series]);
        let was_fresh = series.history < 4;
        let changed = coder.bit(models, "changed", [series.history, *near, 0]);
        let history = 2 * series.history + changed;
        series.history = if history < 128 { history } else { history % 64 + 64 };
        *near = (2 * *near + changed) % 4;
        if changed == 0 {
            return series.last;
        }
        let group = |unit: usize| usize::from(unit > 3) + usize::from(unit > 15);
        if coder.bit(models, "same unit", [series.unit, 0, 0]) == 0 {
            let context = if was_fresh { 3 } else { group(series.unit) };
            let unit = coder.symbol(models, "unit", [context, 0], 5);
            if unit == 31 {
                return 0x7ff0_0000_0000_0002;
            }
            if unit != series.unit {
                (series.unit, series.drift, series.length, series.steadiness) = (unit, 0, None, 0);
            }
        }
        let (unit, group) = (series.unit, group(series.unit));
        let d = series.drift.wrapping_add(4) >> 3;
        let guess = if series.steadiness > 0 { d } else { 0 };
        let mut step = None;
        if let Some((_, before)) = step_before.filter(|(its_unit, _)| *its_unit == unit) {
            let context = 2 * group.min(1) + usize::from(before == guess);
            let repeated = coder.bit(models, "repeat", [series.repeats, context, 0]);
            series.repeats = (2 * series.repeats + repeated) % 4;
            step = (repeated == 1).then_some(before);
        }
        let step = step.unwrap_or_else(|| {
            let context = match series.length {
                None => 39,
                Some(length) if length < 160 => length / 6,
                Some(length) => (26 + (length - 160) / 32).min(38),
            };
            let lengths = ("lengths of steps", [group, context as usize]);
            unfold(coder.number_with(models, lengths, ("tops of steps", group))).wrapping_add(guess)
        });
        series.last = value_of(unit, nearest(unit, series.last).wrapping_add(step));
        let better = bits(step) - bits(step.wrapping_sub(d));
        series.steadiness = series.steadiness - series.steadiness / 4 + better.clamp(-8, 8);
        series.drift = series.drift.wrapping_add(step.wrapping_mul(8).wrapping_sub(series.drift) >> 2);
        let w = 8 * bits(step.wrapping_sub(guess));
        series.length = Some(series.length.map_or(w, |length| (3 * length + w + 2) / 4));
        *step_before = Some((unit, step));
        series.last
    }
}

fn new_positions(coder: &mut Coder, models: &mut Models, kind: usize) -> Vec<usize> {
    let count = coder.number(models, "position count", kind);
    let mut next = 0;
    let mut position = |_| {
        let at = next + coder.number(models, "position gap", kind) as usize;
        next = at + usize::from(kind != 1);
        at
    };
    (0..count).map(&mut position).collect()
}

fn raw(coder: &mut Coder) -> u64 {
    (0..4).fold(0, |bits, _| bits << 16 | coder.direct(16))
}

fn histogram(coder: &mut Coder, models: &mut Models, last: Option<Histogram>) -> Histogram {
    let mut new = match coder.bit(models, "same shape", [0; 3]) {
        1 => last.clone().expect("there was one"),
        _ => Histogram {
            hint: coder.symbol(models, "hint", [0; 2], 2),
            is_float: coder.bit(models, "float", [0; 3]) == 1,
            schema: coder.signed(models, "schema"),
            zero_threshold: raw(coder),
            spans: [spans(coder, models), spans(coder, models)],
            custom: (0..coder.number(models, "bounds", 0)).map(|_| raw(coder)).collect(),
            ..Histogram::default()
        },
    };
    let same_kind = last.as_ref().is_some_and(|last| last.is_float == new.is_float);
    let comparable = last.as_ref().filter(|last| same_kind && last.schema == new.schema);
    let mut near = 0;
    let guess = if same_kind { last.as_ref().map_or(0, |last| last.zero_count) } else { 0 };
    new.zero_count = count(coder, models, &mut near, new.is_float, guess);
    for side in [0, 1] {
        let known: HashMap<i64, u64> = comparable.map_or(HashMap::new(), |last| {
            indices(&last.spans[side]).into_iter().zip(last.buckets[side].iter().copied()).collect()
        });
        let mut buckets: Vec<u64> = Vec::new();
        for index in indices(&new.spans[side]) {
            let before = buckets.last().copied().unwrap_or(0);
            let guess = if comparable.is_some() { known.get(&index).copied().unwrap_or(0) } else { before };
            buckets.push(count(coder, models, &mut near, new.is_float, guess));
        }
        new.buckets[side] = buckets;
    }
    let all = [&[new.zero_count][..], &new.buckets[0], &new.buckets[1]].concat();
    let float_bits = |sum: f64| if sum.is_nan() { 0x7ff8_0000_0000_0000 } else { sum.to_bits() };
    let sum = match new.is_float {
        true => float_bits(all.iter().skip(1).fold(f64::from_bits(all[0]), |sum, bits| sum + f64::from_bits(*bits))),
        false => all.iter().fold(0u64, |sum, count| sum.wrapping_add(*count)),
    };
    new.count = count(coder, models, &mut near, new.is_float, sum);
    new
}

fn spans(coder: &mut Coder, models: &mut Models) -> Vec<(i64, u64)> {
    let count = coder.number(models, "spans", 0);
    (0..count).map(|_| (coder.signed(models, "span offset"), coder.number(models, "span length", 0))).collect()
}

fn indices(spans: &[(i64, u64)]) -> Vec<i64> {
    let mut next = 0;
    let mut of_span = |(offset, length): &(i64, u64)| {
        let first = next + offset;
        next = first + *length as i64;
        first..next
    };
    spans.iter().flat_map(&mut of_span).collect()
}

fn count(coder: &mut Coder, models: &mut Models, near: &mut usize, is_float: bool, guess: u64) -> u64 {
    let changed = coder.bit(models, "count changed", [*near, 0, 0]);
    let step_model = *near % 2;
    *near = (2 * *near + changed) % 4;
    if changed == 0 {
        return guess;
    }
    if is_float && coder.bit(models, "whole", [0; 3]) == 0 {
        return raw(coder);
    }
    let step = unfold(coder.number(models, "count step", step_model));
    if is_float {
        return ((f64::from_bits(guess) as i64).wrapping_add(step) as f64).to_bits();
    }
    guess.wrapping_add(step as u64)
}

fn value_of(unit: usize, n: i64) -> u64 {
    let x = n as f64;
    match unit {
        0..=3 => x * [4096.0, 1024.0, 512.0, 1.0][unit],
        4..=12 => x / 10f64.powi(unit as i32 - 3),
        13..=15 => x * [0.001, 0.000001, 0.000000001][unit - 13],
        _ => return n as u64,
    }
    .to_bits()
}

fn nearest(unit: usize, bits: u64) -> i64 {
    let x = f64::from_bits(bits);
    let scaled = match unit {
        0..=3 => x / [4096.0, 1024.0, 512.0, 1.0][unit],
        4..=12 => x * 10f64.powi(unit as i32 - 3),
        13..=15 => x * [1e3, 1e6, 1e9][unit - 13],
        _ => return bits as i64,
    };
    (scaled + 0.5f64.copysign(scaled)) as i64
}
