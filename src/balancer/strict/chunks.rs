//! Takes a body apart that comes in chunks (RFC 9112, section 7.1), by the scanner's strict rules.

use bytes::{Buf, Bytes, BytesMut};
use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};

use super::scanner::State;

/// Where in a chunked body the next byte stands.
#[derive(Debug)]
pub(in crate::balancer) struct Chunks {
    state: State,
    trailers: Vec<u8>,
}

/// A part of a chunked body.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::balancer) enum Piece {
    /// Bytes of a chunk, perhaps not all of them.
    Data(Bytes),
    /// The end, and the trailers before it.
    End(Option<HeaderMap>),
}

impl Default for Chunks {
    fn default() -> Self {
        Self { state: State::Size { size: 0, digits: 0 }, trailers: Vec::new() }
    }
}

impl Chunks {
    /// Takes the next piece from the front of `buffer`; none until more bytes have come.
    ///
    /// # Errors
    /// What breaks the rules; nothing after it can be read.
    pub(in crate::balancer) fn next(
        &mut self,
        buffer: &mut BytesMut,
    ) -> Result<Option<Piece>, &'static str> {
        while !buffer.is_empty() {
            if let State::Chunk(left) = &mut self.state {
                let now = usize::try_from(*left).map_or(buffer.len(), |l| l.min(buffer.len()));
                *left -= now as u64;
                if *left == 0 {
                    self.state = State::ChunkCr;
                }
                return Ok(Some(Piece::Data(buffer.split_to(now).freeze())));
            }
            let byte = buffer.get_u8();
            if matches!(self.state, State::Trailer { .. }) {
                self.trailers.push(byte);
            }
            self.state = self.state.after(byte)?;
            if self.state == State::Head {
                return Ok(Some(Piece::End(trailers(&self.trailers))));
            }
        }
        Ok(None)
    }
}

/// The trailers in these lines, which were found to follow the rules.
fn trailers(lines: &[u8]) -> Option<HeaderMap> {
    let mut map = HeaderMap::new();
    for line in lines.split(|&byte| byte == b'\n') {
        let mut parts = line.splitn(2, |&byte| byte == b':');
        let (Some(name), Some(value)) = (parts.next(), parts.next()) else { continue };
        let name = HeaderName::from_bytes(name);
        let value = HeaderValue::from_bytes(value.trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            map.append(name, value);
        }
    }
    (!map.is_empty()).then_some(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The body in `wire`, which comes in pieces of `step` bytes, its trailers, and what is left.
    fn read(wire: &[u8], step: usize) -> Result<(Vec<u8>, Option<HeaderMap>, usize), &'static str> {
        let (mut chunks, mut buffer, mut body) = (Chunks::default(), BytesMut::new(), Vec::new());
        for (number, new) in wire.chunks(step).enumerate() {
            buffer.extend_from_slice(new);
            while let Some(piece) = chunks.next(&mut buffer)? {
                match piece {
                    Piece::Data(data) => body.extend_from_slice(&data),
                    Piece::End(trailers) => {
                        let taken = (number * step + new.len()) - buffer.len();
                        return Ok((body, trailers, wire.len() - taken));
                    }
                }
            }
        }
        Err("it does not end")
    }

    #[test]
    fn a_body_is_the_same_however_its_bytes_come() {
        let wire = b"5;a=\"b\"\r\nhello\r\n1\r\n \r\n006\r\nworld!\r\n0\r\nX-Sum: 1 \r\n\r\nnext";
        for step in 1..wire.len() {
            let (body, trailers, left) = read(wire, step).unwrap();
            assert_eq!(body, b"hello world!");
            assert_eq!(trailers.unwrap()["x-sum"], "1");
            assert_eq!(left, 4);
        }
        assert_eq!(read(b"0\r\n\r\n", 9).unwrap().1, None);
    }

    #[test]
    fn what_breaks_the_rules_is_refused() {
        for wire in
            ["+5\r\nhello", "5\nhello", "5\r\nhelloX", "\r\n", "0x5\r\n", "0\r\nbad\r\n\r\n"]
        {
            read(wire.as_bytes(), 1).unwrap_err();
        }
        assert_eq!(read(b"5\r\nhel", 1), Err("it does not end"));
    }
}
