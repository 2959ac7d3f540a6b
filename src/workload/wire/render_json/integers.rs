//! Short integers of a list, a block of bytes at a time.
//!
//! For 64 bytes at once one bit a byte says what it is: a digit, a comma, a sign. Where the integers
//! of a block begin and end is then known without looking at one before the next (after G. Langdale
//! and D. Lemire, "Parsing Gigabytes of JSON per Second", VLDB Journal 28, 2019).

/// Bytes of a block: one for each bit.
const BLOCK: usize = 64;
/// Bytes of a word.
const WORD: usize = 8;
/// Bytes before a block that are looked at with its first integer.
const BEFORE: usize = 4;
/// So many digits are read here at most.
const LONGEST: u32 = 3;

/// One in each byte.
const EACH: u64 = 0x0101_0101_0101_0101;
/// The highest bit of each byte.
const HIGH: u64 = EACH << 7;

/// How far [`read`] came.
pub(super) struct Read {
    /// What stands here is yet to be read.
    pub(super) end: usize,
    /// Before this place there is something that is not read here.
    pub(super) again: usize,
}

/// Reads integers of one to three digits, each with its comma, from the place `at` on, where one
/// begins; appends them to `values` modulo 256.
///
/// Stops before a block of bytes with anything else in it, and less than a block before the end.
pub(super) fn read(body: &[u8], mut at: usize, values: &mut Vec<u8>) -> Read {
    while let Some(bytes) = at.checked_sub(BEFORE).and_then(|start| body.get(start..))
        && let Some(window) = bytes.first_chunk()
    {
        let mut integers = [0; BLOCK];
        let Some((count, length)) = read_block(window, &mut integers) else {
            return Read { end: at, again: at + BLOCK };
        };
        values.extend_from_slice(&integers[..count]);
        at += length;
    }
    Read { end: at, again: body.len() }
}

/// Reads the integers of a block that end in it; how many there are, and their length in bytes.
fn read_block(window: &[u8; BEFORE + BLOCK], integers: &mut [u8; BLOCK]) -> Option<(usize, usize)> {
    let Marks { digits, commas, signs, spaces } = Marks::of(window.last_chunk()?)?;
    let inside = u64::MAX.checked_shr(commas.leading_zeros())?;
    let first_digits = digits & !(digits << 1) & inside;
    let known = digits | commas | signs | spaces;
    // Each comma ends a run of digits, so that as many runs as commas mean one run for each.
    let is_plain = known & inside == inside
        && commas & !(digits << 1) == 0
        && first_digits.count_ones() == commas.count_ones()
        && (signs & inside) << 1 & !first_digits == 0;
    if !is_plain {
        return None;
    }
    let (mut starts, mut ends) = (first_digits, commas);
    let (mut count, mut longest) = (0, 0);
    while ends != 0 {
        let (start, end) = (starts.trailing_zeros(), ends.trailing_zeros());
        let length = end - start;
        longest = longest.max(length);
        let last = window[end as usize % BLOCK..].first_chunk::<BEFORE>()?;
        // Digits as distances from 0; then without what stands before, and the last one third.
        let digits = u32::from_le_bytes(*last) ^ 0x3030_3030;
        let digits = digits.wrapping_shr(32_u32.wrapping_sub(8 * length));
        let digits = digits.wrapping_shl(24_u32.wrapping_sub(8 * length));
        // The sum with these weights stands in the third byte.
        let number = (digits.wrapping_mul(100 << 16 | 10 << 8 | 1) >> 16).to_le_bytes()[0];
        let is_negative = (signs << 1 >> start) & 1 != 0;
        integers[count % BLOCK] = if is_negative { number.wrapping_neg() } else { number };
        count += 1;
        starts &= starts - 1;
        ends &= ends - 1;
    }
    (longest <= LONGEST).then_some((count, inside.count_ones() as usize))
}

/// What each byte of a block is: one bit for each, the first lowest.
#[derive(Default)]
struct Marks {
    digits: u64,
    commas: u64,
    signs: u64,
    spaces: u64,
}

impl Marks {
    /// None for bytes that are not ASCII.
    fn of(block: &[u8; BLOCK]) -> Option<Self> {
        let mut marks = Self::default();
        for (index, bytes) in block.as_chunks::<WORD>().0.iter().enumerate() {
            let word = u64::from_le_bytes(*bytes);
            if word & HIGH != 0 {
                return None;
            }
            // No sum or difference of bytes below goes beyond its own byte.
            let is = |byte: u8| HIGH - (word ^ (EACH * u64::from(byte)));
            let at_least = |byte: u8| word + EACH * u64::from(0x80 - byte);
            let digits = at_least(b'0') & !at_least(b'9' + 1) & HIGH;
            let commas = is(b',') & HIGH;
            let place = index * WORD;
            marks.digits |= one_bit_each(digits) << place;
            marks.commas |= one_bit_each(commas) << place;
            if digits | commas != HIGH {
                let spaces = is(b' ') | is(b'\n') | is(b'\r') | is(b'\t');
                marks.signs |= one_bit_each(is(b'-') & HIGH) << place;
                marks.spaces |= one_bit_each(spaces & HIGH) << place;
            }
        }
        Some(marks)
    }
}

/// The highest bits of the bytes of a word, as its lowest eight bits.
const fn one_bit_each(high_bits: u64) -> u64 {
    (high_bits >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
}
