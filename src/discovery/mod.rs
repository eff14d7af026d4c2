//! Options become targets. Knows where targets are listed; refuses to know what is read from them.

use crate::http_client::HttpClientOptions;
use crate::model::{LabelsBuilder, LabelsError, Scheme, Target};
use std::time::Duration;

/// One `[[scrape_configs]]`.
#[derive(Clone, Debug)]
pub struct JobOptions {
    /// Becomes the label `job`.
    pub job_name: String,
    /// Starts with `/`.
    pub metrics_path: String,
    pub scheme: Scheme,
    pub interval: Duration,
    /// At most `interval`.
    pub timeout: Duration,
    /// How its targets are asked.
    pub http: HttpClientOptions,
    pub static_configs: Vec<StaticConfig>,
}

/// One `static_configs` entry: targets that share labels.
#[derive(Clone, Debug, Default)]
pub struct StaticConfig {
    /// `host` or `host:port`.
    pub targets: Vec<String>,
    pub labels: Vec<(String, String)>,
}

/// The targets of a job, each address once, in the order of the configuration.
pub fn static_targets(job: &JobOptions) -> Result<Vec<Target>, LabelsError> {
    let mut targets: Vec<Target> = Vec::new();
    for (config, address) in job.static_configs.iter().flat_map(|c| c.targets.iter().map(move |address| (c, address))) {
        let mut labels: LabelsBuilder = [("job", job.job_name.as_str()), ("instance", address)].into_iter().collect();
        // An empty value is as good as none: `job` and `instance` keep their defaults.
        for (name, value) in config.labels.iter().filter(|(_, value)| !value.is_empty()) {
            labels.set(name, value);
        }
        let target = Target {
            scheme: job.scheme,
            address: address.clone(),
            metrics_path: job.metrics_path.clone(),
            labels: labels.build()?,
            interval: job.interval,
            timeout: job.timeout,
        };
        if !targets.contains(&target) {
            targets.push(target);
        }
    }
    Ok(targets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(static_configs: Vec<StaticConfig>) -> JobOptions {
        JobOptions {
            job_name: "node".into(),
            metrics_path: "/metrics".into(),
            scheme: Scheme::Http,
            interval: Duration::from_secs(15),
            timeout: Duration::from_secs(10),
            http: HttpClientOptions::default(),
            static_configs,
        }
    }

    #[test]
    fn each_target_gets_job_and_instance_which_its_own_labels_may_override() {
        let configs = vec![
            StaticConfig { targets: vec!["127.0.0.1:9100".into()], labels: vec![("site".into(), "north".into())] },
            StaticConfig { targets: vec!["127.0.0.1:9101".into()], labels: vec![("instance".into(), "pump".into())] },
        ];
        let shown: Vec<_> = static_targets(&job(configs)).unwrap().iter().map(|t| t.labels.to_string()).collect();
        assert_eq!(
            shown,
            [r#"{instance="127.0.0.1:9100", job="node", site="north"}"#, r#"{instance="pump", job="node"}"#]
        );
    }

    #[test]
    fn a_target_that_is_listed_twice_is_scraped_once() {
        let twice = StaticConfig { targets: vec!["a:1".into(), "a:1".into()], labels: vec![] };
        assert_eq!(static_targets(&job(vec![twice])).unwrap().len(), 1);
    }
}
