use super::*;
use crate::model::{OwnTimestamp, SeriesTable};
use crate::remote_write::testing::{all_requests, any_batches, batch, scrapes, series_list};
use proptest::prelude::*;
use std::collections::HashMap;

/// Shape of each block: batches by series.
fn shapes(request: &Request) -> Vec<(usize, usize)> {
    request.blocks.iter().map(|block| (block.batches.len(), block.series.len())).collect()
}

/// Time and value bits of each sample that the requests hold, by series, in the order they would be sent.
fn sent<'a>(
    batches: &[Rc<ScrapeBatch>],
    requests: impl IntoIterator<Item = &'a Request>,
) -> HashMap<usize, Vec<(i64, u64)>> {
    let mut samples: HashMap<usize, Vec<_>> = HashMap::new();
    for block in requests.into_iter().flat_map(|request| &request.blocks) {
        for series in block.series.clone() {
            for batch in &batches[block.batches.clone()] {
                assert_eq!(batch.series[series], batches[block.batches.start].series[series]);
                let sample = (batch.timestamp_ms_at(series), batch.values[series].to_bits());
                samples.entry(batch.series[series].address()).or_default().push(sample);
            }
        }
    }
    samples
}

/// The same as [`sent`], straight from the window.
fn scraped(batches: &[Rc<ScrapeBatch>]) -> HashMap<usize, Vec<(i64, u64)>> {
    let mut samples: HashMap<usize, Vec<_>> = HashMap::new();
    for batch in batches {
        for (index, series) in batch.series.iter().enumerate() {
            let sample = (batch.timestamp_ms_at(index), batch.values[index].to_bits());
            samples.entry(series.address()).or_default().push(sample);
        }
    }
    samples
}

#[test]
fn a_backlog_of_one_target_goes_out_as_few_series_with_many_samples() {
    let table = SeriesTable::new();
    let series = series_list(&table, "node", 50);
    let mut batching = Batching::new(scrapes(0, 0..44, &series), 2000);
    let requests = all_requests(&mut batching);
    assert_eq!(requests.iter().map(shapes).collect::<Vec<_>>(), [[(44, 45)], [(44, 5)]]);
}

#[test]
fn a_long_run_is_cut_in_time_first_into_even_parts_about_as_long_as_a_request_is_wide() {
    let table = SeriesTable::new();
    let series = series_list(&table, "node", 2);
    for (times, samples_max, parts) in [
        (1, 1, &[1][..]),
        (3, 1, &[1, 1, 1]),
        (5, 3, &[1; 5]),
        (5, 4, &[2, 2, 1]),
        (65, 2000, &[65]),
        (66, 2000, &[33, 33]),
        (97, 2000, &[49, 48]),
        (122, 2000, &[41, 41, 40]),
    ] {
        let mut batching = Batching::new(scrapes(0, 0..times, &series), samples_max);
        let blocks = all_requests(&mut batching).into_iter().flat_map(|request| request.blocks);
        let lengths: Vec<_> = blocks.filter(|block| block.series.start == 0).map(|block| block.batches.len()).collect();
        assert_eq!(lengths, parts, "{times} scrapes, {samples_max} a request");
    }
}

#[test]
fn small_runs_share_a_request_and_targets_are_put_together() {
    let table = SeriesTable::new();
    let (a, b) = (series_list(&table, "a", 2), series_list(&table, "b", 3));
    let window = vec![batch(7, 1, &a), batch(3, 2, &b), batch(7, 3, &a), batch(3, 4, &b)];
    let mut batching = Batching::new(window, 100);
    let requests = all_requests(&mut batching);
    assert_eq!(requests.iter().map(shapes).collect::<Vec<_>>(), [[(2, 2), (2, 3)]]);
}

