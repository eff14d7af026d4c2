//! What the tests of discoveries share.
#![allow(dead_code)]

use super::*;
use narthex::model::is_stale;
use std::fs;

pub const PATIENCE: Duration = Duration::from_secs(60);

/// A job of this name with a scrape every 200 ms.
pub fn config(receiver: &Receiver, job: &str) -> String {
    format!(
        "[global]\nscrape_interval = '200ms'\nscrape_timeout = '200ms'\n\
         [[scrape_configs]]\njob_name = 'test'\n{job}\n\
         [[remote_write]]\nurl = 'http://{}/api/v1/write'\nqueue_config = {{ batch_send_deadline = '100ms' }}\n\
         [buffer]\npath = 'ring'\nsize = '256KiB'\nsegment_size = '16KiB'\n",
        receiver.address()
    )
}

/// Written aside and renamed, as careful programs do.
pub fn replace(path: &Path, text: &str) {
    let aside = path.with_extension("new");
    fs::write(&aside, text).unwrap();
    fs::rename(&aside, path).unwrap();
}

pub fn one(server: &Server, labels: &str) -> String {
    format!(r#"[{{"targets":["{}"],"labels":{{{labels}}}}}]"#, server.address)
}

pub fn constant(value: u32) -> Server {
    exporter(move |_| format!("v {value}\n"))
}

pub fn wait_for(receiver: &Receiver, series: &str, what: &str, found: impl Fn(&BTreeMap<i64, f64>) -> bool) {
    eventually(&format!("{series}: {what}"), PATIENCE, || found(&receiver.series(series)).then_some(()));
}

pub fn is_up(samples: &BTreeMap<i64, f64>) -> bool {
    samples.values().next_back() == Some(&1.0)
}

pub fn has_ended(samples: &BTreeMap<i64, f64>) -> bool {
    samples.values().next_back().copied().is_some_and(is_stale)
}
