//! Reads a picture's size from the first bytes of its file, without decoding it.

use super::{Channels, Format, wbmp_files};

/// What the first bytes of a picture file say about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PictureHeader {
    /// The file format.
    pub format: Format,
    /// Columns of pixels.
    pub width: u32,
    /// Rows of pixels.
    pub height: u32,
}

impl PictureHeader {
    /// Width × height.
    #[must_use]
    pub const fn pixels(&self) -> u64 {
        self.width as u64 * self.height as u64
    }
}

/// Reads format, width and height from the head of a file.
///
/// `bytes` may end anywhere: a head of 64 KiB is enough for nearly all files, only a JPEG's size
/// can stand behind larger metadata. `None` means that the size is not among these bytes.
#[must_use]
pub fn probe_header(bytes: &[u8]) -> Option<PictureHeader> {
    let format = Format::sniff(bytes)?;
    let (width, height) = match format {
        Format::Jpeg => jpeg(bytes)?,
        Format::Png => png(bytes)?,
        Format::Gif => gif(bytes)?,
        Format::Bmp => bmp(bytes)?,
        Format::Tiff => tiff(bytes)?,
        Format::Wbmp => wbmp_files::header(bytes)?.size,
    };
    Some(PictureHeader { format, width, height })
}

/// What the pixels will most likely be once decoded, from the head of a file; colours if it does
/// not say.
#[must_use]
pub fn probe_channels(bytes: &[u8]) -> Channels {
    let channels = match Format::sniff(bytes) {
        Some(Format::Jpeg) => jpeg_frame(bytes).and_then(|at| match bytes.get(at + 7)? {
            1 => Some(Channels::Grey),
            _ => None,
        }),
        // Bits of a sample and type of colour (PNG, third edition, section 11.2.1).
        Some(Format::Png) => match array(bytes, 24) {
            Some([8 | 16, 0]) => Some(Channels::Grey),
            Some([_, 6]) => Some(Channels::Rgba),
            _ => None,
        },
        _ => None,
    };
    channels.unwrap_or(Channels::Rgb)
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn big16(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from(u16::from_be_bytes(array(bytes, at)?)))
}

fn little16(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from(u16::from_le_bytes(array(bytes, at)?)))
}

fn jpeg(bytes: &[u8]) -> Option<(u32, u32)> {
    let at = jpeg_frame(bytes)?;
    Some((big16(bytes, at + 5)?, big16(bytes, at + 3)?))
}

/// Follows the marker segments (T.81, section B.1.1.4) up to the frame header (B.2.2), and gives
/// the place behind its marker.
fn jpeg_frame(bytes: &[u8]) -> Option<usize> {
    let mut at = 2;
    loop {
        at += bytes.get(at..)?.iter().position(|&byte| byte == 0xff)?;
        at += bytes.get(at..)?.iter().position(|&byte| byte != 0xff)?;
        let marker = *bytes.get(at)?;
        at += 1;
        match marker {
            0x00 | 0x01 | 0xd0..=0xd8 => {}
            // Start of scan or end of image before any frame header: there will be none.
            0xd9 | 0xda => return None,
            // A frame header, which shares its range with three other markers.
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
                return Some(at);
            }
            _ => at += big16(bytes, at)? as usize,
        }
    }
}

fn png(bytes: &[u8]) -> Option<(u32, u32)> {
    if bytes.get(12..16)? != b"IHDR" {
        return None;
    }
    Some((u32::from_be_bytes(array(bytes, 16)?), u32::from_be_bytes(array(bytes, 20)?)))
}

/// The first frame's own size (`GIF89a`, section 20); the whole screen's if it is not in `bytes`.
fn gif(bytes: &[u8]) -> Option<(u32, u32)> {
    let screen = (little16(bytes, 6)?, little16(bytes, 8)?);
    Some(gif_frame(bytes).unwrap_or(screen))
}

fn gif_frame(bytes: &[u8]) -> Option<(u32, u32)> {
    let flags = *bytes.get(10)?;
    let mut at = 13;
    if flags & 0x80 != 0 {
        at += 3 << ((flags & 7) + 1);
    }
    loop {
        match *bytes.get(at)? {
            0x2c => return Some((little16(bytes, at + 5)?, little16(bytes, at + 7)?)),
            0x21 => {
                at += 2;
                loop {
                    let length = usize::from(*bytes.get(at)?);
                    at += 1 + length;
                    if length == 0 {
                        break;
                    }
                }
            }
            _ => return None,
        }
    }
}

fn bmp(bytes: &[u8]) -> Option<(u32, u32)> {
    if *bytes.get(14)? == 12 {
        return Some((little16(bytes, 18)?, little16(bytes, 20)?));
    }
    let width = i32::from_le_bytes(array(bytes, 18)?);
    // A negative height means that the rows are stored from top to bottom.
    let height = i32::from_le_bytes(array(bytes, 22)?);
    Some((width.unsigned_abs(), height.unsigned_abs()))
}

/// Looks for `ImageWidth` and `ImageLength` in the first directory (TIFF 6.0, section 2), which
/// may stand anywhere in the file.
fn tiff(bytes: &[u8]) -> Option<(u32, u32)> {
    const IMAGE_WIDTH: u32 = 256;
    const IMAGE_LENGTH: u32 = 257;
    let little = bytes.first()? == &b'I';
    let read16 = |at| if little { little16(bytes, at) } else { big16(bytes, at) };
    let read32 = |at| {
        let field = array(bytes, at)?;
        Some(if little { u32::from_le_bytes(field) } else { u32::from_be_bytes(field) })
    };
    let directory = usize::try_from(read32(4)?).ok()?;
    let (mut width, mut height) = (None, None);
    for entry in 0..read16(directory)? as usize {
        let at = directory.checked_add(2 + entry * 12)?;
        let value = || match read16(at + 2)? {
            3 => read16(at + 8),
            4 => read32(at + 8),
            _ => None,
        };
        match read16(at)? {
            IMAGE_WIDTH => width = value(),
            IMAGE_LENGTH => height = value(),
            _ => {}
        }
    }
    Some((width?, height?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_jpeg_size_stands_behind_other_segments() {
        let mut file = b"\xff\xd8\xff\xe1\x01\x00".to_vec();
        file.resize(2 + 2 + 256, 0xff);
        file.extend(b"\xff\xff\xc2\x00\x0b\x08\x02\x00\x03\x01\x01");
        let header = PictureHeader { format: Format::Jpeg, width: 0x301, height: 0x200 };
        assert_eq!(probe_header(&file), Some(header));
        assert_eq!(probe_channels(&file), Channels::Grey, "it has one component");
        assert_eq!(probe_header(&file[..200]), None, "the frame header is not there yet");
    }

    #[test]
    fn a_bitmap_stored_from_the_top_has_a_positive_height() {
        let mut file = b"BM".to_vec();
        file.resize(14, 0);
        file.extend(40u32.to_le_bytes());
        file.extend(7i32.to_le_bytes());
        file.extend((-9i32).to_le_bytes());
        let header = PictureHeader { format: Format::Bmp, width: 7, height: 9 };
        assert_eq!(probe_header(&file), Some(header));
    }

    proptest! {
        #[test]
        fn probing_never_panics(
            signature in prop::sample::select(vec![
                &b"\xff\xd8\xff"[..], b"\x89PNG\r\n\x1a\n", b"GIF89a", b"II*\0", b"MM\0*", b"BM",
            ]),
            rest in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let file = [signature, &rest].concat();
            let _ = (probe_header(&file), probe_channels(&file));
        }
    }
}
