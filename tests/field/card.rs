//! Where the ring lies: a folder, or a file system of its own on a loop device, which can be read-only, full or frozen.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Size of the loop device's file system.
const IMAGE_SIZE: &str = "16M";

pub enum Card {
    Folder(PathBuf),
    /// As root only.
    Mounted {
        at: PathBuf,
    },
}

impl Card {
    pub fn folder(folder: &Path) -> Card {
        let at = folder.join("card");
        std::fs::create_dir(&at).unwrap();
        Card::Folder(at)
    }

    /// `None` if this machine or user may not mount.
    pub fn mounted(folder: &Path) -> Option<Card> {
        let (image, at) = (folder.join("card.image"), folder.join("card"));
        let image_text = image.to_str()?;
        run("truncate", &["-s", IMAGE_SIZE, image_text])?;
        run("mkfs.ext4", &["-q", "-O", "^has_journal", image_text])?;
        std::fs::create_dir(&at).ok()?;
        run("mount", &["-o", "loop", image_text, at.to_str()?])?;
        Some(Card::Mounted { at })
    }

    pub fn path(&self) -> &Path {
        match self {
            Card::Folder(at) | Card::Mounted { at } => at,
        }
    }

    pub fn ring(&self) -> PathBuf {
        self.path().join("ring")
    }

    pub fn set_read_only(&self, is_read_only: bool) {
        let mode = if is_read_only { "remount,ro" } else { "remount,rw" };
        self.change("mount", &["-o", mode]);
    }

    /// Writes and syncs block until it thaws.
    pub fn freeze(&self) {
        self.change("fsfreeze", &["-f"]);
    }

    pub fn thaw(&self) {
        self.change("fsfreeze", &["-u"]);
    }

    fn change(&self, command: &str, words: &[&str]) {
        let Card::Mounted { at } = self else { return };
        let words: Vec<&str> = words.iter().copied().chain(at.to_str()).collect();
        assert!(run(command, &words).is_some(), "{command} {words:?} failed");
    }
}

impl Drop for Card {
    fn drop(&mut self) {
        if let Card::Mounted { at } = self {
            // Either may not be so any more.
            _ = Command::new("fsfreeze").arg("-u").arg(&*at).stderr(std::process::Stdio::null()).status();
            _ = Command::new("umount").arg("-l").arg(&*at).status();
        }
    }
}

fn run(command: &str, words: &[&str]) -> Option<()> {
    Command::new(command).args(words).status().ok()?.success().then_some(())
}
