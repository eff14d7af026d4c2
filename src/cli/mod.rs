//! One file per subcommand.

pub mod check;
pub mod scrape_output;
pub mod demo;
