//! ClickHouse's own compressed blocks, as `compress=1` sends and `decompress=1` takes them.
//!
//! A block is a `CityHash128` (1.0.2) of what follows, a method byte, the compressed size with these nine bytes, the size of the data,
//! and the compressed data (`src/Compression/CompressedReadBufferBase.cpp`).

use crate::engine::server::status::Exception;

const LZ4: u8 = 0x82;
const ZSTD: u8 = 0x90;
const NONE: u8 = 0x02;
const HEADER: usize = 9;
const CHECKSUM: usize = 16;
/// A larger block is not one.
const MAX_SIZE: usize = 1 << 30;
/// The data of a block that is written here.
const BLOCK: usize = 1 << 20;

/// Data → blocks.
pub(crate) fn compress(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() / 2 + CHECKSUM + HEADER);
    for piece in data.chunks(BLOCK) {
        let packed = lz4_flex::block::compress(piece);
        let mut block = Vec::with_capacity(HEADER + packed.len());
        block.push(LZ4);
        block.extend(size(HEADER + packed.len()));
        block.extend(size(piece.len()));
        block.extend(packed);
        out.extend(checksum(&block));
        out.extend(block);
    }
    out
}

fn size(bytes: usize) -> [u8; 4] {
    u32::try_from(bytes).unwrap_or(u32::MAX).to_le_bytes()
}

fn checksum(block: &[u8]) -> [u8; CHECKSUM] {
    cityhash_rs::cityhash_102_128(block)
        .rotate_right(64)
        .to_le_bytes()
}

/// Takes whole blocks off the front of what has come so far.
#[derive(Default)]
pub(crate) struct Decompressor {
    pending: Vec<u8>,
}

impl Decompressor {
    /// Adds what came and gives the data of the blocks that are whole.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<Vec<u8>, Exception> {
        self.pending.extend_from_slice(bytes);
        let mut data = Vec::new();
        let mut at = 0;
        while let Some(rest) = self.pending.get(at..) {
            let Some((sum, packed, unpacked)) = head(rest)? else {
                break;
            };
            let Some(block) = rest.get(CHECKSUM..CHECKSUM + packed) else {
                break;
            };
            if checksum(block) != sum {
                return Err(Exception::new(
                    40,
                    "CHECKSUM_DOESNT_MATCH",
                    "Checksum doesn't match: corrupted data.",
                ));
            }
            unpack(block, unpacked, &mut data)?;
            at += CHECKSUM + packed;
        }
        self.pending.drain(..at);
        Ok(data)
    }

    /// Makes sure that nothing is left over.
    pub(crate) fn end(&self) -> Result<(), Exception> {
        if self.pending.is_empty() {
            Ok(())
        } else {
            Err(Exception::new(
                271,
                "CANNOT_DECOMPRESS",
                "Cannot decompress: the last block is cut.",
            ))
        }
    }
}

/// Checksum, compressed size with its header, size of the data; `None` if not all of it has come.
fn head(rest: &[u8]) -> Result<Option<([u8; CHECKSUM], usize, usize)>, Exception> {
    let (Some(sum), Some(sizes)) = (
        rest.first_chunk::<CHECKSUM>(),
        rest.get(CHECKSUM + 1..CHECKSUM + HEADER),
    ) else {
        return Ok(None);
    };
    let number = |at: usize| {
        sizes
            .get(at..at + 4)
            .and_then(|bytes| bytes.try_into().ok())
            .map_or(0, |bytes| u32::from_le_bytes(bytes) as usize)
    };
    let (packed, unpacked) = (number(0), number(4));
    if !(HEADER..=MAX_SIZE).contains(&packed) || unpacked > MAX_SIZE {
        return Err(Exception::new(
            271,
            "CANNOT_DECOMPRESS",
            "Cannot decompress: not a block of ClickHouse's native compression.",
        ));
    }
    Ok(Some((*sum, packed, unpacked)))
}

fn unpack(block: &[u8], unpacked: usize, data: &mut Vec<u8>) -> Result<(), Exception> {
    let bad = |reason: String| {
        Exception::new(
            271,
            "CANNOT_DECOMPRESS",
            format!("Cannot decompress: {reason}."),
        )
    };
    let body = block.get(HEADER..).unwrap_or_default();
    match block.first() {
        Some(&NONE) => data.extend_from_slice(body),
        Some(&LZ4) => data.extend(
            lz4_flex::block::decompress(body, unpacked).map_err(|error| bad(error.to_string()))?,
        ),
        Some(&ZSTD) => data.extend(
            zstd::bulk::decompress(body, unpacked).map_err(|error| bad(error.to_string()))?,
        ),
        method => {
            return Err(Exception::new(
                89,
                "UNKNOWN_COMPRESSION_METHOD",
                format!("Unknown compression method: {method:?}."),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_packed_comes_out_however_it_is_cut(data in proptest::collection::vec(any::<u8>(), 0..5000), cut in 1_usize..700) {
            let mut decompressor = Decompressor::default();
            let mut out = Vec::new();
            for piece in compress(&data).chunks(cut) {
                out.extend(decompressor.push(piece).unwrap());
            }
            prop_assert!(decompressor.end().is_ok());
            prop_assert_eq!(out, data);
        }

        #[test]
        fn any_bytes_are_data_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Decompressor::default().push(&bytes);
        }
    }

    #[test]
    fn one_flipped_bit_is_noticed() {
        let mut packed = compress(b"some data that matters");
        packed[30] ^= 1;
        assert_eq!(Decompressor::default().push(&packed).unwrap_err().code, 40);
    }
}
