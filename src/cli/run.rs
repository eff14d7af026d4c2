//! `narthex run`: the agent until a signal tells it to stop.

use super::check::{Checked, inspect};
use crate::agent::Agent;
use async_signal::{Signal, Signals};
use smol::LocalExecutor;
use smol::stream::StreamExt;
use std::path::Path;
use std::process::ExitCode;

/// Exit code 0 after a clean stop; 1 where it can't start, or where samples could not be committed at the end.
pub fn run(path: &Path) -> ExitCode {
    let Checked { config, warnings, .. } = match inspect(path) {
        Ok(checked) => checked,
        Err(error) => return super::refuse(&error),
    };
    warnings.iter().for_each(|line| log::warn!("{line}"));
    let signals = match Signals::new([Signal::Term, Signal::Int, Signal::Hup]) {
        Ok(signals) => signals,
        Err(error) => return super::refuse(&format!("cannot install signal handlers: {error}")),
    };
    let agent = match Agent::open(&config) {
        Ok(agent) => agent,
        Err(error) => return super::refuse(&error),
    };
    let endpoints: Vec<_> = config.endpoints.iter().map(|endpoint| format!("{:?}", endpoint.name)).collect();
    log::info!(
        "narthex {} is running with {}: {} jobs, endpoints {}",
        env!("CARGO_PKG_VERSION"),
        path.display(),
        config.jobs.len(),
        endpoints.join(", ")
    );
    let executor = LocalExecutor::new();
    match smol::block_on(executor.run(agent.run(&executor, stop_requested(signals)))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::error!("the flash refused the last write: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Waits for SIGTERM or SIGINT. SIGHUP comes from a terminal that closes, or from an operator who expects Prometheus's reload:
/// neither wants the agent to end, and its default action would lose the samples in memory.
async fn stop_requested(mut signals: Signals) {
    while let Some(Ok(Signal::Hup)) = signals.next().await {
        log::warn!(
            "SIGHUP is ignored: the configuration is read at the start only; restart the agent to apply a change"
        );
    }
}
