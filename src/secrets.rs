//! Text that stands in the configuration or in a file: passwords, tokens, keys and certificates.
//!
//! A file is read again when it changes, so that what is renewed is taken up without a restart. Whether it did is asked of
//! its metadata, one call for each use. Refuses to know what the text is for. No error here shows it.

use crate::clock::system_time;
use crate::limits::{CA_FILE_BYTES_MAX, SECRET_BYTES_MAX};
use crate::model::Secret;
use std::cell::RefCell;
use std::fmt;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, UNIX_EPOCH};

/// A file that changed less than this ago may change again without its metadata showing it: file systems keep coarse time.
const SETTLED_AFTER: Duration = Duration::from_secs(2);

/// A text in the configuration, or in a file that may change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    Inline(Secret),
    File(PathBuf),
}

/// What a text is, which decides how it is held to bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextKind {
    /// Must not be writable by others: who can write it can have another's secret used.
    Secret,
    /// Certificates, which everybody may see; up to [`CA_FILE_BYTES_MAX`].
    Certificates,
}

/// Why there is no text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretError {
    Unreadable {
        path: PathBuf,
        cause: String,
    },
    /// Others could put a secret of theirs into the file, and have samples sent in their name.
    WritableByOthers {
        path: PathBuf,
        mode: u32,
    },
    TooLong {
        path: PathBuf,
        bytes_max: u64,
    },
    NotText {
        path: PathBuf,
    },
    Empty {
        path: PathBuf,
    },
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretError::Unreadable { path, cause } => {
                write!(f, "can't read {path:?}: {cause}; check the path and who may read it")
            }
            SecretError::WritableByOthers { path, mode } => {
                write!(f, "others may write the secret in {path:?} (mode {mode:04o}); run: chmod go-w {path:?}")
            }
            SecretError::TooLong { path, bytes_max } => {
                write!(f, "{path:?} is longer than {bytes_max} bytes; check the path")
            }
            SecretError::NotText { path } => write!(f, "{path:?} is not UTF-8 text; check the path"),
            SecretError::Empty { path } => write!(f, "{path:?} is empty; write there what belongs into it"),
        }
    }
}

impl std::error::Error for SecretError {}

/// Reads one source again and again.
#[derive(Debug)]
pub struct SecretReader {
    source: SecretSource,
    kind: TextKind,
    held: RefCell<Option<Held>>,
}

#[derive(Debug)]
struct Held {
    /// None where the file was too young to be known by it.
    stamp: Option<Stamp>,
    text: Rc<Secret>,
}

/// What changes when a file does.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size_bytes: u64,
    mode: u32,
    changed: (i64, i64),
    modified: (i64, i64),
}

impl SecretReader {
    pub fn new(source: SecretSource, kind: TextKind) -> Self {
        SecretReader { source, kind, held: RefCell::new(None) }
    }

