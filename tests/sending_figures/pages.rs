//! Recorded pages as scrapes, and rings that hold a backlog of them.

use narthex::buffer::{Buffer, EndpointLanes};
use narthex::config;
use narthex::model::{LabelsBuilder, Params, Scheme, ScrapeBatch, SeriesTable, Target};
use narthex::scrape::{Cycle, Format, ScrapeOptions};
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const INTERVAL: Duration = Duration::from_secs(15);

/// Pages are recorded 1.5 s apart: every tenth is one scrape of a target, and the ten phases are ten targets.
const PHASES: usize = 10;

/// The pages of `NARTHEX_PAGES`, in order of their names.
pub fn recorded() -> Vec<Vec<u8>> {
    let folder = std::env::var("NARTHEX_PAGES").expect("NARTHEX_PAGES names a folder of pages");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "txt"));
    files.sort();
    files.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// Scrapes of `targets` targets, 15 s apart, as the agent makes them, up to now. There may be more than there are pages: they
/// begin anew then. Given to `each` in order of time, with the time since the first one.
pub fn scrape(
    pages: &[Vec<u8>],
    targets: usize,
    times: usize,
    table: Rc<SeriesTable>,
    mut each: impl FnMut(ScrapeBatch, Duration),
) {
    let mut cycles: Vec<Cycle> = (0..targets).map(|target| cycle(target as u32, &table)).collect();
    let begun = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() - INTERVAL * times as u32;
    for (time, target) in (0..times).flat_map(|time| (0..targets).map(move |target| (time, target))) {
        let since = INTERVAL * time as u32 + INTERVAL * target as u32 / targets as u32;
        let page = &pages[time % (pages.len() / PHASES) * PHASES + target * PHASES / targets];
        let took = Duration::from_nanos(12_000_000 + (time * 7919 + target * 104_729) as u64 % 3_000_000);
        let late_ms = i64::from((time + target) * 7919 % 13 < 3);
        let scraped_ms = (begun + since).as_millis() as i64 + late_ms;
        each(cycles[target].complete(Some((page, Format::Text)), scraped_ms, took).batch, since);
    }
}

fn cycle(number: u32, table: &Rc<SeriesTable>) -> Cycle {
    let address = format!("10.0.0.{number}:9100");
    let labels = LabelsBuilder::from_iter([("job", "node"), ("instance", address.as_str())]).build().unwrap();
    let target = Target {
        scheme: Scheme::Http,
        address,
        metrics_path: "/metrics".into(),
        params: Params::new(),
        labels,
        interval: INTERVAL,
        timeout: Duration::from_secs(10),
        socket: None,
        durations_as_written: None,
    };
    Cycle::new(number, Rc::new(target), ScrapeOptions::default(), table.clone(), Rc::default()).unwrap()
}

/// Makes the ring of this configuration and fills it as an agent does whose uplink is down. Returns how many samples wait.
pub fn fill_ring(config: &Path, pages: &[Vec<u8>], targets: usize, times: usize) -> u64 {
    let config = config::load(config).unwrap();
    let lanes: Vec<EndpointLanes> = config.endpoints.iter().map(|endpoint| endpoint.name.as_str().into()).collect();
    let (options, table) = (config.buffer.unwrap(), Rc::<SeriesTable>::default());
    let (mut buffer, ..) = Buffer::open_ring(&options, &lanes, table.clone(), Rc::default()).unwrap();
    let mut samples = 0;
    scrape(pages, targets, times, table, |batch, now| {
        while let Some(due) = buffer.commit_due().filter(|due| *due <= now) {
            buffer.commit(due).unwrap();
        }
        samples += batch.len() as u64;
        buffer.push(batch, now);
    });
    buffer.close().unwrap();
    samples
}
