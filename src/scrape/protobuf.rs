//! The delimited protobuf format (`io.prometheus.client.MetricFamily`), as Prometheus 3's `protobufparse.go` reads it.
//!
//! ```text
//!  page     [length][family] [length][family] ...
//!  family   name, help, type, unit, metric*
//!  metric   labels, and by the family's type:
//!             counter, gauge, untyped    name
//!             summary                    name_count, name_sum, name{quantile=".."}*
//!             histogram                  name_count, name_sum, name_bucket{le=".."}*, a last one for +Inf
//!                                        or, where it has a native form that is wanted: name, and these if asked for
//! ```
//!
//! Pure, and without a copy but for one metric's numbers. Three differences from Prometheus, where it errs: each histogram of
//! a family has its own exemplars (there, those of the second and later ones are passed over up to the first one's number); a
//! second native histogram whose spans don't match is an error (there, a crash); exemplars of a bucket that come twice in one
//! message are not merged; a list of numbers that
//! ends within one is an error (there, it is read on past its end).

use super::content_type::Format;
use super::entry::{Entry, Native, Sample};
use super::exemplar::Exemplar;
use super::protobuf_error::ProtobufError;
use super::protobuf_metric::{COUNTER, GAUGE, HISTOGRAM, Metric, SUMMARY, UNTYPED, read_label};
use super::protobuf_series::{Kind, put_label, put_series};
use super::series_text::{MetricType, SeriesText};
use super::wire::Fields;
use crate::model::Histogram;
use std::rc::Rc;

/// What is wanted of histograms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HistogramForms {
    /// The native form, where there is one.
    pub native: bool,
    /// The classic form beside it.
    pub classic_too: bool,
}

pub struct ProtobufParser<'p> {
    rest: &'p [u8],
    forms: HistogramForms,
    family: Family<'p>,
    metric: Metric<'p>,
    labels: Vec<u8>,
    step: Step,
    series: Vec<u8>,
    histogram: Option<Rc<Histogram>>,
    exemplars: Vec<Exemplar<'p>>,
}

#[derive(Default)]
struct Family<'p> {
    name_bytes: &'p [u8],
    help_bytes: &'p [u8],
    unit: &'p [u8],
    type_number: i32,
    /// Once they were checked.
    name: &'p str,
    help: &'p str,
    metric_type: MetricType,
    /// From which the metrics are still to be taken.
    fields: Fields<'p>,
}

/// What a sample has of its own.
#[derive(Clone, Copy, Default)]
struct Point<'p> {
    value: f64,
    exemplar: Option<Exemplar<'p>>,
    as_expected: bool,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    NextFamily,
    Help,
    Unit,
    Type,
    NextMetric,
    Value,
    Native,
    Count,
    Sum,
    /// A quantile or bucket.
    Part(usize),
}

impl<'p> ProtobufParser<'p> {
    pub fn new(page: &'p [u8], forms: HistogramForms) -> Self {
        ProtobufParser {
            rest: page,
            forms,
            family: Family::default(),
            metric: Metric::default(),
            labels: Vec::new(),
            step: Step::NextFamily,
            series: Vec::new(),
            histogram: None,
            exemplars: Vec::new(),
        }
    }

