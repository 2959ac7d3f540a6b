//! The fast tracer against the plain one, on scenes that nobody would draw.

use std::num::NonZeroUsize;

use proptest::prelude::*;

use super::render::Prepared;
use super::texture::Texture;
use super::{Counters, Scene, View, reference};
use crate::workload::{Error, FullSpeed, Instructions, Limits, Run};

fn run_on(threads: usize, limits: &Limits) -> Run<'_> {
    Run { threads: NonZeroUsize::new(threads).unwrap(), pacer: &FullSpeed, limits }
}

/// Numbers of everyday size, often whole or half.
fn plain() -> BoxedStrategy<f64> {
    prop_oneof![
        4 => -8.0..8.0,
        2 => (-8..=8).prop_map(f64::from),
        1 => (-16..=16).prop_map(|n| f64::from(n) * 0.5),
    ]
    .boxed()
}

/// Everyday numbers, and now and then one that overflows, underflows or vanishes.
fn number(wild: bool) -> BoxedStrategy<f64> {
    if !wild {
        return plain();
    }
    let extreme = prop::sample::select(vec![
        0.0, -0.0, 1e-30, -1e-12, 1e-160, 1e-320, 1e4, -1e7, 1e11, 3e12, 1e15, -1e17, 1e40, 1e154,
        -1e160, 1e300, 1e308,
    ]);
    prop_oneof![6 => plain(), 1 => extreme].boxed()
}

fn numbers(count: usize, wild: bool) -> BoxedStrategy<String> {
    prop::collection::vec(number(wild), count)
        .prop_map(|numbers| numbers.iter().map(|n| format!("{n:e} ")).collect::<Vec<_>>().concat())
        .boxed()
}

fn channels(count: usize) -> BoxedStrategy<String> {
    let channel = prop_oneof![4 => 0.0..1.0, 1 => Just(0.0), 1 => Just(1.0), 1 => -1.0..3.0];
    prop::collection::vec(channel, count)
        .prop_map(|numbers| numbers.iter().map(|n| format!("{n} ")).collect::<Vec<_>>().concat())
        .boxed()
}

fn light(wild: bool) -> BoxedStrategy<String> {
    let falloff = prop_oneof![
        3 => Just("1 0 0".to_owned()),
        1 => Just("0 0 0".to_owned()),
        1 => Just("0.5 0.05 0.002".to_owned()),
        1 => numbers(3, wild),
    ];
    (numbers(3, wild), channels(3), falloff)
        .prop_map(|(position, color, falloff)| format!("{position} {color} {falloff}\n"))
        .boxed()
}

fn pigment(wild: bool) -> BoxedStrategy<String> {
    prop_oneof![
        3 => channels(3).prop_map(|color| format!("solid {color}\n")),
        2 => (channels(6), numbers(1, wild)).prop_map(|(c, s)| format!("checker {c} {s}\n")),
        1 => (numbers(6, wild), channels(6)).prop_map(|(n, c)| format!("gradient {n} {c}\n")),
        2 => numbers(8, wild).prop_map(|mapping| format!("texmap picture {mapping}\n")),
    ]
    .boxed()
}

fn finish(wild: bool) -> BoxedStrategy<String> {
    let part = || prop_oneof![3 => 0.0..1.2, 2 => Just(0.0), 1 => -0.5..0.0].boxed();
    let shininess = prop_oneof![
        3 => 0.0..400.0,
        1 => prop::sample::select(vec![0.0, 1.0, 2.0, -1.0, -3.0, 1e5, 1e38, 1e39, 0.5]),
    ];
    let index = prop_oneof![
        3 => prop::sample::select(vec![0.0, 1.0, 1.5, 2.42, 0.6667, -1.2]).boxed(),
        1 => number(wild),
    ];
    (part(), part(), part(), shininess, part(), part(), index)
        .prop_map(|(a, d, s, h, r, t, i)| format!("{a} {d} {s} {h:e} {r} {t} {i:e}\n"))
        .boxed()
}

