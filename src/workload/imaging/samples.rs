//! Small conversions of samples that several file formats share.

/// The high byte of each 16-bit big-endian sample.
pub(super) fn high_bytes(samples: &[u8]) -> Vec<u8> {
    samples.chunks_exact(2).map(|sample| sample[0]).collect()
}

/// For each 16-bit big-endian sample, the nearest 8-bit one.
pub(super) fn nearest_bytes(samples: &[u8]) -> Vec<u8> {
    let (samples, _) = samples.as_chunks::<2>();
    #[expect(clippy::cast_possible_truncation, reason = "at most 255")]
    let nearest = |sample: &[u8; 2]| ((u32::from(u16::from_be_bytes(*sample)) + 128) / 257) as u8;
    samples.iter().map(nearest).collect()
}

/// Three equal colours for each grey sample.
pub(super) fn repeat_grey(grey: impl Iterator<Item = u8>) -> Vec<u8> {
    grey.flat_map(|level| [level; 3]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_byte_inverts_doubling() {
        for level in 0..=255 {
            assert_eq!(nearest_bytes(&[level, level]), [level]);
        }
        assert_eq!(nearest_bytes(&[0, 128, 0, 129, 255, 0]), [0, 1, 254]);
        assert_eq!(high_bytes(&[1, 2, 3, 4]), [1, 3]);
        assert_eq!(repeat_grey([1, 2].into_iter()), [1, 1, 1, 2, 2, 2]);
    }
}
