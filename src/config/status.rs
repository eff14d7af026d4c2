//! `[status]`: where the agent answers those who ask what it does.

use super::error::ConfigError;
use super::keys;
use super::reader::{Table, quoted};
use crate::status::StatusOptions;

const LISTEN_EXAMPLE: &str = "\"127.0.0.1:9095\"";

/// None where nobody is answered.
pub(super) fn read_status(document: &Table) -> Result<Option<StatusOptions>, ConfigError> {
    let Some(table) = document.table("status", &keys::STATUS)? else { return Ok(None) };
    let value = table.require("listen", LISTEN_EXAMPLE)?;
    let text = value.text(LISTEN_EXAMPLE)?;
    let listen = text.parse().map_err(|_| {
        value
            .error(format_args!("{} is not an IP address and a port; write one such as {LISTEN_EXAMPLE}", quoted(text)))
    })?;
    Ok(Some(StatusOptions { listen }))
}
