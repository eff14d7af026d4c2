use super::{CodecError, SegmentCodec};
use crate::model;
use crate::model::random_extras as random;
use crate::model::{LabelsBuilder, OwnTimestamp, STALE_NAN_BITS, ScrapeBatch, Series, SeriesTable};
use proptest::prelude::*;
use std::rc::Rc;

const SPECIAL_BITS: [u64; 14] = [
    STALE_NAN_BITS,
    0x7ff8_0000_0000_0001,
    0xfff8_0000_0000_0000,
    u64::MAX,
    0x7ff0_0000_0000_0000,
    0xfff0_0000_0000_0000,
    0,
    1 << 63,
    1,
    0x000f_ffff_ffff_ffff,
    0x7fef_ffff_ffff_ffff,
    0x4340_0000_0000_0001,
    0xc340_0000_0000_0000,
    0x3fb9_9999_9999_999a,
];

fn series(table: &SeriesTable, name: &str, target: u32) -> Series {
    let instance = format!("10.0.0.{target}:9100");
    let labels = [("__name__", name), ("instance", instance.as_str()), ("job", "node"), ("z", &name[name.len() / 2..])];
    table.intern(&LabelsBuilder::from_iter(labels).build().unwrap())
}

fn page(table: &SeriesTable, target: u32) -> Rc<[Series]> {
    (0..500).map(|number| series(table, &format!("node_metric_{number}_total"), target)).collect()
}

fn batch(target: u32, timestamp_ms: i64, series: Rc<[Series]>, values: Vec<f64>) -> Rc<ScrapeBatch> {
    assert_eq!(series.len(), values.len());
    Rc::new(ScrapeBatch { target, timestamp_ms, series, values, own_timestamps: Vec::new(), extras: None })
}

fn encode(codec: &mut SegmentCodec, batches: &[Rc<ScrapeBatch>]) -> Vec<u8> {
    let mut payload = Vec::new();
    codec.encode(batches, &mut payload);
    payload
}

fn decode(codec: &mut SegmentCodec, payload: &[u8], table: &SeriesTable) -> Vec<ScrapeBatch> {
    let mut batches = Vec::new();
    codec.decode(payload, table, &mut batches).unwrap();
    batches
}

fn assert_same(decoded: &[ScrapeBatch], given: &[Rc<ScrapeBatch>]) {
    assert_eq!(decoded.len(), given.len());
    for (decoded, given) in decoded.iter().zip(given) {
        assert_eq!(decoded.timestamp_ms, given.timestamp_ms);
        assert_eq!(decoded.series, given.series);
        let bits = |batch: &ScrapeBatch| batch.values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(decoded), bits(given));
        assert_eq!(decoded.own_timestamps, given.own_timestamps);
        assert_eq!(decoded.extras, given.extras);
    }
}

/// Number, last timestamp, list, values.
type Target = (u32, i64, Rc<[Series]>, Vec<f64>);

/// A few targets whose lists and values change in every way, one frame after the other.
struct World {
    random: fastrand::Rng,
    table: SeriesTable,
    targets: Vec<Target>,
    /// What the last batch had.
    extras: Option<Box<model::Extras>>,
}

impl World {
    fn new(seed: u64) -> Self {
        let (random, table) = (fastrand::Rng::with_seed(seed), SeriesTable::new());
        let targets =
            (0..4).map(|target| (target, 1_763_722_000_000, Rc::new([]) as Rc<[Series]>, Vec::new())).collect();
        World { random, table, targets, extras: None }
    }

    fn frame(&mut self) -> Vec<Rc<ScrapeBatch>> {
        (0..self.random.usize(0..6)).map(|_| self.batch()).collect()
    }

