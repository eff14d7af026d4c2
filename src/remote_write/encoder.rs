//! Requests, written straight from series and samples in one pass, into memory that is used again.
//!
//! A series becomes a `TimeSeries`. Samples and histograms of one series, which there are where a staleness marker follows on
//! histograms, become one each: a receiver takes all samples of a `TimeSeries` before all of its histograms.
//!
//! ```text
//!                    ┌─ v1 ─┐
//!  block ─► runs ─► ─┤      ├─ TimeSeries ─► body
//!                    └─ v2 ─┘  (2.0: symbols go before)
//! ```

use super::batching::{Block, Request};
use super::body::{Body, BodyWriter};
use super::protocol::Version;
use super::v1::V1;
use super::v2::V2;
use crate::model::{Exemplar, Histogram, Labels, LabelsIter, MetadataTable, MetricFamily, ScrapeBatch};
use std::rc::Rc;

/// What an endpoint is sent of what there is.
#[derive(Clone, Debug, Default)]
pub struct Content {
    /// Added to each series that has no label of that name.
    pub external_labels: Labels,
    pub send_exemplars: bool,
    pub send_native_histograms: bool,
}

/// What is in one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    pub samples: u64,
    pub histograms: u64,
    pub exemplars: u64,
    /// Histograms that the endpoint is not to get.
    pub histograms_left_out: u64,
    /// Samples and histograms that are too old to be sent.
    pub too_old: u64,
    /// Time of the oldest sample, histogram or exemplar in it.
    pub oldest_ms: Option<i64>,
}

impl Sent {
    pub fn is_empty(&self) -> bool {
        self.samples + self.histograms + self.exemplars == 0
    }

    /// Samples and histograms of the request that are not in it.
    pub fn left_out(&self) -> u64 {
        self.histograms_left_out + self.too_old
    }

    fn note_time(&mut self, timestamp_ms: i64) {
        self.oldest_ms = Some(self.oldest_ms.map_or(timestamp_ms, |oldest_ms| oldest_ms.min(timestamp_ms)));
    }
}

/// One version's way of writing.
pub trait Message {
    fn put_sample(&mut self, out: &mut Vec<u8>, timestamp_ms: i64, value: f64, start_ms: i64);
    fn put_histogram(&mut self, out: &mut Vec<u8>, histogram: &Histogram, timestamp_ms: i64, start_ms: i64);
    fn put_exemplar(&mut self, out: &mut Vec<u8>, exemplar: &Exemplar);
    /// A `TimeSeries` of these labels, sorted, and what the functions above have written.
    /// What is known of its family goes along, if the message has room for that.
    fn put_series<'a>(
        &mut self,
        out: &mut Vec<u8>,
        labels: impl Iterator<Item = (&'a str, &'a str)>,
        points: &Points,
        family: Option<&MetricFamily>,
    );
}

/// Samples or histograms, and exemplars, of one series.
#[derive(Default)]
pub struct Points {
    /// Either all samples, or all histograms.
    pub samples: Vec<u8>,
    pub has_histograms: bool,
    pub exemplars: Vec<u8>,
}

/// Writes requests one after the other.
pub struct Encoder {
    content: Content,
    /// What is older is left out.
    oldest_ms: i64,
    /// What 2.0 has beside each series, if it is to be sent.
    metadata: Option<Rc<MetadataTable>>,
    points: Points,
    v1: V1,
    v2: V2,
    /// All series of a 2.0 request: symbols go before them.
    series: Vec<u8>,
    writer: BodyWriter,
}

impl Encoder {
    pub fn new(content: Content) -> Self {
        Encoder {
            content,
            oldest_ms: i64::MIN,
            metadata: None,
            points: Points::default(),
            v1: V1::default(),
            v2: V2::default(),
            series: Vec::new(),
            writer: BodyWriter::new(),
        }
    }

    /// What is known of a series' family goes along, where the message has room for it.
    pub fn send_metadata(&mut self, table: Rc<MetadataTable>) {
        self.metadata = Some(table);
    }

    /// Gives the memory of large requests back.
    pub fn rest(&mut self) {
        self.series = Vec::new();
        self.v2.rest();
    }

    /// From now on, what is older than this is left out of requests.
    pub fn leave_out_before(&mut self, oldest_ms: i64) {
        self.oldest_ms = oldest_ms;
    }

