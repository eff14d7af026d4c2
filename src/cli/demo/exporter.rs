//! This machine's own figures as Prometheus text (exposition format 0.0.4), for the demo to scrape.
//!
//! Metrics are called as node_exporter calls them where they mean the same. What a kernel or a container does not tell is
//! left out, and so are interfaces and disks that were never used.

#[cfg(test)]
mod tests;

use crate::http_server::{Request, Response, StatusCode};
use crate::limits::{EXPORTER_DEVICES_MAX, PROC_FILE_BYTES_MAX};
use crate::status::exposition::{CONTENT_TYPE, Fraction, Kind, Page};
use std::fs::File;
use std::io::{self, Read};

/// Answers `GET /metrics` with the figures as they are now.
pub fn answer(request: &Request) -> Response {
    match (request.method(), request.path()) {
        ("GET" | "HEAD", "/metrics") => Response::ok(CONTENT_TYPE, render(&ProcFiles::read())),
        (_, "/metrics") => Response::text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n"),
        _ => Response::text(StatusCode::NOT_FOUND, "only /metrics\n"),
    }
}

/// Memory that this process has resident, in bytes.
pub fn resident_bytes() -> Option<u64> {
    status_bytes(&read_proc("self/status"), "VmRSS")
}

/// What the kernel tells, one file each; empty if it does not.
#[derive(Clone, Debug, Default)]
pub struct ProcFiles {
    pub stat: String,
    pub meminfo: String,
    pub loadavg: String,
    pub uptime: String,
    pub net_dev: String,
    pub diskstats: String,
    pub self_status: String,
}

impl ProcFiles {
    pub fn read() -> Self {
        ProcFiles {
            stat: read_proc("stat"),
            meminfo: read_proc("meminfo"),
            loadavg: read_proc("loadavg"),
            uptime: read_proc("uptime"),
            net_dev: read_proc("net/dev"),
            diskstats: read_proc("diskstats"),
            self_status: read_proc("self/status"),
        }
    }
}

fn read_proc(name: &str) -> String {
    let read = || -> io::Result<String> {
        let mut bytes = Vec::new();
        File::open(format!("/proc/{name}"))?.take(PROC_FILE_BYTES_MAX).read_to_end(&mut bytes)?;
        let whole_lines = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        Ok(String::from_utf8_lossy(&bytes[..whole_lines]).into_owned())
    };
    read().unwrap_or_else(|error| {
        log::debug!("/proc/{name} is left out of the page: {error}");
        String::new()
    })
}

/// The whole page. Pure: the same files give the same page.
pub fn render(files: &ProcFiles) -> String {
    let mut page = Page::default();
    render_stat(&files.stat, &mut page);
    render_meminfo(&files.meminfo, &mut page);
    render_loadavg(&files.loadavg, &mut page);
    render_uptime(&files.uptime, &mut page);
    render_columns(&network_devices(&files.net_dev), &NETWORK_COLUMNS, &mut page);
    render_columns(&disks(&files.diskstats), &DISK_COLUMNS, &mut page);
    render_self(&files.self_status, &mut page);
    page.text
}

/// proc(5): the first eight columns of a `cpu` line, in hundredths of a second (`USER_HZ` is 100 on every architecture of
/// Linux). The guests' time that follows is part of `user` and `nice` already.
const CPU_MODES: [&str; 8] = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];

const STAT_LINES: [(&str, Column); 6] = [
    ("ctxt", Column::counter("node_context_switches_total", "Total number of context switches.")),
    ("processes", Column::counter("node_forks_total", "Total number of forks.")),
    ("intr", Column::counter("node_intr_total", "Total number of interrupts serviced.")),
    ("btime", Column::gauge("node_boot_time_seconds", "Node boot time, in unixtime.")),
    ("procs_running", Column::gauge("node_procs_running", "Number of processes in runnable state.")),
    ("procs_blocked", Column::gauge("node_procs_blocked", "Number of processes blocked waiting for I/O to complete.")),
];

