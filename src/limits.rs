//! Every bound in one place. What comes from outside (pages, receivers, configuration, images) is held to
//! one of these; relations between them are asserted when the crate is compiled.

use std::time::Duration;

/// Endpoints of one agent, and numbers that the ring keeps of them all: one for each lane, three for each that may divide. A
/// segment header names each of them, and must fit one program unit. No more requests are under way at a time.
pub const ENDPOINTS_MAX: usize = 16;

/// Bytes of the note that a ring carries along: what a segment header has room for behind the acknowledgements of all endpoints.
pub const NOTE_BYTES_MAX: usize = 200;

/// Bytes of the note that counts of lost samples may take: all of it but for the head of their entry. One count for each endpoint
/// always fits, if it is below 2^42.
pub const LOSSES_BYTES_MAX: usize = NOTE_BYTES_MAX - 5;

const _: () = assert!(ENDPOINTS_MAX * (4 + 2 + 6) <= LOSSES_BYTES_MAX);

/// Causes of lost samples that the ring can tell apart.
pub const LOSS_CAUSES_MAX: usize = 16;

/// Stretches of a backlog that are remembered as delivered: one for each outage that came before the last one was made up for.
pub const DELIVERED_RANGES_MAX: usize = 64;

/// Targets of one agent, all scrape configurations together.
pub const TARGETS_MAX: usize = 1024;

/// Targets dropped by relabelling that the status page shows, for each scrape configuration.
pub const DROPPED_TARGETS_SHOWN_MAX: usize = 100;

/// Bytes of a Unix socket's path, as the kernel has it.
pub const SOCKET_PATH_BYTES_MAX: usize = 107;

/// Targets, and groups of them, that one discovery may list; relabelling may drop most of them.
pub const DISCOVERED_TARGETS_MAX: usize = 4 * TARGETS_MAX;

/// Bytes of one list of target groups: a file of `file_sd`, an answer to `http_sd`.
pub const SD_DOCUMENT_BYTES_MAX: usize = 1024 * 1024;

/// Files that one `file_sd` may find.
pub const SD_FILES_MAX: usize = 256;

/// Scalars, starts and ends of lists and mappings in one YAML file.
pub const YAML_EVENTS_MAX: usize = 8 * DISCOVERED_TARGETS_MAX;

/// Names that one `dns_sd` or `mdns_sd` may list: each is a task of its own.
pub const SD_NAMES_MAX: usize = 64;

/// Bytes of one part of a domain name.
pub const DNS_LABEL_BYTES_MAX: usize = 63;

/// Bytes of a domain name as it goes over the wire, the root's zero included.
pub const DNS_NAME_BYTES_MAX: usize = 255;

/// Bytes of a DNS message over UDP that a server may send: what Prometheus allows. Over TCP its length is a 16-bit number.
pub const DNS_UDP_BYTES_MAX: usize = 4096;

/// Questions and records of one DNS message.
pub const DNS_RECORDS_MAX: usize = DISCOVERED_TARGETS_MAX;

/// Bytes of `/etc/resolv.conf`; what comes behind them is not read.
pub const RESOLV_CONF_BYTES_MAX: u64 = 16 * 1024;

/// Instances of services that one `mdns_sd` knows at a time; what others say of more is not heard.
pub const MDNS_INSTANCES_MAX: usize = 256;

/// Addresses of one host, and strings in one TXT record, that `mdns_sd` keeps.
pub const MDNS_ADDRESSES_MAX: usize = 8;
/// See [`MDNS_ADDRESSES_MAX`].
pub const MDNS_TXT_STRINGS_MAX: usize = 32;

/// How long anything that was heard is believed without being heard again: what RFC 6762 recommends for most records.
pub const MDNS_TTL_MAX: Duration = Duration::from_secs(4500);

/// Bytes of a question to the local link: one Ethernet frame.
pub const MDNS_PACKET_BYTES_MAX: usize = 1400;

/// Interfaces that `mdns_sd` listens on.
pub const MDNS_INTERFACES_MAX: usize = 32;

