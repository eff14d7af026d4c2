//! `[uplink]`, and what an endpoint has to do with it: budgets, hours, rates, classes.

use super::error::ConfigError;
use super::keys;
use super::reader::{Table, Value, quoted};
use crate::limits::{RATE_BYTES_MIN, UPLINK_BUDGET_BYTES_MIN, UPLINK_SPREAD_MAX, UPLINK_WINDOWS_MAX};
use crate::model::{Class, format_duration, format_size};
use crate::remote_write::{EndpointOptions, Hours, RateOptions, UplinkOptions};
use serde::Serialize;

const HOURS_EXAMPLE: &str = "\"01:00-05:00\"";
const WINDOWS_EXAMPLE: &str = "[\"01:00-05:00\"]";

pub(super) fn read_uplink(document: &Table) -> Result<UplinkOptions, ConfigError> {
    let defaults = UplinkOptions::default();
    let Some(table) = document.table("uplink", &keys::UPLINK)? else { return Ok(defaults) };
    let budget = |key| table.get_or(key, None, |value| read_bytes(value, UPLINK_BUDGET_BYTES_MIN).map(Some));
    let options = UplinkOptions {
        bytes_per_day: budget("max_bytes_per_day")?,
        bytes_per_month: budget("max_bytes_per_month")?,
        month_starts_on: table
            .get_or("month_starts_on", defaults.month_starts_on, |value| value.number(1, 28).map(|day| day as u8))?,
        windows: table.get_or("windows", defaults.windows, read_windows)?,
        low_windows: table.get_or("low_windows", None, |value| read_windows(value).map(Some))?,
        spread: table.get_or("spread", None, |value| value.duration().map(Some))?,
    };
    if !table.is_clean() {
        return Ok(options);
    }
    if options.bytes_per_month.is_none() && table.get("month_starts_on").is_some() {
        return Err(table.error("month_starts_on", "means nothing without max_bytes_per_month; write both"));
    }
    if let (Some(day), Some(month)) = (options.bytes_per_day, options.bytes_per_month)
        && day > month
    {
        let problem = "is more than max_bytes_per_month; write less, or leave it out";
        return Err(table.error("max_bytes_per_day", problem));
    }
    if options.spread.is_some_and(|spread| spread > UPLINK_SPREAD_MAX) {
        let longest = format_duration(UPLINK_SPREAD_MAX);
        return Err(table.error("spread", format_args!("is too long; write at most \"{longest}\"")));
    }
    Ok(options)
}

/// `priority`.
pub(super) fn read_priority(table: &Table) -> Result<Class, ConfigError> {
    table.get_or("priority", Class::default(), |value| {
        let name = value.text("\"high\"")?;
        let complaint =
            || value.error(format_args!("{} is no class; write \"high\", \"normal\" or \"low\"", quoted(name)));
        Class::parse(name).ok_or_else(complaint)
    })
}

/// `max_bytes_per_second` and `backlog_max_bytes_per_second`.
pub(super) fn read_rates(table: &Table) -> Result<RateOptions, ConfigError> {
    let rate = |key| table.get_or(key, None, |value| read_bytes(value, RATE_BYTES_MIN).map(Some));
    let rates = RateOptions {
        bytes_per_second: rate("max_bytes_per_second")?,
        backlog_bytes_per_second: rate("backlog_max_bytes_per_second")?,
    };
    match (rates.bytes_per_second, rates.backlog_bytes_per_second) {
        (Some(all), Some(backlog)) if backlog > all && table.is_clean() => {
            let problem =
                "is more than max_bytes_per_second, which the backlog counts for too; write less, or leave it out";
            Err(table.error("backlog_max_bytes_per_second", problem))
        }
        _ => Ok(rates),
    }
}

fn read_bytes(value: &Value, least: u64) -> Result<u64, ConfigError> {
    match value.size()? {
        bytes if bytes < least => {
            let least = format_size(least);
            Err(value.error(format_args!("is too little; write \"{least}\" or more, or leave the key out")))
        }
        bytes => Ok(bytes),
    }
}

fn read_windows(value: &Value) -> Result<Vec<Hours>, ConfigError> {
    let windows = value.list(WINDOWS_EXAMPLE)?.map(|item| {
        let text = item.text(HOURS_EXAMPLE)?;
        let remedy = format!("is no window; write it as {HOURS_EXAMPLE}, in UTC");
        Hours::parse(text).ok_or_else(|| item.error(format_args!("{} {remedy}", quoted(text))))
    });
    let windows: Vec<Hours> = windows.collect::<Result<_, _>>()?;
    match windows.len() {
        0 => Err(value.error("is empty, and would never be open; write a window, or leave the key out")),
        1..=UPLINK_WINDOWS_MAX => Ok(windows),
        _ => Err(value.error(format_args!("has too many windows; write at most {UPLINK_WINDOWS_MAX}"))),
    }
}

#[derive(Serialize)]
pub(super) struct ShownUplink {
    #[serde(skip_serializing_if = "Option::is_none")]
    max_bytes_per_day: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_bytes_per_month: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    month_starts_on: Option<u8>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    windows: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    low_windows: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    spread: Option<String>,
}

impl From<&UplinkOptions> for ShownUplink {
    fn from(uplink: &UplinkOptions) -> Self {
        let shown = |windows: &Vec<Hours>| windows.iter().map(Hours::to_string).collect();
        ShownUplink {
            max_bytes_per_day: uplink.bytes_per_day.map(format_size),
            max_bytes_per_month: uplink.bytes_per_month.map(format_size),
            month_starts_on: uplink.bytes_per_month.map(|_| uplink.month_starts_on),
            windows: shown(&uplink.windows),
            low_windows: uplink.low_windows.as_ref().map(shown),
            spread: uplink.spread.map(format_duration),
        }
    }
}

/// What an endpoint says of its class and rates.
#[derive(Serialize)]
pub(super) struct ShownRates {
    priority: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_bytes_per_second: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backlog_max_bytes_per_second: Option<String>,
}

impl From<&EndpointOptions> for ShownRates {
    fn from(endpoint: &EndpointOptions) -> Self {
        ShownRates {
            priority: endpoint.priority.name(),
            max_bytes_per_second: endpoint.rates.bytes_per_second.map(format_size),
            backlog_max_bytes_per_second: endpoint.rates.backlog_bytes_per_second.map(format_size),
        }
    }
}