#[test]
fn targets_take_turns_unless_there_are_many_samples_of_each_series() {
    let table = SeriesTable::new();
    let (a, b) = (series_list(&table, "a", 10), series_list(&table, "b", 5));
    let turns = |times: i64, samples_max| {
        let window = (0..times).flat_map(|time| [batch(0, time, &a), batch(1, time, &b)]).collect();
        let requests = all_requests(&mut Batching::new(window, samples_max));
        let block = |block: &Block| ((block.batches.start / times as usize), block.series.clone());
        let of_request = |request: &Request| request.blocks.iter().map(block).collect::<Vec<_>>();
        requests.iter().map(of_request).collect::<Vec<_>>()
    };
    assert_eq!(turns(1, 100), [[(0, 0..4), (1, 0..4), (0, 4..8), (1, 4..5), (0, 8..10)]]);
    assert_eq!(turns(1, 10), [vec![(0, 0..4), (1, 0..4), (0, 4..6)], vec![(1, 4..5), (0, 6..10)]]);
    assert_eq!(turns(13, 1000), [[(0, 0..10), (1, 0..5)]]);
}

#[test]
fn what_was_taken_in_turns_is_halved_as_if_it_had_not_been() {
    let blocks = |blocks: &[(std::ops::Range<usize>, std::ops::Range<usize>)]| Request {
        blocks: blocks.iter().cloned().map(|(batches, series)| Block { batches, series }).collect(),
    };
    let turns = blocks(&[(0..2, 0..4), (3..4, 0..4), (0..2, 4..6), (2..3, 0..4), (3..4, 4..5), (2..3, 4..6)]);
    let halves = (blocks(&[(0..2, 0..6)]), blocks(&[(2..3, 0..6), (3..4, 0..5)]));
    assert_eq!(turns.halves(), Some(halves));
}

#[test]
fn lists_that_are_equal_but_not_the_same_memory_form_one_run() {
    let table = SeriesTable::new();
    let window = (0..4).map(|time| batch(0, time, &series_list(&table, "a", 2))).collect();
    assert_eq!(shapes(&Batching::new(window, 100).next_request().unwrap()), [(4, 2)]);
}

#[test]
fn targets_that_were_renumbered_stay_in_order_of_time() {
    let table = SeriesTable::new();
    let (a, b) = (series_list(&table, "a", 1), series_list(&table, "b", 1));
    // A restart with another configuration: target 0 was `a` and is `b` now, target 1 was `b` and is `a`.
    let window = vec![batch(0, 1, &a), batch(1, 2, &b), batch(0, 3, &b), batch(1, 4, &a)];
    let mut batching = Batching::new(window.clone(), 100);
    let requests = all_requests(&mut batching);
    assert_eq!(sent(batching.batches(), &requests), scraped(&window));
}

#[test]
fn an_empty_window_and_empty_scrapes_make_no_request() {
    let none: Rc<[_]> = Rc::new([]);
    assert_eq!(Batching::new(vec![], 10).next_request(), None);
    assert_eq!(Batching::new(scrapes(0, 0..3, &none), 10).next_request(), None);
}

#[test]
fn a_repeated_sample_is_left_out_but_not_one_that_differs_in_time_or_value() {
    let table = SeriesTable::new();
    let series = series_list(&table, "a", 1);
    let stamped = |timestamp_ms, value| {
        let own_timestamps = vec![OwnTimestamp { index: 0, timestamp_ms }];
        let values = vec![value];
        Rc::new(ScrapeBatch {
            target: 0,
            timestamp_ms: 99,
            series: series.clone(),
            values,
            own_timestamps,
            extras: None,
        })
    };
    let batches = [stamped(1, 5.0), stamped(1, 5.0), stamped(1, 6.0), stamped(2, 6.0), stamped(1, 6.0)];
    let block = Block { batches: 0..5, series: 0..1 };
    let samples = block.samples_of(&batches, 0).filter(|sample| !sample.is_repeated);
    let samples: Vec<_> = samples.map(|sample| (sample.timestamp_ms, sample.value)).collect();
    assert_eq!(samples, [(1, 5.0), (1, 6.0), (2, 6.0), (1, 6.0)]);
    assert_eq!(block.samples(), 5, "left out is delivered all the same");
}

