//! A scene laid out for tracing.

use super::index::Index;
use super::packet::Vectors;
use super::scene::{Finish, Geometry, Light, Pigment, Scene, Shape};
use super::simd::{Doubles, Mask, Simd, Singles, each};
use super::texture::Texture;
use crate::workload::{Cancelled, Pacer};

/// Everything that rays need to know.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) lights: Vec<Light>,
    pub(super) pigments: Vec<Pigment>,
    pub(super) texture: Option<Texture>,
    /// Of each drawn shape, in file order.
    pub(super) surfaces: Vec<Surface>,
    pub(super) finishes: Vec<FinishRow>,
    pub(super) index: Index,
}

/// What shading needs of a shape.
#[derive(Debug, Clone, Copy)]
pub(super) struct Surface {
    /// The centre of a sphere, the normal of anything else.
    pub(super) vector: [f64; 3],
    look: Look,
}

/// What hits have in common that are shaded fastest together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) pigment: u32,
    pub(super) finish: u32,
    /// Whether it is a sphere, and seen from inside.
    pub(super) sphere: bool,
    pub(super) inside: bool,
}

impl Look {
    /// A small number, different for the few looks that most scenes have.
    pub(super) fn hash(self) -> usize {
        let marks = usize::from(self.sphere) + 2 * usize::from(self.inside);
        marks ^ self.finish as usize ^ (self.pigment as usize * 4)
    }
}

/// A finish: ambient, diffuse, specular, shininess, reflection, transmission, refractive index.
pub(super) type FinishRow = [f32; 7];

impl World {
    /// Lays out a scene. Kinds with fewer than `least` shapes get no hierarchy.
    ///
    /// # Errors
    /// [`Cancelled`] if the pacer says so.
    pub(super) fn new(
        scene: Scene,
        texture: Option<Texture>,
        least: usize,
        pacer: &dyn Pacer,
    ) -> Result<Self, Cancelled> {
        Ok(Self {
            index: Index::new(&scene.shapes, least, pacer)?,
            surfaces: scene.shapes.iter().map(Surface::of).collect(),
            finishes: scene.finishes.iter().map(row).collect(),
            lights: scene.lights,
            pigments: scene.pigments,
            texture,
        })
    }
}

impl Surface {
    fn of(shape: &Shape) -> Self {
        let (vector, sphere) = match &shape.geometry {
            Geometry::Sphere(sphere) => (sphere.center, true),
            Geometry::Plane(plane) => (plane.normal, false),
            Geometry::Triangle(triangle) => (triangle.plane.normal, false),
        };
        let (pigment, finish) = (shape.pigment, shape.finish);
        Self { vector: vector.to_array(), look: Look { pigment, finish, sphere, inside: false } }
    }
}

const fn row(finish: &Finish) -> FinishRow {
    [
        finish.ambient,
        finish.diffuse,
        finish.specular,
        finish.shininess,
        finish.reflection,
        finish.transmission,
        finish.refractive_index,
    ]
}

impl World {
    /// The surface that was hit, by its code in [`super::packet::Nearest`].
    #[inline(always)]
    pub(super) fn surface(&self, code: u32) -> &Surface {
        &self.surfaces[code as usize / 2]
    }

    /// How the surface with this code looks from where it was hit.
    #[inline(always)]
    pub(super) fn look(&self, code: u32) -> Look {
        Look { inside: code & 1 != 0, ..self.surface(code).look }
    }

    /// A pigment's colours at eight points.
    #[inline(always)]
    pub(super) fn colors<S: Simd>(
        &self,
        simd: S,
        pigment: &Pigment,
        point: Vectors<S>,
    ) -> [S::S; 3] {
        match pigment {
            Pigment::Solid(color) => each!(channel => simd.splat_single(color[channel])),
            Pigment::Checker { even, odd, scale } => {
                let cells = each!(axis => (point[axis] / simd.splat(*scale)).floor());
                let odds = each!(axis => odd_cells(simd, cells[axis])).into_iter();
                let parity = odds.fold(0, |parity, odd| parity ^ odd.bits());
                let mask = simd.mask(parity).narrow();
                each!(channel => {
                    let (odd, even) = (odd[channel], even[channel]);
                    S::S::select(mask, simd.splat_single(odd), simd.splat_single(even))
                })
            }
            Pigment::Texture { across, down } => {
                let Some(texture) = &self.texture else { return [simd.splat_single(0.0); 3] };
                texture.texels(simd, mapped(simd, across, point), mapped(simd, down, point))
            }
        }
    }
}

/// A texture coordinate of eight points.
#[inline(always)]
fn mapped<S: Simd>(simd: S, mapping: &[f64; 4], [x, y, z]: Vectors<S>) -> S::D {
    let factors = mapping.map(|factor| simd.splat(factor));
    factors[0] * x + factors[1] * y + factors[2] * z + factors[3]
}

/// Which of eight cells, whole numbers or NaN, are odd. Negative ones count like positive ones, and
/// all beyond the range of 32 bits are its last one, which is odd.
#[inline(always)]
fn odd_cells<S: Simd>(simd: S, whole: S::D) -> S::M {
    let half = (whole * simd.splat(0.5)).floor();
    let odd = simd.splat(0.5).less(whole - (half + half));
    let last = simd.splat(f64::from(i32::MAX));
    odd | last.at_most(whole) | whole.at_most(-last)
}