    /// The next entry, or `None` at the end of the page. After an error there is nothing more to be had.
    ///
    /// `expected` are the bytes of a series, as an earlier page yielded them.
    pub fn next(&mut self, expected: Option<&[u8]>) -> Result<Option<Entry<'_>>, ProtobufError> {
        let found = self.find(expected).inspect_err(|_| (self.rest, self.step) = (&[], Step::NextFamily));
        Ok(match found? {
            None => None,
            Some((step @ (Step::Help | Step::Unit | Step::Type), _)) => Some(self.metadata(step)),
            Some((step, point)) => Some(self.sample(step, point)),
        })
    }

    fn find(&mut self, expected: Option<&[u8]>) -> Result<Option<(Step, Point<'p>)>, ProtobufError> {
        let Some(step) = self.advance()? else { return Ok(None) };
        if matches!(step, Step::Help | Step::Unit | Step::Type) {
            return Ok(Some((step, Point::default())));
        }
        let (kind, value, exemplar) = self.value_of(step)?;
        put_series(&mut self.series, kind, self.family.name, &self.labels);
        let as_expected = expected == Some(&self.series[..]);
        if !as_expected {
            self.check_labels()?;
        }
        Ok(Some((step, Point { value, exemplar, as_expected })))
    }

    /// To the next step that yields something.
    fn advance(&mut self) -> Result<Option<Step>, ProtobufError> {
        loop {
            match self.step {
                Step::NextFamily => {
                    if self.rest.is_empty() {
                        return Ok(None);
                    }
                    let (fields, rest) = Fields::delimited(self.rest)?;
                    (self.family, self.rest) = (Family::read(fields)?, rest);
                    self.step = Step::Help;
                    if !self.next_metric()? {
                        self.step = Step::NextFamily;
                        continue;
                    }
                    self.family.check()?;
                }
                Step::NextMetric => self.step = if self.next_metric()? { self.first() } else { Step::NextFamily },
                step => {
                    self.step = self.after(step);
                    return Ok(Some(step));
                }
            }
        }
    }

    fn next_metric(&mut self) -> Result<bool, ProtobufError> {
        while let Some((number, field)) = self.family.fields.next_field()? {
            if number == 4 {
                let labels = &mut self.labels;
                labels.clear();
                self.metric.read(field.message()?, |label| put_label(labels, label))?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The first step of a metric.
    fn first(&self) -> Step {
        match self.family.metric_type {
            MetricType::Summary => Step::Count,
            MetricType::Histogram | MetricType::GaugeHistogram => {
                if self.forms.native && self.metric.histogram.is_native() { Step::Native } else { Step::Count }
            }
            _ => Step::Value,
        }
    }

    fn after(&self, step: Step) -> Step {
        let is_summary = self.family.metric_type == MetricType::Summary;
        let (quantiles, buckets) = (self.metric.summary.quantiles.len(), &self.metric.histogram.buckets);
        match step {
            Step::Help if self.family.unit.is_empty() => Step::Type,
            Step::Help => Step::Unit,
            Step::Unit => Step::Type,
            Step::Type => self.first(),
            Step::Native if self.forms.classic_too && !buckets.is_empty() => Step::Count,
            Step::Count => Step::Sum,
            Step::Sum if !is_summary || quantiles > 0 => Step::Part(0),
            Step::Part(index) if is_summary && index + 1 < quantiles => Step::Part(index + 1),
            Step::Part(index) if !is_summary && buckets.get(index).is_some_and(|b| b.bound != f64::INFINITY) => {
                Step::Part(index + 1)
            }
            _ => Step::NextMetric,
        }
    }

    fn metadata(&self, step: Step) -> Entry<'_> {
        let name = self.family.name.as_bytes();
        match step {
            Step::Help => Entry::Help { name, text: self.family.help },
            Step::Unit => Entry::Unit { name, unit: self.family.unit },
            _ => Entry::Type { name, metric_type: self.family.metric_type },
        }
    }

    fn sample(&self, step: Step, point: Point<'p>) -> Entry<'_> {
        let native = match &self.histogram {
            Some(histogram) if step == Step::Native => Some(Native { histogram, exemplars: &self.exemplars }),
            _ => None,
        };
        let timestamp_ms = self.metric.timestamp_ms;
        let metric_type = self.family.metric_type;
        let start_ms = match metric_type {
            MetricType::Counter => self.metric.starts_ms[COUNTER],
            MetricType::Summary => self.metric.starts_ms[SUMMARY],
            MetricType::Histogram | MetricType::GaugeHistogram => self.metric.starts_ms[HISTOGRAM],
            _ => 0,
        };
        Entry::Sample(Sample {
            series: SeriesText { raw: &self.series, format: Format::Protobuf, metric_type },
            expected: point.as_expected,
            value: point.value,
            // The format can't tell a zero from nothing.
            timestamp_ms: (timestamp_ms != 0).then_some(timestamp_ms),
            start_timestamp_ms: (start_ms != 0).then_some(start_ms),
            exemplar: point.exemplar,
            native,
        })
    }

    fn value_of(&mut self, step: Step) -> Result<(Kind, f64, Option<Exemplar<'p>>), ProtobufError> {
        let Metric { values, summary, histogram, exemplar, .. } = &self.metric;
        let is_summary = self.family.metric_type == MetricType::Summary;
        Ok(match (step, self.family.metric_type) {
            (Step::Native, family_type) => {
                let native = histogram.native(family_type == MetricType::GaugeHistogram);
                let native = native.map_err(|cause| ProtobufError::histogram(self.family.name, cause))?;
                self.find_exemplars();
                let sum = native.sum;
                self.histogram = Some(Rc::new(native));
                (Kind::Plain, sum, None)
            }
            (Step::Count, _) if is_summary => (Kind::Count, summary.count as f64, None),
            (Step::Count, _) => (Kind::Count, histogram.observations(), None),
            (Step::Sum, _) => (Kind::Sum, if is_summary { summary.sum } else { histogram.sum }, None),
            (Step::Part(index), _) if is_summary => {
                let (quantile, value) = summary.quantiles[index];
                (Kind::Quantile(quantile), value, None)
            }
            (Step::Part(index), _) => match histogram.buckets.get(index) {
                Some(bucket) => (Kind::Bucket(bucket.bound), bucket.observations(), bucket.exemplar),
                None => (Kind::Bucket(f64::INFINITY), histogram.observations(), None),
            },
            (_, MetricType::Counter) => (Kind::Plain, values[COUNTER], *exemplar),
            (_, MetricType::Gauge) => (Kind::Plain, values[GAUGE], None),
            _ => (Kind::Plain, values[UNTYPED], None),
        })
    }

    /// Those of a native histogram: its own, or else those of its classic buckets; in either case with a time.
    fn find_exemplars(&mut self) {
        let histogram = &self.metric.histogram;
        let of_buckets = histogram.buckets.iter().filter_map(|bucket| bucket.exemplar);
        self.exemplars.clear();
        match histogram.exemplars.is_empty() {
            true => self.exemplars.extend(of_buckets.filter(|exemplar| exemplar.timestamp_ms.is_some())),
            false => {
                let own = histogram.exemplars.iter().filter(|exemplar| exemplar.timestamp_ms.is_some());
                self.exemplars.extend(own.copied());
            }
        }
    }

    fn check_labels(&self) -> Result<(), ProtobufError> {
        for label in super::protobuf_series::labels(&self.labels) {
            let (name, value) = read_label(label)?;
            let is_name = name.is_none_or(|name| !name.is_empty() && std::str::from_utf8(name).is_ok());
            if !is_name || std::str::from_utf8(value).is_err() {
                return Err(ProtobufError::label(self.family.name));
            }
        }
        Ok(())
    }
}

impl<'p> Family<'p> {
    /// All but the metrics.
    fn read(fields: Fields<'p>) -> Result<Self, ProtobufError> {
        let mut family = Family { fields: fields.clone(), ..Family::default() };
        let mut all = fields;
        while let Some((number, field)) = all.next_field()? {
            match number {
                1 => family.name_bytes = field.bytes()?,
                2 => family.help_bytes = field.bytes()?,
                3 => family.type_number = field.number()? as i32,
                4 => _ = field.bytes()?,
                5 => family.unit = field.bytes()?,
                _ => {}
            }
        }
        Ok(family)
    }

    /// Once it is known to have a metric: without one, nothing else matters.
    fn check(&mut self) -> Result<(), ProtobufError> {
        let name = std::str::from_utf8(self.name_bytes).ok().filter(|name| !name.is_empty());
        self.name = name.ok_or(ProtobufError::Name)?;
        self.help = std::str::from_utf8(self.help_bytes).map_err(|_| ProtobufError::help(self.name))?;
        self.metric_type = match self.type_number {
            0 => MetricType::Counter,
            1 => MetricType::Gauge,
            2 => MetricType::Summary,
            3 => MetricType::Unknown,
            4 => MetricType::Histogram,
            5 => MetricType::GaugeHistogram,
            _ => return Err(ProtobufError::metric_type(self.name)),
        };
        Ok(())
    }
}
