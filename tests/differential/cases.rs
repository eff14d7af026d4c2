//! Cases from seeds: one job with one target each, its configuration, and the script of its answers.

use crate::agents::Era;
use crate::answers::{Answer, OPENMETRICS, TEXT};
use crate::configs::job;
use crate::hostile::{Hostility, page_of, spoil};
use crate::pages::{Exporter, Style};
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
    style: Style,
    hostility: Hostility,
    /// One in so many answers is spoilt; none for 0.
    spoilt: u32,
}

/// All jobs have the same, so that all cases of a run end together; it is the timeout too. A busy machine needs longer ones.
pub fn interval() -> Duration {
    Duration::from_millis(crate::number_from("NARTHEX_INTERVAL_MS").unwrap_or(1000))
}

impl Case {
    pub fn new(seed: u64, number: usize, address: &str, era: Era) -> Case {
        let mut rng = Rng::with_seed(seed);
        let rng = &mut rng;
        let is_new = era == Era::Three;
        let mut job = job(rng, number, address, era);
        // Where there are times, pages don't break, and there and under a limit each series has one text: what is forgiven of
        // these would have consequences (docs/differences.md).
        let own_times = is_new && once_in(rng, 3);
        if own_times || !is_new {
            leave_out(&mut job, LIMITS);
        }
        let one_text = own_times || !job["sample_limit"].is_null();
        if one_text {
            leave_out(&mut job, &["metric_relabel_configs"]);
        }
        let openmetrics = is_new && !one_text && once_in(rng, 3);
        let content_type = if openmetrics { OPENMETRICS } else { TEXT };
        let style = Style {
            own_times,
            one_text,
            openmetrics,
            old: !is_new,
            duplicates: is_new && once_in(rng, 4),
            quoted_names: is_new && !one_text && once_in(rng, 4),
            untidy: !one_text && once_in(rng, 2),
            churn: 2 + rng.u32(..12),
            families: 1 + rng.usize(..6),
        };
        let hostility = Hostility {
            content_type,
            content_types: is_new,
            // Rules can make one series of lines with and without times.
            times: job["metric_relabel_configs"].is_null(),
            texts: is_new && !one_text,
            too_slow: interval() * 5 / 4,
        };
        let spoilt = [0, 2, 3, 4, 6][rng.usize(..5)];
        Case { seed, job, style, hostility, spoilt }
    }

    /// `base_ms` is a time before the first scrape, and after Prometheus's start.
    pub fn script(&self, number: usize, length: usize, base_ms: i64) -> Vec<Answer> {
        let mut rng = Rng::with_seed(self.seed ^ 0x5c21);
        let mut exporter = Exporter::new(&mut rng, self.style.clone(), base_ms);
        let answers = (0..length).map(|place| {
            let lines = exporter.next_page(&mut rng);
            match self.spoilt != 0 && once_in(&mut rng, self.spoilt) {
                true => spoil(&mut rng, lines, (number, place), &self.hostility),
                false => Answer::page("valid", self.hostility.content_type, &page_of(&lines)),
            }
        });
        answers.collect()
    }
}

const LIMITS: &[&str] = &["sample_limit", "label_limit", "label_name_length_limit", "label_value_length_limit"];

fn leave_out(job: &mut Value, keys: &[&str]) {
    let job = job.as_object_mut().expect("a job is a table");
    keys.iter().for_each(|key| drop(job.remove(*key)));
}
