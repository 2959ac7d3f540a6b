use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::workload::{FullSpeed, Limits};

const SCENE: &str = "0 1 6 0 0 0 0 1 0 50
2 0 0 0 .3 .3 .3 1 0 0 5 5 5 1 1 1 1 0 0
2 solid .9 .2 .1 checker 1 1 1 0 0 0 .7
2 .4 .6 .3 30 .3 0 0 .1 .2 .4 60 .1 .7 1.4
4 1 0 plane 0 1 0 1 0 0 sphere -1 0 0 1 0 1 sphere 1 0 1 .8 0 0 triangle -3 0 -3 3 0 -3 0 3 -3";

/// Gives up at the so-manieth checkpoint.
struct StopAfter(AtomicU32);

impl Pacer for StopAfter {
    fn checkpoint(&self) -> Result<(), Cancelled> {
        let left = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        left.map(|_| ()).map_err(|_| Cancelled)
    }
}

fn run_with<'a>(threads: usize, pacer: &'a dyn Pacer, limits: &'a Limits) -> Run<'a> {
    Run { threads: NonZeroUsize::new(threads).unwrap(), pacer, limits }
}

fn request(scene: &str, view: View) -> RenderRequest<'_> {
    RenderRequest { scene: scene.as_bytes(), texmap: None, view }
}

fn error(scene: &str, view: View) -> Error {
    render(&request(scene, view), &run_with(2, &FullSpeed, &Limits::default())).unwrap_err()
}

#[test]
fn any_number_of_threads_gives_the_same_picture_and_work() {
    let limits = Limits::default();
    let view = View { antialias: true, ..View::full(90, 70) };
    let one = render(&request(SCENE, view), &run_with(1, &FullSpeed, &limits)).unwrap();
    assert!(one.counters.secondary > 0 && one.counters.shadow > 0);
    for threads in [2, 3, 16] {
        let run = run_with(threads, &FullSpeed, &limits);
        let many = render(&request(SCENE, view), &run).unwrap();
        assert!(many.bmp == one.bmp, "{threads} threads");
        assert_eq!((many.counters, many.usage.work), (one.counters, one.usage.work));
    }
}

#[test]
fn a_request_can_be_given_up_at_any_checkpoint() {
    let limits = Limits::default();
    let view = View { antialias: true, ..View::full(200, 200) };
    for checkpoints in [0, 1, 3] {
        for threads in [1, 2] {
            let pacer = StopAfter(AtomicU32::new(checkpoints));
            let result = render(&request(SCENE, view), &run_with(threads, &pacer, &limits));
            assert_eq!(result.unwrap_err(), Error::Cancelled);
        }
    }
}

#[test]
fn a_window_needs_pixels_but_not_too_many() {
    let view = View { window_columns: 0, ..View::full(40, 30) };
    let expected = "Width (0) and height (30) cannot be <= 0";
    assert_eq!(error(SCENE, view), Error::Unprocessable(expected.to_owned()));
    let error = error(SCENE, View::full(100_000, 100_000));
    assert!(matches!(error, Error::TooLarge { limit: "window_pixels", .. }));
}

#[test]
fn a_scene_without_light_may_only_show_the_background() {
    let empty = "0 0 5 0 0 0 0 1 0 40 0 1 solid 1 1 1 1 1 1 1 1 0 0 0 0";
    let limits = Limits::default();
    let view = View::full(3, 3);
    let grey = render(&request(empty, view), &run_with(1, &FullSpeed, &limits)).unwrap();
    assert_eq!(grey.rgb(), [128; 27]);
    let dark = empty.replace("1 1 1 1 1 0 0 0 0", "1 1 1 1 1 0 0 0 1 0 0 sphere 0 0 0 1");
    let error = error(&dark, view);
    assert!(error.to_string().starts_with("Index 0 out of bounds for length 0"), "{error}");
}

