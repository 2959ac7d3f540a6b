//! Pictures that resemble photographs: scenes, rendered and then spoilt as a camera would.

use std::fs;
use std::io::Cursor;
use std::num::NonZeroUsize;
use std::path::Path;

use anyhow::Context;
use cumulet::workload::raytracer::{RenderRequest, View, render};
use cumulet::workload::{FullSpeed, Limits, Run};
use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, GrayImage, ImageFormat, RgbImage};

use crate::noise::hash;

/// How a sample picture is made.
pub(crate) struct Sample {
    /// Its file name; the extension says the format.
    pub(crate) file: &'static str,
    scene: &'static str,
    texture: Option<&'static str>,
    /// Width and height in pixels.
    size: (i32, i32),
    /// What becomes of black and of white, 0 to 255: the exposure.
    range: (f64, f64),
    /// Standard deviation of the sensor's noise, in grey levels of 0 to 255.
    noise: f64,
    grey: bool,
}

/// What is made, and of what.
pub(crate) const ALL: [Sample; 5] = [
    Sample {
        file: "gallery.jpg",
        scene: "gallery.txt",
        texture: None,
        size: (960, 640),
        range: (4.0, 250.0),
        noise: 3.0,
        grey: false,
    },
    Sample {
        file: "dusk.jpg",
        scene: "pyramid.txt",
        texture: None,
        size: (960, 640),
        range: (14.0, 62.0),
        noise: 1.5,
        grey: false,
    },
    Sample {
        file: "fruit.jpg",
        scene: "fruit.txt",
        texture: Some("wood.bmp"),
        size: (320, 240),
        range: (0.0, 255.0),
        noise: 2.0,
        grey: false,
    },
    Sample {
        file: "glass.png",
        scene: "glass.txt",
        texture: None,
        size: (480, 320),
        range: (0.0, 255.0),
        noise: 0.0,
        grey: false,
    },
    Sample {
        file: "marble-grey.jpg",
        scene: "marble.txt",
        texture: Some("marble.bmp"),
        size: (640, 480),
        range: (70.0, 170.0),
        noise: 2.0,
        grey: true,
    },
];

/// JPEG quality on the scale of 1 to 100 that libjpeg made customary.
const QUALITY: u8 = 88;

impl Sample {
    /// The picture as a file. Scenes and textures are taken from `folder`.
    pub(crate) fn make(&self, folder: &Path) -> anyhow::Result<Vec<u8>> {
        let colours = self.expose(self.render(folder)?);
        let picture = if self.grey {
            DynamicImage::from(GrayImage::from(DynamicImage::from(colours).to_luma8()))
        } else {
            DynamicImage::from(colours)
        };
        let mut file = Cursor::new(Vec::new());
        match ImageFormat::from_path(self.file)? {
            ImageFormat::Jpeg => {
                picture.write_with_encoder(JpegEncoder::new_with_quality(&mut file, QUALITY))?;
            }
            format => picture.write_to(&mut file, format)?,
        }
        Ok(file.into_inner())
    }

    fn render(&self, folder: &Path) -> anyhow::Result<RgbImage> {
        let read = |kind: &str, name: &str| {
            let path = folder.join(kind).join(name);
            fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
        };
        let scene = read("scenes", self.scene)?;
        let texmap = self.texture.map(|name| read("textures", name)).transpose()?;
        let view = View { antialias: true, ..View::full(self.size.0, self.size.1) };
        let request = RenderRequest { scene: &scene, texmap: texmap.as_deref(), view };
        let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let limits = Limits::default();
        let run = Run { threads, pacer: &FullSpeed, limits: &limits };
        let rendered = render(&request, &run).with_context(|| format!("scene {}", self.scene))?;
        RgbImage::from_raw(rendered.width, rendered.height, rendered.rgb())
            .context("a rendered picture has three bytes a pixel")
    }

    /// Applies the exposure, and noise as of a sensor, which the three colours share.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "levels are clamped to 0 to 255 before they are rounded"
    )]
    fn expose(&self, mut picture: RgbImage) -> RgbImage {
        let (black, white) = self.range;
        for (column, row, pixel) in picture.enumerate_pixels_mut() {
            // The sum of twelve even random numbers is all but normal, with deviation 1.
            let sum: f64 = (0..12).map(|draw| hash(column.into(), row.into(), draw)).sum();
            let noise = self.noise * (sum - 6.0);
            pixel.0 = pixel.0.map(|level| {
                let exposed = black + f64::from(level) / 255.0 * (white - black);
                (exposed + noise).clamp(0.0, 255.0).round() as u8
            });
        }
        picture
    }
}