/// Links that are remembered to be up.
pub const LINKS_MAX: usize = 64;

/// Bytes of one label name.
pub const LABEL_NAME_BYTES_MAX: usize = 1024;

/// Bytes of one label value.
pub const LABEL_VALUE_BYTES_MAX: usize = 16 * 1024;

/// Labels of one series.
pub const LABELS_PER_SERIES_MAX: usize = 128;

/// Bytes of one series' packed label set.
pub const SERIES_BYTES_MAX: usize = 32 * 1024;

/// Relabelling rules of one list.
pub const RELABEL_RULES_MAX: usize = 1024;

/// Labels that one rule may join.
pub const RELABEL_SOURCE_LABELS_MAX: usize = 64;

/// Bytes of a rule's separator, replacement, and each of its labels' names.
pub const RELABEL_TEXT_BYTES_MAX: usize = 1024;

/// Labels that relabelling may have at a time, those included that it removes again.
pub const RELABEL_LABELS_MAX: usize = 1024;

/// Bytes of one regular expression's automaton.
pub const RELABEL_REGEX_BYTES_MAX: usize = 1024 * 1024;

/// Ranges of characters in one regular expression; each `\pL` has about 650.
pub const RELABEL_REGEX_RANGES_MAX: usize = 64 * 1024;

/// Groups and repetitions of a regular expression within each other; Go's bound is 1000.
pub const RELABEL_REGEX_DEPTH_MAX: usize = 250;

/// Bytes of one scraped page; Prometheus's `body_size_limit` defaults to none, which a small device can't afford.
pub const PAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes of one line of a scraped page: a full label set, escaped, and a value.
pub const PAGE_LINE_BYTES_MAX: usize = 128 * 1024;

/// Series that one page may hold.
pub const SERIES_PER_PAGE_MAX: usize = 1 << 18;

/// Series of the whole process that pages may bring in, unless `limits.max_series` says otherwise.
pub const SERIES_MAX: usize = SERIES_PER_PAGE_MAX;

/// Samples that one page may give for one series, each with a time of its own.
pub const PAGE_SAMPLES_PER_SERIES_MAX: usize = 256;

/// Lines of an OpenMetrics page that are read ahead to find since when one series counts.
pub const START_TIMESTAMP_LINES_MAX: usize = 256;

/// How far ahead of the clock a page may date its samples, in milliseconds; Prometheus's `maxAheadTime`.
pub const SAMPLE_AHEAD_MAX_MS: i64 = 10 * 60 * 1000;

/// Bytes of what pages say of their metrics (type, help, unit), of all targets together; a node exporter's take about 50 kB.
pub const METADATA_BYTES_MAX: usize = 1024 * 1024;

/// Addresses of one receiver that are remembered to have failed.
pub const FAILED_ADDRESSES_MAX: usize = 8;

/// Bytes of `/etc/hosts`; what comes behind them is not read.
pub const HOSTS_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Names that the system's own resolver is asked for at once, beside DNS: each takes a thread until it gives up.
pub const SYSTEM_LOOKUPS_MAX: usize = 32;

/// Bytes of a file with certificates to trust; a whole system's bundle is about 250 kB.
pub const CA_FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Bytes of a response's status line and headers, those of interim responses included.
pub const RESPONSE_HEAD_BYTES_MAX: usize = 64 * 1024;

/// Headers of a response.
pub const RESPONSE_HEADERS_MAX: usize = 256;

/// Bytes of a receiver's status line and headers: each connection holds as many all the time.
pub const RECEIVER_HEAD_BYTES_MAX: usize = 16 * 1024;

/// Requests that redirects may make of one, as Go's HTTP client has it.
pub const REDIRECTS_MAX: usize = 10;

/// Headers that a configuration may add to the requests of one client.
pub const HTTP_CLIENT_HEADERS_MAX: usize = 64;

/// Bytes of a token server's answer.
pub const TOKEN_ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Bytes of a receiver's error text that are read and logged.
pub const RECEIVER_TEXT_BYTES_MAX: usize = 512;