fn render_stat(stat: &str, page: &mut Page) {
    let name = "node_cpu_seconds_total";
    for line in stat.lines() {
        let mut words = line.split_ascii_whitespace();
        let Some(cpu) = words.next().and_then(|word| word.strip_prefix("cpu")).filter(|cpu| !cpu.is_empty()) else {
            continue;
        };
        page.family(name, Kind::Counter, "Seconds the CPUs spent in each mode.");
        for (mode, ticks) in CPU_MODES.iter().zip(numbers(words)) {
            page.sample(name, &[("cpu", cpu), ("mode", mode)], Fraction { units: ticks, digits: 2 });
        }
    }
    for (key, column) in &STAT_LINES {
        let found = stat.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
        if let Some(value) = found.and_then(|rest| numbers(rest.split_ascii_whitespace()).next()) {
            page.family(column.name, column.kind, column.help);
            page.sample(column.name, &[], value);
        }
    }
}

fn render_meminfo(meminfo: &str, page: &mut Page) {
    for line in meminfo.lines() {
        let Some((field, rest)) = line.split_once(':') else { continue };
        let mut words = rest.split_ascii_whitespace();
        let Some(value) = words.next().and_then(|word| word.parse::<u64>().ok()) else { continue };
        let (unit, factor) = if words.next() == Some("kB") { ("_bytes", 1024) } else { ("", 1) };
        let field = field.replace('(', "_").replace(')', "");
        if field.is_empty() || !field.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            continue;
        }
        let name = format!("node_memory_{field}{unit}");
        page.family(&name, Kind::Gauge, &format!("Memory information field {field}{unit}."));
        page.sample(&name, &[], value.saturating_mul(factor));
    }
}

fn render_loadavg(loadavg: &str, page: &mut Page) {
    for (minutes, load) in ["1", "5", "15"].iter().zip(loadavg.split_ascii_whitespace()) {
        if is_decimal(load) {
            let name = format!("node_load{minutes}");
            page.family(&name, Kind::Gauge, &format!("{minutes}m load average."));
            page.sample(&name, &[], load);
        }
    }
}

fn render_uptime(uptime: &str, page: &mut Page) {
    if let Some(seconds) = uptime.split_ascii_whitespace().next().filter(|seconds| is_decimal(seconds)) {
        page.family("node_uptime_seconds", Kind::Gauge, "Seconds since the node was booted.");
        page.sample("node_uptime_seconds", &[], seconds);
    }
}

/// One column of a table of the kernel's, or one figure of its own.
struct Column {
    name: &'static str,
    help: &'static str,
    kind: Kind,
    unit: Unit,
}

#[derive(Clone, Copy)]
enum Unit {
    One,
    Sectors,
    Milliseconds,
}

impl Column {
    const fn counter(name: &'static str, help: &'static str) -> Self {
        Column { name, help, kind: Kind::Counter, unit: Unit::One }
    }

    const fn gauge(name: &'static str, help: &'static str) -> Self {
        Column { name, help, kind: Kind::Gauge, unit: Unit::One }
    }

    const fn of(self, unit: Unit) -> Self {
        Column { unit, ..self }
    }
}

/// In the order of the columns of `/proc/net/dev`.
#[rustfmt::skip]
const NETWORK_COLUMNS: [Column; 16] = [
    Column::counter("node_network_receive_bytes_total", "Network device statistic receive_bytes."),
    Column::counter("node_network_receive_packets_total", "Network device statistic receive_packets."),
    Column::counter("node_network_receive_errs_total", "Network device statistic receive_errs."),
    Column::counter("node_network_receive_drop_total", "Network device statistic receive_drop."),
    Column::counter("node_network_receive_fifo_total", "Network device statistic receive_fifo."),
    Column::counter("node_network_receive_frame_total", "Network device statistic receive_frame."),
    Column::counter("node_network_receive_compressed_total", "Network device statistic receive_compressed."),
    Column::counter("node_network_receive_multicast_total", "Network device statistic receive_multicast."),
    Column::counter("node_network_transmit_bytes_total", "Network device statistic transmit_bytes."),
    Column::counter("node_network_transmit_packets_total", "Network device statistic transmit_packets."),
    Column::counter("node_network_transmit_errs_total", "Network device statistic transmit_errs."),
    Column::counter("node_network_transmit_drop_total", "Network device statistic transmit_drop."),
    Column::counter("node_network_transmit_fifo_total", "Network device statistic transmit_fifo."),
    Column::counter("node_network_transmit_colls_total", "Network device statistic transmit_colls."),
    Column::counter("node_network_transmit_carrier_total", "Network device statistic transmit_carrier."),
    Column::counter("node_network_transmit_compressed_total", "Network device statistic transmit_compressed."),
];

