//! `file_sd_configs` and its like in `[[scrape_configs]]`.

use super::address::check_url;
use super::effective_http::HttpClient;
use super::error::ConfigError;
use super::http_client::read_http_client;
use super::keys;
use super::reader::{Table, Value, quoted};
use crate::discovery::DiscoveryOptions;
use crate::discovery::dns::{DnsSdOptions, RecordKind};
use crate::discovery::file::{FileSdOptions, check_pattern};
use crate::discovery::http::HttpSdOptions;
use crate::discovery::mdns::{MdnsSdOptions, SERVICE_TYPE_DEFAULT, service_name};
use crate::dns::Name;
use crate::limits::{SD_FILES_MAX, SD_NAMES_MAX};
use crate::model::format_duration;
use serde::Serialize;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

const NAMES_EXAMPLE: &str = "[\"_prometheus._tcp.example\"]";
const SERVICES_EXAMPLE: &str = "[\"_prometheus-http._tcp\"]";
const URL_EXAMPLE: &str = "\"https://targets.example/list\"";
const SERVERS_EXAMPLE: &str = "[\"192.0.2.1\"]";
const FILES_EXAMPLE: &str = "[\"targets/*.json\"]";

/// Prometheus's defaults of `refresh_interval`.
const DNS_REFRESH_INTERVAL: Duration = Duration::from_secs(30);
const HTTP_REFRESH_INTERVAL: Duration = Duration::from_secs(60);
const FILE_REFRESH_INTERVAL: Duration = Duration::from_secs(300);

pub(super) fn read_discovery(table: &Table) -> Result<DiscoveryOptions, ConfigError> {
    let file = table.tables("file_sd_configs", &keys::FILE_SD_CONFIG)?;
    let dns = table.tables("dns_sd_configs", &keys::DNS_SD_CONFIG)?;
    let http = table.tables("http_sd_configs", &keys::HTTP_SD_CONFIG)?;
    let mdns = table.tables("mdns_sd_configs", &keys::MDNS_SD_CONFIG)?;
    Ok(DiscoveryOptions {
        file: file.iter().filter_map(|entry| table.source.noted(read_file_sd(entry))).collect(),
        dns: dns.iter().filter_map(|entry| table.source.noted(read_dns_sd(entry))).collect(),
        http: http.iter().filter_map(|entry| table.source.noted(read_http_sd(entry))).collect(),
        mdns: mdns.iter().filter_map(|entry| table.source.noted(read_mdns_sd(entry))).collect(),
    })
}

fn read_file_sd(table: &Table) -> Result<FileSdOptions, ConfigError> {
    let list = table.require("files", FILES_EXAMPLE)?;
    let files = read_list(&list, FILES_EXAMPLE, SD_FILES_MAX, |value| {
        let text = value.text("\"targets/*.json\"")?;
        check_pattern(text).map_err(|problem| value.error(format_args!("{} {problem}", quoted(text))))?;
        value.path("\"targets/*.json\"")
    })?;
    let refresh_interval = table.get_or("refresh_interval", FILE_REFRESH_INTERVAL, Value::nonzero_duration)?;
    Ok(FileSdOptions { files, refresh_interval })
}

fn read_dns_sd(table: &Table) -> Result<DnsSdOptions, ConfigError> {
    let list = table.require("names", NAMES_EXAMPLE)?;
    let names = read_list(&list, NAMES_EXAMPLE, SD_NAMES_MAX, |value| {
        let name = value.text("\"gateways.example\"")?;
        match Name::parse(name) {
            Some(_) if !name.is_empty() => Ok(name.to_string()),
            _ => Err(value.error(format_args!("{} is no domain name; write one such as a.example", quoted(name)))),
        }
    })?;
    let kind = table.get_or("type", RecordKind::Srv, |value| {
        let text = value.text("\"SRV\"")?;
        let found = RecordKind::ALL.into_iter().find(|kind| kind.name().eq_ignore_ascii_case(text));
        found.ok_or_else(|| value.error(format_args!("is {}; write SRV, A, AAAA, MX or NS", quoted(text))))
    })?;
    let port = match table.get("port") {
        Some(value) => value.count(usize::from(u16::MAX))? as u16,
        None if kind == RecordKind::Srv => 0,
        None => return Err(table.error("port", "is missing; only SRV records bring one; write such as port = 9100")),
    };
    let nameservers = match table.get("nameservers") {
        None => Vec::new(),
        Some(list) => read_list(&list, SERVERS_EXAMPLE, SD_NAMES_MAX, read_nameserver)?,
    };
    let refresh_interval = table.get_or("refresh_interval", DNS_REFRESH_INTERVAL, Value::nonzero_duration)?;
    Ok(DnsSdOptions { names, kind, port, refresh_interval, nameservers })
}