/// Samples gathered for one endpoint at a time, over all the requests made of them: of 8 bytes each. The more, the more of one
/// series go together.
pub const WINDOW_SAMPLES_MAX: usize = 100_000;

/// Samples that `max_samples_per_send` may allow in one request.
pub const REQUEST_SAMPLES_MAX: usize = 50_000;

/// How many times `max_samples_per_send` requests may grow to while an endpoint whose answers take long is behind.
pub const GROWN_SEND_FACTOR_MAX: usize = 16;

/// The same in samples. A 2.0 request of this size takes about half a megabyte before compression.
pub const GROWN_SEND_SAMPLES_MAX: usize = 32_000;
/// See [`GROWN_SEND_SAMPLES_MAX`]: of the compressed body. Proxies take a megabyte by default.
pub const GROWN_SEND_BYTES_MAX: usize = 256 * 1024;

/// Bytes of native histograms, exemplars and start timestamps gathered for one endpoint at a time; one batch may have more.
pub const WINDOW_EXTRAS_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What `max_bytes_per_send` may be: the labels of a series and a sample fit into the least of them, mostly.
pub const SEND_BYTES_MIN: u64 = 1024;
/// See [`SEND_BYTES_MIN`].
pub const SEND_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Batches gathered for one endpoint at a time.
pub const WINDOW_BATCHES_MAX: usize = 512;

/// Cuts that one refused request may have before what is left of it is dropped.
pub const REJECTED_SPLITS_MAX: u32 = 64;

/// What a receiver's `Retry-After` may ask for; a longer wait is cut to this.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// Waits while the way to a receiver is at fault and somebody has to mend it (credentials, a route, a proxy): they begin with the first
/// of these and grow up to the second, where `queue_config` does not ask for more.
pub const HOLD_WAIT_MIN: Duration = Duration::from_secs(1);
/// See [`HOLD_WAIT_MIN`].
pub const HOLD_WAIT_MAX: Duration = Duration::from_secs(300);

/// Lines about faults of one thing that go to the log at once, before they become few.
pub const LOG_LINES_BURST: u32 = 10;

/// Requests that may go while others are held, before the next wait.
pub const PROBES_MAX: u32 = 256;

/// Parts, oldest first, that a refused request is cut into by time.
pub const TIME_SLICES_MAX: usize = 8;

/// Kinds of failure that one endpoint's log tells apart at a time.
pub const FAILURE_KINDS_MAX: usize = 8;

/// Bytes of scraped samples held in memory before the oldest uncommitted ones are given up (only when the flash refuses writes).
pub const STAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The number of the first record of a process that has no ring: past every number that a ring can hold. Records get their
/// numbers in the ring once it can be opened.
pub const MEMORY_RECORDS_FROM: u64 = COUNT_MAX + 1;

/// Bytes of uncommitted samples in memory from which on a commit is due at once: so that it can be over before memory is full.
pub const STAGE_BYTES_PRESSING: usize = STAGE_BYTES_MAX / 4 * 3;

/// Bytes of scraped samples held in memory while a commit is due and was not begun yet.
pub const STAGE_BYTES_OVERSHOOT_MAX: usize = 2 * STAGE_BYTES_MAX;

/// Ring sizes that a configuration may ask for.
pub const RING_BYTES_MIN: u64 = 64 * 1024;
/// See [`RING_BYTES_MIN`].
pub const RING_BYTES_MAX: u64 = 64 * 1024 * 1024 * 1024;

/// Segment sizes that a configuration may ask for.
pub const SEGMENT_BYTES_MIN: u64 = 4 * 1024;
/// See [`SEGMENT_BYTES_MIN`].
pub const SEGMENT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Segments of a ring, at the least: one that is written, one that is given up, and two that hold a backlog.
pub const SEGMENTS_MIN: u64 = 4;
/// Segments of a ring, at the most: opening reads each one's header.
pub const SEGMENTS_MAX: u64 = 4096;

