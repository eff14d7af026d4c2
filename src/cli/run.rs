//! `narthex run`: the agent until a signal tells it to stop.

use crate::agent::Agent;
use crate::config;
use async_signal::{Signal, Signals};
use smol::LocalExecutor;
use smol::stream::StreamExt;
use std::path::Path;
use std::process::ExitCode;

/// Exit code 0 after a clean stop; 1 where it can't start, or where samples could not be committed at the end.
pub fn run(path: &Path) -> ExitCode {
    let config = match config::load(path) {
        Ok(config) => config,
        Err(error) => return super::refuse(&error),
    };
    let mut signals = match Signals::new([Signal::Term, Signal::Int]) {
        Ok(signals) => signals,
        Err(error) => return super::refuse(&format!("signals can't be listened for: {error}")),
    };
    let agent = match Agent::open(&config) {
        Ok(agent) => agent,
        Err(error) => return super::refuse(&error),
    };
    log::info!("narthex {} is running", env!("CARGO_PKG_VERSION"));
    let executor = LocalExecutor::new();
    let stop = async move {
        signals.next().await;
    };
    match smol::block_on(executor.run(agent.run(&executor, stop))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::error!("samples that were in memory only are lost: {error}");
            ExitCode::FAILURE
        }
    }
}