fn geometry(wild: bool) -> BoxedStrategy<String> {
    prop_oneof![
        5 => numbers(4, wild).prop_map(|n| format!("sphere {n}\n")),
        // Small ones, so that not everything is inside everything.
        5 => (numbers(3, wild), 0.05..1.0).prop_map(|(n, r)| format!("sphere {n} {r}\n")),
        1 => numbers(4, wild).prop_map(|n| format!("plane {n}\n")),
        4 => numbers(9, wild).prop_map(|n| format!("triangle {n}\n")),
        1 => numbers(7, wild).prop_map(|n| format!("disc {n}\n")),
        1 => numbers(8, wild).prop_map(|n| format!("polyhedron 2 {n}\n")),
    ]
    .boxed()
}

prop_compose! {
    fn lists(wild: bool)(
        camera in (numbers(9, false), 10.0..170.0),
        lights in prop::collection::vec(light(wild), 0..5),
        pigments in prop::collection::vec(pigment(wild), 1..5),
        finishes in prop::collection::vec(finish(wild), 1..5),
        shapes in prop::collection::vec((0..64_usize, 0..64_usize, geometry(wild)), 0..40),
        // Equal shapes again: the first one must win.
        repeat in 1..3_usize,
    ) -> String {
        let shapes: Vec<String> = shapes
            .iter()
            .map(|(p, f, g)| format!("{} {} {g}", p % pigments.len(), f % finishes.len()))
            .collect();
        let shapes: Vec<String> = shapes.iter().cycle().take(shapes.len() * repeat).cloned().collect();
        let list = |items: &[String]| format!("{}\n{}", items.len(), items.concat());
        format!(
            "{}{}\n{}{}{}{}",
            camera.0, camera.1, list(&lights), list(&pigments), list(&finishes), list(&shapes)
        )
    }
}

prop_compose! {
    fn view()(
        scene in (-3..40, 1..40),
        window in (1..20, 1..20),
        offset in (-20..20, -20..20),
        antialias: bool,
    ) -> View {
        View {
            scene_columns: scene.0,
            scene_rows: scene.1,
            window_columns: window.0,
            window_rows: window.1,
            column_offset: offset.0,
            row_offset: offset.1,
            antialias,
        }
    }
}

fn texture() -> Texture {
    Texture::from_fn(7, 5, |x, y| [x * 36, y * 50, (x ^ y) * 30])
}

/// Prepares a scene, with hierarchies for kinds of at least so many shapes.
fn prepare(text: &str, least: usize) -> Prepared {
    let scene = Scene::parse(text.as_bytes(), &Limits::default()).unwrap();
    Prepared::arrange(scene, Some(texture()), least, &FullSpeed).unwrap()
}

/// Renders in every way there is and compares the pictures with the plain tracer's, and the
/// counters with each other.
fn check(text: &str, view: &View) -> Result<(), TestCaseError> {
    let limits = Limits::default();
    let scene = Scene::parse(text.as_bytes(), &limits).unwrap();
    let expected = reference::render(&scene, Some(&texture()), view);
    for least in [usize::MAX, 1] {
        let prepared = prepare(text, least);
        let mut counters: Option<Counters> = None;
        for (level, threads) in Instructions::available().zip([1, 3, 2]) {
            let result = prepared.render_with(level, view, &run_on(threads, &limits));
            match (&expected, result) {
                (Some(expected), Ok(rendered)) => {
                    prop_assert_eq!(expected, &rendered.rgb(), "{:?}, {}", level, least);
                    let counted = *counters.get_or_insert(rendered.counters);
                    prop_assert_eq!(counted, rendered.counters, "{:?}, {}", level, least);
                }
                (None, Err(Error::Unprocessable(_))) => {}
                (_, result) => prop_assert!(false, "{result:?}"),
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 96 } else { 4096 }))]

    #[test]
    fn ordinary_scenes_match_the_plain_tracer(text in lists(false), view in view()) {
        check(&text, &view)?;
    }

    #[test]
    fn wild_scenes_match_the_plain_tracer(text in lists(true), view in view()) {
        check(&text, &view)?;
    }
}
