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
use ureq_proto::http::Uri;

const URL_EXAMPLE: &str = "\"https://host/api/v1/write\"";

/// Prometheus's `DefaultRemoteWriteConfig`.
const REMOTE_TIMEOUT: Duration = Duration::from_secs(30);

pub(super) fn read_endpoints(document: &Table, global: &GlobalOptions) -> Result<Vec<EndpointOptions>, ConfigError> {
    let mut endpoints: Vec<EndpointOptions> = Vec::new();
    for table in document.tables("remote_write", &keys::REMOTE_WRITE)? {
        let Some(mut endpoint) = table.source.noted(read_endpoint(&table, global)) else { continue };
        table.source.noted(check_lanes(&table, &endpoints, &endpoint));
        let is_named = table.get("name").is_some();
        let is_known =
            |other: &EndpointOptions| other.ring_key == endpoint.ring_key || (is_named && other.name == endpoint.name);
        if table.is_clean() && endpoints.iter().any(is_known) {
            let problem = match is_named {
                true => format!("{} is the name of an endpoint above too; write another", quoted(&endpoint.name)),
                false => "is missing, and an endpoint above has the same url or name; write a name for each".into(),
            };
            table.source.noted::<()>(Err(table.error("name", problem)));
        }
        if !is_named {
            endpoint.name = unique_name(&endpoint.url, &endpoints);
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
    let name = noted.noted(read_name(table)).flatten();
    Ok(EndpointOptions {
        ring_key: name.clone().unwrap_or_else(|| format!("{:08x}", crc32fast::hash(url.as_bytes()))),
        name: name.unwrap_or_default(),
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

/// Name of an endpoint that has none in the configuration: its host, with port or number if another endpoint has that name. Empty if
/// the URL is wrong, which was noted before.
fn unique_name(url: &str, endpoints: &[EndpointOptions]) -> String {
    let Ok(uri) = url.parse::<Uri>() else { return String::new() };
    let host = uri.host().unwrap_or_default();
    let with_port = uri.authority().map_or(host, |authority| authority.as_str());
    let numbered = (2..).map(|number| format!("{with_port}-{number}"));
    let mut candidates = [host, with_port].map(String::from).into_iter().chain(numbered);
    let is_free = |name: &String| !endpoints.iter().any(|other| other.name == *name);
    candidates.find(is_free).expect("there are more numbers than endpoints")
}

/// `None` if the configuration gives the endpoint no name.
fn read_name(table: &Table) -> Result<Option<String>, ConfigError> {
    let Some(value) = table.get("name") else { return Ok(None) };
    match value.text("\"cloud\"")? {
        "" => Err(value.error("is empty; write a name such as \"cloud\", or leave the key out")),
        name if name.contains(char::is_control) => {
            Err(value.error("has a control character or line break; write a name such as \"cloud\""))
        }
        name => Ok(Some(name.into())),
    }
}
