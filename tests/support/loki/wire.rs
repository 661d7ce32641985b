//! The push request on the wire: Google's protobuf encoding of `pkg/push/push.proto`, read the way
//! gogo/protobuf's generated code reads it, so that a malformed body gets the same answer.
//!
//! It is independent of the types the program encodes with, and text is bytes: Loki's Go code takes
//! strings that are not UTF-8.

/// Go's `io.ErrUnexpectedEOF`.
const UNEXPECTED_END: &str = "unexpected EOF";

#[derive(Default)]
pub struct Stream<'a> {
    pub labels: &'a [u8],
    pub entries: Vec<Entry<'a>>,
}

pub struct Entry<'a> {
    /// Nanoseconds since 1970; wraps where Go's `UnixNano` does.
    pub timestamp_ns: i64,
    pub line: &'a [u8],
    pub metadata: Vec<(&'a [u8], &'a [u8])>,
}

/// Seconds of Go's zero time, which is what an entry without a timestamp has.
const ZERO_TIME_SECONDS: i64 = -62_135_596_800;
/// First second of the year 10000, past what a protobuf timestamp may hold.
const END_OF_TIME_SECONDS: i64 = 253_402_300_800;

/// The streams of a `PushRequest`; an error is Loki's text.
pub fn decode(body: &[u8]) -> Result<Vec<Stream<'_>>, String> {
    let mut streams = Vec::new();
    fields(body, "PushRequest", |field, reader| {
        match field.number {
            1 => streams.push(stream(reader.bytes(field, "Streams")?)?),
            2 => drop(reader.bytes(field, "Format")?),
            _ => reader.skip(field)?,
        }
        Ok(())
    })?;
    Ok(streams)
}

fn stream(body: &[u8]) -> Result<Stream<'_>, String> {
    let mut stream = Stream::default();
    fields(body, "StreamAdapter", |field, reader| {
        match field.number {
            1 => stream.labels = reader.bytes(field, "Labels")?,
            2 => stream.entries.push(entry(reader.bytes(field, "Entries")?)?),
            3 => drop(reader.number(field, "Hash")?),
            _ => reader.skip(field)?,
        }
        Ok(())
    })?;
    Ok(stream)
}

fn entry(body: &[u8]) -> Result<Entry<'_>, String> {
    let mut entry = Entry { timestamp_ns: unix_nanos(ZERO_TIME_SECONDS, 0), line: b"", metadata: Vec::new() };
    fields(body, "EntryAdapter", |field, reader| {
        match field.number {
            1 => entry.timestamp_ns = timestamp(reader.bytes(field, "Timestamp")?)?,
            2 => entry.line = reader.bytes(field, "Line")?,
            3 => entry.metadata.push(label_pair(reader.bytes(field, "StructuredMetadata")?)?),
            4 => drop(label_pair(reader.bytes(field, "Parsed")?)?),
            _ => reader.skip(field)?,
        }
        Ok(())
    })?;
    Ok(entry)
}

fn label_pair(body: &[u8]) -> Result<(&[u8], &[u8]), String> {
    let mut pair: (&[u8], &[u8]) = (b"", b"");
    fields(body, "LabelPairAdapter", |field, reader| {
        match field.number {
            1 => pair.0 = reader.bytes(field, "Name")?,
            2 => pair.1 = reader.bytes(field, "Value")?,
            _ => reader.skip(field)?,
        }
        Ok(())
    })?;
    Ok(pair)
}

fn timestamp(body: &[u8]) -> Result<i64, String> {
    let (mut seconds, mut nanos) = (0i64, 0i32);
    fields(body, "Timestamp", |field, reader| {
        match field.number {
            1 => seconds = reader.number(field, "Seconds")? as i64,
            2 => nanos = reader.number(field, "Nanos")? as i32,
            _ => reader.skip(field)?,
        }
        Ok(())
    })?;
    let value = format!("timestamp: &types.Timestamp{{Seconds: {seconds},\nNanos: {nanos},\n}}");
    if seconds < ZERO_TIME_SECONDS {
        return Err(format!("{value} before 0001-01-01"));
    }
    if seconds >= END_OF_TIME_SECONDS {
        return Err(format!("{value} after 10000-01-01"));
    }
    if !(0..1_000_000_000).contains(&nanos) {
        return Err(format!("{value}: nanos not in range [0, 1e9)"));
    }
    Ok(unix_nanos(seconds, nanos))
}

fn unix_nanos(seconds: i64, nanos: i32) -> i64 {
    seconds.wrapping_mul(1_000_000_000).wrapping_add(nanos.into())
}

#[derive(Clone, Copy)]
struct Field {
    number: i32,
    wire_type: u8,
}

/// Calls `each` for every field of a message; `each` reads or skips the field's value.
fn fields<'a>(
    body: &'a [u8],
    message: &str,
    mut each: impl FnMut(Field, &mut Reader<'a>) -> Result<(), String>,
) -> Result<(), String> {
    let mut reader = Reader(body);
    while !reader.0.is_empty() {
        let tag = reader.varint()?;
        let field = Field { number: (tag >> 3) as i32, wire_type: (tag & 7) as u8 };
        if field.wire_type == 4 {
            return Err(format!("proto: {message}: wiretype end group for non-group"));
        }
        if field.number <= 0 {
            return Err(format!("proto: {message}: illegal tag {} (wire type {tag})", field.number));
        }
        each(field, &mut reader)?;
    }
    Ok(())
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn varint(&mut self) -> Result<u64, String> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f).wrapping_shl(shift);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err("proto: integer overflow".to_owned())
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(UNEXPECTED_END)?;
        self.0 = rest;
        Ok(taken)
    }

    fn block(&mut self) -> Result<&'a [u8], String> {
        let length = i64::try_from(self.varint()?)
            .map_err(|_| "proto: negative length found during unmarshaling".to_owned())?;
        self.take(usize::try_from(length).map_err(|_| UNEXPECTED_END)?)
    }

    fn bytes(&mut self, field: Field, name: &str) -> Result<&'a [u8], String> {
        self.expect(field, 2, name)?;
        self.block()
    }

    fn number(&mut self, field: Field, name: &str) -> Result<u64, String> {
        self.expect(field, 0, name)?;
        self.varint()
    }

    fn expect(&self, field: Field, wire_type: u8, name: &str) -> Result<(), String> {
        if field.wire_type == wire_type {
            Ok(())
        } else {
            Err(format!("proto: wrong wireType = {} for field {name}", field.wire_type))
        }
    }

    /// Passes over the value of a field that Loki does not know.
    fn skip(&mut self, field: Field) -> Result<(), String> {
        match field.wire_type {
            0 => drop(self.varint()?),
            1 => drop(self.take(8)?),
            2 => drop(self.block()?),
            3 => loop {
                let wire_type = (self.varint()? & 7) as u8;
                if wire_type == 4 {
                    break;
                }
                self.skip(Field { number: 1, wire_type })?;
            },
            4 => {}
            5 => drop(self.take(4)?),
            wire_type => return Err(format!("proto: illegal wireType {wire_type}")),
        }
        Ok(())
    }
}
