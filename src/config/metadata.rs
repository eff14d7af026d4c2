//! `metadata_config`: whether an endpoint is told what metrics are, and how often.

use super::error::ConfigError;
use super::keys;
use super::reader::{Table, Value};
use crate::limits::REQUEST_SAMPLES_MAX;
use crate::model::format_duration;
use crate::remote_write::MetadataOptions;
use serde::Serialize;

pub(super) fn read_metadata(table: &Table) -> Result<MetadataOptions, ConfigError> {
    let defaults = MetadataOptions::default();
    let Some(table) = table.table("metadata_config", &keys::METADATA_CONFIG)? else { return Ok(defaults) };
    Ok(MetadataOptions {
        send: table.get_or("send", defaults.send, Value::flag)?,
        send_interval: table.get_or("send_interval", defaults.send_interval, Value::nonzero_duration)?,
        max_samples_per_send: table
            .get_or("max_samples_per_send", defaults.max_samples_per_send, |value| value.count(REQUEST_SAMPLES_MAX))?,
    })
}

/// The table as it is shown.
#[derive(Serialize)]
pub(super) struct ShownMetadata {
    send: bool,
    send_interval: String,
    max_samples_per_send: usize,
}

impl From<&MetadataOptions> for ShownMetadata {
    fn from(metadata: &MetadataOptions) -> Self {
        ShownMetadata {
            send: metadata.send,
            send_interval: format_duration(metadata.send_interval),
            max_samples_per_send: metadata.max_samples_per_send,
        }
    }
}
