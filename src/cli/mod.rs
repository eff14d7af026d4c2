//! One file per subcommand.

pub mod scrape_output;