fn read_http_sd(table: &Table) -> Result<HttpSdOptions, ConfigError> {
    let url = table.require("url", URL_EXAMPLE)?;
    // Not repeated in errors: there may be a password in it.
    let text = url.secret()?;
    check_url(text, URL_EXAMPLE).map_err(|problem| url.error(problem))?;
    Ok(HttpSdOptions {
        url: text.into(),
        refresh_interval: table.get_or("refresh_interval", HTTP_REFRESH_INTERVAL, Value::nonzero_duration)?,
        http: read_http_client(table)?,
    })
}

fn read_mdns_sd(table: &Table) -> Result<MdnsSdOptions, ConfigError> {
    let Some(list) = table.get("service_types") else {
        return Ok(MdnsSdOptions { service_types: vec![SERVICE_TYPE_DEFAULT.into()] });
    };
    let service_types = read_list(&list, SERVICES_EXAMPLE, SD_NAMES_MAX, |value| {
        let text = value.text("\"_prometheus-http._tcp\"")?;
        match service_name(text) {
            Some(_) => Ok(text.to_string()),
            None => Err(value.error(format_args!("{} is no service type; write one such as _http._tcp", quoted(text)))),
        }
    })?;
    Ok(MdnsSdOptions { service_types })
}

/// An address, with or without a port.
fn read_nameserver(value: &Value) -> Result<SocketAddr, ConfigError> {
    let text = value.text("\"192.0.2.1\"")?;
    let address = text.parse().or_else(|_| text.parse().map(|address: IpAddr| SocketAddr::new(address, 53)));
    address.map_err(|_| value.error(format_args!("{} is no address; write one such as \"192.0.2.1\"", quoted(text))))
}

/// A list with something in it, but not too much.
fn read_list<'t, T>(
    list: &Value<'t>,
    example: &str,
    most: usize,
    read: impl Fn(&Value<'t>) -> Result<T, ConfigError>,
) -> Result<Vec<T>, ConfigError> {
    let items: Vec<T> = list.list(example)?.map(|value| read(&value)).collect::<Result<_, _>>()?;
    match items.len() {
        0 => Err(list.error(format_args!("is empty; write such as {example}"))),
        len if len > most => Err(list.error(format_args!("has {len} entries; write at most {most}"))),
        _ => Ok(items),
    }
}

/// As it is in effect.
#[derive(Serialize)]
pub(super) struct HttpSd<'c> {
    url: &'c str,
    refresh_interval: String,
    #[serde(flatten)]
    http: HttpClient<'c>,
}

impl<'c> From<&'c HttpSdOptions> for HttpSd<'c> {
    fn from(options: &'c HttpSdOptions) -> Self {
        HttpSd {
            url: &options.url,
            refresh_interval: format_duration(options.refresh_interval),
            http: HttpClient::from(&options.http),
        }
    }
}

/// As it is in effect.
#[derive(Serialize)]
pub(super) struct MdnsSd<'c> {
    service_types: &'c [String],
}

impl<'c> From<&'c MdnsSdOptions> for MdnsSd<'c> {
    fn from(options: &'c MdnsSdOptions) -> Self {
        MdnsSd { service_types: &options.service_types }
    }
}

/// As it is in effect.
#[derive(Serialize)]
pub(super) struct DnsSd<'c> {
    names: &'c [String],
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    refresh_interval: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    nameservers: Vec<String>,
}

impl<'c> From<&'c DnsSdOptions> for DnsSd<'c> {
    fn from(options: &'c DnsSdOptions) -> Self {
        DnsSd {
            names: &options.names,
            r#type: options.kind.name(),
            port: Some(options.port).filter(|port| *port > 0),
            refresh_interval: format_duration(options.refresh_interval),
            nameservers: options.nameservers.iter().map(ToString::to_string).collect(),
        }
    }
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
