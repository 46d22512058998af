//! Positions in the write-ahead log.

use std::fmt;
use std::str::FromStr;

/// A log sequence number: a byte position in the write-ahead log, written `X/X` in hexadecimal.
///
/// Never built by arithmetic: every value came from the server, from a client that got it from us, or from our registry.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(u64);

/// What was given is not `X/X`: one to eight hexadecimal digits on each side of a slash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a log sequence number: expected two hexadecimal numbers of up to eight digits, like 0/170FCB0")]
pub struct InvalidLsn;

impl Lsn {
    /// `0/0`: before everything. START_REPLICATION takes it as "from the confirmed position".
    pub const ZERO: Self = Self(0);

    /// The position as the wire carries it.
    pub fn to_u64(self) -> u64 {
        self.0
    }

    /// Writes it at the end of a text, as it is displayed, without the detour over a formatter: there are some in each event.
    pub fn write(self, out: &mut Vec<u8>) {
        write_hexadecimal(self.0 >> 32, out);
        out.push(b'/');
        write_hexadecimal(self.0 & 0xFFFF_FFFF, out);
    }
}

fn write_hexadecimal(number: u64, out: &mut Vec<u8>) {
    let digits = (u64::BITS - (number | 1).leading_zeros()).div_ceil(4);
    out.extend((0..digits).rev().map(|place| {
        let [digit, ..] = (number >> (4 * place)).to_le_bytes();
        match digit & 0xF {
            digit @ ..10 => b'0' + digit,
            digit => b'A' - 10 + digit,
        }
    }));
}

impl From<u64> for Lsn {
    fn from(position: u64) -> Self {
        Self(position)
    }
}

impl FromStr for Lsn {
    type Err = InvalidLsn;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (high, low) = text.split_once('/').ok_or(InvalidLsn)?;
        Ok(Self(half(high)? << 32 | half(low)?))
    }
}

fn half(digits: &str) -> Result<u64, InvalidLsn> {
    if !(1..=8).contains(&digits.len()) {
        return Err(InvalidLsn);
    }
    let number = digits.chars().try_fold(0, |number, digit| Some(number << 4 | u64::from(digit.to_digit(16)?)));
    number.ok_or(InvalidLsn)
}

impl fmt::Display for Lsn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

impl fmt::Debug for Lsn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_round_trips(bits: u64, shift in 0u32..64) {
            let lsn = Lsn::from(bits >> shift);
            prop_assert_eq!(lsn.to_string().parse(), Ok(lsn));
            let mut written = vec![];
            lsn.write(&mut written);
            prop_assert_eq!(String::from_utf8(written).unwrap(), lsn.to_string());
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = text.parse::<Lsn>();
        }
    }

    #[test]
    fn reads_what_postgres_writes() {
        assert_eq!("0/170FCB0".parse(), Ok(Lsn::from(0x0170_FCB0)));
        assert_eq!("16/B374D848".parse(), Ok(Lsn::from(0x16_B374_D848)));
        assert_eq!("ffffffff/FFFFFFFF".parse(), Ok(Lsn::from(u64::MAX)));
    }

    #[test]
    fn refuses_everything_else() {
        for text in ["", "/", "0", "0/", "/0", "0/0/0", "123456789/0", "0/123456789", "0/-1", "+1/0", " 0/1", "0/1 ", "0/g"] {
            assert_eq!(text.parse::<Lsn>(), Err(InvalidLsn), "{text:?}");
        }
    }
}
