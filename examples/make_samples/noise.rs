//! Random numbers that depend on a place alone, and smooth noise made of them.
//!
//! Only operations that IEEE 754 rounds exactly are used, so every machine makes the same bytes.

/// A number from 0 to 1 for a lattice point: the output function of `SplitMix64` (Steele, Lea and
/// Flood 2014) over its coordinates.
#[expect(clippy::cast_sign_loss, reason = "any bits will do, the sign's too")]
pub(crate) fn hash(column: i64, row: i64, seed: u64) -> f64 {
    let mut bits = (column as u64)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .wrapping_add((row as u64).rotate_left(32))
        .wrapping_add(seed.wrapping_mul(0xd1b5_4a32_d192_ed03));
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((bits ^ (bits >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

/// Value noise from 0 to 1 that repeats every `period` lattice cells in both directions.
pub(crate) fn value(across: f64, down: f64, period: (i64, i64), seed: u64) -> f64 {
    let (column, x) = cell(across);
    let (row, y) = cell(down);
    let corner = |right: i64, below: i64| {
        hash((column + right).rem_euclid(period.0), (row + below).rem_euclid(period.1), seed)
    };
    let above = mix(corner(0, 0), corner(1, 0), smooth(x));
    let below = mix(corner(0, 1), corner(1, 1), smooth(x));
    mix(above, below, smooth(y))
}

/// Octaves of [`value`] noise, each twice as fine and half as strong as the one before; 0 to 1.
pub(crate) fn octaves(across: f64, down: f64, period: (i64, i64), count: u32, seed: u64) -> f64 {
    let mut sum = 0.0;
    let mut weight = 0.0;
    for octave in 0..count {
        let scale = 1_i64 << octave;
        let strength = 1.0 / scale as f64;
        let (across, down) = (across * scale as f64, down * scale as f64);
        let period = (period.0 * scale, period.1 * scale);
        sum += strength * value(across, down, period, seed + u64::from(octave));
        weight += strength;
    }
    sum / weight
}

/// A wave of period 1 that rises from 0 to 1 and falls back, as smoothly as a cosine.
pub(crate) fn wave(phase: f64) -> f64 {
    let (_, part) = cell(phase);
    smooth(1.0 - (2.0 * part - 1.0).abs())
}

pub(crate) fn mix(from: f64, to: f64, share: f64) -> f64 {
    from + (to - from) * share
}

/// Rises from 0 at 0 to 1 at 1, level at both ends.
fn smooth(part: f64) -> f64 {
    part * part * (3.0 - 2.0 * part)
}

/// Which lattice cell a coordinate lies in, and where in it.
#[expect(clippy::cast_possible_truncation, reason = "coordinates are small")]
fn cell(coordinate: f64) -> (i64, f64) {
    let whole = coordinate.floor();
    (whole as i64, coordinate - whole)
}
