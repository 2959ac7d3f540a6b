//! The scene language: reads a scene, and renders a small picture of it if it is one.
#![no_main]

use cumulet::workload::raytracer::{RenderRequest, View, render};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|scene: &[u8]| {
    let view = View { antialias: true, ..View::full(7, 5) };
    cumulet_fuzz::with_limits(|run| {
        if let Ok(picture) = render(&RenderRequest { scene, texmap: None, view }, run) {
            assert_eq!((picture.width, picture.height, picture.rgb().len()), (7, 5, 3 * 7 * 5));
        }
    });
});
