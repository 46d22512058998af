//! The number of the transaction that a text is about, which wal2json may have been asked for on our behalf and not the client's.

/// Reads the number that stands at `start`, and takes it out if nobody wants to see it. None where there is none, or not any more.
pub(super) fn take(frame: &mut Vec<u8>, start: usize, is_wanted: bool) -> Option<u32> {
    const MEMBER: &[u8] = b"\"xid\":";
    let rest = frame.get(start..)?.strip_prefix(MEMBER)?;
    let length = rest.iter().position(|byte| *byte == b',')?;
    let xid = std::str::from_utf8(rest.get(..length)?).ok()?.parse().ok();
    if !is_wanted {
        frame.drain(start..start + MEMBER.len() + length + 1);
    }
    xid
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn it_is_taken_out_where_it_is_not_wanted() {
        let taken = |text: &str, start: usize, is_wanted: bool| {
            let mut frame = text.as_bytes().to_vec();
            (take(&mut frame, start, is_wanted), String::from_utf8(frame).unwrap())
        };
        let one = r#"{"xid":741,"nextlsn":"0/1","change":[]}"#;
        assert_eq!(taken(one, 1, true), (Some(741), one.to_owned()));
        assert_eq!(taken(one, 1, false), (Some(741), String::from(r#"{"nextlsn":"0/1","change":[]}"#)));
        let two = r#"{"action":"M","xid":null,"lsn":"0/1"}"#;
        assert_eq!(taken(two, 14, false), (None, String::from(r#"{"action":"M","lsn":"0/1"}"#)));
        assert_eq!(taken(r#"{"change":[]}"#, 1, false), (None, String::from(r#"{"change":[]}"#)));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(mut bytes: Vec<u8>, start in 0usize..20) {
            let _ = take(&mut bytes, start, false);
        }
    }
}
