//! What is allowed in a configuration and yet is hardly meant.

use super::Config;
use crate::http_client::{Auth, HttpClientOptions};
use crate::model::{SOCKET_PREFIX, Scheme, format_duration};

impl Config {
    /// A line for each thing that is hardly meant, in the order of the sections.
    pub fn warnings(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for job in &self.jobs {
            let what = format!("scrape_configs {:?}", job.job_name);
            lines.extend(password_alone(&what, &job.http));
            for list in &job.discovery.http {
                lines.extend(password_alone(&format!("{what}: http_sd_configs"), &list.http));
            }
            // Rules may add the port.
            let targets = job.static_configs.iter().flat_map(|group| &group.targets).filter(|_| job.relabel.is_empty());
            let default_port = if job.scheme == Scheme::Https { 443 } else { 80 };
            lines.extend(targets.filter(|target| lacks_port(target)).map(|target| {
                format!("{what}: target {target:?} has no port, so port {default_port} is asked; write the port, too")
            }));
        }
        for endpoint in &self.endpoints {
            let what = format!("remote_write {:?}", endpoint.name);
            lines.extend(password_alone(&what, &endpoint.http));
            let deadline = endpoint.queue.batch_send_deadline;
            let interval = self.buffer.as_ref().map(|buffer| buffer.commit_interval).unwrap_or_default();
            if deadline >= interval && !interval.is_zero() {
                let (deadline, interval) = (format_duration(deadline), format_duration(interval));
                lines.push(format!(
                    "{what}: every sample is written to flash before it is sent, as batch_send_deadline {deadline:?} is not \
                     shorter than commit_interval {interval:?}; to spare the flash, make commit_interval longer"
                ));
            }
        }
        lines
    }
}

fn password_alone(what: &str, http: &HttpClientOptions) -> Option<String> {
    let is_alone = matches!(&http.auth, Auth::Basic { username: None, password: Some(_) });
    is_alone.then(|| format!("{what}: basic_auth has a password and no username; write username, too"))
}

fn lacks_port(target: &str) -> bool {
    let after_host = target.rsplit_once(']').map_or(target, |(_, after)| after);
    !target.starts_with(SOCKET_PREFIX) && !after_host.contains(':')
}
