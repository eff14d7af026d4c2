//! `narthex scrape`: every target once, and what would be stored of it.

use super::output::output_failed;
use super::scrape_output::{ScrapeFormat, render};
use crate::agent::scrape_once;
use crate::config;
use smol::LocalExecutor;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// Exit code 0 if every target could be scraped, with all of its series. Samples go to stdout, what failed to stderr.
pub fn scrape(path: &Path, format: ScrapeFormat) -> ExitCode {
    let config = match config::load(path) {
        Ok(config) => config,
        Err(error) => return super::refuse(&error),
    };
    let executor = LocalExecutor::new();
    let results = match smol::block_on(executor.run(scrape_once(&config, &executor))) {
        Ok(results) => results,
        Err(error) => return super::refuse(&error),
    };
    let mut stdout = std::io::stdout().lock();
    let mut exit_code = ExitCode::SUCCESS;
    for (target, result) in results {
        for batch in std::iter::once(&result.batch).chain(&result.more) {
            if let Err(error) = stdout.write_all(render(batch, format).as_bytes()) {
                return output_failed(&error);
            }
        }
        if let Some(past) = result.past_max_series {
            exit_code = super::refuse(&format!("{target}: {past}"));
        }
        if let Some(error) = result.error {
            exit_code = super::refuse(&format!("{target}: {error}"));
        }
    }
    exit_code
}
