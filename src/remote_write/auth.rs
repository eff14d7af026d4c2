//! A secret becomes an `Authorization` header. Files are read at each use, so that a renewed token is taken up without
//! a restart. No error here shows what a secret is.

use super::options::{Auth, SecretSource};
use crate::limits::SECRET_BYTES_MAX;
use crate::model::Secret;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use ureq::http::HeaderValue;

/// Why there is no header to send.
#[derive(Debug)]
pub enum AuthError {
    Unreadable {
        path: PathBuf,
        cause: io::Error,
    },
    /// Others could put a secret of theirs into the file, and have samples sent in their name.
    WritableByOthers {
        path: PathBuf,
        mode: u32,
    },
    TooLong {
        path: PathBuf,
    },
    NotText {
        path: PathBuf,
    },
    Empty {
        path: PathBuf,
    },
    /// A control character, which no header may hold.
    NotAHeader,
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AuthError::Unreadable { path, cause } => {
                write!(f, "can't read the secret in {path:?}: {cause}; check the path and who may read it")
            }
            AuthError::WritableByOthers { path, mode } => {
                write!(f, "others may write the secret in {path:?} (mode {mode:04o}); run: chmod go-w {path:?}")
            }
            AuthError::TooLong { path } => {
                write!(f, "the secret in {path:?} is longer than {SECRET_BYTES_MAX} bytes; check the path")
            }
            AuthError::NotText { path } => write!(f, "the secret in {path:?} is not UTF-8 text; check the path"),
            AuthError::Empty { path } => write!(f, "there is no secret in {path:?}: the file is empty; write it there"),
            AuthError::NotAHeader => {
                f.write_str("the password or credentials hold a character that no header may hold; remove it")
            }
        }
    }
}

impl std::error::Error for AuthError {}

/// A header to send, and the texts that nobody else may see.
pub struct AuthHeader {
    pub value: HeaderValue,
    pub secrets: Vec<Secret>,
}

/// The value of `Authorization`; None if the endpoint asks for none.
pub fn auth_header(auth: &Auth) -> Result<Option<AuthHeader>, AuthError> {
    let (text, secret) = match auth {
        Auth::None => return Ok(None),
        Auth::Basic { username, password } => {
            let password = read_secret(password)?;
            let encoded = base64(format!("{username}:{}", password.expose()).as_bytes());
            (format!("Basic {encoded}"), vec![Secret::new(encoded), password])
        }
        Auth::Header { kind, credentials } => {
            let credentials = read_secret(credentials)?;
            (format!("{kind} {}", credentials.expose()), vec![credentials])
        }
    };
    let mut value = HeaderValue::from_str(&text).map_err(|_| AuthError::NotAHeader)?;
    value.set_sensitive(true);
    Ok(Some(AuthHeader { value, secrets: secret }))
}

/// White space around the text in a file does not belong to it, as in Prometheus: editors add a line's end.
fn read_secret(source: &SecretSource) -> Result<Secret, AuthError> {
    match source {
        SecretSource::Inline(secret) => Ok(secret.clone()),
        SecretSource::File(path) => read_secret_file(path),
    }
}

fn read_secret_file(path: &Path) -> Result<Secret, AuthError> {
    let unreadable = |cause| AuthError::Unreadable { path: path.into(), cause };
    let file = File::open(path).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.permissions().mode() & 0o7777;
    if mode & 0o022 != 0 {
        return Err(AuthError::WritableByOthers { path: path.into(), mode });
    }
    let mut bytes = Vec::new();
    file.take(SECRET_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > SECRET_BYTES_MAX {
        return Err(AuthError::TooLong { path: path.into() });
    }
    let text = String::from_utf8(bytes).map_err(|_| AuthError::NotText { path: path.into() })?;
    match text.trim() {
        "" => Err(AuthError::Empty { path: path.into() }),
        trimmed => Ok(Secret::new(trimmed)),
    }
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let filled = digit <= group.len();
            text.push(if filled { DIGITS[(bits >> (18 - 6 * digit)) as usize & 63] as char } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn file_with(content: &[u8], mode: u32) -> (tempfile::TempDir, SecretSource) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (dir, SecretSource::File(path))
    }

    fn bearer(credentials: SecretSource) -> Result<String, String> {
        match auth_header(&Auth::Header { kind: "Bearer".into(), credentials }) {
            Ok(header) => Ok(header.unwrap().value.to_str().unwrap().into()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn basic_auth_is_as_in_rfc_7617() {
        let password = SecretSource::Inline(Secret::new("open sesame"));
        let header = auth_header(&Auth::Basic { username: "Aladdin".into(), password }).unwrap().unwrap();
        assert_eq!(header.value, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert!(!format!("{:?}", header.value).contains("QWxh"), "not shown by accident");
    }

    #[test]
    fn base64_is_as_in_rfc_4648() {
        for (plain, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE=")]
        {
            assert_eq!(base64(plain.as_bytes()), text);
        }
    }

    #[test]
    fn a_secret_in_a_file_is_read_anew_each_time() {
        let (_dir, source) = file_with(b"  first\n", 0o600);
        assert_eq!(bearer(source.clone()), Ok("Bearer first".into()));
        let SecretSource::File(path) = &source else { unreachable!() };
        fs::write(path, "second\r\n").unwrap();
        assert_eq!(bearer(source), Ok("Bearer second".into()));
    }

    #[test]
    fn a_file_that_is_not_fit_for_a_secret_is_refused_with_what_to_do() {
        let long = vec![b'x'; SECRET_BYTES_MAX as usize + 1];
        for (content, mode, said) in [
            (&b"hunter2"[..], 0o620, "chmod go-w"),
            (b"hunter2", 0o602, "chmod go-w"),
            (b" \n", 0o600, "is empty"),
            (b"\xff\xfe", 0o600, "not UTF-8"),
            (&long, 0o600, "longer than"),
            (b"hunter2\nhunter3", 0o600, "character"),
        ] {
            let (_dir, source) = file_with(content, mode);
            let error = bearer(source).unwrap_err();
            assert!(error.contains(said), "{error}");
            assert!(!error.contains("hunter"), "{error}");
        }
        let missing = bearer(SecretSource::File("/nowhere/secret".into())).unwrap_err();
        assert!(missing.contains("check the path"), "{missing}");
    }
}
