//! The series of one segment, numbered in order of their appearance, and how the labels of a new one are written.
//!
//! A new series is written as an edit of one that is known:
//!
//! ```text
//! [as in another list?]
//!   no:  of the series before it in its list                           node_cpu{cpu="0"} -> node_cpu{cpu="1"}
//!   yes: of the one after the series that the last such edit took,
//!        plus [offset]: pages of equal exporters go side by side       {instance="a"} -> {instance="b"}
//!        [the same label set to the same value as last time?]  yes: done
//! [bytes kept at the start] [bytes kept at the end] [bytes between] [the bytes: each by the two before it]
//! ```

use super::error::CodecError;
use super::numbers::{Number, bit_length};
use super::range_coder::{Bit, Coder, RangeDecoder, RangeEncoder};
use crate::limits::SERIES_BYTES_MAX;
use crate::model::{Labels, LabelsIter, Series, SeriesTable};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// How many series after the expected one are looked at for the best one to edit.
const FOLLOW_OFFSETS: u32 = 8;

/// Nodes of the trees by which text is written, picked by hash.
const TEXT_NODES: usize = 1 << 13;

pub struct Dictionary {
    series: Vec<Series>,
    /// The series that an edit of a series of another list is expected to take.
    follow: u32,
    /// The label that the last edit of that kind set, in packed form; empty if it did not just set one.
    replaced: Labels,
    models: LabelModels,
    /// Numbers of the first so many series by address; made when it is needed, and held for one frame.
    numbers: HashMap<usize, u32, BuildHasherDefault<AddressHasher>>,
    scratch: Vec<u8>,
}

/// But for what is only kept to find things faster.
impl PartialEq for Dictionary {
    fn eq(&self, other: &Self) -> bool {
        (&self.series, self.follow, &self.replaced, &self.models)
            == (&other.series, other.follow, &other.replaced, &other.models)
    }
}

#[derive(PartialEq)]
struct LabelModels {
    followed: bool,
    follows: [Bit; 2],
    again: Bit,
    offset: Number,
    /// Bytes kept at the start, at the end, and bytes between; of an edit of either kind.
    edits: [[Number; 3]; 2],
    text: Vec<Bit>,
}

impl Dictionary {
    pub fn new() -> Self {
        Dictionary {
            series: Vec::new(),
            follow: 0,
            replaced: Labels::default(),
            models: LabelModels {
                followed: false,
                follows: Default::default(),
                again: Bit::default(),
                offset: Number::default(),
                edits: Default::default(),
                text: edit_text_models(),
            },
            numbers: HashMap::default(),
            scratch: Vec::new(),
        }
    }

    pub fn len(&self) -> u32 {
        self.series.len() as u32
    }

    pub fn get(&self, number: u32) -> Option<&Series> {
        self.series.get(number as usize)
    }

    pub fn number_of(&mut self, series: &Series) -> Option<u32> {
        for (number, known) in self.series.iter().enumerate().skip(self.numbers.len()) {
            self.numbers.insert(known.address(), number as u32);
        }
        self.numbers.get(&series.address()).copied()
    }

    /// The frame is complete. Most frames name no series in any new order, so that memory need not hold what finds them.
    pub fn end_frame(&mut self) {
        self.numbers = HashMap::default();
    }

    fn add(&mut self, series: Series) {
        reserve_more(&mut self.series, 1);
        self.series.push(series);
    }

    /// Writes a series that is not known and numbers it. `before` is the one before it in its list; `likely` are further
    /// series that might resemble it.
    pub fn encode(
        &mut self,
        coder: &mut RangeEncoder<'_>,
        series: &Series,
        before: Option<u32>,
        likely: impl Iterator<Item = u32>,
    ) {
        let (source, kept) = self.best_to_follow(series.packed(), likely);
        let follows = kept > before.map_or(0, |number| common(self.packed(number), series.packed()).total());
        let source = if follows { source } else { None };
        self.scratch.clear();
        self.scratch.extend_from_slice(series.packed());
        self.code(coder, before, source).expect("a label set that exists keeps the limits that are checked");
        self.add(series.clone());
    }

    /// Reads what [`Dictionary::encode`] wrote.
    pub fn decode(
        &mut self,
        coder: &mut RangeDecoder<'_>,
        before: Option<u32>,
        table: &SeriesTable,
    ) -> Result<Series, CodecError> {
        self.code(coder, before, None)?;
        let series = table.intern(&Labels::from_packed(&self.scratch)?);
        self.add(series.clone());
        Ok(series)
    }

    fn packed(&self, number: u32) -> &[u8] {
        self.get(number).map_or(&[], Series::packed)
    }

    fn best_to_follow(&self, packed: &[u8], likely: impl Iterator<Item = u32>) -> (Option<u32>, usize) {
        let near = self.follow..self.len().min(self.follow + FOLLOW_OFFSETS);
        let mut best = (None, 0);
        for number in near.chain(likely) {
            let kept = common(self.packed(number), packed).total();
            if kept > best.1 {
                best = (Some(number), kept);
            }
        }
        best
    }

