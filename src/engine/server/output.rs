//! Output formats: their media types, and which of them can be streamed.
//!
//! libchdb gives each chunk of a stream as a complete document. Where a document is just its rows the chunks follow one another; where
//! it begins with names or types, those of the later chunks are taken off; the rest is kept whole.

/// How the chunks of a format become one document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The chunks follow one another.
    Rows,
    /// Every chunk begins with so many lines that only the first may keep.
    Lines(usize),
    /// Every chunk begins with a count and that many strings, so many times over, as `RowBinaryWithNamesAndTypes` does.
    Strings(usize),
    /// It cannot be put together.
    Whole,
}

pub(crate) fn mode(format: &str) -> Mode {
    match format {
        "TabSeparated"
        | "TSV"
        | "TabSeparatedRaw"
        | "TSVRaw"
        | "Raw"
        | "CSV"
        | "JSONEachRow"
        | "NDJSON"
        | "JSONLines"
        | "JSONCompactEachRow"
        | "JSONStringsEachRow"
        | "JSONCompactStringsEachRow"
        | "RowBinary"
        | "Native" => Mode::Rows,
        "TabSeparatedWithNames"
        | "TSVWithNames"
        | "TabSeparatedRawWithNames"
        | "TSVRawWithNames"
        | "RawWithNames"
        | "CSVWithNames"
        | "JSONCompactEachRowWithNames" => Mode::Lines(1),
        "TabSeparatedWithNamesAndTypes"
        | "TSVWithNamesAndTypes"
        | "TabSeparatedRawWithNamesAndTypes"
        | "TSVRawWithNamesAndTypes"
        | "CSVWithNamesAndTypes"
        | "JSONCompactEachRowWithNamesAndTypes" => Mode::Lines(2),
        "RowBinaryWithNames" => Mode::Strings(1),
        "RowBinaryWithNamesAndTypes" => Mode::Strings(2),
        _ => Mode::Whole,
    }
}

/// The media type, as the server sends it.
pub(crate) fn content_type(format: &str) -> &'static str {
    if format.starts_with("CSV") {
        return "text/csv; charset=UTF-8";
    }
    if format.starts_with("TabSeparated") || format.starts_with("TSV") || format.starts_with("Raw")
    {
        return "text/tab-separated-values; charset=UTF-8";
    }
    match format {
        "JSONEachRow" | "NDJSON" | "JSONLines" | "JSONCompactEachRow" | "JSONStringsEachRow" => {
            "application/x-ndjson; charset=UTF-8"
        }
        "XML" => "application/xml; charset=UTF-8",
        "Markdown" => "text/markdown; charset=UTF-8",
        "Null" => "text/plain; charset=UTF-8",
        "RowBinary"
        | "RowBinaryWithNames"
        | "RowBinaryWithNamesAndTypes"
        | "Native"
        | "Parquet"
        | "ORC"
        | "Avro"
        | "Arrow"
        | "ArrowStream"
        | "MsgPack"
        | "Protobuf"
        | "CapnProto"
        | "BSONEachRow"
        | "Npy" => "application/octet-stream",
        _ if format.starts_with("JSON") => "application/json; charset=UTF-8",
        _ => "text/plain; charset=UTF-8",
    }
}

impl Mode {
    /// The length of what a chunk begins with and the later ones must not repeat.
    pub(crate) fn head(self, chunk: &[u8]) -> usize {
        match self {
            Self::Rows | Self::Whole => 0,
            Self::Lines(lines) => head_lines(chunk, lines),
            Self::Strings(groups) => head_strings(chunk, groups).unwrap_or(0),
        }
    }
}

/// Lines end at a line end outside of double quotes.
fn head_lines(chunk: &[u8], mut lines: usize) -> usize {
    let mut quoted = false;
    for (at, byte) in chunk.iter().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' if !quoted => {
                lines -= 1;
                if lines == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    0
}

/// A number of strings, and then so many of them for every group; numbers in LEB128.
fn head_strings(chunk: &[u8], groups: usize) -> Option<usize> {
    let mut at = 0;
    let columns = varint(chunk, &mut at)?;
    for _ in 0..columns.checked_mul(groups)? {
        let length = varint(chunk, &mut at)?;
        at = at.checked_add(length).filter(|end| *end <= chunk.len())?;
    }
    Some(at)
}

fn varint(chunk: &[u8], at: &mut usize) -> Option<usize> {
    let mut value = 0_usize;
    for shift in (0..63).step_by(7) {
        let byte = *chunk.get(*at)?;
        *at += 1;
        value |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_measured() {
        assert_eq!(Mode::Lines(1).head(b"a\tb\n1\t2\n"), 4);
        assert_eq!(Mode::Lines(2).head(b"\"a\nb\",c\nx,y\n1,2\n"), 12);
        assert_eq!(Mode::Lines(2).head(b"a"), 0);
        assert_eq!(Mode::Strings(2).head(b"\x01\x01a\x05UInt8\x07\x08"), 9);
        assert_eq!(Mode::Strings(2).head(b"\xff\xff\xff"), 0);
        assert_eq!(Mode::Rows.head(b"a\n"), 0);
    }
}
