//! `narthex import FILE`: Prometheus's configuration as Narthex's.

use std::path::Path;
use std::process::ExitCode;

/// What only a part of it was carried over is told by.
#[cfg(feature = "import")]
const PARTLY: u8 = 2;

/// TOML goes to stdout, what is left out to stderr. Exit code 0 if all was carried over, 2 if not all, 1 if nothing.
#[cfg(feature = "import")]
pub fn import(file: &Path) -> ExitCode {
    use std::io::Write;

    let shown = file.display();
    let read = read_bounded(file).and_then(|yaml| Ok((yaml, std::path::absolute(file)?)));
    let (yaml, absolute) = match read {
        Ok(read) => read,
        Err(cause) => {
            return super::refuse(&format!("{shown}: cannot be read ({cause}); name a file that this user may read"));
        }
    };
    let imported = match crate::import::import(&yaml, &absolute, &read_files) {
        Ok(imported) => imported,
        Err(error) => return super::refuse(&format!("{shown}: {error}")),
    };
    for item in &imported.left_out {
        let what = if item.is_harmless { "not needed" } else { "not carried over" };
        let file = if item.file == 0 { file.display() } else { imported.files[item.file].display() };
        eprintln!("{what}: {file}:{}: {}: {}", item.line, item.key, item.reason);
    }
    imported.hint.iter().for_each(|hint| eprintln!("hint: {hint}"));
    if let Err(cause) = std::io::stdout().lock().write_all(imported.toml.as_bytes()) {
        return super::output::output_failed(&cause);
    }
    match imported.left_out.iter().all(|item| item.is_harmless) {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(PARTLY),
    }
}

/// The bytes of a file, and at most one more than a configuration may have.
#[cfg(feature = "import")]
fn read_bounded(file: &Path) -> std::io::Result<Vec<u8>> {
    use crate::limits::CONFIG_BYTES_MAX;
    use std::io::Read;

    let mut bytes = Vec::new();
    std::fs::File::open(file)?.take(CONFIG_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The files that a pattern of `scrape_config_files` names, with what is in them.
#[cfg(feature = "import")]
fn read_files(pattern: &Path) -> Result<Vec<(std::path::PathBuf, Vec<u8>)>, String> {
    let (files, too_many) = crate::discovery::file::list_files(&[pattern.into()]);
    match too_many {
        Some(problem) => Err(problem),
        None => files
            .into_iter()
            .map(|file| {
                let content =
                    read_bounded(&file).map_err(|cause| format!("{}: cannot be read ({cause})", file.display()))?;
                Ok((file, content))
            })
            .collect(),
    }
}

#[cfg(not(feature = "import"))]
pub fn import(_file: &Path) -> ExitCode {
    super::refuse(&"this build was made without import; use one with the feature import, as a PC's has it")
}