    /// Codes the text in `scratch` as an edit of a known one.
    fn code<C: Coder>(&mut self, coder: &mut C, before: Option<u32>, source: Option<u32>) -> Result<(), CodecError> {
        let models = &mut self.models;
        let follows = coder.bit(&mut models.follows[usize::from(models.followed)], source.is_some());
        models.followed = follows;
        let mut text = std::mem::take(&mut self.scratch);
        if !follows {
            let old = before.and_then(|number| self.series.get(number as usize)).map_or(&[][..], Series::packed);
            code_edit(coder, &mut models.edits[0], &mut models.text, old, &mut text)?;
        } else {
            let offset = source.map_or(0, |number| i64::from(number) - i64::from(self.follow));
            let number = models.offset.code_signed(coder, offset).wrapping_add(i64::from(self.follow));
            let old = usize::try_from(number).ok().and_then(|number| self.series.get(number));
            let old = old.ok_or(CodecError::NoSuch("series"))?;
            self.follow = number as u32 + 1;
            let expected = set_label(old, &self.replaced);
            let again = expected.as_ref().is_some_and(|expected| *expected == text);
            if coder.bit(&mut models.again, again) {
                text = expected.ok_or(CodecError::NoSuch("label"))?;
            } else {
                code_edit(coder, &mut models.edits[1], &mut models.text, old.packed(), &mut text)?;
                self.replaced = label_set(old, &text)?;
            }
        }
        self.scratch = text;
        Ok(())
    }
}

/// Makes room for so many more by an eighth at least: lists of a large segment would hold up to twice what they need otherwise.
pub fn reserve_more<T>(list: &mut Vec<T>, more: usize) {
    if list.capacity() - list.len() < more {
        list.reserve_exact(more.max(list.len() / 8));
    }
}

/// Spreads the address of a series over all bits. Nobody outside chooses addresses.
#[derive(Default)]
struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_usize(usize::from(*byte)));
    }

    fn write_usize(&mut self, address: usize) {
        let product = (self.0 ^ address as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = product ^ product >> 32;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Fresh models for [`code_edit`].
pub fn edit_text_models() -> Vec<Bit> {
    vec![Bit::default(); TEXT_NODES]
}

/// Bytes of a new label set that are written if it is an edit of this old one.
pub fn edited_bytes(old: &[u8], new: &[u8]) -> usize {
    new.len() - common(old, new).total()
}

/// Bytes that two texts share at either end, without overlap.
struct Common {
    start: usize,
    end: usize,
}

impl Common {
    fn total(&self) -> usize {
        self.start + self.end
    }
}

fn common(old: &[u8], new: &[u8]) -> Common {
    let start = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (old, new) = (&old[start..], &new[start..]);
    let end = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
    Common { start, end }
}

/// Codes `text` as an edit of `old`.
pub fn code_edit<C: Coder>(
    coder: &mut C,
    sizes: &mut [Number; 3],
    nodes: &mut [Bit],
    old: &[u8],
    text: &mut Vec<u8>,
) -> Result<(), CodecError> {
    let Common { start, end } = if C::ENCODES { common(old, text) } else { Common { start: 0, end: 0 } };
    let between = if C::ENCODES { text.len() - start - end } else { 0 };
    let mut size = |number: &mut Number, size: usize| {
        let size = number.code(coder, size as u64);
        size.min(SERIES_BYTES_MAX as u64 + 1) as usize
    };
    let [starts, ends, betweens] = sizes;
    let (start, end, between) = (size(starts, start), size(ends, end), size(betweens, between));
    if start + end > old.len() || start + end + between > SERIES_BYTES_MAX {
        return Err(CodecError::NoSuch("piece of text"));
    }
    let middle = if C::ENCODES { text.split_off(start) } else { Vec::new() };
    text.clear();
    text.extend_from_slice(&old[..start]);
    for at in 0..between {
        let byte = code_byte(coder, nodes, text, middle.get(at).copied().unwrap_or(0));
        text.push(byte);
    }
    text.extend_from_slice(&old[old.len() - end..]);
    Ok(())
}

fn code_byte<C: Coder>(coder: &mut C, nodes: &mut [Bit], before: &[u8], byte: u8) -> u8 {
    let near = before.iter().rev().take(2).fold(0, |near, &byte| near << 8 | u32::from(byte));
    let place = near.wrapping_mul(0x9e37_79b1) >> 19;
    let mut node = 1;
    for shift in (0..8).rev() {
        let model = &mut nodes[(place as usize ^ (node * 0x1d)) % TEXT_NODES];
        node = node << 1 | usize::from(coder.bit(model, byte >> shift & 1 != 0));
    }
    node as u8
}

/// The label that makes `text` of `old` if it is set; none if it takes more than one label.
fn label_set(old: &Series, text: &[u8]) -> Result<Labels, CodecError> {
    let new = Labels::from_packed(text)?;
    let (olds, news) = (pairs(old.packed(), old.labels()), pairs(new.packed(), new.iter()));
    let mut changed = olds.zip(news).filter(|(old, new)| old != new);
    let single = match (changed.next(), changed.next()) {
        (Some((before, after)), None) if before.0 == after.0 => after.1,
        _ => return Ok(Labels::default()),
    };
    let as_many = old.labels().count() == new.iter().count();
    Ok(if as_many { Labels::from_packed(single)? } else { Labels::default() })
}

/// The labels of `old` with this one set, in packed form, if it has such a label.
fn set_label(old: &Series, label: &Labels) -> Option<Vec<u8>> {
    let (name, _) = label.iter().next()?;
    old.get(name)?;
    let mut text = Vec::with_capacity(old.packed().len() + label.packed().len());
    for (own, pair) in pairs(old.packed(), old.labels()) {
        text.extend_from_slice(if own == name { label.packed() } else { pair });
    }
    (text.len() <= SERIES_BYTES_MAX).then_some(text)
}

/// Names, each with its label's packed form.
fn pairs<'a>(packed: &'a [u8], labels: LabelsIter<'a>) -> impl Iterator<Item = (&'a str, &'a [u8])> {
    let mut rest = packed;
    labels.map(move |(name, value)| {
        let (pair, after) = rest.split_at(packed_len(name) + packed_len(value));
        rest = after;
        (name, pair)
    })
}

fn packed_len(text: &str) -> usize {
    let length_bits = bit_length(text.len() as u64).max(1) as usize;
    length_bits.div_ceil(7) + text.len()
}