    fn batch(&mut self) -> Rc<ScrapeBatch> {
        let at = self.random.usize(0..self.targets.len());
        if self.random.u8(0..3) == 0 {
            self.change_list(at);
        }
        let World { random, targets, extras: last, .. } = self;
        let (target, timestamp_ms, series, values) = &mut targets[at];
        *timestamp_ms = if random.u8(0..20) == 0 { random.i64(..) } else { timestamp_ms.wrapping_add(15_000) };
        for value in values.iter_mut() {
            *value = match random.u8(0..40) {
                0 => f64::from_bits(random.u64(..)),
                1 => f64::from_bits(SPECIAL_BITS[random.usize(0..SPECIAL_BITS.len())]),
                2..6 => *value + f64::from(random.u16(..)),
                6..10 => ((*value * 100.0).round() + f64::from(random.u8(..))) / 100.0,
                10..12 => f64::from(random.u32(..)) * 0.001,
                12..14 => f64::from(random.u16(..)) * 4096.0,
                _ => *value,
            };
        }
        let mut own_timestamps = Vec::new();
        if random.u8(0..5) == 0 {
            for index in (0..series.len() as u32).filter(|index| index % 3 != 1) {
                let own_ms = if random.bool() { random.i64(..) } else { timestamp_ms.wrapping_sub(7) };
                own_timestamps.push(OwnTimestamp { index, timestamp_ms: own_ms });
            }
        }
        let (timestamp_ms, series, mut values) = (*timestamp_ms, series.clone(), values.clone());
        let has_extras = random.u8(0..3) == 0;
        let extras = has_extras.then(|| random::random_extras(random, last.as_deref(), &mut values)).flatten();
        if has_extras {
            *last = extras.clone();
        }
        Rc::new(ScrapeBatch { target: *target, timestamp_ms, series, values, own_timestamps, extras })
    }

    fn change_list(&mut self, at: usize) {
        let (target, _, list, values) = &mut self.targets[at];
        let random = &mut self.random;
        let mut samples: Vec<_> = list.iter().cloned().zip(values.iter().copied()).collect();
        for _ in 0..random.usize(0..12) {
            let place = random.usize(0..=samples.len());
            let owner = if random.u8(0..10) == 0 { random.u32(0..9) } else { *target };
            let new = series(&self.table, &format!("m{}", random.u8(0..100)), owner);
            samples.insert(place, (new, 0.0));
        }
        match random.u8(0..12) {
            0 => samples.clear(),
            1 => random.shuffle(&mut samples),
            2..8 if !samples.is_empty() => {
                let (start, end) = (random.usize(0..samples.len()), random.usize(0..=samples.len()));
                samples.drain(start.min(end)..start.max(end));
            }
            _ => {}
        }
        samples.truncate(200);
        let (series, kept): (Vec<_>, Vec<_>) = samples.into_iter().unzip();
        (*list, *values) = (series.into(), kept);
    }
}

