//! Base64, read as Go does (`encoding/base64`, `StdEncoding`): line breaks do not count, and an error tells its place.

/// Reads a text; its error is the place of the first mistake (bytes).
pub(super) fn decode(text: &str) -> Result<Vec<u8>, usize> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len() / 4 * 3 + 3);
    let (mut bits, mut count) = (0_u32, 0_usize);
    let mut places = bytes.iter().copied().enumerate().filter(|(_, byte)| !matches!(byte, b'\r' | b'\n'));
    while let Some((at, byte)) = places.next() {
        if byte == b'=' {
            match (count, places.next()) {
                (0 | 1, _) => return Err(at),
                (2, None) => return Err(bytes.len()),
                (2, Some((second, byte))) if byte != b'=' => return Err(second - 1),
                (2, _) => {}
                (_, Some((behind, _))) => return Err(behind),
                (_, None) => {}
            }
            if let Some((behind, _)) = places.next() {
                return Err(behind);
            }
            push(&mut out, bits << (6 * (4 - count)), count - 1);
            return Ok(out);
        }
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return Err(at),
        };
        bits = bits << 6 | u32::from(value);
        count += 1;
        if count == 4 {
            push(&mut out, bits, 3);
            (bits, count) = (0, 0);
        }
    }
    match count {
        0 => Ok(out),
        // A group that is not complete begins where the mistake is.
        _ => Err(bytes.len() - count),
    }
}

/// Adds the first bytes of a group of three.
fn push(out: &mut Vec<u8>, bits: u32, count: usize) {
    let [_, group @ ..] = bits.to_be_bytes();
    out.extend(group.iter().take(count));
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    #[test]
    fn mistakes_have_places() {
        for (text, expected) in [
            ("", Ok("")),
            ("eCB5", Ok("x y")),
            ("eCB5\r\neA==\n", Ok("x yx")),
            ("eA==", Ok("x")),
            ("eB==", Ok("x")),
            ("!!==", Err(0)),
            ("eC!5", Err(2)),
            ("eCB5e", Err(4)),
            ("=", Err(0)),
            ("e===", Err(1)),
            ("eA=", Err(3)),
            ("eA=x", Err(2)),
            ("eA==x", Err(4)),
            ("eCA=x", Err(4)),
        ] {
            let got = decode(text).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            assert_eq!(got.as_deref().map_err(|at| *at), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(bytes in any::<Vec<u8>>()) {
            prop_assert_eq!(decode(&STANDARD.encode(&bytes)), Ok(bytes));
        }

        #[test]
        fn any_text_ends(text in "[A-Za-z0-9+/=\n!]{0,20}") {
            let _ = decode(&text);
        }
    }
}
