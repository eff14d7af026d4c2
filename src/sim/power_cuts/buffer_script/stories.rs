//! What scripts brought to light, each as short as it gets.

use super::super::QUICK;
use super::*;

/// Plays the story on either kind of flash, in a ring of four segments and for two endpoints.
fn told(unit_bytes: u32, seed: u64, story: fn(&mut Script<'_>) -> Result<(), Violation>) {
    for kind in [FlashKind::Block, FlashKind::Nor] {
        let layout = Layout { segment_size_bytes: 4096, segment_count: 4 };
        let (flash, tally) = (SimFlash::blank(kind, layout.size_bytes() as usize), Tally::default());
        flash.set_program_unit(unit_bytes);
        let mut world = World {
            layout,
            commit_interval: Duration::ZERO,
            budget: None,
            endpoints: &NAMES[..2],
            table: Rc::default(),
            lists: HashMap::new(),
        };
        let random = fastrand::Rng::with_seed(seed);
        let outcome = Script::new(&mut world, flash, random, QUICK, &tally).and_then(|mut script| story(&mut script));
        if let Err(violation) = outcome {
            panic!("{kind:?}, seed {seed}: invariant {}: {}", violation.invariant, violation.what);
        }
    }
}

/// An endpoint acknowledges a scrape. A commit that says so is programmed whole, its sync fails, and the next ones, with more
/// scrapes, fail half-way at the same place; the process is killed. The next one reads neither and would send the scrape again. Its first commit is cut, and what
/// that leaves at its place is the first attempt: the endpoint is handed the scrape no more. Nothing is lost, since it has it;
/// "endpoint 1 lacks scrape 1, which was committed", said seed 64.
#[test]
fn an_acknowledgement_of_a_failed_commit_may_come_to_light() {
    for seed in 0..32 {
        told(512, seed, |script| {
            script.scrape(1);
            script.commit_unless(None, false)?;
            script.hand(1)?;
            script.acknowledge(1);
            script.scrape(1);
            script.commit_unless(Some((1, ErrorKind::Other)), false)?;
            for _ in 0..script.random.usize(1..5) {
                script.scrape(1);
                script.commit_unless(Some((0, ErrorKind::Other)), false)?;
            }
            script.restart(None)?;
            script.scrape(1);
            script.thorough_left = 1;
            script.commit_unless(None, false)
        });
    }
}

/// Scrapes come so fast that the ring's oldest segment is given up while memory has its samples too. They are handed out from there
/// and are counted when they leave it; whoever is killed before has lost them with what was only in memory. "Endpoint 0 lacks scrape
/// 258, which was committed", said seed 355.
#[test]
fn what_is_given_up_while_memory_has_it_is_handed_out_from_there() {
    told(1024, 0, |script| {
        for _ in 0..40 {
            script.scrape(1);
            script.commit_unless(None, false)?;
        }
        while script.hand(0)? {
            script.acknowledge(0);
        }
        Ok(())
    });
}
