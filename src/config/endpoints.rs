//! `[[remote_write]]`.

use super::address::check_url;
use super::error::ConfigError;
use super::http_client::{read_http_client, read_plain_headers};
use super::jobs::GlobalOptions;
use super::keys;
use super::lanes::{check_lanes, check_priorities, read_catch_up};
use super::messages::{read_content, read_protobuf_message};
use super::metadata::read_metadata;
use super::queue::read_queue;
use super::reader::{Table, Value, quoted};
use super::relabel::read_rules;
use super::sigv4::read_sigv4;
use super::uplink::{read_priority, read_rates};
use crate::remote_write::EndpointOptions;
use std::time::Duration;

const URL_EXAMPLE: &str = "\"https://host/api/v1/write\"";

/// Prometheus's `DefaultRemoteWriteConfig`.
const REMOTE_TIMEOUT: Duration = Duration::from_secs(30);

pub(super) fn read_endpoints(document: &Table, global: &GlobalOptions) -> Result<Vec<EndpointOptions>, ConfigError> {
    let mut endpoints: Vec<EndpointOptions> = Vec::new();
    for table in document.tables("remote_write", &keys::REMOTE_WRITE)? {
        let Some(endpoint) = table.source.noted(read_endpoint(&table, global)) else { continue };
        table.source.noted(check_lanes(&table, &endpoints, &endpoint));
        if table.is_clean() && endpoints.iter().any(|other| other.name == endpoint.name) {
            let problem = match table.get("name") {
                Some(_) => format!("{} is the name of an endpoint above too; write another", quoted(&endpoint.name)),
                None => "is missing, and an endpoint above has the same url or name; write a name for each".into(),
            };
            table.source.noted::<()>(Err(table.error("name", problem)));
        }
        endpoints.push(endpoint);
    }
    Ok(endpoints)
}

fn read_endpoint(table: &Table, global: &GlobalOptions) -> Result<EndpointOptions, ConfigError> {
    let noted = &table.source;
    let url = noted.noted(read_url(table)).unwrap_or_default();
    let write_relabel = read_rules(table, "write_relabel_configs", global.samples.scheme);
    noted.noted(check_priorities(table, &write_relabel));
    Ok(EndpointOptions {
        name: noted.noted(read_name(table, url)).unwrap_or_default(),
        url: url.into(),
        timeout: table.get_or("remote_timeout", REMOTE_TIMEOUT, Value::nonzero_duration)?,
        http: noted.noted(read_sigv4(table, read_http_client(table)?)).unwrap_or_default(),
        headers: noted.noted(read_plain_headers(table)).unwrap_or_default(),
        queue: noted.noted(read_queue(table)).unwrap_or_default(),
        message: noted.noted(read_protobuf_message(table)).unwrap_or_default(),
        catch_up: noted.noted(read_catch_up(table)).unwrap_or_default(),
        priority: read_priority(table)?,
        rates: noted.noted(read_rates(table)).unwrap_or_default(),
        content: read_content(table, &global.external_labels)?,
        metadata: noted.noted(read_metadata(table)).unwrap_or_default(),
        write_relabel,
    })
}

fn read_url<'t>(table: &Table<'t>) -> Result<&'t str, ConfigError> {
    let value = table.require("url", URL_EXAMPLE)?;
    let url = value.text(URL_EXAMPLE)?;
    check_url(url, URL_EXAMPLE).map_err(|problem| value.error(problem))?;
    Ok(url)
}

/// The name, or one made of the URL: the ring knows the endpoint by it, so it must be the same at each start.
fn read_name(table: &Table, url: &str) -> Result<String, ConfigError> {
    let Some(value) = table.get("name") else { return Ok(format!("{:08x}", crc32fast::hash(url.as_bytes()))) };
    match value.text("\"cloud\"")? {
        "" => Err(value.error("is empty; write a name such as \"cloud\", or leave the key out")),
        name if name.contains(char::is_control) => {
            Err(value.error("has a control character or line break; write a name such as \"cloud\""))
        }
        name => Ok(name.into()),
    }
}
