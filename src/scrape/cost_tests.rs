//! What the cache is worth: the time of a sample on a page that comes again, beside that on a page seen first.
//!
//! ```sh
//! cargo test --lib scrape::cost -- --ignored --nocapture
//! ```

use super::{Cycle, Format, ScrapeOptions};
use crate::model::{LabelsBuilder, Params, Scheme, SeriesTable, Target};
use std::rc::Rc;
use std::time::{Duration, Instant};

const SERIES: usize = 2000;
const ROUNDS: u32 = 200;

/// A page as a node exporter writes it, the values another each time.
fn page(round: u32, format: Format) -> String {
    let mut page = String::from("# HELP node_cpu_seconds_total Seconds the CPUs spent in each mode.\n");
    page += "# TYPE node_cpu_seconds_total gauge\n";
    for i in 0..SERIES {
        page += &format!("node_cpu_seconds_total{{cpu=\"{}\",mode=\"mode{}\"}} {}.{round}\n", i / 8, i % 8, i * 31);
    }
    page + if format == Format::OpenMetrics { "# EOF\n" } else { "" }
}

fn cycle() -> Cycle {
    let labels = [("job", "node"), ("instance", "h:1")].into_iter().collect::<LabelsBuilder>().build().unwrap();
    let target = Target {
        scheme: Scheme::Http,
        address: "h:1".into(),
        metrics_path: "/metrics".into(),
        params: Params::new(),
        labels,
        interval: Duration::from_secs(15),
        timeout: Duration::from_secs(10),
        socket: None,
        durations_as_written: None,
    };
    Cycle::new(0, Rc::new(target), ScrapeOptions::default(), Rc::new(SeriesTable::new()), Rc::default()).unwrap()
}

fn ns_per_sample(took: Duration, pages: u32) -> u128 {
    took.as_nanos() / (u128::from(pages) * SERIES as u128)
}

#[test]
#[ignore = "a measurement"]
fn a_repeated_page_against_a_first_one() {
    for format in [Format::Text, Format::OpenMetrics] {
        let pages: Vec<String> = (0..ROUNDS).map(|round| page(round, format)).collect();
        let mut first = Duration::ZERO;
        for page in &pages[..20] {
            let mut cycle = cycle();
            let started = Instant::now();
            let result = cycle.complete(Some((page.as_bytes(), format)), 1000, Duration::ZERO);
            first += started.elapsed();
            assert_eq!(result.error, None);
        }
        let mut cycle = cycle();
        cycle.complete(Some((pages[0].as_bytes(), format)), 1000, Duration::ZERO);
        let started = Instant::now();
        for (page, at_ms) in pages.iter().zip(2000..) {
            cycle.complete(Some((page.as_bytes(), format)), at_ms, Duration::ZERO);
        }
        let again = ns_per_sample(started.elapsed(), ROUNDS);
        println!("{format:?}: {} ns a sample on a first page, {again} ns on a repeated one", ns_per_sample(first, 20));
        assert!(again * 2 < ns_per_sample(first, 20), "the cache is worth something");
    }
}
