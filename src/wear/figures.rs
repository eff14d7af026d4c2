//! What the kernel's files say, parsed. Whatever is missing or not understood is `None`: these are figures, not decisions.

use std::fmt;

/// A storage's own account of its wear.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// 512-byte sectors written to the partition or disk since the machine started, by all programs and the file system.
    pub sectors_written: Option<u64>,
    pub emmc: Option<EmmcLife>,
    pub ubi: Option<UbiWear>,
}

/// An eMMC's own estimate (JEDEC eMMC 5.0: DEVICE_LIFE_TIME_EST_TYP_A and _B, PRE_EOL_INFO).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmmcLife {
    /// Tenths of the rated life that are used, rounded up, for memory of type A (usually SLC) and B (MLC or TLC);
    /// 11: more than all of it. `None`: the device does not say.
    pub tenths_used: [Option<u8>; 2],
    pub reserve: Option<Reserve>,
}

/// How much is left of the blocks that replace worn-out ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reserve {
    Normal,
    /// 80 % are used.
    Warning,
    /// 90 % are used.
    Urgent,
}

/// What UBI keeps of raw NAND.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UbiWear {
    /// Erases of the block that was erased most often.
    pub max_erases: u64,
    pub bad_blocks: Option<u64>,
}

/// From `stat` of a block device: the seventh field (Documentation/block/stat.rst).
pub(super) fn sectors_written(stat: &str) -> Option<u64> {
    stat.split_whitespace().nth(6)?.parse().ok()
}

impl EmmcLife {
    /// From `life_time` (`0x01 0x02`) and `pre_eol_info` (`0x01`). `None`: neither says anything.
    pub(super) fn parse(life_time: &str, pre_eol_info: &str) -> Option<EmmcLife> {
        let mut tenths = life_time.split_whitespace().map(hex_byte);
        let mut next = || tenths.next().flatten().filter(|tenths| (1..=11).contains(tenths));
        let reserve = match hex_byte(pre_eol_info.trim()) {
            Some(1) => Some(Reserve::Normal),
            Some(2) => Some(Reserve::Warning),
            Some(3) => Some(Reserve::Urgent),
            _ => None,
        };
        let life = EmmcLife { tenths_used: [next(), next()], reserve };
        (life.tenths_used != [None, None] || life.reserve.is_some()).then_some(life)
    }

    /// Whether it is time to think of a replacement.
    pub fn is_near_its_end(&self) -> bool {
        self.tenths_used.iter().flatten().any(|tenths| *tenths >= 10)
            || matches!(self.reserve, Some(Reserve::Warning | Reserve::Urgent))
    }
}

impl UbiWear {
    /// From `max_ec` and `bad_peb_count`.
    pub(super) fn parse(max_ec: &str, bad_peb_count: &str) -> Option<UbiWear> {
        Some(UbiWear { max_erases: max_ec.trim().parse().ok()?, bad_blocks: bad_peb_count.trim().parse().ok() })
    }
}

fn hex_byte(text: &str) -> Option<u8> {
    u8::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

impl fmt::Display for EmmcLife {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        for (kind, tenths) in ["A", "B"].iter().zip(self.tenths_used) {
            match tenths {
                None => continue,
                Some(11..) => write!(f, "{comma}type {kind} is past its rated life")?,
                Some(tenths) => write!(f, "{comma}type {kind} {}-{} % used", (tenths - 1) * 10, tenths * 10)?,
            }
            comma = ", ";
        }
        match self.reserve {
            None => Ok(()),
            Some(Reserve::Normal) => write!(f, "{comma}reserve normal"),
            Some(Reserve::Warning) => write!(f, "{comma}80 % of the reserve used"),
            Some(Reserve::Urgent) => write!(f, "{comma}90 % of the reserve used"),
        }
    }
}

impl fmt::Display for UbiWear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} erases of the most worn block", self.max_erases)?;
        self.bad_blocks.map_or(Ok(()), |bad| write!(f, ", {bad} bad blocks"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sectors_written_are_the_seventh_field() {
        let stat =
            "  574236    41757 21245538   916638    96633   184360 52597920   208958        0    61776  1136040\n";
        assert_eq!(sectors_written(stat), Some(52_597_920));
        for stat in ["", "1 2 3 4 5 6", "1 2 3 4 5 6 x"] {
            assert_eq!(sectors_written(stat), None, "{stat:?}");
        }
    }

    #[test]
    fn what_an_emmc_says_of_itself() {
        for (life_time, pre_eol, shown, is_near_its_end) in [
            ("0x01 0x02\n", "0x01\n", "type A 0-10 % used, type B 10-20 % used, reserve normal", false),
            ("0x00 0x0a\n", "0x00\n", "type B 90-100 % used", true),
            ("0x0b 0x01\n", "0x01\n", "type A is past its rated life, type B 0-10 % used, reserve normal", true),
            ("", "0x02\n", "80 % of the reserve used", true),
            ("0x03 0x03", "0x03", "type A 20-30 % used, type B 20-30 % used, 90 % of the reserve used", true),
        ] {
            let life = EmmcLife::parse(life_time, pre_eol).unwrap();
            assert_eq!((life.to_string().as_str(), life.is_near_its_end()), (shown, is_near_its_end));
        }
        for (life_time, pre_eol) in [("", ""), ("0x00 0x00\n", "0x00\n"), ("1 2", "1"), ("0xff 0x0c", "0x04")] {
            assert_eq!(EmmcLife::parse(life_time, pre_eol), None, "{life_time:?} {pre_eol:?}");
        }
    }

    #[test]
    fn what_ubi_says_of_raw_nand() {
        assert_eq!(
            UbiWear::parse("1234\n", "2\n").unwrap().to_string(),
            "1234 erases of the most worn block, 2 bad blocks"
        );
        assert_eq!(UbiWear::parse("7\n", ""), Some(UbiWear { max_erases: 7, bad_blocks: None }));
        assert_eq!(UbiWear::parse("", "2"), None);
    }
}
