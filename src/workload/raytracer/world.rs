//! A scene laid out for tracing.

use super::index::Index;
use super::scene::{Geometry, Light, Pigment, Rgb, Scene};
use super::texture::Texture;

/// Everything that rays need to know.
#[derive(Debug)]
pub(super) struct World<'a> {
    pub(super) lights: &'a [Light],
    pub(super) pigments: &'a [Pigment],
    pub(super) texture: Option<&'a Texture>,
    /// Of each drawn shape, in file order.
    pub(super) surfaces: Vec<Surface>,
    pub(super) finishes: Vec<FinishRow>,
    pub(super) index: &'a Index,
}

/// What shading needs of a shape.
#[derive(Debug, Clone, Copy)]
pub(super) struct Surface {
    /// The centre of a sphere, the normal of anything else.
    pub(super) vector: [f64; 3],
    pub(super) pigment: u32,
    pub(super) finish: u32,
    pub(super) sphere: bool,
}

/// A finish: ambient, diffuse, specular, shininess, reflection, transmission, refractive index.
pub(super) type FinishRow = [f32; 7];

impl<'a> World<'a> {
    pub(super) fn new(scene: &'a Scene, index: &'a Index, texture: Option<&'a Texture>) -> Self {
        let surface = |shape: &super::scene::Shape| {
            let (vector, sphere) = match &shape.geometry {
                Geometry::Sphere(sphere) => (sphere.center, true),
                Geometry::Plane(plane) => (plane.normal, false),
                Geometry::Triangle(triangle) => (triangle.plane.normal, false),
            };
            let (pigment, finish) = (shape.pigment, shape.finish);
            Surface { vector: vector.to_array(), pigment, finish, sphere }
        };
        let finish = |f: &super::scene::Finish| {
            [
                f.ambient,
                f.diffuse,
                f.specular,
                f.shininess,
                f.reflection,
                f.transmission,
                f.refractive_index,
            ]
        };
        Self {
            lights: &scene.lights,
            pigments: &scene.pigments,
            texture,
            surfaces: scene.shapes.iter().map(surface).collect(),
            finishes: scene.finishes.iter().map(finish).collect(),
            index,
        }
    }
}

impl World<'_> {
    /// A pigment's colour at a point.
    #[inline(always)]
    pub(super) fn color(&self, pigment: &Pigment, point: [f64; 3]) -> Rgb {
        match pigment {
            Pigment::Solid(color) => *color,
            Pigment::Checker { even, odd, scale } => {
                if point.iter().fold(0, |sum, axis| sum ^ cell(axis / scale)) & 1 == 0 {
                    *even
                } else {
                    *odd
                }
            }
            Pigment::Texture { across, down } => {
                let [x, y, z] = point;
                let coordinate = |k: &[f64; 4]| k[0] * x + k[1] * y + k[2] * z + k[3];
                let texel = self
                    .texture
                    .map_or([0; 3], |texture| texture.texel(coordinate(across), coordinate(down)));
                texel.map(|byte| f32::from(byte) / 255.0)
            }
        }
    }
}

/// Which cell a coordinate falls in, of which only the parity counts. Negative coordinates count
/// like positive ones, and beyond the range of 32 bits there is one cell.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "saturates as it has to, and NaN is 0")]
fn cell(coordinate: f64) -> i32 {
    coordinate.floor().abs() as i32
}