/// What a restarted agent has of a segment.
fn reopened(payloads: &[Vec<u8>], table: &SeriesTable) -> SegmentCodec {
    let mut codec = SegmentCodec::new();
    payloads.iter().for_each(|payload| drop(decode(&mut codec, payload, table)));
    codec
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn every_frame_comes_back_through_list_changes_and_restarts(seed: u64) {
        let mut world = World::new(seed);
        let (mut writer, mut reader) = (SegmentCodec::new(), SegmentCodec::new());
        let (mut frames, mut payloads) = (Vec::new(), Vec::new());
        for _ in 0..20 {
            let frame = world.frame();
            payloads.push(encode(&mut writer, &frame));
            assert_same(&decode(&mut reader, payloads.last().unwrap(), &world.table), &frame);
            prop_assert!(writer == reader);
            frames.push(frame);
            if world.random.u8(0..4) == 0 {
                writer = reopened(&payloads, &world.table);
                world.random.shuffle(&mut world.targets);
                world.targets.iter_mut().enumerate().for_each(|(number, target)| target.0 = number as u32);
            }
        }
        let mut again = SegmentCodec::new();
        for (payload, frame) in payloads.iter().zip(&frames) {
            assert_same(&decode(&mut again, payload, &world.table), frame);
        }
        prop_assert!(again == writer);
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600), seed: u64) {
        let mut world = World::new(seed);
        let payloads: Vec<_> = [world.frame(), world.frame()].map(|frame| encode(&mut SegmentCodec::new(), &frame)).into();
        for before in [&[], &payloads[..1]] {
            let mut codec = reopened(before, &world.table);
            let _ = codec.decode(&bytes, &world.table, &mut Vec::new());
        }
    }

    #[test]
    fn damage_is_an_error_or_something_else_but_no_panic(seed: u64) {
        let mut world = World::new(seed);
        let mut writer = SegmentCodec::new();
        let before = vec![encode(&mut writer, &world.frame())];
        let payload = encode(&mut writer, &world.frame());
        for _ in 0..20 {
            let mut damaged = payload.clone();
            damaged.truncate(world.random.usize(0..=payload.len()));
            if world.random.bool() && !damaged.is_empty() {
                let at = world.random.usize(0..damaged.len());
                damaged[at] ^= 1 << world.random.u8(0..8);
            }
            let _ = reopened(&before, &world.table).decode(&damaged, &world.table, &mut Vec::new());
        }
    }

    #[test]
    fn the_worst_case_is_never_passed(seed: u64, samples in 0usize..300) {
        let mut random = fastrand::Rng::with_seed(seed);
        let table = SeriesTable::new();
        let mut noise = |bytes: usize| -> String { (0..bytes).map(|_| random.char('!'..'\u{2fff}')).collect() };
        let list: Rc<[Series]> = (0..samples)
            .map(|_| LabelsBuilder::from_iter([(noise(9).as_str(), noise(30).as_str())]).build().unwrap())
            .map(|labels| table.intern(&labels))
            .collect();
        let values = (0..samples).map(|_| f64::from_bits(random.u64(..))).collect();
        let mut worst = ScrapeBatch::clone(&batch(u32::MAX, i64::MIN, list, values));
        worst.own_timestamps =
            (0..samples as u32).map(|index| OwnTimestamp { index, timestamp_ms: random.i64(..) }).collect();
        worst.extras = random::random_extras(&mut random, None, &mut worst.values);
        let bound = SegmentCodec::worst_case_bytes(&worst);
        let bytes = encode(&mut SegmentCodec::new(), &[Rc::new(worst)]).len();
        prop_assert!(bytes <= bound, "{bytes} bytes, at most {bound} expected");
    }
}

#[test]
fn special_values_come_back_bit_by_bit_one_after_any_other() {
    let table = SeriesTable::new();
    let list: Rc<[Series]> = [series(&table, "special", 0)].into();
    let (mut writer, mut reader) = (SegmentCodec::new(), SegmentCodec::new());
    for first in SPECIAL_BITS {
        for second in SPECIAL_BITS {
            let frame = [first, second].map(|bits| batch(0, 0, list.clone(), vec![f64::from_bits(bits)]));
            let payload = encode(&mut writer, &frame);
            assert_same(&decode(&mut reader, &payload, &table), &frame);
        }
    }
}

#[test]
fn an_unchanged_page_costs_no_more_than_its_time() {
    let table = SeriesTable::new();
    let list = page(&table, 1);
    let mut codec = SegmentCodec::new();
    let values: Vec<f64> = (0..500).map(f64::from).collect();
    let sizes: Vec<usize> = (0..20)
        .map(|round| encode(&mut codec, &[batch(1, round * 15_000, list.clone(), values.clone())]).len())
        .collect();
    assert!(sizes[19] <= 4, "{sizes:?}");
}

