//! Follows the framing of the requests on one connection.

use hyper::StatusCode;
use memchr::{memchr_iter, memmem};

use super::head::{self, After, Lines, Refused};

/// A longer head is refused, in bytes.
pub(super) const LONGEST_HEAD: usize = 64 << 10;
/// A chunk's size has at most this many hexadecimal digits: 16 of them fill a 64-bit number.
const SIZE_DIGITS: u32 = 16;
/// The extensions of a chunk and the trailers may be this long, in bytes: each costs work and is
/// thrown away.
const LONGEST_ASIDE: u32 = 16 << 10;

/// Follows the framing of the requests on one connection.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    state: State,
    /// Heads passed so far.
    pub(super) heads: u64,
    /// The last head passed asked for another protocol.
    pub(super) asks_for_upgrade: bool,
    /// So much of what was held back last time has been searched for the end of a head.
    searched: usize,
}

/// What becomes of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// So many of them go on to the parser; the rest is held back.
    pub(super) passed: usize,
    /// Then this is wrong.
    pub(super) fault: Option<Fault>,
}

/// What is wrong, and so no byte after it is looked at.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A head is refused.
    Head(Refused),
    /// A body does not follow the rules; its head has gone on already.
    Body(&'static str),
}

/// Where in a request the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum State {
    /// At the start of a head, or before one.
    #[default]
    Head,
    /// In a body of which so many bytes are left.
    Body(u64),
    /// In the size of a chunk.
    Size { size: u64, digits: u32 },
    /// In the extension of a chunk of this size, so many bytes long so far.
    Extension { size: u64, length: u32 },
    /// Before the LF that ends the line with a chunk's size.
    SizeEnd { size: u64 },
    /// In a chunk of which so many bytes are left.
    Chunk(u64),
    /// Before the CR that follows a chunk.
    ChunkCr,
    /// Before the LF that follows a chunk.
    ChunkLf,
    /// In the trailers: bytes so far, bytes of this line, and what of its name has come.
    Trailer { length: u32, line: u32, in_name: bool, after_cr: bool },
    /// Perhaps another protocol from here on: everything is held back.
    Undecided,
}

impl Scanner {
    /// Whether the next byte belongs to a head, or none has come yet.
    pub(super) fn is_at_head(&self) -> bool {
        self.state == State::Head
    }

    /// Whether everything is held back until another protocol begins.
    pub(super) fn is_undecided(&self) -> bool {
        self.state == State::Undecided
    }

    /// Looks at the bytes after those that were passed before: first those held back last time, if
    /// any, then new ones.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> Verdict {
        let mut at = 0;
        let fault = loop {
            let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) else { break None };
            match self.state {
                State::Undecided => break None,
                State::Head => match self.scan_head(rest) {
                    Ok(Some(length)) => at += length,
                    Ok(None) => break None,
                    Err(refused) => break Some(Fault::Head(refused)),
                },
                State::Body(_) | State::Chunk(_) => at += self.pass_body(rest.len()),
                state => match rest.first().map_or(Ok(state), |&byte| state.after(byte)) {
                    Ok(state) => {
                        self.state = state;
                        at += 1;
                    }
                    Err(why) => break Some(Fault::Body(why)),
                },
            }
        };
        Verdict { passed: at, fault }
    }

    /// The length of the head that `rest` begins with, or of an empty line before one; nothing if
    /// its end has not come.
    fn scan_head(&mut self, rest: &[u8]) -> Result<Option<usize>, Refused> {
        if rest.starts_with(b"\r\n") {
            // An empty line before a request is allowed (RFC 9112, section 2.2).
            self.searched = 0;
            return Ok(Some(2));
        }
        // The end may have begun in what was searched before.
        let from = self.searched.saturating_sub(3).min(rest.len());
        let tail = rest.get(from..).unwrap_or_default();
        let Some(end) = memmem::find(tail, b"\r\n\r\n") else {
            self.searched = rest.len();
            return check_beginning(rest, from).map(|()| None);
        };
        self.searched = 0;
        let length = from + end + 4;
        if length > LONGEST_HEAD {
            return Err(too_long());
        }
        let (_, after) = head::read(Lines::of(rest.get(..length).unwrap_or_default()), |_| ())?;
        self.heads += 1;
        self.asks_for_upgrade = after == After::OtherProtocol;
        self.state = match after {
            After::Head => State::Head,
            After::Body(length) => State::Body(length),
            After::Chunks => State::Size { size: 0, digits: 0 },
            After::OtherProtocol => State::Undecided,
        };
        Ok(Some(length))
    }

    /// Passes what belongs to the body among so many bytes.
    fn pass_body(&mut self, available: usize) -> usize {
        let (State::Body(left) | State::Chunk(left)) = &mut self.state else { return 0 };
        let passed = usize::try_from(*left).map_or(available, |left| left.min(available));
        *left -= passed as u64;
        match self.state {
            State::Body(0) => self.state = State::Head,
            State::Chunk(0) => self.state = State::ChunkCr,
            _ => {}
        }
        passed
    }
}

