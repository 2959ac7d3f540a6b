//! From a request to a picture: checks, threads, tiles, and the account of what it cost.

use std::ops::AddAssign;

use super::bmp::{Bitmap, rgb_rows};
use super::camera::{Camera, View};
use super::index::LEAST;
use super::meter::CpuClock;
use super::scene::{Finish, Lens, Scene, Shape};
use super::texture::{self, Texture};
use super::tiles;
use super::world::World;
use crate::workload::{Cancelled, Error, Instructions, Pacer, Run, Usage};

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
        let count = |property: fn(&Finish) -> bool| {
            let has =
                |shape: &&Shape| scene.finishes.get(shape.finish as usize).is_some_and(property);
            scene.shapes.iter().filter(has).count() as u64
        };
        Self {
            primitives: scene.primitives() as u64,
            lights: scene.lights.len() as u64,
            scene_bytes: scene.text_bytes as u64,
            texture_pixels,
            reflecting: count(|finish| finish.reflection > 0.0),
            transmitting: count(|finish| finish.transmission > 0.0),
            ..Self::default()
        }
        .of(view)
    }

    /// The same scene's features for another view.
    fn of(self, view: &View) -> Self {
        let window = [view.window_columns, view.window_rows];
        let pixels = window.map(|size| u64::try_from(size).unwrap_or(0)).iter().product();
        Self { pixels, antialias: view.antialias, ..self }
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
    /// Tests of a ray against a shape of a short list.
    pub tests: u64,
    /// Shapes of a long list for each ray; most of them are left out together, untested.
    pub sifted: u64,
    /// Visits of a ray to a node or a leaf of a hierarchy: tests against up to eight boxes or
    /// shapes at once.
    pub visits: u64,
    /// Highlights computed: powers.
    pub highlights: u64,
}

impl Counters {
    /// The weighted sum that stands for the cost, in about nanoseconds of one present-day core.
    /// The weights are fitted to the CPU time of 160 random renders of up to 120 shapes, with
    /// AVX-512 and AVX2 instructions; that of visits to those of the bench's large scenes. Portable
    /// code takes twice as long or more.
    pub const fn work(&self) -> u64 {
        14 * self.primary
            + 24 * self.secondary
            + 8 * self.shadow
            + 2 * self.highlights
            + self.test_work()
    }

    /// The part of it that finds what rays hit.
    pub const fn test_work(&self) -> u64 {
        self.tests.saturating_mul(9) / 10 + self.sifted / 5 + 15 * self.visits
    }
}

impl AddAssign for Counters {
    fn add_assign(&mut self, other: Self) {
        self.primary += other.primary;
        self.secondary += other.secondary;
        self.shadow += other.shadow;
        self.tests += other.tests;
        self.sifted += other.sifted;
        self.visits += other.visits;
        self.highlights += other.highlights;
    }
}

/// A scene read, its texture decoded and its shapes arranged: ready for any view.
#[derive(Debug, Clone)]
pub struct Prepared {
    lens: Lens,
    world: World,
    features: Features,
}

impl Prepared {
    /// Reads a scene and the encoded picture for its `texmap` pigments, if it has any.
    ///
    /// # Errors
    /// Those of [`Scene::parse`]; [`Error::Unprocessable`] for a texture that is missing or
    /// unreadable; [`Error::TooLarge`] for one beyond the limits; [`Error::Cancelled`].
    pub fn new(scene: &[u8], texmap: Option<&[u8]>, run: &Run<'_>) -> Result<Self, Error> {
        let scene = Scene::read(scene, run.limits, run.pacer)?;
        run.pacer.checkpoint()?;
        let texture = load_texture(&scene, texmap, run)?;
        Ok(Self::arrange(scene, texture, LEAST, run.pacer)?)
    }

    pub(super) fn arrange(
        scene: Scene,
        texture: Option<Texture>,
        least: usize,
        pacer: &dyn Pacer,
    ) -> Result<Self, Cancelled> {
        let texels = texture.as_ref().map_or(0, Texture::pixels) as u64;
        let features = Features::new(&scene, &View::full(0, 0), texels);
        Ok(Self { lens: scene.lens, features, world: World::new(scene, texture, least, pacer)? })
    }

    /// What is known of rendering a view before it is done.
    pub fn features(&self, view: &View) -> Features {
        self.features.of(view)
    }

    /// Traces about `points` pixels spread evenly over the window and counts what their rays do.
    /// Scaled up by the pixels of the window per pixel traced, the counters foretell those of the
    /// whole view; `primary` says how many rays were traced.
    ///
    /// # Errors
    /// [`Error::Unprocessable`] if something is hit and the scene has no light.
    pub fn probe(&self, view: &View, points: u32) -> Result<Counters, Error> {
        let camera = Camera::new(&self.lens, view);
        tiles::probe(&self.world, &camera, Instructions::best(), points)
    }

    /// Renders a view on up to `run.threads` threads. The usage leaves preparing out.
    ///
    /// # Errors
    /// Those of [`View::size`]; [`Error::Unprocessable`] if something is hit and the scene has no
    /// light; [`Error::Cancelled`].
    pub fn render(&self, view: &View, run: &Run<'_>) -> Result<Rendered, Error> {
        self.render_with(Instructions::best(), view, run)
    }

    /// Renders a view as [`Self::render`] does, with these instructions if the processor has them.
    ///
    /// # Errors
    /// Those of [`Self::render`].
    pub fn render_with(
        &self,
        instructions: Instructions,
        view: &View,
        run: &Run<'_>,
    ) -> Result<Rendered, Error> {
        let clock = CpuClock::start();
        let (width, height) = view.size(run.limits)?;
        let mut bitmap = Bitmap::new(width, height)?;
        let camera = Camera::new(&self.lens, view);
        let (counters, others) =
            tiles::render(&self.world, &camera, run, instructions, &mut bitmap)?;
        let bmp = bitmap.into_file();
        let usage = Usage { work: counters.work(), cpu: clock.elapsed() + others };
        Ok(Rendered { width, height, bmp, usage, features: self.features(view), counters })
    }

    /// What preparing is charged for, in nominal nanoseconds: per byte of text, per shape that
    /// went into a hierarchy, and per texel.
    pub(super) fn work(&self) -> u64 {
        let Features { scene_bytes, texture_pixels, .. } = self.features;
        5 * scene_bytes + 400 * self.world.index.arranged() + 4 * texture_pixels
    }
}

/// Renders a request on up to `run.threads` threads.
///
/// # Errors
/// Those of [`Prepared::new`] and [`Prepared::render`].
pub fn render(request: &RenderRequest<'_>, run: &Run<'_>) -> Result<Rendered, Error> {
    let clock = CpuClock::start();
    // Refused before anything else is done.
    request.view.size(run.limits)?;
    let prepared = Prepared::new(request.scene, request.texmap, run)?;
    let preparing = clock.elapsed();
    let mut rendered = prepared.render(&request.view, run)?;
    rendered.usage.work += prepared.work();
    rendered.usage.cpu += preparing;
    Ok(rendered)
}

fn load_texture(
    scene: &Scene,
    texmap: Option<&[u8]>,
    run: &Run<'_>,
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
    texture::decode(bytes, run).map(Some)
}

#[cfg(test)]
mod tests;
