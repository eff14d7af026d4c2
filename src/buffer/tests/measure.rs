//! Bytes on flash per buffered sample, everything in: frame and segment headers, record tables, acknowledgements, padding,
//! and each segment's own dictionary. Nothing is asserted but the figures that the project promises.
//!
//! `NARTHEX_PAGES=directory cargo test --lib buffer::tests::measure -- --ignored --nocapture`
//!
//! The pages are those of `codec::measure`; each batch has the scrape's own five report series added, as in the agent.

use super::*;
use crate::codec::measure::recorded_batches;

const COMMIT_INTERVAL: Duration = Duration::from_secs(30);
const ENDPOINTS: [&str; 2] = ["behind", "further behind"];

#[test]
#[ignore = "needs recorded pages"]
fn bytes_on_flash_per_buffered_sample() {
    let mib = 1 << 20;
    for (targets, size_bytes, segment_size_bytes, promised) in [
        (10, 64 * mib, mib, 1.3),
        (10, 8 * mib, mib / 8, 1.3),
        (1, 64 * mib, mib, 2.0),
        (1, 8 * mib, mib / 8, 2.0),
        (1, mib, mib / 64, f64::INFINITY),
    ] {
        let layout = Layout { segment_size_bytes, segment_count: size_bytes / segment_size_bytes };
        let found = bytes_per_sample(targets, layout);
        assert!(found <= promised, "{targets} targets: {found} bytes per sample, promised {promised}");
    }
}

/// With the uplink down all the time; scrapes at their recorded times, commits when they are due.
fn bytes_per_sample(targets: usize, layout: Layout) -> f64 {
    let (counters, table) = (Rc::<Counters>::default(), Rc::<SeriesTable>::default());
    let flash = SimFlash::new(layout.size_bytes() as usize);
    let opened = Buffer::open(flash, layout, COMMIT_INTERVAL, &ENDPOINTS, table.clone(), counters.clone());
    let mut buffer = opened.unwrap().0;
    let batches = recorded_batches(targets, &table);
    let first_ms = batches[0].timestamp_ms;
    let mut now = Duration::ZERO;
    for batch in batches {
        let scraped = Duration::from_millis((batch.timestamp_ms - first_ms) as u64);
        while let Some(due) = buffer.commit_due().filter(|due| *due <= scraped) {
            buffer.commit(due).unwrap();
        }
        now = scraped;
        buffer.push(Rc::unwrap_or_clone(batch), now);
    }
    buffer.close().unwrap();
    let (samples, bytes) = (counters.samples_committed.get(), counters.flash_bytes_written.get());
    assert_eq!(samples, counters.samples_accepted.get());
    let per_sample = bytes as f64 / samples as f64;
    println!(
        "{targets} targets, {} segments of {} KiB, {:.0} minutes: {samples} samples, {bytes} bytes in {} programs and {} segments; \
         {per_sample:.3} bytes/sample, payload alone {:.3}",
        layout.segment_count,
        layout.segment_size_bytes / 1024,
        now.as_secs_f64() / 60.0,
        counters.flash_programs.get(),
        counters.flash_erases.get(),
        counters.flash_payload_bytes.get() as f64 / samples as f64,
    );
    per_sample
}
