//! `narthex import FILE`: Prometheus's configuration as Narthex's.

use std::path::Path;
use std::process::ExitCode;

/// What only a part of it was carried over is told by.
#[cfg(feature = "import")]
const PARTLY: u8 = 2;

/// TOML goes to stdout, what is left out to stderr. Exit code 0 if all was carried over, 2 if not all, 1 if nothing.
#[cfg(feature = "import")]
pub fn import(file: &Path) -> ExitCode {
    use crate::limits::CONFIG_BYTES_MAX;
    use std::fs::File;
    use std::io::{Read, Write};

    let shown = file.display();
    let mut yaml = Vec::new();
    let read = File::open(file).and_then(|opened| opened.take(CONFIG_BYTES_MAX + 1).read_to_end(&mut yaml));
    let absolute = match read.and_then(|_| std::path::absolute(file)) {
        Ok(absolute) => absolute,
        Err(cause) => {
            return super::refuse(&format!("{shown}: cannot be read ({cause}); name a file that this user may read"));
        }
    };
    let imported = match crate::import::import(&yaml, absolute.parent().unwrap_or(Path::new("/"))) {
        Ok(imported) => imported,
        Err(error) => return super::refuse(&format!("{shown}: {error}")),
    };
    for item in &imported.left_out {
        let what = if item.is_harmless { "not needed" } else { "not carried over" };
        eprintln!("{what}: {shown}:{}: {}: {}", item.line, item.key, item.reason);
    }
    if let Err(cause) = std::io::stdout().lock().write_all(imported.toml.as_bytes()) {
        return super::refuse(&format!("the TOML could not be written ({cause}); check where output goes"));
    }
    match imported.left_out.iter().all(|item| item.is_harmless) {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(PARTLY),
    }
}

#[cfg(not(feature = "import"))]
pub fn import(_file: &Path) -> ExitCode {
    super::refuse(&"this build was made without import; use one with the feature import, as a PC's has it")
}
