//! Turns rows of bytes into blocks where a vector holds one byte of each of 64 rows, and back.
#![expect(clippy::inline_always, reason = "compiled for several instruction sets: see Kernel")]

use crate::workload::kernel::Kernel;

/// Rows that are worked on side by side.
pub(super) const LANES: usize = 64;

/// One byte of each of [`LANES`] rows.
pub(super) type Lanes = [u8; LANES];

/// Squares of 8 × 8 bytes that are transposed side by side.
const SQUARES: usize = 4;

/// Eight rows of eight bytes each, the first byte lowest, in several squares.
type Block = [[u64; SQUARES]; 8];

/// Transposes bytes `first..first + lanes.len()` of each of [`LANES`] rows into `lanes`.
pub(super) struct ToLanes<'a> {
    pub(super) rows: &'a [u8],
    pub(super) stride: usize,
    pub(super) first: usize,
    pub(super) lanes: &'a mut [Lanes],
}

impl Kernel for ToLanes<'_> {
    #[inline(always)]
    fn run(self) {
        let count = self.lanes.len();
        let (blocks, rest) = self.lanes.as_chunks_mut::<{ 8 * SQUARES }>();
        for (index, lanes) in blocks.iter_mut().enumerate() {
            let first = self.first + index * 8 * SQUARES;
            for group in 0..LANES / 8 {
                let mut block = [[0; SQUARES]; 8];
                for (row, squares) in block.iter_mut().enumerate() {
                    let at = (group * 8 + row) * self.stride + first;
                    let (words, _) = self.rows[at..at + 8 * SQUARES].as_chunks::<8>();
                    for (square, word) in squares.iter_mut().zip(words) {
                        *square = u64::from_le_bytes(*word);
                    }
                }
                transpose(&mut block);
                for (column, squares) in block.iter().enumerate() {
                    for (square, word) in squares.iter().enumerate() {
                        let lane = &mut lanes[square * 8 + column][group * 8..group * 8 + 8];
                        lane.copy_from_slice(&word.to_le_bytes());
                    }
                }
            }
        }
        let first = self.first + count - rest.len();
        for (column, lanes) in rest.iter_mut().enumerate() {
            for (row, byte) in lanes.iter_mut().enumerate() {
                *byte = self.rows[row * self.stride + first + column];
            }
        }
    }
}

/// Transposes `lanes` to bytes `first..first + lanes.len()` of each of [`LANES`] rows.
pub(super) struct FromLanes<'a> {
    pub(super) lanes: &'a [Lanes],
    pub(super) rows: &'a mut [u8],
    pub(super) stride: usize,
    pub(super) first: usize,
}

impl Kernel for FromLanes<'_> {
    #[inline(always)]
    fn run(self) {
        let (blocks, rest) = self.lanes.as_chunks::<{ 8 * SQUARES }>();
        for (index, lanes) in blocks.iter().enumerate() {
            let first = self.first + index * 8 * SQUARES;
            for group in 0..LANES / 8 {
                let mut block = [[0; SQUARES]; 8];
                for (column, squares) in block.iter_mut().enumerate() {
                    for (square, word) in squares.iter_mut().enumerate() {
                        let (words, _) = lanes[square * 8 + column].as_chunks::<8>();
                        *word = u64::from_le_bytes(words[group]);
                    }
                }
                transpose(&mut block);
                for (row, squares) in block.iter().enumerate() {
                    let at = (group * 8 + row) * self.stride + first;
                    let (words, _) = self.rows[at..at + 8 * SQUARES].as_chunks_mut::<8>();
                    for (bytes, word) in words.iter_mut().zip(squares) {
                        *bytes = word.to_le_bytes();
                    }
                }
            }
        }
        let first = self.first + self.lanes.len() - rest.len();
        for (column, lanes) in rest.iter().enumerate() {
            for (row, byte) in lanes.iter().enumerate() {
                self.rows[row * self.stride + first + column] = *byte;
            }
        }
    }
}

/// Transposes each square by exchanging its quarters, their quarters, and theirs.
#[inline(always)]
fn transpose(block: &mut Block) {
    exchange(block, 4, 32, 0x0000_0000_ffff_ffff);
    exchange(block, 2, 16, 0x0000_ffff_0000_ffff);
    exchange(block, 1, 8, 0x00ff_00ff_00ff_00ff);
}

/// Exchanges the upper bytes of each row with the lower ones of the row `distance` below it.
#[inline(always)]
fn exchange(block: &mut Block, distance: usize, shift: u32, lower: u64) {
    for row in (0..8).filter(|row| row & distance == 0) {
        let (above, below) = block.split_at_mut(row + distance);
        for (above, below) in above[row].iter_mut().zip(&mut below[0]) {
            let changed = ((*above >> shift) ^ *below) & lower;
            *above ^= changed << shift;
            *below ^= changed;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Instructions;
    use crate::workload::kernel::run_with;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn each_byte_finds_its_place_and_comes_back(
            stride in 1usize..150, seed: u64, from: prop::sample::Index, to: prop::sample::Index,
        ) {
            let mut random = fastrand::Rng::with_seed(seed);
            let rows: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(stride * LANES).collect();
            let (from, to) = (from.index(stride + 1), to.index(stride + 1));
            let (first, end) = (from.min(to), from.max(to));
            let instructions = Instructions::best();
            let mut lanes = vec![[0; LANES]; end - first];
            run_with(instructions, ToLanes { rows: &rows, stride, first, lanes: &mut lanes });
            let mut back = vec![0; rows.len()];
            run_with(instructions, FromLanes { lanes: &lanes, rows: &mut back, stride, first });
            for (at, byte) in rows.iter().enumerate() {
                let (row, column) = (at / stride, at % stride);
                if (first..end).contains(&column) {
                    prop_assert_eq!(lanes[column - first][row], *byte);
                    prop_assert_eq!(back[at], *byte);
                } else {
                    prop_assert_eq!(back[at], 0);
                }
            }
        }
    }
}
