//! `queue_config`: how an endpoint's requests are made, and when they are sent again.

use super::error::ConfigError;
use super::keys;
use super::reader::{Table, Value, quoted_duration};
use crate::limits::{REQUEST_SAMPLES_MAX, SEND_BYTES_MAX, SEND_BYTES_MIN, WINDOW_SAMPLES_MAX};
use crate::model::{format_duration, format_size};
use crate::remote_write::QueueOptions;
use serde::Serialize;

/// `give_up_on` stands in the endpoint's own table: it is about answers, not about queues.
pub(super) fn read_queue(endpoint: &Table) -> Result<QueueOptions, ConfigError> {
    let give_up_on = endpoint.get_or("give_up_on", Vec::new(), read_statuses)?;
    let defaults = QueueOptions { give_up_on, ..QueueOptions::default() };
    let Some(table) = endpoint.table("queue_config", &keys::QUEUE_CONFIG)? else { return Ok(defaults) };
    let age_limit = table.get_or("sample_age_limit", None, |value| value.duration().map(Some))?;
    let queue = QueueOptions {
        capacity: table.get_or("capacity", defaults.capacity, |value| value.count(usize::MAX))?,
        max_samples_per_send: table
            .get_or("max_samples_per_send", defaults.max_samples_per_send, |value| value.count(REQUEST_SAMPLES_MAX))?,
        max_bytes_per_send: table.get_or("max_bytes_per_send", None, |value| read_max_bytes(value).map(Some))?,
        batch_send_deadline: table.get_or("batch_send_deadline", defaults.batch_send_deadline, Value::duration)?,
        min_backoff: table.get_or("min_backoff", defaults.min_backoff, Value::nonzero_duration)?,
        max_backoff: table.get_or("max_backoff", defaults.max_backoff, Value::nonzero_duration)?,
        retry_on_http_429: table.get_or("retry_on_http_429", defaults.retry_on_http_429, Value::flag)?,
        give_up_on: defaults.give_up_on,
        halve_refused: table.get_or("halve_refused", defaults.halve_refused, Value::flag)?,
        // Zero is as good as none, as in Prometheus.
        sample_age_limit: age_limit.filter(|limit| !limit.is_zero()),
    };
    if !table.is_clean() {
        return Ok(queue);
    }
    check_capacity(&table, &queue)?;
    if queue.max_backoff < queue.min_backoff {
        let key = if table.get("max_backoff").is_some() { "max_backoff" } else { "min_backoff" };
        let (min, max) = (quoted_duration(queue.min_backoff), quoted_duration(queue.max_backoff));
        return Err(table.error(
            key,
            format_args!(
                "min_backoff {min} is longer than max_backoff {max}; write min_backoff shorter or max_backoff longer"
            ),
        ));
    }
    Ok(queue)
}

fn read_statuses(list: &Value) -> Result<Vec<u16>, ConfigError> {
    let mut statuses: Vec<u16> = Vec::new();
    for value in list.list("[401, 403]")? {
        let status = value.number(400, 499)? as u16;
        if !statuses.contains(&status) {
            statuses.push(status);
        }
    }
    Ok(statuses)
}

fn read_max_bytes(value: &Value) -> Result<usize, ConfigError> {
    let bytes = value.size()?;
    if !(SEND_BYTES_MIN..=SEND_BYTES_MAX).contains(&bytes) {
        let (least, most) = (format_size(SEND_BYTES_MIN), format_size(SEND_BYTES_MAX));
        return Err(value.error(format_args!("is not from {least} to {most}; write a size such as \"64KiB\"")));
    }
    // At most what fits into 32 bits.
    Ok(bytes as usize)
}

/// What waits for its turn is in the ring: `capacity` bounds what is taken out of it at a time.
fn check_capacity(table: &Table, queue: &QueueOptions) -> Result<(), ConfigError> {
    let QueueOptions { capacity, max_samples_per_send, .. } = queue;
    let problem = if *capacity > WINDOW_SAMPLES_MAX {
        format!(
            "is {capacity}; write at most {WINDOW_SAMPLES_MAX}: it bounds the samples that are in memory to be sent, and others \
             wait in the ring, whose size is buffer.size"
        )
    } else if capacity < max_samples_per_send {
        format!("is {capacity}, and a request of max_samples_per_send {max_samples_per_send} needs as many; write more")
    } else {
        return Ok(());
    };
    Err(table.error("capacity", problem))
}

/// The table as it is shown.
#[derive(Serialize)]
pub(super) struct ShownQueue {
    capacity: usize,
    max_samples_per_send: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_bytes_per_send: Option<String>,
    batch_send_deadline: String,
    min_backoff: String,
    max_backoff: String,
    retry_on_http_429: bool,
    halve_refused: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    sample_age_limit: Option<String>,
}

impl From<&QueueOptions> for ShownQueue {
    fn from(queue: &QueueOptions) -> Self {
        ShownQueue {
            capacity: queue.capacity,
            max_samples_per_send: queue.max_samples_per_send,
            max_bytes_per_send: queue.max_bytes_per_send.map(|bytes| format_size(bytes as u64)),
            batch_send_deadline: format_duration(queue.batch_send_deadline),
            min_backoff: format_duration(queue.min_backoff),
            max_backoff: format_duration(queue.max_backoff),
            retry_on_http_429: queue.retry_on_http_429,
            halve_refused: queue.halve_refused,
            sample_age_limit: queue.sample_age_limit.map(format_duration),
        }
    }
}
