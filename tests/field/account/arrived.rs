//! What the receiver has: nothing invented, one time for each page, nothing twice, everything in order.

use super::{Arrival, Breaches, Facts, Page, Series, Span, Violation, page_number, value};

use std::collections::{BTreeMap, BTreeSet};

/// How far a page's time may be from the moment at which the exporter was asked, stalls left out: a busy machine.
const TIME_TOLERANCE_MS: i64 = 3000;

/// Arrivals by series and time.
pub struct Arrived<'t> {
    by_sample: BTreeMap<(&'t Series, i64), Vec<&'t Arrival>>,
    /// For each page of a target: times under which samples of it came.
    pages: BTreeMap<(usize, u64), BTreeSet<i64>>,
}

impl<'t> Arrived<'t> {
    pub fn of(facts: &'t Facts) -> Arrived<'t> {
        let (mut by_sample, mut pages) = (BTreeMap::<_, Vec<_>>::new(), BTreeMap::<_, BTreeSet<_>>::new());
        for arrival in &facts.arrivals {
            by_sample.entry((&arrival.series, arrival.timestamp_ms)).or_default().push(arrival);
            if let (Series::Lab { target, .. }, Some(number)) = (&arrival.series, page_number(arrival.value)) {
                pages.entry((*target, number)).or_default().insert(arrival.timestamp_ms);
            }
        }
        Arrived { by_sample, pages }
    }

    pub fn samples(&self) -> u64 {
        self.by_sample.len() as u64
    }

    pub fn repeats(&self) -> u64 {
        self.by_sample.values().map(|arrivals| arrivals.len() as u64 - 1).sum()
    }

    /// The time of a page, if any of its samples came.
    pub fn time_of(&self, page: &Page) -> Option<i64> {
        self.pages.get(&(page.target, page.number))?.first().copied()
    }

    pub fn has(&self, series: &Series, timestamp_ms: i64) -> bool {
        self.by_sample.contains_key(&(series, timestamp_ms))
    }

    /// The value of a report series at this time.
    pub fn report(&self, target: usize, name: &str, timestamp_ms: i64) -> Option<f64> {
        let series = Series::Report { target, name: name.into() };
        self.by_sample.get(&(&series, timestamp_ms)).map(|arrivals| arrivals[0].value)
    }

    /// Times between these at which scrapes of the target failed.
    pub fn failed_scrapes(&self, target: usize, from_ms: i64, to_ms: i64) -> Vec<i64> {
        let up = Series::Report { target, name: "up".into() };
        let range = self.by_sample.range((&up, from_ms)..=(&up, to_ms));
        range.filter(|(_, arrivals)| arrivals[0].value == 0.0).map(|((_, time), _)| *time).collect()
    }

    pub fn violations(&self, facts: &Facts) -> Vec<Violation> {
        let found = [self.invented(facts), self.misdated(facts), self.repeated(facts), self.disordered(facts)];
        found.into_iter().flatten().collect()
    }

    fn invented(&self, facts: &Facts) -> Option<Violation> {
        let served: BTreeMap<_, _> = facts.pages.iter().map(|page| ((page.target, page.number), page)).collect();
        let mut breaches = Breaches::of("nothing is invented");
        for arrivals in self.by_sample.values() {
            let first = arrivals[0];
            let differs = arrivals.iter().any(|other| other.value.to_bits() != first.value.to_bits());
            let is_of_a_page = match (&first.series, page_number(first.value)) {
                (Series::Lab { target, series }, Some(number)) => served
                    .get(&(*target, number))
                    .is_some_and(|page| page.series.contains(series) && first.value == value(number, *series)),
                _ => true,
            };
            if differs || !is_of_a_page {
                breaches.add(|| format!("{first:?}, {} arrivals", arrivals.len()));
            }
        }
        breaches.violation()
    }

    fn misdated(&self, facts: &Facts) -> Option<Violation> {
        let mut breaches = Breaches::of("each page has one time of its own, which is that of its scrape");
        let mut pages_at = BTreeMap::new();
        for ((target, number), times) in &self.pages {
            let first = *times.first().expect("a page is known by a sample");
            if times.len() > 1 {
                breaches.add(|| format!("page {number} of target {target} has the times {times:?}"));
            }
            if let Some(other) = pages_at.insert((*target, first), *number) {
                breaches.add(|| format!("pages {other} and {number} of target {target} have the time {first}"));
            }
        }
        for page in &facts.pages {
            let Some(time) = self.time_of(page) else { continue };
            let asked_at = facts.wall_ms(page.begun_ms);
            let around = Span { from_ms: page.begun_ms - 60_000, to_ms: page.begun_ms + 1000 };
            if (time - asked_at).abs() > TIME_TOLERANCE_MS + facts.stalled_ms(around) {
                breaches.add(|| format!("{page:?} was asked for at {asked_at} and is dated {time}"));
            }
        }
        breaches.violation()
    }

    fn repeated(&self, facts: &Facts) -> Option<Violation> {
        let mut breaches =
            Breaches::of("nothing is sent twice, but after a kill what was not yet written as acknowledged");
        for arrivals in self.by_sample.values() {
            for pair in arrivals.windows(2) {
                if is_confirmed(facts, pair[0]) && !excuses(facts, pair[0], pair[1]) {
                    let (before, again) = (pair[0], pair[1]);
                    breaches.add(|| format!("{before:?}, again at {} ms", again.at_ms));
                }
            }
        }
        breaches.violation()
    }

    fn disordered(&self, facts: &Facts) -> Option<Violation> {
        if !facts.rules.is_in_order {
            return None;
        }
        let mut breaches = Breaches::of("samples of a series arrive in the order of their times");
        let (mut newest, mut seen) = (BTreeMap::new(), BTreeSet::new());
        for arrival in &facts.arrivals {
            if !seen.insert((&arrival.series, arrival.timestamp_ms)) {
                continue;
            }
            // A life that follows a kill begins with what the one before it had not noted as acknowledged.
            let newest = newest.entry((&arrival.series, arrival.life)).or_insert(arrival.timestamp_ms);
            if arrival.timestamp_ms < *newest {
                breaches.add(|| format!("{arrival:?} came after the time {newest}"));
            }
            *newest = arrival.timestamp_ms.max(*newest);
        }
        breaches.violation()
    }
}

/// Whether the agent knows that the sample was taken.
fn is_confirmed(facts: &Facts, arrival: &Arrival) -> bool {
    let Some(answered_ms) = arrival.answered_ms else { return false };
    let exchange = Span { from_ms: arrival.at_ms, to_ms: answered_ms + 1 };
    facts.stalled_ms(exchange) == 0 && facts.deaf.iter().all(|deaf| deaf.overlap_ms(&exchange) == 0)
}

/// Whether the end of a life between both explains that the sample was sent again.
fn excuses(facts: &Facts, before: &Arrival, again: &Arrival) -> bool {
    // What a life had sent when it was killed may be read after what the next one sent.
    let (of_ended, of_later) = if before.life < again.life { (before, again) } else { (again, before) };
    let Some(death) = facts.deaths.get(of_ended.life).filter(|_| of_ended.life < of_later.life) else { return false };
    death.repeats_ms > 0 && of_ended.at_ms >= death.at_ms - death.repeats_ms
}
