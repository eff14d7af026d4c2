//! A note shared by several users, each of which has entries by key: a few bytes that outlive the process.
//!
//! ```text
//!  4 FNV-1a, 32 bits, of the key │ 1 length, n │ n value │ the next entry ...     what was put last stands last
//! ```
//!
//! Refuses to know where the note is kept and what the values mean. Whatever is found is read: garbage is no entry.

use crate::limits::NOTE_BYTES_MAX;

/// The note as bytes.
pub type Note = heapless::Vec<u8, NOTE_BYTES_MAX>;

/// The key of the counts of lost samples, which make no room for anything: other entries can be learnt again.
pub const LOSSES_KEY: &str = "losses";

const KEY_BYTES: usize = 4;
const HEAD_BYTES: usize = KEY_BYTES + 1;

const _: () = assert!(NOTE_BYTES_MAX - HEAD_BYTES <= u8::MAX as usize);

/// The value that was put under this key last.
pub fn noted<'n>(note: &'n [u8], key: &str) -> Option<&'n [u8]> {
    entries(note).find(|(known, _)| *known == key_of(key)).map(|(_, entry)| &entry[HEAD_BYTES..])
}

/// The note with this value in place of the key's last one. Where there is no room, those go that were put longest ago, but
/// never that of [`LOSSES_KEY`]; a value that would have no room at all changes nothing.
pub fn with_noted(note: &[u8], key: &str, value: &[u8]) -> Note {
    let key = key_of(key);
    let entry_bytes = HEAD_BYTES + value.len();
    let others = || entries(note).filter(|(known, _)| *known != key);
    let is_pinned = |known: [u8; KEY_BYTES]| known == key_of(LOSSES_KEY);
    let pinned_bytes: usize = others().filter(|(known, _)| is_pinned(*known)).map(|(_, entry)| entry.len()).sum();
    if pinned_bytes + entry_bytes > NOTE_BYTES_MAX {
        return Note::from_slice(note).unwrap_or_default();
    }
    let all_bytes = others().map(|(_, entry)| entry.len()).sum::<usize>() + entry_bytes;
    let mut excess_bytes = all_bytes.saturating_sub(NOTE_BYTES_MAX);
    let mut changed = Note::new();
    for (known, entry) in others() {
        match excess_bytes {
            _ if is_pinned(known) => changed.extend(entry.iter().copied()),
            0 => changed.extend(entry.iter().copied()),
            _ => excess_bytes = excess_bytes.saturating_sub(entry.len()),
        }
    }
    changed.extend(key.iter().chain(&[value.len() as u8]).chain(value).copied());
    changed
}

fn key_of(key: &str) -> [u8; KEY_BYTES] {
    key.bytes().fold(0x811c_9dc5u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)).to_le_bytes()
}

/// Each entry's key, and all of its bytes; none if they do not come out even.
fn entries(note: &[u8]) -> impl Iterator<Item = ([u8; KEY_BYTES], &[u8])> {
    let whole = if split(note).last().is_some_and(|(_, rest)| rest.is_empty()) { note } else { &[] };
    split(whole).map(|(entry, _)| ([entry[0], entry[1], entry[2], entry[3]], entry))
}

/// Entry by entry, with what is behind it; ends where no whole one is.
fn split(mut note: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    std::iter::from_fn(move || {
        let len = HEAD_BYTES + usize::from(*note.get(KEY_BYTES)?);
        let (entry, rest) = note.split_at_checked(len)?;
        note = rest;
        Some((entry, rest))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_user_finds_what_it_put_there() {
        let note = with_noted(&[], "uplink", b"12345");
        let note = with_noted(&note, "protocol cloud", b"1");
        let note = with_noted(&note, "uplink", b"67");
        assert_eq!(noted(&note, "uplink"), Some(&b"67"[..]));
        assert_eq!(noted(&note, "protocol cloud"), Some(&b"1"[..]));
        assert_eq!(noted(&note, "protocol other"), None);
        assert_eq!(note.len(), 2 * HEAD_BYTES + 3);
    }

    #[test]
    fn what_was_put_longest_ago_makes_room() {
        let keys: Vec<String> = (0..30).map(|i| i.to_string()).collect();
        let note = keys.iter().fold(Note::new(), |note, key| with_noted(&note, key, b"12345"));
        let left: Vec<&String> = keys.iter().filter(|key| noted(&note, key).is_some()).collect();
        assert_eq!(left, keys[30 - NOTE_BYTES_MAX / 10..].iter().collect::<Vec<_>>());
    }

    #[test]
    fn counts_of_lost_samples_make_no_room_for_others() {
        let note = with_noted(&[], LOSSES_KEY, &[7; 100]);
        let keys: Vec<String> = (0..30).map(|i| i.to_string()).collect();
        let note = keys.iter().fold(note, |note, key| with_noted(&note, key, b"12345"));
        assert_eq!(noted(&note, LOSSES_KEY), Some(&[7; 100][..]));
        assert!(noted(&note, "29").is_some() && noted(&note, "0").is_none());
        assert_eq!(with_noted(&note, "large", &[1; 100]), note);
    }

    #[test]
    fn a_value_without_any_room_changes_nothing() {
        let note = with_noted(&[], "a", b"1");
        let full = with_noted(&note, "a", &[7; NOTE_BYTES_MAX - HEAD_BYTES]);
        assert_eq!(full.len(), NOTE_BYTES_MAX);
        assert_eq!(with_noted(&note, "a", &[7; NOTE_BYTES_MAX]), note);
        assert_eq!(with_noted(&note, "a", &[7; 300]), note);
    }

    #[test]
    fn a_note_that_is_cut_short_is_none() {
        let note = with_noted(&with_noted(&[], "a", b"123"), "b", b"4");
        for len in (0..note.len()).filter(|len| *len != HEAD_BYTES + 3) {
            assert_eq!((noted(&note[..len], "a"), noted(&note[..len], "b")), (None, None), "{len}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_found_can_be_read_and_put_to(garbage in prop::collection::vec(any::<u8>(), 0..300), len in 0usize..300) {
            let note = with_noted(&garbage, "a", &vec![1; len]);
            prop_assert_eq!(noted(&note, "a").is_some(), len <= NOTE_BYTES_MAX - HEAD_BYTES);
        }
    }
}
