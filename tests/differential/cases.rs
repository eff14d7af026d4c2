//! Cases from seeds: one job with one target each, its configuration, and the script of its answers.

use crate::agents::Era;
use crate::answers::{Answer, OPENMETRICS, TEXT};
use crate::configs::{job, native_histograms};
use crate::hostile::{Hostility, Page, spoil};
use crate::pages::{Exporter, Style};
use crate::protobuf::{self, PROTOBUF};
use crate::values::once_in;
use fastrand::Rng;
use serde_json::Value;
use std::time::Duration;

/// The label that tells cases apart in what is received. No page has it.
pub const CASE_LABEL: &str = "zz_case";

pub struct Case {
    pub seed: u64,
    /// One `scrape_configs` entry in Prometheus's words.
    pub job: Value,
    exporter: Exports,
    hostility: Hostility,
    /// One in so many answers is spoilt; none for 0.
    spoilt: u32,
}

/// All jobs have the same, so that all cases of a run end together; it is the timeout too. A busy machine needs longer ones.
pub fn interval() -> Duration {
    Duration::from_millis(crate::number_from("NARTHEX_INTERVAL_MS").unwrap_or(1000))
}

#[derive(Clone)]
enum Exports {
    Text(Style),
    Protobuf(protobuf::Style),
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Text,
    OpenMetrics,
    Protobuf,
}

impl Case {
    pub fn new(seed: u64, number: usize, address: &str, era: Era) -> Case {
        let mut rng = Rng::with_seed(seed);
        let rng = &mut rng;
        let is_new = era == Era::Three;
        let mut job = job(rng, number, address, era);
        // What is forgiven of pages that break has consequences for times and for exemplars (docs/differences.md).
        let (own_times, exemplars) = (is_new && once_in(rng, 3), is_new && once_in(rng, 3));
        let breaks = is_new && !own_times && !exemplars;
        let kind = match (is_new, own_times, rng.u32(..8)) {
            (true, _, 0..3) => Kind::Protobuf,
            (true, false, 3..6) => Kind::OpenMetrics,
            _ => Kind::Text,
        };
        if kind == Kind::Protobuf {
            native_histograms(rng, &mut job);
        }
        if !breaks {
            leave_out(&mut job, LIMITS);
        }
        // Rules can make one series of several texts, of which only Prometheus takes each.
        if exemplars {
            leave_out(&mut job, &["metric_relabel_configs"]);
        }
        let (churn, families) = (2 + rng.u32(..12), 1 + rng.usize(..6));
        let exporter = match kind {
            Kind::Protobuf => {
                Exports::Protobuf(protobuf::Style { own_times, exemplars, invalid: breaks, churn, families })
            }
            _ => Exports::Text(Style {
                own_times,
                openmetrics: kind == Kind::OpenMetrics,
                exemplars: exemplars && kind == Kind::OpenMetrics,
                old: !is_new,
                duplicates: is_new && once_in(rng, 4),
                quoted_names: is_new && once_in(rng, 4),
                nameless_labels: breaks,
                untidy: once_in(rng, 2),
                churn,
                families,
            }),
        };
        let hostility = Hostility {
            content_type: match kind {
                Kind::Protobuf => PROTOBUF,
                Kind::OpenMetrics => OPENMETRICS,
                Kind::Text => TEXT,
            },
            content_types: is_new && (kind == Kind::Text && !own_times || breaks),
            breaks,
            too_slow: interval() * 5 / 4,
        };
        let spoilt = [0, 2, 3, 4, 6][rng.usize(..5)];
        Case { seed, job, exporter, hostility, spoilt }
    }

    /// `base_ms` is a time before the first scrape, and after Prometheus's start.
    pub fn script(&self, number: usize, length: usize, base_ms: i64) -> Vec<Answer> {
        let mut rng = Rng::with_seed(self.seed ^ 0x5c21);
        let mut next_page: Box<dyn FnMut(&mut Rng) -> Page> = match self.exporter.clone() {
            Exports::Text(style) => {
                let mut exporter = Exporter::new(&mut rng, style, base_ms);
                Box::new(move |rng| Page::Lines(exporter.next_page(rng)))
            }
            Exports::Protobuf(style) => {
                let mut exporter = protobuf::Exporter::new(&mut rng, style, base_ms);
                Box::new(move |rng| Page::Bytes(exporter.next_page(rng)))
            }
        };
        let answers = (0..length).map(|place| {
            let page = next_page(&mut rng);
            match self.spoilt != 0 && once_in(&mut rng, self.spoilt) {
                true => spoil(&mut rng, page, (number, place), &self.hostility),
                false => Answer::page("valid", self.hostility.content_type, &page.whole()),
            }
        });
        answers.collect()
    }
}

const LIMITS: &[&str] = &[
    "sample_limit",
    "label_limit",
    "label_name_length_limit",
    "label_value_length_limit",
    "native_histogram_bucket_limit",
];

fn leave_out(job: &mut Value, keys: &[&str]) {
    let job = job.as_object_mut().expect("a job is a table");
    keys.iter().for_each(|key| drop(job.remove(*key)));
}
