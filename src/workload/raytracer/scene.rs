//! What a scene consists of, in the form that tracing wants.

use super::vector::Vector;

/// A colour: red, green, blue, each 0 to 1.
pub(super) type Rgb = [f32; 3];

/// A parsed scene: camera, lights, materials and shapes.
#[derive(Debug, Clone)]
pub struct Scene {
    pub(super) lens: Lens,
    /// The first one is the ambient light.
    pub(super) lights: Vec<Light>,
    pub(super) pigments: Vec<Pigment>,
    pub(super) finishes: Vec<Finish>,
    /// The shapes that can be hit, in file order.
    pub(super) shapes: Vec<Shape>,
    /// Shapes that the language has and that no renderer of it ever drew.
    pub(super) invisible_shapes: usize,
    /// Length of the text, in bytes.
    pub(super) text_bytes: usize,
}

/// Where the scene is seen from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Lens {
    pub(super) eye: Vector,
    /// The point looked at.
    pub(super) center: Vector,
    pub(super) up: Vector,
    /// Vertical, in degrees.
    pub(super) field_of_view: f64,
}

/// A point light.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Light {
    pub(super) position: Vector,
    pub(super) color: Rgb,
    /// The light is divided by `a + b·distance + c·distance²`.
    pub(super) attenuation: [f32; 3],
}

/// Where a surface's colour comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Pigment {
    Solid(Rgb),
    /// Cubes of two colours with edges of length `scale`.
    Checker {
        even: Rgb,
        odd: Rgb,
        scale: f64,
    },
    /// The texture, repeated without end; `(x, y, z, 1)` times these gives its coordinates, one
    /// unit to a picture.
    Texture {
        across: [f64; 4],
        down: [f64; 4],
    },
}

/// How a surface answers to light.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Finish {
    pub(super) ambient: f32,
    pub(super) diffuse: f32,
    pub(super) specular: f32,
    pub(super) shininess: f32,
    pub(super) reflection: f32,
    pub(super) transmission: f32,
    pub(super) refractive_index: f32,
}

/// A shape that can be hit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Shape {
    pub(super) pigment: u32,
    pub(super) finish: u32,
    pub(super) geometry: Geometry,
}

/// The solids and surfaces that can be hit, with what their intersection needs computed once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Geometry {
    Sphere(Sphere),
    Plane(Plane),
    Triangle(Triangle),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sphere {
    pub(super) center: Vector,
    pub(super) radius_squared: f64,
}

/// All points with `coefficients · point + constant = 0`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Plane {
    pub(super) coefficients: Vector,
    pub(super) constant: f64,
    /// The normal that light falls on.
    pub(super) normal: Vector,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Triangle {
    /// The plane it lies in.
    pub(super) plane: Plane,
    pub(super) corner: Vector,
    /// From the first corner to the second, and to the third.
    pub(super) edges: [Vector; 2],
    /// Dot products of the edges: first·first, first·second, second·second.
    pub(super) products: [f64; 3],
    /// `(first·second)² − (first·first)(second·second)`; zero for a degenerate triangle.
    pub(super) denominator: f64,
}

impl Light {
    /// Whether what arrives of it is finite wherever the square of the distance lies between 10⁻⁴
    /// and 10³⁰⁰.
    pub(super) fn is_tame(&self) -> bool {
        self.attenuation.iter().all(|part| (0.0..=1e30).contains(part))
            && self.attenuation.iter().any(|part| *part >= 1e-20)
    }
}

impl Sphere {
    pub(super) fn new(center: Vector, radius: f64) -> Self {
        Self { center, radius_squared: radius * radius }
    }
}

impl Plane {
    pub(super) fn new(coefficients: Vector, constant: f64) -> Self {
        // Normalised twice, as the widely used Java implementation does: the second time can
        // still move a last bit.
        Self { coefficients, constant, normal: coefficients.unit().unit() }
    }
}

impl Triangle {
    pub(super) fn new(corners: [Vector; 3]) -> Self {
        let [corner, second, third] = corners;
        let (u, w) = (second - corner, third - corner);
        let coefficients = u.cross(w).unit();
        let constant =
            -(corner.x * coefficients.x + corner.y * coefficients.y + corner.z * coefficients.z);
        let (uu, uw, ww) = (u.dot(u), u.dot(w), w.dot(w));
        Self {
            plane: Plane { coefficients, constant, normal: coefficients.unit().unit().unit() },
            corner,
            edges: [u, w],
            products: [uu, uw, ww],
            denominator: uw * uw - uu * ww,
        }
    }
}

impl Scene {
    /// How many shapes the text has, drawn or not.
    pub fn primitives(&self) -> usize {
        self.shapes.len() + self.invisible_shapes
    }

    /// How many shapes are of kinds that are read but never drawn: cylinder, cone, disc,
    /// polyhedron, parallelogram and bezier.
    pub const fn invisible_shapes(&self) -> usize {
        self.invisible_shapes
    }

    /// Whether rendering needs a texture.
    pub fn needs_texture(&self) -> bool {
        self.pigments.iter().any(|pigment| matches!(pigment, Pigment::Texture { .. }))
    }
}
