//! The body of a request or an answer, through the encodings of HTTP and ClickHouse's own blocks.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_compression::tokio::bufread as codec;
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio_util::io::{ReaderStream, StreamReader};

use crate::engine::server::blocks::{self, Decompressor};
use crate::engine::server::status::Exception;

/// How much is read at a time.
const PIECE: usize = 256 << 10;

/// How long what nobody reads is read on.
const PATIENCE: Duration = Duration::from_mins(1);

/// A request's body as it comes in. What is left of it when it is dropped is read and thrown away, as a server does: a client that is
/// still sending hears the answer then, and not that the connection broke.
pub(crate) struct Incoming(Option<axum::body::BodyDataStream>);

impl Incoming {
    /// The body, which is nobody's burden if it is refused.
    pub(crate) fn heard(body: axum::body::Body) -> axum::body::Body {
        if axum::body::HttpBody::is_end_stream(&body) {
            return body;
        }
        axum::body::Body::from_stream(Self(Some(body.into_data_stream())))
    }
}

impl Stream for Incoming {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(body) = &mut self.0 else {
            return Poll::Ready(None);
        };
        let next = std::task::ready!(body.poll_next_unpin(context));
        if !matches!(next, Some(Ok(_))) {
            self.0 = None;
        }
        Poll::Ready(next)
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        if let Some(rest) = self.0.take() {
            let ignored = rest.try_for_each(|_| std::future::ready(Ok(())));
            runtime.spawn(tokio::time::timeout(PATIENCE, ignored));
        }
    }
}

/// A request's body, decoded.
pub(crate) struct Body {
    reader: Pin<Box<dyn AsyncRead + Send>>,
    blocks: Option<Decompressor>,
}

impl Body {
    pub(crate) fn empty() -> Self {
        Self {
            reader: Box::pin(tokio::io::empty()),
            blocks: None,
        }
    }

    pub(crate) fn of(
        body: axum::body::Body,
        encoding: &str,
        blocks: bool,
    ) -> Result<Self, Exception> {
        let bytes = body.into_data_stream().map_err(std::io::Error::other);
        let raw = StreamReader::new(bytes);
        // An encoded body may be several laid end to end (`cat *.gz`, pigz): a decoder that stops after the first would lose rows.
        macro_rules! all_members {
            ($decoder:ident) => {{
                let mut decoder = codec::$decoder::new(raw);
                decoder.multiple_members(true);
                Box::pin(decoder)
            }};
        }
        let reader: Pin<Box<dyn AsyncRead + Send>> = match encoding {
            "" | "identity" => Box::pin(raw),
            "gzip" | "x-gzip" => all_members!(GzipDecoder),
            "deflate" => all_members!(ZlibDecoder),
            "br" => all_members!(BrotliDecoder),
            "zstd" => all_members!(ZstdDecoder),
            "lz4" => all_members!(Lz4Decoder),
            other => {
                return Err(Exception::new(
                    48,
                    "NOT_IMPLEMENTED",
                    format!("Unknown Content-Encoding: {other}."),
                ));
            }
        };
        Ok(Self {
            reader,
            blocks: blocks.then(Decompressor::default),
        })
    }

    /// The next piece; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Exception> {
        loop {
            let mut piece = BytesMut::with_capacity(PIECE);
            let read = self.reader.read_buf(&mut piece).await.map_err(|error| {
                Exception::new(
                    271,
                    "CANNOT_DECOMPRESS",
                    format!("The body of the request cannot be read: {error}."),
                )
            })?;
            if read == 0 {
                if let Some(blocks) = &self.blocks {
                    blocks.end()?;
                }
                return Ok(None);
            }
            let Some(blocks) = &mut self.blocks else {
                return Ok(Some(piece.freeze()));
            };
            let data = blocks.push(&piece)?;
            if !data.is_empty() {
                return Ok(Some(data.into()));
            }
        }
    }
}

/// How an answer is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Plain,
    /// ClickHouse's own blocks.
    Blocks,
    /// By the name of its `Content-Encoding`.
    Http(&'static str),
}

impl Encoding {
    /// What the client takes, in the order in which the server prefers it.
    pub(crate) fn choose(accept: &str, blocks: bool) -> Self {
        if blocks {
            return Self::Blocks;
        }
        let accepts = |name: &str| {
            accept.split(',').any(|part| {
                let mut part = part.split(';').map(str::trim);
                part.next() == Some(name) && part.next() != Some("q=0")
            })
        };
        ["br", "gzip", "deflate", "zstd", "lz4"]
            .into_iter()
            .find(|name| accepts(name))
            .map_or(Self::Plain, Self::Http)
    }

    /// The encoded body of an answer.
    pub(crate) fn body<S>(self, bytes: S) -> axum::body::Body
    where
        S: Stream<Item = std::io::Result<Bytes>> + Send + 'static,
    {
        let name = match self {
            Self::Plain => return axum::body::Body::from_stream(bytes),
            Self::Blocks => {
                let blocks =
                    bytes.map(|piece| piece.map(|piece| Bytes::from(blocks::compress(&piece))));
                return axum::body::Body::from_stream(blocks);
            }
            Self::Http(name) => name,
        };
        let raw = StreamReader::new(bytes);
        let reader: Pin<Box<dyn AsyncRead + Send>> = match name {
            "gzip" => Box::pin(codec::GzipEncoder::new(raw)),
            "deflate" => Box::pin(codec::ZlibEncoder::new(raw)),
            "br" => Box::pin(codec::BrotliEncoder::with_quality(
                raw,
                async_compression::Level::Fastest,
            )),
            "zstd" => Box::pin(codec::ZstdEncoder::new(raw)),
            _ => Box::pin(codec::Lz4Encoder::new(raw)),
        };
        axum::body::Body::from_stream(ReaderStream::with_capacity(reader, PIECE))
    }
}
