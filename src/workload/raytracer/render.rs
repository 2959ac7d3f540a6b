//! From a request to a picture: checks, threads, tiles, and the account of what it cost.

use std::ops::AddAssign;

use super::bmp::{Bitmap, rgb_rows};
use super::camera::{Camera, View};
use super::meter::CpuClock;
use super::scene::Scene;
use super::simd::Level;
use super::texture::{self, Texture};
use super::tiles;
use super::world::World;
use crate::workload::{Error, Limits, Run, Usage};

/// A picture to be made.
#[derive(Debug, Clone, Copy)]
pub struct RenderRequest<'a> {
    /// The text of the scene.
    pub scene: &'a [u8],
    /// The encoded picture for `texmap` pigments: BMP, PNG, GIF, JPEG or TIFF. Not looked at if
    /// the scene has no such pigment.
    pub texmap: Option<&'a [u8]>,
    /// Which part of the scene is wanted.
    pub view: View,
}

/// A picture and what it cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// The picture as a complete BMP file: 24 bits, uncompressed, bottom-up.
    pub bmp: Vec<u8>,
    /// What the request cost, reading the scene included.
    pub usage: Usage,
    /// What was known before the first ray.
    pub features: Features,
    /// What the rays did.
    pub counters: Counters,
}

impl Rendered {
    /// The rows from the top down, each pixel as red, green, blue, without padding.
    pub fn rgb(&self) -> Vec<u8> {
        rgb_rows(&self.bmp, self.width)
    }
}

/// What is known of a request before it runs: the inputs of a cost model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Features {
    /// Pixels of the window.
    pub pixels: u64,
    /// Whether each pixel takes four rays.
    pub antialias: bool,
    /// Shapes in the scene, drawn or not.
    pub primitives: u64,
    /// Lights in the scene, the ambient one included.
    pub lights: u64,
    /// Length of the scene's text.
    pub scene_bytes: u64,
    /// Pixels of the texture, 0 without one.
    pub texture_pixels: u64,
    /// Drawn shapes that reflect.
    pub reflecting: u64,
    /// Drawn shapes that let light through.
    pub transmitting: u64,
}

impl Features {
    /// The features of rendering a view of a scene, whose texture has so many pixels.
    pub fn new(scene: &Scene, view: &View, texture_pixels: u64) -> Self {
        let window = [view.window_columns, view.window_rows];
        let count = |property: fn(&super::scene::Finish) -> bool| {
            let has = |shape: &&super::scene::Shape| {
                scene.finishes.get(shape.finish as usize).is_some_and(property)
            };
            scene.shapes.iter().filter(has).count() as u64
        };
        Self {
            pixels: window.map(|size| u64::try_from(size).unwrap_or(0)).iter().product(),
            antialias: view.antialias,
            primitives: scene.primitives() as u64,
            lights: scene.lights.len() as u64,
            scene_bytes: scene.text_bytes as u64,
            texture_pixels,
            reflecting: count(|finish| finish.reflection > 0.0),
            transmitting: count(|finish| finish.transmission > 0.0),
        }
    }
}

/// What rays did: the same numbers for any number of threads and any instruction set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Rays from the camera.
    pub primary: u64,
    /// Reflected and refracted rays.
    pub secondary: u64,
    /// Rays towards lights.
    pub shadow: u64,
    /// Rays tested against shapes, one by one.
    pub tests: u64,
    /// Rays tested against nodes of a bounding volume hierarchy.
    pub nodes: u64,
}

impl Counters {
    /// The weighted sum that stands for the cost, in about nanoseconds of one present-day core.
    pub const fn work(&self) -> u64 {
        18 * self.primary + 37 * self.secondary + 33 * self.shadow + 2 * self.tests + 8 * self.nodes
    }
}

impl AddAssign for Counters {
    fn add_assign(&mut self, other: Self) {
        self.primary += other.primary;
        self.secondary += other.secondary;
        self.shadow += other.shadow;
        self.tests += other.tests;
        self.nodes += other.nodes;
    }
}

/// Renders a request on up to `run.threads` threads.
///
/// # Errors
/// Those of [`View::size`] and [`Scene::parse`]; [`Error::Unprocessable`] for a texture that is
/// missing or unreadable and for a scene without any light of which something is seen;
/// [`Error::TooLarge`] for a texture beyond the limits; [`Error::Cancelled`].
pub fn render(request: &RenderRequest<'_>, run: &Run<'_>) -> Result<Rendered, Error> {
    let clock = CpuClock::start();
    let (width, height) = request.view.size(run.limits)?;
    let scene = Scene::parse(request.scene, run.limits)?;
    run.pacer.checkpoint()?;
    let texture = load_texture(&scene, request.texmap, run.limits)?;
    let mut bitmap = Bitmap::new(width, height)?;
    let texture_pixels = texture.as_ref().map_or(0, Texture::pixels) as u64;
    let features = Features::new(&scene, &request.view, texture_pixels);
    let world = World::new(&scene, texture.as_ref());
    let camera = Camera::new(&scene, &request.view);
    let (counters, others) = tiles::render(&world, &camera, run, Level::best(), &mut bitmap)?;
    let usage = Usage { work: counters.work(), cpu: clock.elapsed() + others };
    Ok(Rendered { width, height, bmp: bitmap.into_file(), usage, features, counters })
}

fn load_texture(
    scene: &Scene,
    texmap: Option<&[u8]>,
    limits: &Limits,
) -> Result<Option<Texture>, Error> {
    if !scene.needs_texture() {
        return Ok(None);
    }
    let bytes = texmap.ok_or_else(|| {
        Error::Unprocessable(
            "Could not find texmap file. The scene has a texmap pigment: \
             send its picture with the request."
                .to_owned(),
        )
    })?;
    texture::decode(bytes, limits).map(Some)
}

/// Traces about `points` pixels spread evenly over the window and counts what their rays do: the
/// counters, scaled up by pixels per pixel traced (`primary` says how many rays were), foretell
/// those of the whole request. Without its texture a scene is taken to be black where it would
/// show it.
///
/// # Errors
/// [`Error::Unprocessable`] as in [`render`].
pub fn probe(scene: &Scene, view: &View, points: u32) -> Result<Counters, Error> {
    let world = World::new(scene, None);
    let camera = Camera::new(scene, view);
    tiles::probe(&world, &camera, Level::best(), points)
}