#[test]
fn a_request_is_halved_by_blocks_then_by_series_then_by_time() {
    let request = |blocks: &[(std::ops::Range<usize>, std::ops::Range<usize>)]| Request {
        blocks: blocks.iter().cloned().map(|(batches, series)| Block { batches, series }).collect(),
    };
    let two = request(&[(0..4, 0..6), (4..8, 0..6)]);
    let halves = Some((request(&[(0..4, 0..6)]), request(&[(4..8, 0..6)])));
    assert_eq!(two.halves(), halves);

    let one = request(&[(0..4, 0..6)]);
    assert_eq!(one.halves(), Some((request(&[(0..4, 0..3)]), request(&[(0..4, 3..6)]))));
    let one_series = request(&[(0..4, 3..4)]);
    assert_eq!(one_series.halves(), Some((request(&[(0..2, 3..4)]), request(&[(2..4, 3..4)]))));
    assert_eq!(request(&[(2..3, 3..4)]).halves(), None);
}

#[test]
fn slices_of_time_are_few_and_oldest_first() {
    let request = |blocks: &[(std::ops::Range<usize>, std::ops::Range<usize>)]| Request {
        blocks: blocks.iter().cloned().map(|(batches, series)| Block { batches, series }).collect(),
    };
    let two = request(&[(0..4, 0..6), (4..5, 0..6)]);
    assert_eq!(two.time_slices(8).len(), 5);
    let expected = [request(&[(0..3, 0..6)]), request(&[(3..4, 0..6), (4..5, 0..6)])];
    assert_eq!(two.time_slices(2), expected);
    assert_eq!(request(&[(2..3, 0..6)]).time_slices(8), [request(&[(2..3, 0..6)])]);
}

/// Splits until nothing is left to split; gives the single samples in the order they would be sent.
fn split_all(request: Request, singles: &mut Vec<Request>) {
    match request.halves() {
        Some((first, second)) => {
            assert_eq!(first.samples() + second.samples(), request.samples());
            split_all(first, singles);
            split_all(second, singles);
        }
        None => {
            assert_eq!(request.samples(), 1);
            singles.push(request);
        }
    }
}

proptest! {
    #[test]
    fn every_sample_goes_out_once_in_order_of_its_series_in_requests_of_bounded_size(
        batches in any_batches(),
        samples_max in 1usize..60,
    ) {
        let mut batching = Batching::new(batches.clone(), samples_max);
        let requests = all_requests(&mut batching);
        for request in &requests {
            prop_assert!((1..=samples_max).contains(&request.samples()));
        }
        prop_assert_eq!(sent(batching.batches(), &requests), scraped(&batches));
    }

    #[test]
    fn splitting_keeps_every_sample_and_the_order_of_each_series(batches in any_batches(), slices_max in 1usize..10) {
        let mut batching = Batching::new(batches.clone(), 200);
        let mut singles = Vec::new();
        for request in all_requests(&mut batching) {
            let slices = request.time_slices(slices_max);
            prop_assert!(slices.len() <= slices_max);
            slices.into_iter().for_each(|slice| split_all(slice, &mut singles));
        }
        prop_assert_eq!(sent(batching.batches(), &singles), scraped(&batches));
    }
}

/// A request that came out too large makes the next ones smaller, down to less than one series of the run in hand has.
#[test]
fn a_lower_limit_in_the_middle_of_a_run_loses_nothing() {
    let series = series_list(&SeriesTable::new(), "node", 4);
    let batches = scrapes(0, 0..10, &series);
    for samples_max in [1, 5, 9, 10, 11] {
        let mut batching = Batching::new(batches.clone(), 25);
        let mut requests = vec![batching.next_request().unwrap()];
        batching.limit_samples(samples_max);
        requests.extend(all_requests(&mut batching));
        assert!(requests[1..].iter().all(|request| request.samples() <= samples_max.max(5)), "{requests:?}");
        assert_eq!(sent(batching.batches(), &requests), scraped(&batches));
    }
}
