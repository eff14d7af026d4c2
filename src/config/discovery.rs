//! `file_sd_configs` and its like in `[[scrape_configs]]`.

use super::error::ConfigError;
use super::keys;
use super::reader::{Table, Value, quoted};
use crate::discovery::DiscoveryOptions;
use crate::discovery::file::{FileSdOptions, check_pattern};
use crate::model::format_duration;
use serde::Serialize;
use std::time::Duration;

const FILES_EXAMPLE: &str = "[\"targets/*.json\"]";

/// Prometheus's defaults of `refresh_interval`.
const FILE_REFRESH_INTERVAL: Duration = Duration::from_secs(300);

pub(super) fn read_discovery(table: &Table) -> Result<DiscoveryOptions, ConfigError> {
    let file = table.tables("file_sd_configs", &keys::FILE_SD_CONFIG)?;
    Ok(DiscoveryOptions { file: file.iter().map(read_file_sd).collect::<Result<_, _>>()? })
}

fn read_file_sd(table: &Table) -> Result<FileSdOptions, ConfigError> {
    let list = table.require("files", FILES_EXAMPLE)?;
    let mut files = Vec::new();
    for value in list.list(FILES_EXAMPLE)? {
        let path = value.path("\"targets/*.json\"")?;
        let text = value.text("\"targets/*.json\"")?;
        check_pattern(text).map_err(|problem| value.error(format_args!("{} {problem}", quoted(text))))?;
        files.push(path);
    }
    if files.is_empty() {
        return Err(list.error(format_args!("is empty; write files = {FILES_EXAMPLE}")));
    }
    let refresh_interval = table.get_or("refresh_interval", FILE_REFRESH_INTERVAL, Value::nonzero_duration)?;
    Ok(FileSdOptions { files, refresh_interval })
}

/// As it is in effect.
#[derive(Serialize)]
pub(super) struct FileSd {
    files: Vec<String>,
    refresh_interval: String,
}

impl From<&FileSdOptions> for FileSd {
    fn from(options: &FileSdOptions) -> Self {
        FileSd {
            files: options.files.iter().map(|path| path.to_string_lossy().into_owned()).collect(),
            refresh_interval: format_duration(options.refresh_interval),
        }
    }
}
