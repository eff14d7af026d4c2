//! The exporters that the agent scrapes. Each records the pages that it served: the truth that receivers are held to.
//!
//! Every page gets a line of its own with its number, [`PAGE_NUMBER`], which ties a timestamp to the page behind it.

use crate::exposition;
use crate::process::{free_port, now_ms};
use crate::series::Series;
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

pub const PAGE_NUMBER: &str = "real_servers_page_total";
/// A series of [`odd_page`] that is there for three pages, then away for three.
pub const COMES_AND_GOES: &str = "comes_and_goes";

/// A page that was asked for.
#[derive(Clone)]
pub struct Page {
    /// From 1.
    pub number: u64,
    /// When the request had been read.
    pub asked_ms: i64,
    /// When the last byte had been written; `None`: the asker was gone before.
    pub served_ms: Option<i64>,
    /// With the labels that the agent is to add.
    pub samples: BTreeMap<Series, f64>,
}

/// All that one exporter was asked for.
pub struct Served {
    pub pages: Vec<Page>,
    /// What the agent is to add to each series.
    pub added_labels: Vec<(String, String)>,
}

/// An exporter. Its threads end with the test's process.
pub struct Exporter {
    pub job: &'static str,
    pub address: String,
    shared: Arc<Shared>,
}

type Source = dyn Fn(u64) -> io::Result<String> + Send + Sync;

/// What every connection of an exporter needs.
struct Shared {
    source: Box<Source>,
    added_labels: Vec<(String, String)>,
    pages: Mutex<Vec<Page>>,
}

impl Served {
    /// A series of this name as the agent is to label it.
    pub fn series(&self, name: &str) -> Series {
        Series::new([("__name__", name)]).with(&self.added_labels)
    }
}

impl Exporter {
    /// `source` writes the page of that number; `external_labels` are what the agent is configured to add.
    pub fn start(
        job: &'static str,
        external_labels: &[(&str, &str)],
        source: impl Fn(u64) -> io::Result<String> + Send + Sync + 'static,
    ) -> Exporter {
        let address = format!("127.0.0.1:{}", free_port());
        let listener = TcpListener::bind(&address).unwrap();
        let mut labels = vec![("job", job), ("instance", &address)];
        labels.extend(external_labels);
        let added_labels = labels.into_iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let shared = Arc::new(Shared { source: Box::new(source), added_labels, pages: Mutex::new(Vec::new()) });
        let answering = shared.clone();
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let shared = answering.clone();
                // An error is a scraper that went away: its page stays recorded as not served.
                thread::spawn(move || shared.answer(connection).unwrap_or_default());
            }
        });
        Exporter { job, address, shared }
    }

    pub fn served(&self) -> Served {
        Served { pages: self.shared.pages.lock().unwrap().clone(), added_labels: self.shared.added_labels.clone() }
    }

    /// How long ago the newest page was asked for or served.
    pub fn quiet_ms(&self) -> i64 {
        let pages = self.shared.pages.lock().unwrap();
        pages.last().map_or(i64::MAX, |page| now_ms() - page.served_ms.unwrap_or(page.asked_ms))
    }
}

impl Shared {
    fn answer(&self, mut connection: TcpStream) -> io::Result<()> {
        connection.set_nodelay(true)?;
        let mut requests = BufReader::new(connection.try_clone()?);
        while read_request(&mut requests)? {
            let asked_ms = now_ms();
            let number = {
                let mut pages = self.pages.lock().unwrap();
                let number = pages.len() as u64 + 1;
                pages.push(Page { number, asked_ms, served_ms: None, samples: BTreeMap::new() });
                number
            };
            let body = format!(
                "{}# HELP {PAGE_NUMBER} Pages asked for.\n# TYPE {PAGE_NUMBER} counter\n{PAGE_NUMBER} {number}\n",
                (self.source)(number)?
            );
            let samples = exposition::parse(&body).into_iter().map(|(s, value)| (s.with(&self.added_labels), value));
            self.pages.lock().unwrap()[number as usize - 1].samples = samples.collect();
            let length = body.len();
            let kind = "text/plain; version=0.0.4; charset=utf-8";
            let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n");
            connection.write_all((head + &body).as_bytes())?;
            self.pages.lock().unwrap()[number as usize - 1].served_ms = Some(now_ms());
        }
        Ok(())
    }
}

/// Reads a request's head, which is all there is of a GET. `false`: the connection ended instead.
fn read_request(requests: &mut impl BufRead) -> io::Result<bool> {
    let mut line = String::new();
    loop {
        line.clear();
        if requests.read_line(&mut line)? == 0 {
            return Ok(false);
        }
        if line == "\r\n" {
            return Ok(true);
        }
    }
}

/// What node exporters seldom show: values beyond numbers, odd labels, a series that comes and goes.
pub fn odd_page(number: u64) -> io::Result<String> {
    let sometimes = if number.is_multiple_of(2) { "NaN".to_string() } else { format!("{number}.25") };
    let tenths = number as f64 / 10.0 + 0.2;
    let mut page = format!(
        r#"# HELP odd_value Values of all kinds.
# TYPE odd_value gauge
odd_value{{kind="nan"}} NaN
odd_value{{kind="sometimes_nan"}} {sometimes}
odd_value{{kind="positive_infinity"}} +Inf
odd_value{{kind="negative_infinity"}} -Inf
odd_value{{kind="tenths"}} {tenths}
odd_value{{kind="small"}} {number}e-300
odd_value{{kind="large"}} {number}e+300
odd_value{{kind="whole"}} 9007199254740991
# TYPE odd_histogram histogram
odd_histogram_bucket{{le="0.005"}} 1
odd_histogram_bucket{{le="1"}} {number}
odd_histogram_bucket{{le="+Inf"}} {number}
odd_histogram_sum {tenths}
odd_histogram_count {number}
# TYPE odd_label untyped
odd_label{{text="quote \" backslash \\ line \n umlaut ä comma , brace }}"}} {number}
odd_label{{empty="",text="beside an empty one"}} {number}
"#
    );
    if (number - 1) % 6 < 3 {
        page += &format!("# TYPE {COMES_AND_GOES} gauge\n{COMES_AND_GOES} {number}\n");
    }
    Ok(page)
}