/// Segments, records and samples are counted up to here: more than any device lives to see, and no sum of them overflows.
pub const COUNT_MAX: u64 = 1 << 62;

/// Record numbers that are passed over where a ring can't be read: more than it can hold, and than an agent counts meanwhile
/// without writing any of them. A thousand targets scraped every second take five centuries for as many.
pub const RECORDS_PASSED_OVER: u64 = 1 << 44;

/// One in so many segment headers may be unreadable. Where it is more, the storage as a whole is taken to fail.
pub const UNREADABLE_SLOTS_DIVISOR: u32 = 4;

/// Headers that are looked for in vain where nothing can be read, before it is not known of which shape a ring is.
pub const UNREADABLE_HEADERS_MAX: usize = 64;

/// Places in one segment that opening tries to read in vain, each of which may take the storage seconds.
pub const UNREADABLE_PLACES_MAX: usize = 8;

/// Bytes that are programmed at once on a file or block device, unless it asks for more.
pub const PROGRAM_UNIT_BYTES: usize = 512;
/// Most that it may ask for.
pub const PROGRAM_UNIT_BYTES_MAX: usize = 4096;

/// Program units of a segment, at the least: a header, acknowledgements, and two for samples.
pub const SEGMENT_UNITS_MIN: u64 = 4;

/// Bytes a second that an endpoint may be held to, and bytes that the uplink may be held to a day or a month, at the least: a
/// request has to get through in reasonable time.
pub const RATE_BYTES_MIN: u64 = 128;
/// See [`RATE_BYTES_MIN`].
pub const UPLINK_BUDGET_BYTES_MIN: u64 = 64 * 1024;

/// Windows of one uplink.
pub const UPLINK_WINDOWS_MAX: usize = 24;

/// How long devices of a fleet may be made to wait for each other.
pub const UPLINK_SPREAD_MAX: Duration = Duration::from_secs(3600);

/// Bytes that `write_budget` may allow for each day or hour: a quarter of it has to hold a commit.
pub const WRITE_BUDGET_BYTES_MIN: u64 = 64 * 1024;
/// See [`WRITE_BUDGET_BYTES_MIN`].
pub const WRITE_BUDGET_BYTES_MAX: u64 = 1024 * 1024 * 1024 * 1024;

/// Erase cycles that flash can be rated for.
pub const RATED_CYCLES_MAX: usize = 10_000_000;

/// Series in the dictionary of the open segment that no target exposes any more. A frame that would add to more of them opens
/// the next segment, since memory holds the dictionary. Their labels alone fill about half of a segment of 1 MiB.
pub const SEGMENT_GONE_SERIES_MAX: usize = 16 * 1024;

/// Records of one frame.
pub const FRAME_RECORDS_MAX: usize = 4096;

/// Bytes of a configuration file.
pub const CONFIG_BYTES_MAX: u64 = 1024 * 1024;

/// Mistakes of a configuration that are told at once.
pub const CONFIG_MISTAKES_MAX: usize = 100;

/// Values of a configuration that is imported, those behind YAML's aliases each time anew.
pub const IMPORT_NODES_MAX: usize = 1 << 17;

/// How deep they may be nested.
pub const IMPORT_DEPTH_MAX: usize = 32;

/// Keys and items that an import may leave out: each costs a reading of the whole.
pub const IMPORT_LEFT_OUT_MAX: usize = 1000;

/// Bytes of a file that holds a secret.
pub const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// Samples of one batch: a full page, the staleness markers of another full page, and what the agent reports of the scrape.
pub const SAMPLES_PER_BATCH_MAX: usize = 2 * SERIES_PER_PAGE_MAX + 64;

/// Samples of one frame.
pub const FRAME_SAMPLES_MAX: usize = 1 << 21;

/// Bytes of the label sets that one frame brings in.
pub const FRAME_LABEL_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Buckets of one native histogram, positive and negative, and its custom bounds.
pub const HISTOGRAM_BUCKETS_MAX: usize = 1 << 16;