#[test]
fn histograms_exemplars_and_starts_that_stay_cost_next_to_nothing() {
    let table = SeriesTable::new();
    let (list, mut random) = (page(&table, 1), fastrand::Rng::with_seed(1));
    let mut values = vec![1.0; list.len()];
    let mut extras = random::random_extras(&mut random, None, &mut values);
    let changed = extras.as_mut().unwrap();
    changed.exemplars.dedup_by_key(|(at, _)| *at);
    changed.histograms.iter_mut().for_each(|(_, histogram)| random::set_count(Rc::make_mut(histogram)));
    let parts = extras.as_ref().unwrap();
    assert!(parts.histograms.len() > 50 && parts.exemplars.len() > 50 && parts.start_timestamps.as_slice().len() > 150);
    let mut codec = SegmentCodec::new();
    let frame = |round: i64| {
        let mut batch = ScrapeBatch::clone(&batch(1, round * 15_000, list.clone(), values.clone()));
        batch.extras = extras.clone();
        [Rc::new(batch)]
    };
    let sizes: Vec<usize> = (0..40).map(|round| encode(&mut codec, &frame(round)).len()).collect();
    assert!(sizes[39] <= 30 && sizes[0] > 5000, "{sizes:?}");
}

#[test]
fn a_histogram_that_goes_on_counting_costs_a_few_bytes() {
    let table = SeriesTable::new();
    let list: Rc<[Series]> = [series(&table, "latency", 1)].into();
    let mut random = fastrand::Rng::with_seed(1);
    let mut buckets = [0i64; 60];
    let mut codec = SegmentCodec::new();
    let mut frame = |round: i64| {
        (0..20).for_each(|_| buckets[(random.usize(0..60) + random.usize(0..60)) / 2] += 1);
        let deltas = std::iter::once(buckets[0]).chain(buckets.windows(2).map(|pair| pair[1] - pair[0]));
        let counts = model::Counts {
            count: buckets.iter().sum::<i64>() as u64,
            zero_count: 0,
            positive: deltas.collect(),
            negative: [].into(),
        };
        let histogram = model::Histogram {
            reset_hint: model::ResetHint::Unknown,
            schema: 3,
            zero_threshold: 1e-128,
            sum: round as f64 * 0.125,
            counts: model::HistogramCounts::Integer(counts),
            positive_spans: [model::Span { offset: -20, length: 60 }].into(),
            negative_spans: [].into(),
            custom_values: [].into(),
        };
        let mut batch = ScrapeBatch::clone(&batch(1, round * 15_000, list.clone(), vec![histogram.sum]));
        let histograms = vec![(0, Rc::new(histogram))];
        batch.extras = Some(Box::new(model::Extras { histograms, ..Default::default() }));
        encode(&mut codec, &[Rc::new(batch)]).len()
    };
    let sizes: Vec<usize> = (0..100).map(&mut frame).collect();
    let steady = sizes[50..].iter().sum::<usize>() / 50;
    assert!(steady <= 16, "{steady} bytes for 20 observations in 60 buckets: {sizes:?}");
}

#[test]
fn a_page_that_goes_stale_costs_little() {
    let table = SeriesTable::new();
    let list = page(&table, 1);
    let mut codec = SegmentCodec::new();
    let values = |value: fn(u32) -> f64| (0..500).map(value).collect::<Vec<f64>>();
    encode(&mut codec, &[batch(1, 0, list.clone(), values(f64::from))]);
    let stale = encode(&mut codec, &[batch(1, 15_000, list.clone(), values(|_| f64::from_bits(STALE_NAN_BITS)))]);
    let back = encode(&mut codec, &[batch(1, 30_000, list, values(f64::from))]);
    assert!(stale.len() < 64 && back.len() < 32, "{} bytes, and {} when it comes back", stale.len(), back.len());
}

#[test]
fn a_second_target_with_the_same_page_costs_little() {
    let table = SeriesTable::new();
    let mut codec = SegmentCodec::new();
    let [first, second] =
        [1, 2].map(|target| encode(&mut codec, &[batch(target, 0, page(&table, target), vec![0.0; 500])]));
    assert!(second.len() < 40 && first.len() > 1000, "{} and {} bytes", first.len(), second.len());
}

