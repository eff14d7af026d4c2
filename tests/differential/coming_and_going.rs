//! Targets that files list come and go while both agents run. When each agent notices is its own matter, so that scrapes are not
//! compared one by one, but how each series goes on: alive, stale, alive again, and when its marker is dated.
//!
//! ```text
//!  file      stays      leaves     returns    comes      is renamed
//!  phase 1   ──────     ──────     ──────                site=a ──
//!  phase 2   ──────     ╳                     ──────     site=b ──   site=a ╳
//!  phase 3   ──────                ──────     ╳
//! ```

use crate::agents::{Agents, Era, Prometheus};
use crate::cases::{CASE_LABEL, interval};
use crate::compare::name_of;
use crate::receiver::{Labels, Received, Receiver, Sample, Who};
use crate::support::targets::replace;
use crate::support::{Server, eventually, page};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// Longer than Prometheus takes to notice a file (5 s) and to write markers (two intervals and a tenth).
const PATIENCE: Duration = Duration::from_secs(60);

/// Which targets each phase lists, with the value of their label `site`.
const PHASES: [&[(&str, &str)]; 3] = [
    &[("stays", "a"), ("leaves", "a"), ("returns", "a"), ("renamed", "a")],
    &[("stays", "a"), ("comes", "a"), ("renamed", "b")],
    &[("stays", "a"), ("returns", "a"), ("renamed", "b")],
];

#[test]
#[ignore = "needs Prometheus, and takes half a minute"]
fn targets_come_and_go_as_in_prometheus() {
    let Some(prometheus) = Prometheus::all().into_iter().find(|prometheus| prometheus.era == Era::Three) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let target = Server::start(|_, _| page("# TYPE a counter\na 1\nb{c=\"d\"} 2\nb{c=\"e\"} 3\n"));
    let receiver = Receiver::start();
    let listed = folder.path().join("listed.json");
    list(&listed, &target, PHASES[0]);
    let interval = format!("{}ms", interval().as_millis());
    let global = json!({"scrape_interval": interval, "scrape_timeout": interval});
    let jobs = [json!({"job_name": "files", "file_sd_configs": [{"files": [listed.to_str().unwrap()]}]})];
    let mut agents = Agents::start(&prometheus, folder.path(), &global, &jobs, &receiver);
    for (number, phase) in PHASES.iter().enumerate() {
        list(&listed, &target, phase);
        for who in [Who::Narthex, Who::Prometheus] {
            eventually(&format!("phase {number} of {who:?}"), PATIENCE, || {
                has_come(&receiver.received(who), &PHASES[..=number]).then_some(())
            });
        }
    }
    let [narthex, prometheus] = [Who::Narthex, Who::Prometheus].map(|who| {
        check_markers(&receiver.received(who));
        stories(&receiver.received(who))
    });
    assert_eq!(narthex, prometheus);
    let markers = narthex.values().flatten().filter(|part| **part == Part::Stale).count();
    println!("{} series of targets that came and went, {markers} markers", narthex.len());

    // Prometheus writes no markers when it ends; a device that is switched off is gone.
    agents.stop_narthex();
    let ended = stories(&receiver.received(Who::Narthex));
    assert!(ended.values().all(|parts| parts.last() == Some(&Part::Stale)), "{ended:#?}");
}

fn list(file: &Path, target: &Server, targets: &[(&str, &str)]) {
    let groups = targets.iter().map(|(name, site)| {
        json!({"targets": [target.address.to_string()], "labels": {CASE_LABEL: name, "site": site, "__param_name": name}})
    });
    replace(file, &serde_json::to_string(&groups.collect::<Vec<_>>()).unwrap());
}

/// Whether what the newest phase lists has been scraped three times since its last marker, and what it doesn't list ended.
fn has_come(received: &Received, phases: &[&[(&str, &str)]]) -> bool {
    let is_of = |labels: &Labels, (name, site): &(&str, &str)| {
        let is = |label: &str, value: &str| labels.iter().any(|(known, of)| known == label && of == value);
        name_of(labels) == "up" && is(CASE_LABEL, name) && is("site", site)
    };
    let alive = |target: &(&str, &str)| {
        let samples = received.iter().find(|(labels, _)| is_of(labels, target)).map(|(_, samples)| &samples[..])?;
        Some(samples.iter().rev().take_while(|sample| !sample.value.is_stale()).count())
    };
    let [before @ .., newest] = phases else { return true };
    let ended = before.iter().flat_map(|phase| phase.iter()).filter(|target| !newest.contains(target));
    newest.iter().all(|target| alive(target).is_some_and(|scrapes| scrapes >= 3)) && { ended }
        .all(|target| alive(target) == Some(0))
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Part {
    Alive,
    Stale,
}

/// Each marker has to be dated one interval after what it follows.
fn check_markers(received: &Received) {
    for (labels, samples) in received {
        for two in samples.windows(2).filter(|two| two[1].value.is_stale()) {
            let (later, one) = ((two[1].at_ms - two[0].at_ms) as f64, interval().as_millis() as f64);
            assert!(later > one * 0.5 && later < one * 2.0, "{labels:?}: a marker {later} ms after the last sample");
        }
    }
}

/// What became of each series, however long each part took.
fn stories(received: &Received) -> BTreeMap<Labels, Vec<Part>> {
    let story = |(labels, samples): (&Labels, &Vec<Sample>)| {
        let mut parts: Vec<Part> =
            samples.iter().map(|sample| if sample.value.is_stale() { Part::Stale } else { Part::Alive }).collect();
        parts.dedup();
        (labels.clone(), parts)
    };
    received.iter().map(story).collect()
}
