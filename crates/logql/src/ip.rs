//! Addresses in lines: `ip("192.168.0.0/16")` (grafana/loki, `pkg/logql/log/ip.go`).

use std::net::IpAddr;

/// A range of addresses of one family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IpRange {
    first: IpAddr,
    last: IpAddr,
}

impl IpRange {
    /// Reads `192.168.0.1`, `192.168.0.0/16` or `192.168.0.1-192.168.0.9`, in both families.
    pub(crate) fn parse(text: &str) -> Option<IpRange> {
        if let Ok(address) = text.parse() {
            return Some(IpRange { first: address, last: address });
        }
        if let Some((address, bits)) = text.split_once('/') {
            return IpRange::network(address.parse().ok()?, bits);
        }
        let (first, last) = text.split_once('-')?;
        let range = IpRange { first: first.parse().ok()?, last: last.parse().ok()? };
        (range.first.is_ipv4() == range.last.is_ipv4() && range.first <= range.last).then_some(range)
    }

    /// A range of which nothing counts.
    pub(crate) fn unread() -> IpRange {
        let none = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
        IpRange { first: none, last: none }
    }

    fn network(address: IpAddr, bits: &str) -> Option<IpRange> {
        let plain = bits.bytes().all(|b| b.is_ascii_digit()) && (bits == "0" || !bits.starts_with('0'));
        let bits: u32 = bits.parse().ok().filter(|_| plain)?;
        Some(match address {
            IpAddr::V4(address) => {
                let host = u32::MAX.checked_shr(bits).unwrap_or(0);
                let base = address.to_bits() & !host;
                let range = (bits <= u32::BITS).then_some((base, base | host))?;
                IpRange { first: IpAddr::V4(range.0.into()), last: IpAddr::V4(range.1.into()) }
            }
            IpAddr::V6(address) => {
                let host = u128::MAX.checked_shr(bits).unwrap_or(0);
                let base = address.to_bits() & !host;
                let range = (bits <= u128::BITS).then_some((base, base | host))?;
                IpRange { first: IpAddr::V6(range.0.into()), last: IpAddr::V6(range.1.into()) }
            }
        })
    }

    /// Whether an address is in the range.
    fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.first.is_ipv4() && self.first <= address && address <= self.last
    }

    /// Whether a line holds an address of the range. Addresses are found by their first characters, as Loki finds them, so this
    /// misses the same addresses.
    pub(crate) fn is_in(&self, line: &str) -> bool {
        let bytes = line.as_bytes();
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let charset: &[u8] = if is_ipv4_hint(rest) {
                b"0123456789."
            } else if is_ipv6_hint(rest) {
                b"0123456789abcdefABCDEF:."
            } else {
                at += 1;
                continue;
            };
            let length = rest.iter().take_while(|byte| charset.contains(byte)).count();
            let address = line.get(at..at + length).and_then(|text| text.parse().ok());
            if address.is_some_and(|address| self.contains(address)) {
                return true;
            }
            at += length + 1;
        }
        false
    }
}

/// A digit and, not far behind, a dot.
fn is_ipv4_hint(rest: &[u8]) -> bool {
    matches!(rest, [digit, a, b, c, ..] if digit.is_ascii_digit() && [a, b, c].contains(&&b'.'))
}

/// One to four hexadecimal digits and a colon, or two colons and a digit.
fn is_ipv6_hint(rest: &[u8]) -> bool {
    let digits = rest.iter().take(4).take_while(|byte| byte.is_ascii_hexdigit()).count();
    match rest {
        [b':', b':', digit, ..] => digit.is_ascii_hexdigit(),
        _ => digits > 0 && rest.get(digits) == Some(&b':'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines() {
        for (range, line, expected) in [
            ("192.0.2.7", "from 192.0.2.7 port 22", true),
            ("192.0.2.7", "from 192.0.2.70 port 22", false),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "", false),
            ("192.0.2.7", "192.0.2.7.", false),
            ("192.0.2.7", "é192.0.2.7:80", true),
            ("192.0.2.0/24", "a 192.0.3.1, b 192.0.2.255", true),
            ("192.0.2.0/24", "192.0.3.0", false),
            ("192.0.2.9/24", "192.0.2.1", true),
            ("0.0.0.0/0", "1.2.3.4", true),
            ("0.0.0.0/0", "1.2.3", false),
            ("0.0.0.0/0", "01.2.3.4", false),
            ("192.0.2.1/32", "192.0.2.2", false),
            ("192.0.2.5-192.0.2.9", "192.0.2.9", true),
            ("192.0.2.5-192.0.2.9", "192.0.2.10", false),
            ("2001:db8::1", "[2001:db8::1]:443", true),
            ("2001:db8::/32", "client=2001:db8:1::9", true),
            ("2001:db8::/32", "client=2001:db9::9", false),
            ("::1", "at ::1", true),
            ("::/0", "10.0.0.1", false),
            ("::ffff:10.0.0.1", "10.0.0.1", false),
            ("fe80::1-fe80::9", "fe80::5", true),
        ] {
            let range = IpRange::parse(range).unwrap();
            assert_eq!(range.is_in(line), expected, "{range:?} in {line}");
        }
    }

    #[test]
    fn no_ranges() {
        for text in [
            "",
            "a",
            "1.2.3",
            "1.2.3.256",
            "01.2.3.4",
            "1.2.3.4/33",
            "1.2.3.4/",
            "1.2.3.4/+8",
            "1.2.3.4/08",
            "::/129",
            "1.2.3.4-",
            "1.2.3.4-1.2.3.3",
            "1.2.3.4-::1",
            "1.2.3.4 - 1.2.3.9",
            "/8",
            "-",
        ] {
            assert_eq!(IpRange::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn an_address_is_found(address: std::net::IpAddr, before in "[g-z =\\[]{0,9}", after in "[ ,\\]g-z].*") {
            let range = IpRange::parse(&address.to_string()).unwrap();
            let line = format!("{before}{address}{after}");
            prop_assert!(range.is_in(&line));
        }

        #[test]
        fn any_text_and_line_will_do(text in any::<String>(), line in any::<String>()) {
            let _ = IpRange::parse(&text);
            let all = IpRange::parse("0.0.0.0/0").unwrap();
            let _ = all.is_in(&line);
        }
    }
}
