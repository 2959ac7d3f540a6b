//! Short integers of a list, a block of bytes at a time.
//!
//! Each byte of a block is looked at by itself, with the few before it: is it allowed there, and
//! if it is a comma, which number ends here? That is the same arithmetic for all bytes, without a
//! branch, so the compiler makes vector instructions of it. Then the numbers that stand at commas
//! are picked out.
#![expect(clippy::inline_always, reason = "compiled for several instruction sets: see Kernel")]

use crate::workload::Instructions;
use crate::workload::kernel::{Kernel, run_with};

/// Bytes of a block: one for each bit of a word.
const BLOCK: usize = 64;

/// Bytes before a byte that say what it means: the sign and the digits of a number.
const BEFORE: usize = 4;

/// Appends integers of one to three digits, each with its comma, to `values`, modulo 256. They
/// begin at the place `start`, where an element does; the place behind the last comma is returned.
///
/// Stops before a block with anything else in it, and less than a block before the end.
pub(super) fn read(body: &[u8], start: usize, values: &mut Vec<u8>) -> usize {
    let mut end = start;
    if let Some(from) = start.checked_sub(BEFORE) {
        run_with(Instructions::best(), Reading { body, from, values, end: &mut end });
    }
    end
}

/// What [`read`] does.
struct Reading<'a> {
    body: &'a [u8],
    /// [`BEFORE`] bytes before the first block.
    from: usize,
    values: &'a mut Vec<u8>,
    /// Where the last comma ends.
    end: &'a mut usize,
}

impl Kernel for Reading<'_> {
    #[inline(always)]
    fn run(self) {
        for from in (self.from..).step_by(BLOCK) {
            let Some(window) = self.body.get(from..).and_then(<[u8]>::first_chunk) else { return };
            let Some(block) = Block::read(window) else { return };
            block.append_to(self.values);
            if block.commas != 0 {
                *self.end = from + BEFORE + BLOCK - block.commas.leading_zeros() as usize;
            }
        }
    }
}

/// What was found in a block.
struct Block {
    /// One bit for each byte, the first one lowest.
    commas: u64,
    /// Where there is a comma, the number before it modulo 256.
    numbers: [u8; BLOCK],
}

impl Block {
    /// None if there is anything but such integers, commas and white space.
    #[inline(always)]
    fn read(window: &[u8; BEFORE + BLOCK]) -> Option<Self> {
        let mut numbers = [0; BLOCK];
        let mut commas = [0; BLOCK];
        let mut wrong = 0;
        for place in 0..BLOCK {
            let [four, three, two, one, byte] = std::array::from_fn(|back| window[place + back]);
            let is = |truth: bool| u8::from(truth).wrapping_neg();
            let is_digit = |byte: u8| is(byte.wrapping_sub(b'0') < 10);
            let is_space =
                is(byte == b' ') | is(byte == b'\n') | is(byte == b'\r') | is(byte == b'\t');
            let (digit, comma, minus) = (is_digit(byte), is(byte == b','), is(byte == b'-'));
            let digits = [is_digit(one), is_digit(two), is_digit(three)];
            // Digits go on to a comma, and are three at most; a sign goes on to a digit.
            wrong |= !(digit | comma | minus | is_space);
            wrong |= digits[0] & !(digit | comma) | comma & !digits[0];
            wrong |= digit & digits[0] & digits[1] & digits[2];
            wrong |= is(one == b'-') & !digit;
            let value = |byte: u8| byte.wrapping_sub(b'0');
            let hundreds = value(three) & digits[1] & digits[2];
            let tens = (value(two) & digits[1]).wrapping_add(hundreds.wrapping_mul(10));
            let number = value(one).wrapping_add(tens.wrapping_mul(10));
            let negative = is(two == b'-')
                | is(three == b'-') & digits[1]
                | is(four == b'-') & digits[1] & digits[2];
            numbers[place] = (number ^ negative).wrapping_sub(negative);
            commas[place] = comma;
        }
        (wrong == 0).then(|| Self { commas: one_bit_each(&commas), numbers })
    }

    #[inline(always)]
    fn append_to(&self, values: &mut Vec<u8>) {
        let mut picked = [0; BLOCK];
        let mut left = self.commas;
        let mut count = 0;
        while left != 0 {
            picked[count % BLOCK] = self.numbers[left.trailing_zeros() as usize % BLOCK];
            left &= left - 1;
            count += 1;
        }
        // Of a length that is known beforehand, this takes a few instructions.
        let length = values.len() + count;
        values.extend_from_slice(&picked);
        values.truncate(length);
    }
}

/// The lowest bits of some bytes, the first one lowest.
#[inline(always)]
fn one_bit_each(bytes: &[u8; BLOCK]) -> u64 {
    let mut bits = 0;
    for (place, bytes) in bytes.as_chunks::<8>().0.iter().enumerate() {
        let word = u64::from_le_bytes(*bytes) & 0x0101_0101_0101_0101;
        // Bit 8i comes to bit 56 + i, and no two come to the same.
        bits |= (word.wrapping_mul(0x0102_0408_1020_4080) >> 56) << (8 * place);
    }
    bits
}
