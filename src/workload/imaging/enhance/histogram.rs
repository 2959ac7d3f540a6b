//! Counts of grey levels: of one column of the window, and of the window.
#![expect(clippy::inline_always, reason = "compiled for several instruction sets: see Kernel")]

/// Levels that are counted exactly inside one segment.
const SEGMENT: usize = 16;

/// Segments of the range of levels.
pub(super) const SEGMENTS: usize = 256 / SEGMENT;

/// How often each level occurs in one column of the window: at most as often as the window
/// has rows: 101 times.
#[derive(Clone)]
#[repr(align(32))]
pub(super) struct Column {
    pub(super) levels: [u8; 256],
    /// Pixels whose level is below each segment.
    pub(super) below: [u8; SEGMENTS],
}

/// How often each level occurs in the window: at most 101² times.
#[derive(Clone)]
#[repr(align(64))]
pub(super) struct Window {
    pub(super) levels: [u16; 256],
    /// Pixels whose level is below each segment.
    pub(super) below: [u16; SEGMENTS],
}

impl Column {
    pub(super) const EMPTY: Self = Self { levels: [0; 256], below: [0; SEGMENTS] };

    /// Counts the levels below each segment, after the levels themselves.
    pub(super) fn count_below(&mut self) {
        let (segments, _) = self.levels.as_chunks::<SEGMENT>();
        let mut below = 0;
        for (segment, count) in segments.iter().zip(&mut self.below) {
            *count = below;
            below += segment.iter().sum::<u8>();
        }
    }
}

impl Window {
    pub(super) const EMPTY: Self = Self { levels: [0; 256], below: [0; SEGMENTS] };

    /// Takes in one column more.
    #[inline(always)]
    pub(super) fn add(&mut self, column: &Column) {
        for (count, add) in self.levels.iter_mut().zip(&column.levels) {
            *count += u16::from(*add);
        }
        for (count, add) in self.below.iter_mut().zip(&column.below) {
            *count += u16::from(*add);
        }
    }

    /// Moves along the row by one column.
    #[inline(always)]
    pub(super) fn exchange(&mut self, entering: &Column, leaving: &Column) {
        // Counts of a column are at most 101, so their differences fit eight bits with sign.
        let change =
            |entering: u8, leaving: u8| i16::from(entering.wrapping_sub(leaving).cast_signed());
        for level in 0..256 {
            let change = change(entering.levels[level], leaving.levels[level]);
            self.levels[level] = self.levels[level].wrapping_add_signed(change);
        }
        for segment in 0..SEGMENTS {
            let change = change(entering.below[segment], leaving.below[segment]);
            self.below[segment] = self.below[segment].wrapping_add_signed(change);
        }
    }

    /// Pixels that are not brighter than `level`.
    #[inline(always)]
    pub(super) fn rank(&self, level: u8) -> u16 {
        let (segments, _) = self.levels.as_chunks::<SEGMENT>();
        let segment = usize::from(level) / SEGMENT;
        let mask = &UP_TO[usize::from(level) % SEGMENT];
        let mut sum = 0;
        for index in 0..SEGMENT {
            sum += segments[segment][index] & mask[index];
        }
        self.below[segment] + sum
    }
}

/// For each place in a segment, all bits for the levels up to it.
static UP_TO: [[u16; SEGMENT]; SEGMENT] = {
    let mut masks = [[0; SEGMENT]; SEGMENT];
    let mut place = 0;
    while place < SEGMENT {
        let mut level = 0;
        while level <= place {
            masks[place][level] = u16::MAX;
            level += 1;
        }
        place += 1;
    }
    masks
};

/// What is added to the counts below each segment when one level takes another's place, as a
/// number with sign in eight bits.
#[inline(always)]
pub(super) fn below_changes(leaving: u8, entering: u8) -> [u8; SEGMENTS] {
    let entered = &BELOW[usize::from(entering) / SEGMENT];
    let left = &BELOW[usize::from(leaving) / SEGMENT];
    let mut changes = [0; SEGMENTS];
    for segment in 0..SEGMENTS {
        changes[segment] = entered[segment].wrapping_sub(left[segment]);
    }
    changes
}

/// For a level of each segment, 1 for the segments that it is below.
static BELOW: [[u8; SEGMENTS]; SEGMENTS] = {
    let mut below = [[0; SEGMENTS]; SEGMENTS];
    let mut own = 0;
    while own < SEGMENTS {
        let mut segment = own + 1;
        while segment < SEGMENTS {
            below[own][segment] = 1;
            segment += 1;
        }
        own += 1;
    }
    below
};