/// Spans of either side of one native histogram.
pub const HISTOGRAM_SPANS_MAX: usize = 1 << 16;

/// Characters of an exemplar's label names and values together; OpenMetrics' and Prometheus's bound.
pub const EXEMPLAR_LABEL_CHARS_MAX: usize = 128;

/// Bytes that the native histograms, exemplars and start timestamps of one batch take in memory.
pub const BATCH_EXTRAS_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The same of one frame: what the RAM stage holds, and one more batch.
pub const FRAME_EXTRAS_BYTES_MAX: usize = STAGE_BYTES_MAX + BATCH_EXTRAS_BYTES_MAX;

const _: () = assert!(STAGE_BYTES_MAX / size_of::<f64>() + SAMPLES_PER_BATCH_MAX <= FRAME_SAMPLES_MAX);
/// Connections that one HTTP server holds at a time; what comes on top of them is closed at once.
pub const HTTP_CONNECTIONS_MAX: usize = 16;

/// Bytes of a request's line and headers, and of what a connection has read ahead.
pub const HTTP_HEAD_BYTES_MAX: usize = 16 * 1024;

/// Headers of one request.
pub const HTTP_HEADERS_MAX: usize = 64;

/// Bytes of a request's body. Status pages take none; the demo's receiver takes what a sender may put into one request.
pub const HTTP_BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How long a client may take from one response to the end of its next request's headers. Longer than any usual scrape
/// interval, so that a scraper keeps its connection.
pub const HTTP_HEAD_TIMEOUT: Duration = Duration::from_secs(150);

/// How long a client may take to send a request's body.
pub const HTTP_BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client may leave a response unread before its connection is closed.
pub const HTTP_WRITE_STALL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a server that stops gives the requests that it has begun to answer.
pub const HTTP_STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// Bytes that are read of one file under `/sys` or `/proc` about the storage.
pub const SYSTEM_FILE_BYTES_MAX: u64 = 256 * 1024;

/// Bytes that the demo's exporter reads of one file under `/proc`.
pub const PROC_FILE_BYTES_MAX: u64 = 256 * 1024;

/// Network interfaces, and disks, that the demo's exporter tells of.
pub const EXPORTER_DEVICES_MAX: usize = 8;

/// Bytes of a request to the demo's receiver once it is decompressed.
pub const RECEIVER_PLAIN_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Samples that the demo's receiver remembers, of 16 bytes each.
pub const RECEIVER_SAMPLES_MAX: usize = 1 << 20;

const _: () = assert!(RING_BYTES_MIN >= SEGMENTS_MIN * SEGMENT_BYTES_MIN);
const _: () = assert!(SEGMENT_BYTES_MIN as usize >= 4 * PROGRAM_UNIT_BYTES);
const _: () = assert!(SEGMENT_BYTES_MAX < u32::MAX as u64);
const _: () = assert!(SERIES_BYTES_MAX < PAGE_LINE_BYTES_MAX);
const _: () = assert!(WINDOW_BATCHES_MAX <= FRAME_RECORDS_MAX);
const _: () = assert!(REQUEST_SAMPLES_MAX <= WINDOW_SAMPLES_MAX);
const _: () = assert!(GROWN_SEND_SAMPLES_MAX <= REQUEST_SAMPLES_MAX);
const _: () = assert!(GROWN_SEND_BYTES_MAX as u64 >= SEND_BYTES_MIN);
const _: () = assert!(WINDOW_SAMPLES_MAX * size_of::<f64>() <= STAGE_BYTES_MAX / 2);
const _: () = assert!(SEGMENTS_MAX * SEGMENT_BYTES_MAX >= RING_BYTES_MAX);
const _: () = assert!(RECORDS_PASSED_OVER > RING_BYTES_MAX && RECORDS_PASSED_OVER < COUNT_MAX >> 16);
const _: () = assert!(SEGMENTS_MIN >= UNREADABLE_SLOTS_DIVISOR as u64);
