//! What the agent counts of losses: read from `/metrics` again and again, since a kill comes unannounced. Its counts go on over
//! restarts, so the last reading holds for all of its lives.

use std::collections::BTreeMap;

type Metrics = BTreeMap<String, f64>;

#[derive(Default)]
pub struct Tally {
    /// The last reading of any life.
    last: Metrics,
    /// Whether it is of this life.
    is_current: bool,
}

/// Causes that are no losses: the receiver has these samples.
const NO_LOSS: [&str; 1] = ["repeated"];

impl Tally {
    pub fn note(&mut self, metrics: Option<Metrics>) {
        if let Some(metrics) = metrics {
            (self.last, self.is_current) = (metrics, true);
        }
    }

    pub fn life_ended(&mut self) {
        self.is_current = false;
    }

    /// `None` if this life has not said it yet.
    pub fn gauge(&self, name: &str) -> Option<f64> {
        self.last.get(name).copied().filter(|_| self.is_current)
    }

    /// Samples that are counted as lost, by cause.
    pub fn counted(&self, endpoint: usize) -> BTreeMap<String, u64> {
        let start = format!("narthex_samples_dropped_total{{endpoint=\"r{endpoint}\",cause=\"");
        let of_endpoint = self.last.iter().filter_map(|(name, value)| {
            let cause = name.strip_prefix(&start)?.strip_suffix("\"}")?;
            (!NO_LOSS.contains(&cause) && *value > 0.0).then(|| (cause.to_owned(), *value as u64))
        });
        of_endpoint.collect()
    }
}
