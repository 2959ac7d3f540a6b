//! What passes between decoders, filters and encoders: rows of pixels.

use super::ticker::Ticker;
use crate::workload::Error;

/// How pixels lie in memory: rows from the top, without gaps, `channels` bytes a pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) channels: Channels,
}

impl Layout {
    /// Bytes of a row.
    pub(super) fn stride(self) -> usize {
        self.width * self.channels.count()
    }
}

/// What the bytes of a pixel are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channels {
    /// One: grey.
    Grey,
    /// Three: red, green, blue.
    Rgb,
    /// Four: red, green, blue, and alpha by which the others are not multiplied.
    Rgba,
}

impl Channels {
    /// Bytes of a pixel.
    #[must_use]
    pub const fn count(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::Rgb => 3,
            Self::Rgba => 4,
        }
    }
}

/// Gives the rows of a picture from the top.
pub(super) trait RowSource: Send {
    fn layout(&self) -> Layout;

    /// Whether grey samples are linear light as it was stored, which turns brighter where it is
    /// made into colours.
    fn is_linear_grey(&self) -> bool {
        false
    }

    /// Fills `rows`, a whole number of rows, with the next ones.
    fn read(&mut self, rows: &mut [u8], ticker: &mut Ticker) -> Result<(), Error>;
}

/// Takes the rows of a picture from the top.
pub(super) trait RowSink: Send {
    /// Takes the next rows, a whole number of them.
    fn write(&mut self, rows: &[u8], ticker: &mut Ticker) -> Result<(), Error>;

    /// Gives the file, after the last row.
    fn finish(self: Box<Self>, ticker: &mut Ticker) -> Result<Vec<u8>, Error>;
}

/// A picture that is decoded already.
pub(super) struct Decoded {
    pub(super) layout: Layout,
    pub(super) samples: Vec<u8>,
    is_linear_grey: bool,
    /// Bytes already given out.
    given: usize,
}

impl Decoded {
    pub(super) fn new(layout: Layout, samples: Vec<u8>, is_linear_grey: bool) -> Self {
        Self { layout, samples, is_linear_grey, given: 0 }
    }
}

impl RowSource for Decoded {
    fn layout(&self) -> Layout {
        self.layout
    }

    fn is_linear_grey(&self) -> bool {
        self.is_linear_grey
    }

    fn read(&mut self, rows: &mut [u8], _: &mut Ticker) -> Result<(), Error> {
        rows.copy_from_slice(&self.samples[self.given..self.given + rows.len()]);
        self.given += rows.len();
        Ok(())
    }
}

/// Gathers a whole picture, for encoders that need it at once.
pub(super) struct Gather {
    pub(super) layout: Layout,
    pub(super) samples: Vec<u8>,
    pub(super) encode: Encode,
}

/// Encodes a picture, of whose samples it may take what it likes.
pub(super) type Encode = fn(Layout, &mut Vec<u8>, &mut Ticker) -> Result<Vec<u8>, Error>;

impl Gather {
    pub(super) fn new(layout: Layout, encode: Encode) -> Self {
        let samples = Vec::with_capacity(layout.stride() * layout.height);
        Self { layout, samples, encode }
    }
}

impl RowSink for Gather {
    fn write(&mut self, rows: &[u8], _: &mut Ticker) -> Result<(), Error> {
        self.samples.extend_from_slice(rows);
        Ok(())
    }

    fn finish(mut self: Box<Self>, ticker: &mut Ticker) -> Result<Vec<u8>, Error> {
        (self.encode)(self.layout, &mut self.samples, ticker)
    }
}