    /// The text, without white space around it, as in Prometheus: editors add a line's end. The same `Rc` as long as it is
    /// the same text.
    pub fn read(&self) -> Result<Rc<Secret>, SecretError> {
        let mut held = self.held.borrow_mut();
        let path = match (&self.source, &*held) {
            (SecretSource::Inline(_), Some(held)) => return Ok(held.text.clone()),
            (SecretSource::Inline(secret), None) => {
                let text = Rc::new(secret.clone());
                *held = Some(Held { stamp: None, text: text.clone() });
                return Ok(text);
            }
            (SecretSource::File(path), _) => path,
        };
        if let Some(Held { stamp: Some(stamp), text }) = &*held
            && fs::metadata(path).is_ok_and(|metadata| Stamp::of(&metadata) == *stamp)
        {
            return Ok(text.clone());
        }
        let (text, metadata) = read_file(path, self.kind)?;
        let text = match held.take() {
            Some(held) if *held.text == text => held.text,
            _ => Rc::new(text),
        };
        let stamp = is_settled(&metadata).then(|| Stamp::of(&metadata));
        *held = Some(Held { stamp, text: text.clone() });
        Ok(text)
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Stamp {
        Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            size_bytes: metadata.size(),
            mode: metadata.mode(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

fn is_settled(metadata: &Metadata) -> bool {
    // Before 1970 is after 2038 where times of files have 32 bits: it can't be told how old the change is.
    let Ok(changed_s) = u64::try_from(metadata.ctime()) else { return false };
    system_time().duration_since(UNIX_EPOCH + Duration::from_secs(changed_s)).is_ok_and(|age| age > SETTLED_AFTER)
}

fn read_file(path: &Path, kind: TextKind) -> Result<(Secret, Metadata), SecretError> {
    let unreadable = |cause: io::Error| SecretError::Unreadable { path: path.into(), cause: cause.to_string() };
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    let mode = metadata.permissions().mode() & 0o7777;
    let bytes_max = match kind {
        TextKind::Secret if mode & 0o022 != 0 => {
            return Err(SecretError::WritableByOthers { path: path.into(), mode });
        }
        TextKind::Secret => SECRET_BYTES_MAX,
        TextKind::Certificates => CA_FILE_BYTES_MAX,
    };
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > bytes_max {
        return Err(SecretError::TooLong { path: path.into(), bytes_max });
    }
    let text = String::from_utf8(bytes).map_err(|_| SecretError::NotText { path: path.into() })?;
    match text.trim() {
        "" => Err(SecretError::Empty { path: path.into() }),
        trimmed => Ok((Secret::new(trimmed), metadata)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_with(content: &[u8], mode: u32) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (dir, path)
    }

    fn read(reader: &SecretReader) -> Result<String, String> {
        reader.read().map(|text| text.expose().to_owned()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_file_is_read_anew_when_it_changes() {
        let (dir, path) = file_with(b"  first\n", 0o600);
        let reader = SecretReader::new(SecretSource::File(path.clone()), TextKind::Secret);
        assert_eq!(read(&reader), Ok("first".into()));
        // Of the same length, at once, in place.
        fs::write(&path, "  other\n").unwrap();
        assert_eq!(read(&reader), Ok("other".into()));
        // As secrets are swapped by those who mount them: another file under the same name.
        fs::write(dir.path().join("new"), "third\r\n").unwrap();
        fs::rename(dir.path().join("new"), &path).unwrap();
        assert_eq!(read(&reader), Ok("third".into()));
        fs::remove_file(&path).unwrap();
        assert!(read(&reader).unwrap_err().contains("check the path"), "a secret that is withdrawn is not used");
    }

    #[test]
    fn a_text_that_stays_is_the_same_one() {
        let (_dir, path) = file_with(b"token", 0o600);
        let reader = SecretReader::new(SecretSource::File(path.clone()), TextKind::Secret);
        let first = reader.read().unwrap();
        fs::write(&path, "token\n").unwrap();
        assert!(Rc::ptr_eq(&first, &reader.read().unwrap()), "though the file was read again");
        let inline = SecretReader::new(SecretSource::Inline(Secret::new(" x ")), TextKind::Secret);
        assert_eq!(read(&inline), Ok(" x ".into()), "white space of an inline secret belongs to it");
        assert!(Rc::ptr_eq(&inline.read().unwrap(), &inline.read().unwrap()));
    }

    #[test]
    fn a_file_that_stays_is_not_read_again() {
        let (_dir, path) = file_with(b"token", 0o600);
        let reader = SecretReader::new(SecretSource::File(path.clone()), TextKind::Secret);
        reader.read().unwrap();
        let stamp = Stamp::of(&fs::metadata(&path).unwrap());
        *reader.held.borrow_mut() = Some(Held { stamp: Some(stamp), text: Rc::new(Secret::new("held")) });
        assert_eq!(read(&reader), Ok("held".into()));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o602)).unwrap();
        assert!(read(&reader).unwrap_err().contains("chmod go-w"), "and its mode is looked at each time");
    }

    #[test]
    fn a_file_that_is_not_fit_is_refused_with_what_to_do() {
        let long = vec![b'x'; SECRET_BYTES_MAX as usize + 1];
        for (content, mode, said) in [
            (&b"hunter2"[..], 0o620, "chmod go-w"),
            (b"hunter2", 0o602, "chmod go-w"),
            (b" \n", 0o600, "is empty"),
            (b"\xff\xfe", 0o600, "not UTF-8"),
            (&long, 0o600, "longer than"),
        ] {
            let (_dir, path) = file_with(content, mode);
            let error = read(&SecretReader::new(SecretSource::File(path), TextKind::Secret)).unwrap_err();
            assert!(error.contains(said) && !error.contains("hunter"), "{error}");
        }
        let (_dir, path) = file_with(b"PEM", 0o666);
        assert_eq!(read(&SecretReader::new(SecretSource::File(path), TextKind::Certificates)), Ok("PEM".into()));
    }
}
