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
    let well_formed = (1..=8).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !well_formed {
        return Err(InvalidLsn);
    }
    u64::from_str_radix(digits, 16).map_err(|_| InvalidLsn)
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
        fn text_round_trips(position: u64) {
            let lsn = Lsn::from(position);
            prop_assert_eq!(lsn.to_string().parse(), Ok(lsn));
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