    /// Puts the request into `body`, in place of what was in it. `batches` are those that the request was made of.
    pub fn encode(
        &mut self,
        version: Version,
        batches: &[Rc<ScrapeBatch>],
        request: &Request,
        body: &mut Body,
    ) -> Sent {
        let Encoder { content, oldest_ms, metadata, points, v1, v2, series, writer } = self;
        let mut sent = Sent::default();
        let metadata = metadata.as_deref().filter(|_| version == Version::V2);
        let wanted = Wanted { content, oldest_ms: *oldest_ms, metadata };
        writer.begin(body);
        match version {
            Version::V1 => {
                let mut each = |block: &Block, index: usize| {
                    writer.append(body, |out| write_series(v1, &wanted, points, batches, block, index, out, &mut sent));
                };
                request.blocks.iter().for_each(|block| block.series.clone().for_each(|index| each(block, index)));
            }
            Version::V2 => {
                v2.begin();
                series.clear();
                for block in &request.blocks {
                    for index in block.series.clone() {
                        write_series(v2, &wanted, points, batches, block, index, series, &mut sent);
                    }
                }
                v2.symbols().for_each(|symbol| writer.append(body, |out| V2::put_symbol(out, symbol)));
                writer.append(body, |out| out.extend_from_slice(series));
            }
        }
        writer.finish(body);
        sent
    }

    #[cfg(test)]
    pub fn plain_capacity(&self) -> usize {
        self.writer.capacity()
    }
}

/// What becomes of a series.
struct Wanted<'e> {
    content: &'e Content,
    oldest_ms: i64,
    metadata: Option<&'e MetadataTable>,
}

/// One series of a block, as one `TimeSeries` or, where samples and histograms take turns, as several.
#[allow(clippy::too_many_arguments)]
fn write_series<M: Message>(
    message: &mut M,
    wanted: &Wanted<'_>,
    points: &mut Points,
    batches: &[Rc<ScrapeBatch>],
    block: &Block,
    index: usize,
    out: &mut Vec<u8>,
    sent: &mut Sent,
) {
    let (content, series) = (wanted.content, &batches[block.batches.start].series[index]);
    let labels = || merge(series.labels(), content.external_labels.iter());
    let family = wanted.metadata.and_then(|table| table.find(series));
    let family = family.as_deref();
    for sample in block.samples_of(batches, index) {
        let extras = batches[sample.batch].extras.as_deref();
        let start_ms = extras.and_then(|extras| extras.start_timestamp_ms_at(index)).unwrap_or(0);
        match extras.and_then(|extras| extras.histogram_at(index)) {
            _ if sample.timestamp_ms < wanted.oldest_ms => sent.too_old += 1,
            _ if sample.is_repeated => {}
            Some(_) if !content.send_native_histograms => sent.histograms_left_out += 1,
            histogram => {
                if histogram.is_some() != points.has_histograms && !points.samples.is_empty() {
                    flush(message, labels(), points, family, out);
                }
                points.has_histograms = histogram.is_some();
                sent.note_time(sample.timestamp_ms);
                match histogram {
                    Some(histogram) => {
                        message.put_histogram(&mut points.samples, histogram, sample.timestamp_ms, start_ms);
                        sent.histograms += 1;
                    }
                    None => {
                        message.put_sample(&mut points.samples, sample.timestamp_ms, sample.value, start_ms);
                        sent.samples += 1;
                    }
                }
            }
        }
        if content.send_exemplars {
            let exemplars = extras.into_iter().flat_map(|extras| extras.exemplars_at(index));
            for exemplar in exemplars.filter(|exemplar| exemplar.timestamp_ms >= wanted.oldest_ms) {
                sent.note_time(exemplar.timestamp_ms);
                message.put_exemplar(&mut points.exemplars, exemplar);
                sent.exemplars += 1;
            }
        }
    }
    flush(message, labels(), points, family, out);
}

fn flush<'a, M: Message>(
    message: &mut M,
    labels: impl Iterator<Item = (&'a str, &'a str)>,
    points: &mut Points,
    family: Option<&MetricFamily>,
    out: &mut Vec<u8>,
) {
    if !points.samples.is_empty() || !points.exemplars.is_empty() {
        message.put_series(out, labels, points, family);
    }
    points.samples.clear();
    points.exemplars.clear();
}

/// Both sets in one order; where both have a name, the series' own value stands.
fn merge<'a>(own: LabelsIter<'a>, external: LabelsIter<'a>) -> impl Iterator<Item = (&'a str, &'a str)> {
    let (mut own, mut external) = (own.peekable(), external.peekable());
    std::iter::from_fn(move || match (own.peek(), external.peek()) {
        (Some((own_name, _)), Some((external_name, _))) if external_name < own_name => external.next(),
        (Some((own_name, _)), Some((external_name, _))) => {
            if own_name == external_name {
                external.next();
            }
            own.next()
        }
        (Some(_), None) => own.next(),
        (None, _) => external.next(),
    })
}

#[cfg(test)]
mod tests;
