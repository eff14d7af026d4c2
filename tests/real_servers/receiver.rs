//! Debian's Prometheus and VictoriaMetrics as receivers, and what they hold.

use crate::process::{Process, free_port, now_ms, wait_for};
use crate::series::{Held, Point, Series, Stored};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const ANSWER_BYTES_MAX: u64 = 256 << 20;
const QUERY_TIMEOUT: Duration = Duration::from_secs(30);
/// Longer than any test runs.
const LOOK_BACK_MS: i64 = 15 * 60 * 1000;

pub struct Receiver {
    pub product: Product,
    pub port: u16,
    process: Process,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    Prometheus,
    VictoriaMetrics,
}

impl Product {
    /// VictoriaMetrics takes no NaN but stale markers: its blocks are of decimals.
    pub fn keeps_nan(self) -> bool {
        self == Product::Prometheus
    }

    /// Whether a value came through. VictoriaMetrics's decimals have some 15 digits.
    pub fn is_same(self, sent: f64, held: f64) -> bool {
        let is_close = || (sent - held).abs() <= sent.abs() * 1e-14;
        sent.to_bits() == held.to_bits()
            || (sent.is_nan() && held.is_nan())
            || (self == Product::VictoriaMetrics && sent.is_finite() && is_close())
    }
}

impl Receiver {
    /// Runs it with its data in `directory`, and returns once it answers.
    pub fn start(product: Product, directory: &Path) -> Receiver {
        let port = free_port();
        let log = directory.join(format!("{product:?}.log"));
        let data = directory.join(format!("{product:?}"));
        let process = match product {
            Product::Prometheus => {
                let config = directory.join("prometheus.yml");
                fs::write(&config, "global:\n  scrape_interval: 1m\nscrape_configs: []\n").unwrap();
                let mut command = Command::new("prometheus");
                command
                    .arg(format!("--config.file={}", config.display()))
                    .arg(format!("--storage.tsdb.path={}", data.display()))
                    .arg(format!("--web.listen-address=127.0.0.1:{port}"))
                    .arg("--web.enable-remote-write-receiver");
                Process::start("prometheus", &mut command, &log)
            }
            Product::VictoriaMetrics => {
                let mut command = Command::new("victoria-metrics");
                command
                    .arg(format!("-storageDataPath={}", data.display()))
                    .arg(format!("-httpListenAddr=127.0.0.1:{port}"))
                    .args(["-retentionPeriod=12", "-memory.allowedBytes=256MB"]);
                Process::start("victoria-metrics", &mut command, &log)
            }
        };
        let mut receiver = Receiver { product, port, process };
        receiver.wait_until_ready();
        receiver
    }

    fn wait_until_ready(&mut self) {
        let path = match self.product {
            Product::Prometheus => "/-/ready",
            Product::VictoriaMetrics => "/health",
        };
        wait_for(Duration::from_secs(60), || {
            self.process.assert_running();
            self.get(path, &[]).map_err(|error| format!("{:?} is not ready: {error}", self.product))
        });
    }

    fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<String, ureq::Error> {
        let request = ureq::get(format!("http://127.0.0.1:{}{path}", self.port)).query_pairs(query.iter().copied());
        let response = request.config().timeout_global(Some(QUERY_TIMEOUT)).build().call()?;
        response.into_body().into_with_config().limit(ANSWER_BYTES_MAX).read_to_string()
    }

    /// Every point of the series that `selector` matches.
    pub fn read(&self, selector: &str) -> Stored {
        let mut stored = Stored::new();
        match self.product {
            Product::Prometheus => {
                let range = format!("{selector}[{LOOK_BACK_MS}ms]");
                for series in self.query(&range, now_ms() + 1000) {
                    let points = series["values"].as_array().unwrap().iter().map(prometheus_point);
                    stored.entry(series_of(&series["metric"])).or_default().extend(points);
                }
            }
            Product::VictoriaMetrics => {
                let start = ((now_ms() - LOOK_BACK_MS) / 1000).to_string();
                let query = [("match[]", selector), ("start", start.as_str())];
                for line in self.get("/api/v1/export", &query).unwrap().lines() {
                    let (series, points) = victoria_line(line);
                    stored.entry(series).or_default().extend(points);
                }
            }
        }
        stored.values_mut().for_each(|points| points.sort_by_key(|point| point.at_ms));
        stored
    }

    /// Series that an instant query of Prometheus gives at that time.
    pub fn count_at(&self, expression: &str, at_ms: i64) -> usize {
        assert_eq!(self.product, Product::Prometheus);
        self.query(expression, at_ms).len()
    }

    fn query(&self, expression: &str, at_ms: i64) -> Vec<Value> {
        let time = format!("{}.{:03}", at_ms / 1000, at_ms % 1000);
        let answer = self.get("/api/v1/query", &[("query", expression), ("time", &time)]).unwrap();
        let mut answer: Value = serde_json::from_str(&answer).unwrap();
        match answer["data"]["result"].take() {
            Value::Array(series) => series,
            _ => panic!("Prometheus did not answer {expression}: {answer}"),
        }
    }
}

fn series_of(metric: &Value) -> Series {
    let labels = metric.as_object().unwrap();
    Series::new(labels.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap())))
}

/// `[1700000000.123, "1.5"]`
fn prometheus_point(point: &Value) -> Point {
    let value = point[1].as_str().unwrap().parse().unwrap();
    Point { at_ms: (point[0].as_f64().unwrap() * 1000.0).round() as i64, held: Held::Value(value) }
}

/// `{"metric":{..},"values":[1,+Inf,null],"timestamps":[..]}`: JSON but for the infinities of some versions, and for NaN
/// where it stands alone. Every NaN is a stale marker, as no other is kept.
fn victoria_line(line: &str) -> (Series, Vec<Point>) {
    let (metric, points) = line.rsplit_once(r#","values":["#).unwrap();
    let (values, timestamps) = points.trim_end_matches("]}").split_once(r#"],"timestamps":["#).unwrap();
    let metric: Value = serde_json::from_str(metric.strip_prefix(r#"{"metric":"#).unwrap()).unwrap();
    let points = values.split(',').zip(timestamps.split(',')).map(|(value, at)| Point {
        at_ms: at.parse().unwrap(),
        held: match value.trim_matches('"') {
            "null" | "NaN" => Held::StaleMarker,
            number => Held::Value(number.parse().unwrap()),
        },
    });
    (series_of(&metric), points.collect())
}

#[test]
fn reads_what_victoria_metrics_exports() {
    let (series, points) = victoria_line(
        r#"{"metric":{"__name__":"a","b":"\"values\":[1]"},"values":[1.5,+Inf,null],"timestamps":[1,2,3]}"#,
    );
    assert_eq!(series, Series::new([("__name__", "a"), ("b", "\"values\":[1]")]));
    let points: Vec<_> = points.iter().map(|point| (point.at_ms, point.held)).collect();
    assert_eq!(points, [(1, Held::Value(1.5)), (2, Held::Value(f64::INFINITY)), (3, Held::StaleMarker)]);
}
