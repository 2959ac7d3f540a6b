//! What the stories have in common: waiting, and things to send.

use std::io::Cursor;
use std::time::{Duration, Instant};

use image::{ImageFormat, Rgb, RgbImage};

/// Far beyond what anything here takes, even on a machine that is busy with other tests.
pub(crate) const LIMIT: Duration = Duration::from_secs(90);

/// Waits until `condition` gives something.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(start.elapsed() < LIMIT, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A picture with edges and gradients.
pub(crate) fn picture(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let edge = if (x / 16 + y / 16) % 2 == 0 { 60 } else { 0 };
        Rgb([x % 196 + edge, y % 196 + edge, (x + y) % 196].map(|level| level.to_le_bytes()[0]))
    })
}

pub(crate) fn encoded(picture: &RgbImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A scene of a sphere, a triangle and a plane with two lights.
pub(crate) const SCENE: &str = "\
0 2 9  0 0.5 0  0 1 0  35
3
0 0 0  .3 .3 .35  1 0 0
4 6 5  .9 .85 .8  1 0 0
-5 3 4  .2 .4 .6  0.5 0.05 0.002
2
solid .9 .2 .1
checker .85 .85 .85  .25 .25 .3  1.5
2
.4 .7 0  1 0 0 0
.05 .4 .8 300 .3 0 1.5
3
1 0 plane 0 1 0 1
0 1 sphere 0 .3 0 1.2
0 0 triangle -2 0 -1  2 0 -1  0 2 -1
";

/// The path that renders the scene's whole picture.
pub(crate) fn render_path(width: u32, height: u32) -> String {
    format!(
        "/raytracer?scols={width}&srows={height}&wcols={width}&wrows={height}&coff=0&roff=0&aa=true"
    )
}
