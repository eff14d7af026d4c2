//! How a job's pages are asked for, and which of what they hold is taken; names and defaults are Prometheus's.

/// A form that a page may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScrapeProtocol {
    PrometheusProto,
    OpenMetricsText1_0_0,
    OpenMetricsText0_0_1,
    PrometheusText1_0_0,
    PrometheusText0_0_4,
}

impl ScrapeProtocol {
    /// The most wanted first where native histograms are scraped. Without them, Prometheus leaves the first out.
    pub const PROTO_FIRST: [ScrapeProtocol; 5] = [
        ScrapeProtocol::PrometheusProto,
        ScrapeProtocol::OpenMetricsText1_0_0,
        ScrapeProtocol::OpenMetricsText0_0_1,
        ScrapeProtocol::PrometheusText1_0_0,
        ScrapeProtocol::PrometheusText0_0_4,
    ];

    /// As the configuration has it.
    pub fn name(self) -> &'static str {
        match self {
            ScrapeProtocol::PrometheusProto => "PrometheusProto",
            ScrapeProtocol::OpenMetricsText1_0_0 => "OpenMetricsText1.0.0",
            ScrapeProtocol::OpenMetricsText0_0_1 => "OpenMetricsText0.0.1",
            ScrapeProtocol::PrometheusText1_0_0 => "PrometheusText1.0.0",
            ScrapeProtocol::PrometheusText0_0_4 => "PrometheusText0.0.4",
        }
    }

    pub fn parse(name: &str) -> Option<ScrapeProtocol> {
        Self::PROTO_FIRST.into_iter().find(|protocol| protocol.name() == name)
    }
}

/// What an exporter shall do with names that older readers can't read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EscapingScheme {
    #[default]
    AllowUtf8,
    Underscores,
    Dots,
    Values,
}

impl EscapingScheme {
    pub const ALL: [EscapingScheme; 4] =
        [EscapingScheme::AllowUtf8, EscapingScheme::Underscores, EscapingScheme::Dots, EscapingScheme::Values];

    /// As the configuration and the `Accept` header have it.
    pub fn name(self) -> &'static str {
        match self {
            EscapingScheme::AllowUtf8 => "allow-utf-8",
            EscapingScheme::Underscores => "underscores",
            EscapingScheme::Dots => "dots",
            EscapingScheme::Values => "values",
        }
    }

    pub fn parse(name: &str) -> Option<EscapingScheme> {
        Self::ALL.into_iter().find(|scheme| scheme.name() == name)
    }
}

/// What one job says of its pages. Limits of 0 are none, as in Prometheus.
#[derive(Clone, Debug, PartialEq)]
pub struct PageOptions {
    /// The most wanted first; never empty.
    pub protocols: Vec<ScrapeProtocol>,
    /// What a page is taken for whose `Content-Type` says nothing of use.
    pub fallback_protocol: Option<ScrapeProtocol>,
    pub escaping_scheme: EscapingScheme,
    /// Whether pages may come compressed.
    pub compression: bool,
    /// A page of this size is too large already.
    pub body_size_bytes_limit: u64,
    /// Samples that remain after relabelling.
    pub sample_limit: usize,
    /// Whether samples keep the times that pages give them.
    pub honor_timestamps: bool,
    /// Whether series with times of their own become stale when they are gone.
    pub track_timestamps_staleness: bool,
    /// Whether each scrape reports `scrape_timeout_seconds`, `scrape_sample_limit` and `scrape_body_size_bytes`.
    pub extra_metrics: bool,
    pub native_histograms: NativeHistogramOptions,
}

/// What is taken of histograms that a page gives as native ones.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct NativeHistogramOptions {
    /// Otherwise their classic form is.
    pub scraped: bool,
    /// The classic form comes beside the native one.
    pub classic_too: bool,
    /// Buckets of one histogram; more are merged until they fit.
    pub bucket_limit: usize,
    /// Buckets are merged until each is so many times as wide as the one before; 0 leaves them.
    pub min_bucket_factor: f64,
}

impl Default for PageOptions {
    /// Prometheus's `DefaultScrapeConfig`.
    fn default() -> Self {
        PageOptions {
            protocols: ScrapeProtocol::PROTO_FIRST[1..].to_vec(),
            fallback_protocol: None,
            escaping_scheme: EscapingScheme::default(),
            compression: true,
            body_size_bytes_limit: 0,
            sample_limit: 0,
            honor_timestamps: true,
            track_timestamps_staleness: false,
            extra_metrics: false,
            native_histograms: NativeHistogramOptions::default(),
        }
    }
}
