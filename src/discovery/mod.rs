//! Options become targets. Knows where targets are listed; refuses to know what is read from them.

use crate::model::{LabelsBuilder, PageOptions, Params, Scheme, Target};
use crate::relabel::{PopulateError, Populated, Rules, SampleRules, TargetDefaults, populate};
use std::rc::Rc;
use std::time::Duration;

/// One `[[scrape_configs]]`.
#[derive(Clone, Debug)]
pub struct JobOptions {
    /// Becomes the label `job`.
    pub job_name: String,
    /// Starts with `/`.
    pub metrics_path: String,
    /// URL parameters of each scrape.
    pub params: Params,
    pub scheme: Scheme,
    pub interval: Duration,
    /// At most `interval`.
    pub timeout: Duration,
    /// `relabel_configs`: from what is discovered to targets.
    pub relabel: Rules,
    /// More targets than this, and each scrape of the job fails.
    pub target_limit: Option<usize>,
    /// From what targets expose to samples.
    pub samples: Rc<SampleRules>,
    /// How pages are asked for and taken.
    pub page: Rc<PageOptions>,
    pub static_configs: Vec<StaticConfig>,
}

impl JobOptions {
    /// What [`populate`] needs to know of the job.
    pub fn target_defaults(&self) -> TargetDefaults<'_> {
        TargetDefaults {
            job_name: &self.job_name,
            scheme: self.scheme,
            metrics_path: &self.metrics_path,
            params: &self.params,
            interval: self.interval,
            timeout: self.timeout,
            rules: &self.relabel,
        }
    }
}

/// One `static_configs` entry: targets that share labels.
#[derive(Clone, Debug, Default)]
pub struct StaticConfig {
    /// `host` or `host:port`.
    pub targets: Vec<String>,
    pub labels: Vec<(String, String)>,
}

/// What a job's `static_configs` come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StaticTargets {
    /// Each once, in the order of the configuration.
    pub targets: Vec<Target>,
    /// How many relabelling dropped.
    pub dropped: usize,
}

/// The targets of a job that its configuration lists.
pub fn static_targets(job: &JobOptions) -> Result<StaticTargets, PopulateError> {
    let mut found = StaticTargets::default();
    let defaults = job.target_defaults();
    for (config, address) in job.static_configs.iter().flat_map(|c| c.targets.iter().map(move |address| (c, address))) {
        let group = config.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let mut labels: LabelsBuilder = group.collect();
        labels.set("__address__", address);
        match populate(labels, &defaults)? {
            Populated::Dropped => found.dropped += 1,
            Populated::Target(target) if found.targets.contains(&target) => {}
            Populated::Target(target) => found.targets.push(target),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(static_configs: Vec<StaticConfig>) -> JobOptions {
        JobOptions {
            job_name: "node".into(),
            metrics_path: "/metrics".into(),
            params: Params::new(),
            scheme: Scheme::Http,
            interval: Duration::from_secs(15),
            timeout: Duration::from_secs(10),
            relabel: Rules::default(),
            target_limit: None,
            samples: Rc::default(),
            page: Rc::default(),
            static_configs,
        }
    }

    #[test]
    fn each_target_gets_job_and_instance_which_its_own_labels_may_override() {
        let configs = vec![
            StaticConfig { targets: vec!["127.0.0.1:9100".into()], labels: vec![("site".into(), "north".into())] },
            StaticConfig { targets: vec!["127.0.0.1:9101".into()], labels: vec![("instance".into(), "pump".into())] },
        ];
        let targets = static_targets(&job(configs)).unwrap().targets;
        let shown: Vec<_> = targets.iter().map(|t| t.labels.to_string()).collect();
        assert_eq!(
            shown,
            [r#"{instance="127.0.0.1:9100", job="node", site="north"}"#, r#"{instance="pump", job="node"}"#]
        );
    }

    #[test]
    fn a_target_that_is_listed_twice_is_scraped_once() {
        let twice = StaticConfig { targets: vec!["a:1".into(), "a:1".into()], labels: vec![] };
        assert_eq!(static_targets(&job(vec![twice])).unwrap().targets.len(), 1);
    }
}