#[test]
fn batches_of_an_unchanged_page_share_one_list() {
    let table = SeriesTable::new();
    let (list, other) = (page(&table, 1), page(&table, 2));
    let frame = |list: &Rc<[Series]>, target| batch(target, 0, list.clone(), vec![1.0; 500]);
    let (mut writer, mut reader) = (SegmentCodec::new(), SegmentCodec::new());
    let mut decoded = Vec::new();
    for _ in 0..2 {
        let payload = encode(&mut writer, &[frame(&list, 8), frame(&other, 9), frame(&list, 8)]);
        decoded.extend(decode(&mut reader, &payload, &table));
    }
    for at in [2, 3, 5] {
        assert!(Rc::ptr_eq(&decoded[0].series, &decoded[at].series));
        assert_eq!(decoded[0].target, decoded[at].target);
    }
    assert_ne!(decoded[0].target, decoded[1].target);
}

#[test]
fn after_a_restart_other_target_numbers_write_the_same_bytes() {
    let table = SeriesTable::new();
    let lists = [0, 1, 2].map(|target| page(&table, target));
    let frame = |round: u32, renumber: fn(u32) -> u32| {
        let one = |at: u32| {
            let values = (0..500u32).map(|number| f64::from(number * round % (at + 7))).collect();
            batch(renumber(at), i64::from(round) * 15_000, lists[at as usize].clone(), values)
        };
        [0, 1, 2].map(one)
    };
    let mut running = SegmentCodec::new();
    let payloads: Vec<_> = (0..3).map(|round| encode(&mut running, &frame(round, |target| target))).collect();
    let mut restarted = reopened(&payloads, &table);
    let expected = encode(&mut running, &frame(3, |target| target));
    assert_eq!(encode(&mut restarted, &frame(3, |target| 2 - target)), expected);
    assert!(restarted == running);
    let renumbered = encode(&mut restarted, &frame(4, |target| (target + 1) % 3));
    assert_eq!(renumbered, encode(&mut running, &frame(4, |target| target)), "numbered anew while running");
}

#[test]
fn a_changed_page_of_a_restarted_agent_goes_on_with_its_stream() {
    let table = SeriesTable::new();
    let lists = [0, 1].map(|target| page(&table, target));
    let mut running = SegmentCodec::new();
    let payload = encode(&mut running, &[0, 1].map(|at| batch(at as u32, 0, lists[at].clone(), vec![1.0; 500])));
    let mut restarted = reopened(&[payload], &table);
    let shorter: Rc<[Series]> = lists[1][..499].into();
    let payload = encode(&mut restarted, &[batch(0, 15_000, shorter, vec![1.0; 499])]);
    assert_eq!(decode(&mut running, &payload, &table)[0].target, 1);
}

#[test]
fn a_target_number_that_is_used_again_is_a_list_that_changed() {
    let table = SeriesTable::new();
    let (mut writer, mut reader) = (SegmentCodec::new(), SegmentCodec::new());
    for (round, page_of) in [1, 1, 2, 2, 1].into_iter().enumerate() {
        let frame = [batch(7, round as i64, page(&table, page_of), vec![round as f64; 500])];
        let payload = encode(&mut writer, &frame);
        assert_same(&decode(&mut reader, &payload, &table), &frame);
    }
}

#[test]
fn what_is_cut_or_continued_is_refused() {
    let table = SeriesTable::new();
    let list = page(&table, 1);
    let mut random = fastrand::Rng::with_seed(1);
    let values = (0..500).map(|_| f64::from_bits(random.u64(..))).collect();
    let payload = encode(&mut SegmentCodec::new(), &[batch(1, 0, list, values)]);
    let refused = |payload: &[u8]| SegmentCodec::new().decode(payload, &table, &mut Vec::new()).unwrap_err();
    for cut in [0, 1, payload.len() / 2, payload.len() - 4] {
        assert_eq!(refused(&payload[..cut]), CodecError::Truncated, "cut at {cut}");
    }
    let longer = [&payload[..], &[0; 4]].concat();
    assert_eq!(refused(&longer), CodecError::Trailing);
}
