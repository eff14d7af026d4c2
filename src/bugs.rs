//! Deliberate bugs, for the power-cut suite to catch: `tests/deliberate-bugs` plants them one at a time.
//!
//! Only tests and fuzz targets can plant one. Anywhere else [`planted`] is `false` when the crate is compiled, and nothing is
//! left of the places that ask.

macro_rules! bugs {
    ($($(#[$what:meta])* $bug:ident,)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[cfg_attr(not(any(test, feature = "sim")), expect(dead_code, reason = "some are planted in the simulated flash"))]
        pub(crate) enum Bug {
            $($(#[$what])* $bug,)*
        }

        impl Bug {
            #[cfg(test)]
            pub const ALL: &[Bug] = &[$(Bug::$bug,)*];
        }
    };
}

bugs! {
    /// A frame's checksum says nothing of its segment, and its record numbers are not looked at either (alone each of the two
    /// is enough): an old lap's frame passes for a new one.
    UnsaltedCrc,
    /// A program is not synced.
    SkippedSync,
    /// A segment's first frame is synced, and its header is written only then.
    HeaderWrittenLate,
    /// The slot of a segment is its number modulo one slot fewer.
    WrapOffByOne,
    /// A full ring is taken to have room for one segment more.
    EvictionOffByOne,
    /// The second oldest segment is taken for the one that was given up.
    WrongSegmentEvicted,
    /// The last record number of the newest segment is given out again after a restart.
    ReusedRecordNumber,
    /// The first segment after each lap takes the number of the one before it.
    ReusedSegmentNumber,
    /// Opening takes the header in the highest slot for the newest.
    OldLapTakenForNew,
    /// Opening passes over the last frame of the newest segment.
    RecoveryStopsEarly,
    /// A frame is taken without a look at its checksum.
    BadFrameAccepted,
    /// A frame's padding is not added to the write offset.
    PaddingForgotten,
    /// A segment is not erased before it is written again.
    EraseForgotten,
    /// What an interrupted append left on raw flash is programmed again.
    DirtyTailReused,
    /// A segment that was begun and failed is forgotten: the next frame goes to the one before it.
    BegunSegmentForgotten,
    /// A segment that holds no frame is passed over by the next one, which takes a segment more from the backlog.
    EmptySegmentPassedOver,
    /// What a failed append left behind is read like any frame.
    GhostFrameRead,
    /// A new segment's header does not repeat acknowledgements.
    AcksNotCarriedForward,
    /// A new segment's header does not repeat the note.
    NoteNotCarriedForward,
    /// Opening reads acknowledgements in headers only.
    AcksInFramesIgnored,
    /// An acknowledgement is taken for written before it is synced.
    AckBeforeSync,
    /// Acknowledgements are stored under the next endpoint's name.
    AcksSwapped,
    /// A commit that failed is taken for done.
    CommittedBeforeSync,
    /// A cursor moves when records are handed out, not when they are acknowledged.
    CursorPastUnread,
    /// After a commit failed, the dictionary knows series that are on no flash.
    StaleDictionary,
    /// The dictionary of the segment before goes on in a new one.
    DictionaryKeptOverSegments,
    /// Giving up a segment is not counted.
    DropNotCounted,
    /// Giving up a segment is counted for one endpoint only.
    DropCountedOnce,
    /// Samples that can't be read back are passed over without a count.
    UnreadNotCounted,
    /// A page that is kept as several records loses the last of them.
    PartForgotten,
    /// What the write budget gives up is not counted.
    BudgetLossNotCounted,
    /// A ring that was carried over takes the other's place before it is synced.
    CarriedUnsynced,
    /// Records get other numbers when they are carried over, and acknowledgements keep theirs.
    CarriedAcksNotTranslated,
    /// A segment's first frame is put 512 bytes behind its header's start, whatever the program unit.
    HeaderUnitForgotten,
    /// A header that can't be read is taken for a blank one.
    UnreadableTakenForBlank,
    /// A place in the newest segment that can't be read is taken for its end.
    UnreadableFrameTakenForEnd,
    /// Commits go on in a segment that was found damaged.
    DamagedSegmentContinued,
    /// What can't be read back is counted again each time it is read.
    DamageCountedAgain,
    /// Counts of lost samples are not put into the note.
    LossesNotNoted,
}

#[cfg(not(any(test, feature = "sim")))]
pub(crate) const fn planted(_: Bug) -> bool {
    false
}

#[cfg(any(test, feature = "sim"))]
pub(crate) use planting::planted;

#[cfg(any(test, feature = "sim"))]
mod planting {
    use super::Bug;
    use std::cell::Cell;

    thread_local! {
        static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    pub(crate) fn planted(bug: Bug) -> bool {
        PLANTED.get() == Some(bug)
    }

    /// Runs something with a bug in this thread.
    #[cfg(test)]
    pub(crate) fn with_bug<T>(bug: Bug, run: impl FnOnce() -> T) -> T {
        PLANTED.set(Some(bug));
        let outcome = run();
        PLANTED.set(None);
        outcome
    }
}

#[cfg(test)]
pub(crate) use planting::with_bug;
