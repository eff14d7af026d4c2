//! The whole agent between real parts: Debian's node exporter in front, Debian's Prometheus and VictoriaMetrics behind,
//! real TLS between them, and the link really taken away.
//!
//! ```text
//!  node exporter ◄─ recording proxy ◄─┐              ┌─► TLS front ─► Prometheus ─────┐
//!                                     ├─ narthex run ┤   cut, black-holed, restored    ├─► compared with the pages
//!                        odd pages  ◄─┘              └─► TLS front ─► VictoriaMetrics ┘   that were served
//! ```
//!
//! What was served is the truth: each page carries its number, so each sample that a receiver holds is traced back to one
//! page. Needs Debian's packages (`.ci/install-servers`), hence all are `#[ignore]`d; run them by `cargo real-servers`.
//! `NARTHEX_BINARY` puts another binary to the test, such as a packaged one.

mod agent;
mod bench;
mod certificate;
mod compare;
mod compare_tests;
mod exposition;
mod first_run;
mod front;
mod pages;
mod process;
mod receiver;
mod scenarios;
mod series;
mod staleness;
mod story;