/// In the order of the columns of `/proc/diskstats`, those after the device's name; older kernels end earlier.
#[rustfmt::skip]
const DISK_COLUMNS: [Column; 17] = [
    Column::counter("node_disk_reads_completed_total", "The total number of reads completed successfully."),
    Column::counter("node_disk_reads_merged_total", "The total number of reads merged."),
    Column::counter("node_disk_read_bytes_total", "The total number of bytes read successfully.").of(Unit::Sectors),
    Column::counter("node_disk_read_time_seconds_total", "The total number of seconds spent by all reads.").of(Unit::Milliseconds),
    Column::counter("node_disk_writes_completed_total", "The total number of writes completed successfully."),
    Column::counter("node_disk_writes_merged_total", "The number of writes merged."),
    Column::counter("node_disk_written_bytes_total", "The total number of bytes written successfully.").of(Unit::Sectors),
    Column::counter("node_disk_write_time_seconds_total", "The total number of seconds spent by all writes.").of(Unit::Milliseconds),
    Column::gauge("node_disk_io_now", "The number of I/Os currently in progress."),
    Column::counter("node_disk_io_time_seconds_total", "Total seconds spent doing I/Os.").of(Unit::Milliseconds),
    Column::counter("node_disk_io_time_weighted_seconds_total", "The weighted number of seconds spent doing I/Os.").of(Unit::Milliseconds),
    Column::counter("node_disk_discards_completed_total", "The total number of discards completed successfully."),
    Column::counter("node_disk_discards_merged_total", "The total number of discards merged."),
    Column::counter("node_disk_discarded_sectors_total", "The total number of sectors discarded successfully."),
    Column::counter("node_disk_discard_time_seconds_total", "The total number of seconds spent by all discards.").of(Unit::Milliseconds),
    Column::counter("node_disk_flush_requests_total", "The total number of flush requests completed successfully."),
    Column::counter("node_disk_flush_requests_time_seconds_total", "The total number of seconds spent by all flush requests.").of(Unit::Milliseconds),
];

type Device<'a> = (&'a str, Vec<u64>);

fn network_devices(net_dev: &str) -> Vec<Device<'_>> {
    let rows = net_dev.lines().filter_map(|line| {
        let (device, figures) = line.rsplit_once(':')?;
        Some((device.trim(), numbers(figures.split_ascii_whitespace()).collect()))
    });
    used(rows)
}

fn disks(diskstats: &str) -> Vec<Device<'_>> {
    let rows = diskstats.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace().skip(2);
        Some((words.next()?, numbers(words).collect()))
    });
    used(rows.filter(|(device, _)| !["loop", "ram", "zram"].iter().any(|kind| device.starts_with(kind))))
}

fn used<'a>(rows: impl Iterator<Item = Device<'a>>) -> Vec<Device<'a>> {
    rows.filter(|(_, figures)| figures.iter().any(|figure| *figure > 0)).take(EXPORTER_DEVICES_MAX).collect()
}

fn render_columns(devices: &[Device<'_>], columns: &[Column], page: &mut Page) {
    for (index, column) in columns.iter().enumerate() {
        for (device, figures) in devices {
            let Some(&figure) = figures.get(index) else { continue };
            page.family(column.name, column.kind, column.help);
            let labels = [("device", *device)];
            match column.unit {
                Unit::One => page.sample(column.name, &labels, figure),
                Unit::Sectors => page.sample(column.name, &labels, figure.saturating_mul(512)),
                Unit::Milliseconds => page.sample(column.name, &labels, Fraction { units: figure, digits: 3 }),
            }
        }
    }
}

fn render_self(status: &str, page: &mut Page) {
    let figures = [
        ("VmRSS", "process_resident_memory_bytes", "Resident memory size in bytes."),
        ("VmSize", "process_virtual_memory_bytes", "Virtual memory size in bytes."),
    ];
    for (key, name, help) in figures {
        if let Some(bytes) = status_bytes(status, key) {
            page.family(name, Kind::Gauge, help);
            page.sample(name, &[], bytes);
        }
    }
}

fn status_bytes(status: &str, key: &str) -> Option<u64> {
    let figure = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    figure.trim().strip_suffix("kB")?.trim_end().parse::<u64>().ok()?.checked_mul(1024)
}

/// Up to the first word that is none.
fn numbers<'a>(words: impl Iterator<Item = &'a str>) -> impl Iterator<Item = u64> {
    words.map_while(|word| word.parse().ok())
}

fn is_decimal(word: &str) -> bool {
    word.parse::<f64>().is_ok_and(f64::is_finite)
}