/// Refuses what can no longer become a head, of which the bytes before `from` were looked at.
fn check_beginning(head: &[u8], from: usize) -> Result<(), Refused> {
    if head.len() > LONGEST_HEAD {
        return Err(too_long());
    }
    let bare = |at: usize| at == 0 || head.get(at - 1) != Some(&b'\r');
    let tail = head.get(from..).unwrap_or_default();
    if memchr_iter(b'\n', tail).any(|at| bare(from + at)) {
        return Err(Refused::bad(
            "a line of the head ends with a line feed alone: CR LF is needed",
        ));
    }
    if tail.contains(&0) {
        return Err(Refused::bad("the head holds a NUL: is this HTTP at all?"));
    }
    Ok(())
}

fn too_long() -> Refused {
    Refused {
        status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        why: format!("the head is longer than the limit of {LONGEST_HEAD} bytes"),
    }
}

impl State {
    /// The state after one more byte around the chunks of a body, or why it must not be there.
    pub(super) fn after(self, byte: u8) -> Result<Self, &'static str> {
        Ok(match (self, byte) {
            (Self::Size { size, digits }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                if digits >= SIZE_DIGITS {
                    return Err("the size of a chunk has more than 16 digits");
                }
                Self::Size { size: size << 4 | u64::from(digit), digits: digits + 1 }
            }
            (Self::Size { digits: 0, .. }, _) => {
                return Err("a chunk does not begin with its size in hexadecimal digits");
            }
            (Self::Size { size, .. }, b';') => Self::Extension { size, length: 1 },
            (Self::Size { size, .. } | Self::Extension { size, .. }, b'\r') => {
                Self::SizeEnd { size }
            }
            (Self::Size { .. }, _) => {
                return Err("the size of a chunk holds what is no hexadecimal digit");
            }
            (Self::Extension { length: LONGEST_ASIDE.., .. }, _) => {
                return Err("the extension of a chunk is too long");
            }
            (Self::Extension { size, length }, b'\t' | b' '..=b'~' | 0x80..) => {
                Self::Extension { size, length: length + 1 }
            }
            (Self::Extension { .. }, _) => {
                return Err("the extension of a chunk holds a control character");
            }
            (Self::SizeEnd { size: 0 }, b'\n') => {
                Self::Trailer { length: 0, line: 0, in_name: true, after_cr: false }
            }
            (Self::SizeEnd { size }, b'\n') => Self::Chunk(size),
            (Self::ChunkCr, b'\r') => Self::ChunkLf,
            (Self::ChunkLf, b'\n') => Self::Size { size: 0, digits: 0 },
            (Self::Trailer { length, line, in_name, after_cr }, byte) => {
                trailer(length, line, in_name, after_cr, byte)?
            }
            (Self::SizeEnd { .. } | Self::ChunkCr | Self::ChunkLf, _) => {
                return Err("a chunk or its size does not end with CR LF");
            }
            // Handled elsewhere, as these take more than a byte at once.
            (Self::Head | Self::Body(_) | Self::Chunk(_) | Self::Undecided, _) => self,
        })
    }
}

fn trailer(
    length: u32,
    line: u32,
    in_name: bool,
    after_cr: bool,
    byte: u8,
) -> Result<State, &'static str> {
    let next = |line, in_name, after_cr| {
        Ok(State::Trailer { length: length + 1, line, in_name, after_cr })
    };
    match (after_cr, byte) {
        _ if length >= LONGEST_ASIDE => Err("the trailers are too long"),
        (true, b'\n') if line == 0 => Ok(State::Head),
        (true, b'\n') if in_name => Err("a trailer has no colon"),
        (true, b'\n') => next(0, true, false),
        (true, _) => Err("a trailer holds a carriage return alone"),
        (false, b'\r') => next(line, in_name, true),
        (false, b':') if in_name && line == 0 => Err("a trailer has no name"),
        (false, b':') if in_name => next(line + 1, false, false),
        (false, byte) if in_name && !head::is_token(byte) => {
            Err("the name of a trailer holds what may not stand in a name")
        }
        (false, b'\t' | b' '..=b'~' | 0x80..) => next(line + 1, in_name, false),
        (false, _) => Err("a trailer holds a control character"),
    }
}

#[cfg(test)]
mod tests;
