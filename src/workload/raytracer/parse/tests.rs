use super::*;
use crate::workload::raytracer::vector::Vector;

/// A scene with one light, two pigments, one finish and the shapes given.
fn scene(shapes: &str) -> String {
    format!(
        "0 0 5  0 0 0  0 1 0  40
1
0 0 0 .5 .5 .5 1 0 0
2 solid 1 0 0 gradient 0 0 0 1 1 1 0 1 0 0 0 1
1 .4 .6 .2 20 0 0 0
{shapes}"
    )
}

fn parse(text: &str) -> Result<Scene, Error> {
    Scene::parse(text.as_bytes(), &Limits::default())
}

fn message(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

#[test]
fn line_breaks_mean_nothing_and_what_follows_is_ignored() {
    let text = scene("1 0 0 sphere 1 2 3 4 whatever follows");
    let spread = text.replace(' ', "\r\n\t ");
    let (one, other) = (parse(&text).unwrap(), parse(&spread).unwrap());
    assert_eq!(one.shapes, other.shapes);
    let sphere = Sphere::new(Vector::new(1.0, 2.0, 3.0), 4.0);
    assert_eq!(one.shapes[0].geometry, Geometry::Sphere(sphere));
}

#[test]
fn a_gradient_is_its_first_colour() {
    let scene = parse(&scene("0")).unwrap();
    assert_eq!(scene.pigments[1], Pigment::Solid([0.0, 1.0, 0.0]));
}

#[test]
fn colours_are_brought_into_range_and_other_numbers_are_not() {
    let scene = parse("0 0 5 0 0 0 0 1 0 40 1 0 0 0 -1 7 .5 -2 9 .08 0 0 0").unwrap();
    assert_eq!(scene.lights[0].color, [0.0, 1.0, 0.5]);
    assert_eq!(scene.lights[0].attenuation, [-2.0, 9.0, 0.08]);
}

#[test]
fn numbers_may_lack_digits_on_either_side_of_the_point() {
    let scene = parse("-.5 5. +1e2 0 0 0 0 1 0 40 0 0 0 0").unwrap();
    assert_eq!(scene.lens.eye, Vector::new(-0.5, 5.0, 100.0));
}

#[test]
fn shapes_that_are_never_drawn_consume_their_numbers() {
    let bezier = "1 2 3 ".repeat(16);
    let shapes = format!(
        "8 0 0 cylinder 1 2 3 4 5 6 7 0 0 cone 1 2 3 4 5 6 7 0 0 disc 1 2 3 4 5 6 7
         0 0 polyhedron 2 1 2 3 4 5 6 7 8 0 0 polyhedron 0
         0 0 parallelogram 1 2 3 4 5 6 7 8 9 0 0 bezier {bezier} 0 0 plane 0 1 0 1"
    );
    let scene = parse(&scene(&shapes)).unwrap();
    assert_eq!((scene.shapes.len(), scene.invisible_shapes(), scene.primitives()), (1, 7, 8));
}

#[test]
fn negative_counts_are_none() {
    let scene = parse("0 0 5 0 0 0 0 1 0 40 -3 -1 0 -2147483648").unwrap();
    assert!(scene.lights.is_empty() && scene.shapes.is_empty());
}

#[test]
fn an_error_says_where_and_what() {
    assert_eq!(
        message(&scene("2\n0 0 sphere 1 2 3 4\n0 0 sphere 1 two 3 4")),
        "The scene has 'two' where the sphere's centre (a number) belongs, word 59 \
         (line 8, column 14), in shape 2 of 2."
    );
    assert_eq!(
        message("0 0 5\n0 0"),
        "The scene has the end of the text where the point looked at (a number) belongs, word 6 \
         (line 2, column 4)."
    );
    assert_eq!(
        message(""),
        "The scene has the end of the text where the eye (a number) belongs, word 1 \
         (line 1, column 1)."
    );
}

#[test]
fn an_unknown_word_is_named_as_ever() {
    let text = scene("1 0 0 cube 1 2 3");
    assert!(message(&text).starts_with("Unrecognized shape: 'cube'."), "{}", message(&text));
    let text = text.replace("gradient", "marble");
    assert!(message(&text).starts_with("Unrecognized pigment: 'marble'."), "{}", message(&text));
    assert!(matches!(parse(&text), Err(Error::Malformed(_))));
}

#[test]
fn an_index_must_exist() {
    for (shape, index) in [("2 0 sphere", 2), ("-1 0 sphere", -1), ("0 1 disc", 1)] {
        let error = parse(&scene(&format!("1 {shape} 0 0 0 1"))).unwrap_err();
        let length = if shape.starts_with('0') { 1 } else { 2 };
        let start = format!("Index {index} out of bounds for length {length}");
        assert!(matches!(&error, Error::Unprocessable(m) if m.starts_with(&start)), "{error}");
    }
}

#[test]
fn counts_and_indices_are_whole_numbers() {
    for shapes in ["2.0", "1e0", "x", "99999999999", "1 0.0 0 sphere 0 0 0 1"] {
        assert!(matches!(parse(&scene(shapes)), Err(Error::Malformed(_))), "{shapes}");
    }
}

#[test]
fn infinity_and_nan_are_no_numbers() {
    for word in ["inf", "NaN", "Infinity", "1,000", "0x10", "1e", "--1", "."] {
        let text = scene(&format!("1 0 0 sphere 0 0 0 {word}"));
        assert!(matches!(parse(&text), Err(Error::Malformed(_))), "{word}");
    }
}

#[test]
fn lists_beyond_a_limit_are_refused_before_they_are_read() {
    let limits = Limits { primitives: 3, lights: 1, ..Limits::default() };
    let refused = |text: &str| match Scene::parse(text.as_bytes(), &limits) {
        Err(Error::TooLarge { what, actual, limit, allowed }) => (what, actual, limit, allowed),
        other => panic!("{other:?}"),
    };
    let shapes = refused(&scene("1000000000"));
    assert_eq!(shapes, ("the scene's number of shapes", 1_000_000_000, "primitives", 3));
    let lights = refused("0 0 5 0 0 0 0 1 0 40 2");
    assert_eq!(lights, ("the scene's number of lights", 2, "lights", 1));
}

#[test]
fn a_count_that_lies_takes_no_memory() {
    let limits = Limits { primitives: u64::MAX, ..Limits::default() };
    let text = scene("2147483647 0 0 sphere 0 0 0 1");
    let error = Scene::parse(text.as_bytes(), &limits).unwrap_err();
    assert!(error.to_string().contains("in shape 2 of 2147483647"), "{error}");
}

#[test]
fn long_words_are_shortened_in_errors() {
    let error = message(&"x".repeat(1 << 20));
    assert!(error.len() < 300 && error.contains('…'), "{error}");
}

/// Counts how often it is asked, and gives up at the fifth time.
struct Fifth(std::sync::atomic::AtomicUsize);

impl Pacer for Fifth {
    fn checkpoint(&self) -> Result<(), crate::workload::Cancelled> {
        let before = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if before < 4 { Ok(()) } else { Err(crate::workload::Cancelled) }
    }
}

#[test]
fn reading_a_long_scene_can_be_given_up() {
    let ask = |text: &str| {
        let pacer = Fifth(0.into());
        let scene = Scene::read(text.as_bytes(), &Limits::default(), &pacer).map(drop);
        (scene, pacer.0.into_inner())
    };
    let faces = format!("1 0 0 polyhedron 900000 {}", "0 1 0 1 ".repeat(900_000));
    let spheres = format!("90000 {}", "0 0 sphere 1 2 3 4 ".repeat(90_000));
    for long in [scene(&faces), scene(&spheres)] {
        assert_eq!(ask(&long), (Err(Error::Cancelled), 5));
    }
    assert_eq!(ask(&scene("1 0 0 sphere 1 2 3 4")), (Ok(()), 0));
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text: Vec<u8>) {
        let _ = Scene::parse(&text, &Limits::default());
    }

    #[test]
    fn a_scene_cut_short_is_malformed(cut in 0..100_u32) {
        let text = scene("2 0 0 sphere 1 2 3 4 1 0 triangle 1 2 3 4 5 6 7 8 9");
        let end = text.len() * cut as usize / 100;
        // A number may still be one when its last digits are gone, so cut at white space.
        let end = text[..end].rfind(char::is_whitespace).unwrap_or(0);
        proptest::prop_assert!(matches!(parse(&text[..end]), Err(Error::Malformed(_))));
    }
}
