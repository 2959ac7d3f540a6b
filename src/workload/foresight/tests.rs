use super::*;
use proptest::prelude::*;

/// A PNG file up to its header: 640 x 480, red, green and blue.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x02\x80\0\0\x01\xe0\x08\x02\0\0\0";
const VGA: &str = "scols=640&srows=480&wcols=640&wrows=480&coff=0&roff=0&aa=false";
const SCENE: &str = include_str!("../../../workloads/scenes/crowd.txt");

fn vga_png() -> Work {
    let pixels = 640 * 480;
    let format = Format::Png;
    Work::from_nanos(nominal_work(Filter::Blur, pixels, Channels::Rgb, format, Some(format)))
}

#[test]
fn a_picture_tells_its_size_however_it_is_sent() {
    let base64 = base64_simd::STANDARD.encode_to_string(PNG);
    let (first, second) = base64.split_at(17);
    let url = format!("data:image/png;base64,{first}\r\n{second}");
    let mut form = b"--x\r\nContent-Disposition: form-data; name=f\r\n\r\n".to_vec();
    form.extend_from_slice(PNG);
    for body in [PNG, url.as_bytes(), &form] {
        let features = picture(Filter::Blur, body, Some(90_000));
        assert_eq!((features.form, features.nominal), (Form::Png, vga_png()));
    }
    assert_eq!(picture(Filter::Blur, url.as_bytes(), Some(4_000)).bytes, 3_000);
    for body in [&b"data:image/png,plain"[..], b""] {
        assert_eq!(picture(Filter::Blur, body, Some(90_000)).form, Form::Guessed);
    }
}

#[test]
fn a_grey_picture_is_known_for_one() {
    let grey = [&PNG[..25], &[0], &PNG[26..]].concat();
    let features = picture(Filter::Blur, &grey, Some(90_000));
    assert_eq!(features.form, Form::Png);
    assert!(features.nominal < vga_png());
}

#[test]
fn a_picture_is_known_again_by_the_work_it_counted() {
    let features = picture_of_work(Filter::Blur, [640, 480], vga_png().nanos(), 400_000).unwrap();
    let expected = Features {
        kind: Kind::Blur,
        form: Form::Png,
        nominal: vga_png(),
        bytes: 300_000,
        ..Features::default()
    };
    assert_eq!(features, expected);
    assert_eq!(picture_of_work(Filter::Blur, [640, 480], 12_345, 400_000), None);
}

#[test]
fn a_render_of_few_shapes_is_known_again_by_what_it_counted() {
    let features = render_of_work(1_000, 500, 3, 40).unwrap();
    let [nominal, tests] = [1_000, 450].map(Work::from_nanos);
    let (kind, form) = (Kind::Raytrace, Form::ShortList);
    assert_eq!(features, Features { kind, form, nominal, tests, bytes: 40 });
    assert_eq!(render_of_work(1_000, u64::MAX, 3, 40).unwrap().tests, nominal);
    assert_eq!(render_of_work(1_000, 500, LONG_LIST as u64, 40), None);
    assert_eq!(render_of_work(1_000, 0, 3, 40), None);
}

#[test]
fn a_render_grows_with_its_window_its_scene_and_antialiasing() {
    let small = render(VGA, Some(1_000));
    assert_eq!(small.form, Form::Guessed);
    for larger in [
        render(&VGA.replace("wcols=640", "wcols=641"), Some(1_000)),
        render(&VGA.replace("false", "true"), Some(1_000)),
        render(VGA, Some(2_000)),
    ] {
        assert!(larger.nominal > small.nominal, "{larger:?}");
    }
    assert_eq!(render("", Some(1_000)).nominal, small.nominal, "a window of unknown size");
}

#[test]
fn a_scene_is_sampled_as_soon_as_it_is_there() {
    let json = format!("{{\"texmap\": null, \"scene\": \"{}\"", SCENE.replace('\n', "\\n"));
    let plain = Sampling::of(VGA, SCENE.as_bytes(), true, None).unwrap();
    let early = Sampling::of(VGA, json.as_bytes(), false, None).unwrap();
    let of = |sampling: Sampling| Features { bytes: 0, ..sampling.run().unwrap() };
    assert_eq!(of(early), of(plain));
    let cut = &json[..json.len() - 2];
    assert_eq!(Sampling::of(VGA, cut.as_bytes(), false, None), None);
    assert_eq!(Sampling::of(VGA, SCENE.as_bytes(), false, None), None);
    assert_eq!(Sampling::of(VGA, b"--form", true, None), None);
}

#[test]
fn what_costs_little_is_not_sampled() {
    let small = VGA.replace("640", "80").replace("480", "60");
    assert!(Sampling::of(&small, SCENE.as_bytes(), true, None).is_none());
    let long = [SCENE, &" ".repeat(1 << 20)].concat();
    assert!(Sampling::of(VGA, long.as_bytes(), true, None).is_none());
}

#[test]
fn a_scene_that_no_vm_would_take_is_an_error_and_no_more() {
    let sampling = Sampling::of(VGA, b"no scene", true, None).unwrap();
    assert!(sampling.run().is_err());
    assert_eq!(Sampling::of("wcols=-3", b"1 2", true, None), None);
}

proptest! {
    #[test]
    fn whatever_comes_has_features(
        start in proptest::collection::vec(any::<u8>(), 0..100),
        query in "(wcols=|wrows=|scols=|srows=|coff=0|roff=0|&|[0-9]{1,10}|\\PC){0,20}",
        length in proptest::option::of(any::<u64>()),
        signature in proptest::sample::select(vec![
            &b""[..], b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"{\"scene\": \"", b"data:;base64,",
        ]),
        is_whole: bool,
    ) {
        let start = [signature, &start].concat();
        let _ = picture(Filter::Enhance, &start, length);
        let _ = render(&query, length);
        if let Some(sampling) = Sampling::of(&query, &start, is_whole, length) {
            let _ = sampling.run();
        }
    }
}
