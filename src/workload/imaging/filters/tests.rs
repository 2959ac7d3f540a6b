use super::*;
use crate::workload::imaging::rows::{Decoded, Gather};
use crate::workload::{FullSpeed, Limits, Pacer};
use proptest::prelude::*;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};

fn noise(layout: Layout, seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    // Flat parts beside noise, so that equal levels and extreme sums occur.
    let cuts = [random.u8(..), random.u8(..), random.u8(..)];
    let sample = |_| match random.u8(..) {
        0..100 => cuts[0],
        100..120 => 255,
        120..140 => 0,
        other => other,
    };
    (0..layout.stride() * layout.height).map(sample).collect()
}

/// Filters samples without any file format.
fn filter(
    filter: Filter,
    layout: Layout,
    samples: &[u8],
    threads: usize,
    pacer: &dyn Pacer,
) -> Result<Vec<u8>, Error> {
    filter_with(Instructions::best(), filter, layout, samples, threads, pacer)
}

fn filter_with(
    instructions: Instructions,
    filter: Filter,
    layout: Layout,
    samples: &[u8],
    threads: usize,
    pacer: &dyn Pacer,
) -> Result<Vec<u8>, Error> {
    let limits = Limits::default();
    let threads = NonZeroUsize::new(threads).expect("at least one");
    let settings = Run { threads, pacer, limits: &limits };
    let source = Box::new(Decoded::new(layout, samples.to_vec(), false));
    let sink = Box::new(Gather::new(layout, |_, samples, _| Ok(samples.clone())));
    run(instructions, filter, source, sink, &settings).map(|(samples, _)| samples)
}

/// One pass of the blur, as it is defined: lines of `length` samples, `step` apart.
fn blur_lines(samples: &[u8], length: usize, step: usize) -> Vec<u8> {
    let blur_one = |at: usize| {
        let position = at / step % length;
        let (mut sum, mut weight) = (0, 0);
        for (index, tap) in blur::TAPS.iter().enumerate() {
            let Some(other) = (position + index).checked_sub(blur::RADIUS) else { continue };
            if other < length {
                sum += tap * i32::from(samples[at - position * step + other * step]);
                weight += tap;
            }
        }
        u8::try_from((sum + weight / 2) / weight).expect("a mean of bytes")
    };
    (0..samples.len()).map(blur_one).collect()
}

fn expected_blur(layout: Layout, samples: &[u8]) -> Vec<u8> {
    let across = blur_lines(samples, layout.width, layout.channels.count());
    let mut result = blur_lines(&across, layout.height, layout.stride());
    if layout.channels == Channels::Grey {
        change_first_pixel(&mut result);
    }
    result
}

fn expected_enhancement(layout: Layout, samples: &[u8]) -> Vec<u8> {
    let Layout { width, height, .. } = layout;
    let colours = layout.channels.count().min(3);
    let grey = |pixel: &[u8]| {
        pixel[..colours].iter().map(|sample| usize::from(*sample)).sum::<usize>() / colours
    };
    let grey: Vec<usize> = samples.chunks_exact(layout.channels.count()).map(grey).collect();
    let start =
        |centre: usize, length: usize| centre.saturating_sub(50).min(length.saturating_sub(101));
    let mut result = Vec::new();
    for y in 0..height {
        for x in 0..width {
            let (top, left) = (start(y, height), start(x, width));
            let rows = top..height.min(top + 101);
            let columns = left..width.min(left + 101);
            let area = rows.len() * columns.len();
            let row = |y: usize| &grey[y * width..][columns.clone()];
            let level = grey[y * width + x];
            let count = rows.flat_map(row).filter(|other| **other <= level).count();
            result.push(u8::try_from(255 * count / area).expect("a share of 255"));
        }
    }
    change_first_pixel(&mut result);
    result
}

fn layouts(longest: usize) -> impl Strategy<Value = Layout> {
    let channels = prop::sample::select(vec![Channels::Grey, Channels::Rgb, Channels::Rgba]);
    let side = || prop_oneof![1..longest, Just(1), Just(65), Just(66), Just(101), Just(102)];
    (side(), side(), channels).prop_map(|(width, height, channels)| Layout {
        width,
        height,
        channels,
    })
}

/// Filters with each instruction set there is.
fn gives(
    filter: Filter,
    layout: Layout,
    samples: &[u8],
    threads: usize,
    expected: &[u8],
) -> Result<(), TestCaseError> {
    for set in Instructions::available() {
        let result = filter_with(set, filter, layout, samples, threads, &FullSpeed);
        prop_assert!(result.unwrap() == expected, "{set}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_blur_is_the_weighted_mean_of_what_lies_inside(
        layout in layouts(300), seed: u64, threads in 1usize..4,
    ) {
        let samples = noise(layout, seed);
        let expected = expected_blur(layout, &samples);
        gives(Filter::Blur, layout, &samples, threads, &expected)?;
    }
}

proptest! {
    // The definition taken literally costs ten thousand comparisons a pixel.
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn enhancing_gives_the_share_of_pixels_that_are_not_brighter(
        layout in layouts(130), seed: u64, threads in 1usize..4,
    ) {
        let samples = noise(layout, seed);
        let expected = expected_enhancement(layout, &samples);
        gives(Filter::Enhance, layout, &samples, threads, &expected)?;
    }
}

#[test]
fn many_threads_give_the_same_as_one_across_tiles() {
    let layout = Layout { width: 1500, height: 700, channels: Channels::Rgb };
    let samples = noise(layout, 7);
    for kind in [Filter::Blur, Filter::Enhance] {
        let one = filter(kind, layout, &samples, 1, &FullSpeed).unwrap();
        for threads in [2, 3, 8] {
            let many = filter(kind, layout, &samples, threads, &FullSpeed).unwrap();
            assert!(one == many, "{kind:?} on {threads} threads");
        }
    }
}

/// Gives up after some calls.
struct Impatient {
    patience: AtomicUsize,
}

impl Pacer for Impatient {
    fn checkpoint(&self) -> Result<(), Cancelled> {
        let decrease = |left: usize| left.checked_sub(1);
        let left = self.patience.fetch_update(Ordering::Relaxed, Ordering::Relaxed, decrease);
        left.map(drop).map_err(|_| Cancelled)
    }
}

#[test]
fn a_request_that_is_given_up_ends_wherever_it_is() {
    let layout = Layout { width: 1500, height: 1400, channels: Channels::Rgb };
    let samples = noise(layout, 1);
    for kind in [Filter::Blur, Filter::Enhance] {
        let patient = Impatient { patience: AtomicUsize::new(usize::MAX) };
        filter(kind, layout, &samples, 1, &patient).unwrap();
        let calls = usize::MAX - patient.patience.into_inner();
        assert!(calls >= 15, "{calls} calls for about 20 ms of work");
        for patience in [0, 1, calls / 2, calls - 1] {
            for threads in [1, 2, 4] {
                let pacer = Impatient { patience: AtomicUsize::new(patience) };
                let result = filter(kind, layout, &samples, threads, &pacer);
                if threads == 1 {
                    assert_eq!(result, Err(Error::Cancelled), "{kind:?} after {patience}");
                } else {
                    // Each thread counts for itself, so some may make fewer calls in all.
                    assert!(result.is_ok() || result == Err(Error::Cancelled));
                }
            }
        }
    }
}
