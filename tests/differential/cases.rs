//! Cases from seeds: one job with one target each, its configuration, and the script of its answers.

use crate::agents::Era;
use crate::answers::{Answer, TEXT};
use crate::hostile::{Hostility, page_of, spoil};
use crate::pages::{Exporter, Style};
use crate::values::once_in;
use fastrand::Rng;
use serde_json::{Value, json};
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

/// All jobs have the same, so that all cases of a run end together.
pub const INTERVAL: Duration = Duration::from_millis(1000);

impl Case {
    pub fn new(seed: u64, number: usize, address: &str, era: Era) -> Case {
        let mut rng = Rng::with_seed(seed);
        let rng = &mut rng;
        let is_new = era == Era::Three;
        // Where there are times each series has one text, and pages don't break: what is forgiven there would have
        // consequences (docs/differences.md).
        let own_times = is_new && once_in(rng, 3);
        let style = Style {
            own_times,
            duplicates: is_new && once_in(rng, 4),
            quoted_names: is_new && !own_times && once_in(rng, 4),
            untidy: !own_times && once_in(rng, 2),
            churn: 2 + rng.u32(..12),
            families: 1 + rng.usize(..6),
        };
        let hostility = Hostility {
            content_types: is_new,
            texts: is_new && !own_times,
            too_slow: INTERVAL + Duration::from_millis(300),
        };
        let spoilt = [0, 2, 3, 4, 6][rng.usize(..5)];
        Case { seed, job: job(rng, number, address), style, hostility, spoilt }
    }

    /// `base_ms` is a time before the first scrape, and after Prometheus's start.
    pub fn script(&self, number: usize, length: usize, base_ms: i64) -> Vec<Answer> {
        let mut rng = Rng::with_seed(self.seed ^ 0x5c21);
        let mut exporter = Exporter::new(&mut rng, self.style.clone(), base_ms);
        let answers = (0..length).map(|place| {
            let lines = exporter.next_page(&mut rng);
            match self.spoilt != 0 && once_in(&mut rng, self.spoilt) {
                true => spoil(&mut rng, lines, (number, place), &self.hostility),
                false => Answer::page("valid", TEXT, &page_of(&lines)),
            }
        });
        answers.collect()
    }
}

fn job(rng: &mut Rng, number: usize, address: &str) -> Value {
    let mut labels = json!({CASE_LABEL: number.to_string()});
    for (name, value) in
        [("site", "north"), ("version", "1"), ("a", "target"), ("exported_job", "t"), ("instance", "named")]
    {
        if once_in(rng, 5) {
            labels[name] = value.into();
        }
    }
    json!({
        "job_name": format!("job-{number}"),
        "metrics_path": format!("/case/{number}"),
        "static_configs": [{"targets": [address], "labels": labels}],
    })
}