#[test]
fn a_texture_is_missed_only_where_it_is_needed() {
    let scene = SCENE.replace("solid .9 .2 .1", "texmap wood.bmp 1 0 0 0 0 1 0 0");
    let error = error(&scene, View::full(4, 4));
    assert!(error.to_string().starts_with("Could not find texmap file."), "{error}");
    let limits = Limits::default();
    let nonsense = RenderRequest { texmap: Some(b"?"), ..request(SCENE, View::full(4, 4)) };
    assert!(render(&nonsense, &run_with(1, &FullSpeed, &limits)).is_ok());
}

#[test]
fn a_scene_of_no_size_is_all_background() {
    let limits = Limits::default();
    for (columns, rows) in [(0, 10), (10, 0), (0, 0)] {
        let view = View { scene_columns: columns, scene_rows: rows, ..View::full(5, 4) };
        let rendered = render(&request(SCENE, view), &run_with(1, &FullSpeed, &limits)).unwrap();
        assert_eq!(rendered.rgb(), [128; 60]);
    }
}

#[test]
fn many_lights_over_many_shapes_do_not_delay_giving_up() {
    let lights = "0 5 9 1 1 1 1 0 0 ".repeat(800);
    let planes = "0 0 plane 0 1 0 1000 ".repeat(20_000);
    let scene = format!(
        "0 0 5 0 0 0 0 1 0 9 800 {lights} 1 solid 1 1 1 1 .2 .6 .4 9 0 0 1 20001 \
         0 0 sphere 0 0 0 1 {planes}"
    );
    let limits = Limits::default();
    let shapes = scene.len() / super::super::parse::PACE;
    // One pixel: a single batch of rays, whose lights alone are worth several checkpoints.
    let pacer = StopAfter(AtomicU32::new(u32::try_from(shapes).unwrap() + 4));
    let result = render(&request(&scene, View::full(1, 1)), &run_with(1, &pacer, &limits));
    assert_eq!(result.unwrap_err(), Error::Cancelled);
}

#[test]
fn offsets_beyond_all_bounds_are_harmless() {
    let limits = Limits::default();
    for offset in [i32::MIN, i32::MAX] {
        let view = View { column_offset: offset, row_offset: offset, ..View::full(9, 9) };
        assert!(render(&request(SCENE, view), &run_with(1, &FullSpeed, &limits)).is_ok());
    }
}

#[test]
fn a_probe_foretells_the_counters() {
    let limits = Limits::default();
    let run = run_with(1, &FullSpeed, &limits);
    let prepared = Prepared::new(SCENE.as_bytes(), None, &run).unwrap();
    for antialias in [false, true] {
        let view = View { antialias, ..View::full(320, 240) };
        let probe = prepared.probe(&view, 400).unwrap();
        let whole = prepared.render(&view, &run).unwrap().counters;
        let factor = whole.primary as f64 / probe.primary as f64;
        for (foretold, actual) in [
            (probe.secondary, whole.secondary),
            (probe.shadow, whole.shadow),
            (probe.tests, whole.tests),
            (probe.work(), whole.work()),
        ] {
            let ratio = foretold as f64 * factor / actual as f64;
            assert!((0.8..1.25).contains(&ratio), "{probe:?} {whole:?}");
        }
    }
}

#[test]
fn a_probe_of_every_pixel_counts_what_rendering_counts() {
    let limits = Limits::default();
    let run = run_with(1, &FullSpeed, &limits);
    let prepared = Prepared::new(SCENE.as_bytes(), None, &run).unwrap();
    let view = View::full(20, 20);
    let whole = prepared.render(&view, &run).unwrap().counters;
    assert_eq!(prepared.probe(&view, 400).unwrap(), whole);
}

#[test]
fn features_tell_what_is_known_beforehand() {
    let limits = Limits::default();
    let run = run_with(1, &FullSpeed, &limits);
    let prepared = Prepared::new(SCENE.as_bytes(), None, &run).unwrap();
    let view = View { antialias: true, ..View::full(20, 10) };
    let expected = Features {
        pixels: 200,
        antialias: true,
        primitives: 4,
        lights: 2,
        scene_bytes: SCENE.len() as u64,
        texture_pixels: 0,
        reflecting: 4,
        transmitting: 1,
    };
    assert_eq!(prepared.features(&view), expected);
}
