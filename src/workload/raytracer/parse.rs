//! Reads the scene language.
//!
//! A scene is a stream of words between white space: a camera, then lights, pigments, finishes and
//! shapes, each list led by its length. There are no comments, line breaks mean nothing, and what
//! follows the last shape is ignored. The decimal separator is a point.

mod words;

use super::scene::{
    Finish, Geometry, Lens, Light, Pigment, Plane, Rgb, Scene, Shape, Sphere, Triangle,
};
use crate::workload::{Error, FullSpeed, Limits, Pacer};
#[cfg(test)]
pub(super) use words::PACE;
use words::Words;

/// Numbers of a shape that is read but never drawn, except for `polyhedron`, which says itself.
const INVISIBLE: [(&[u8], usize); 5] =
    [(b"cylinder", 7), (b"cone", 7), (b"disc", 7), (b"parallelogram", 9), (b"bezier", 48)];

impl Scene {
    /// Reads a scene from its text, at full speed.
    ///
    /// # Errors
    /// Those of [`Scene::read`], but for the last.
    pub fn parse(text: &[u8], limits: &Limits) -> Result<Self, Error> {
        Self::read(text, limits, &FullSpeed)
    }

    /// Reads a scene from its text.
    ///
    /// # Errors
    /// [`Error::Malformed`] names the word, its line and column, what was expected and what was
    /// found. [`Error::Unprocessable`] for a shape whose pigment or finish does not exist.
    /// [`Error::TooLarge`] for more shapes, pigments or finishes than `limits.primitives`, or more
    /// lights than `limits.lights`. [`Error::Cancelled`].
    pub fn read(text: &[u8], limits: &Limits, pacer: &dyn Pacer) -> Result<Self, Error> {
        let mut words = Words::new(text, pacer);
        let lens = Lens {
            eye: words.point("the eye")?,
            center: words.point("the point looked at")?,
            up: words.point("the up vector")?,
            field_of_view: words.double("the field of view in degrees")?,
        };
        let lights = list(&mut words, LIGHTS, limits.lights, light)?;
        let pigments = list(&mut words, PIGMENTS, limits.primitives, pigment)?;
        let finishes = list(&mut words, FINISHES, limits.primitives, finish)?;
        let mut invisible_shapes = 0;
        let counts = [pigments.len(), finishes.len()];
        let shapes = list(&mut words, SHAPES, limits.primitives, |words| {
            let shape = shape(words, counts)?;
            invisible_shapes += usize::from(shape.is_none());
            Ok(shape)
        })?;
        let shapes = shapes.into_iter().flatten().collect();
        let text_bytes = text.len();
        Ok(Self { lens, lights, pigments, finishes, shapes, invisible_shapes, text_bytes })
    }
}

/// What a list is called, and the shortest text one of its items can have, in bytes.
#[derive(Clone, Copy)]
struct Kind {
    item: &'static str,
    count: &'static str,
    too_many: &'static str,
    limit: &'static str,
    least_bytes: usize,
}

const LIGHTS: Kind = Kind {
    item: "light",
    count: "the number of lights (a whole number)",
    too_many: "the scene's number of lights",
    limit: "lights",
    least_bytes: 18,
};
const PIGMENTS: Kind = Kind {
    item: "pigment",
    count: "the number of pigments (a whole number)",
    too_many: "the scene's number of pigments",
    limit: "primitives",
    least_bytes: 12,
};
const FINISHES: Kind = Kind {
    item: "finish",
    count: "the number of finishes (a whole number)",
    too_many: "the scene's number of finishes",
    limit: "primitives",
    least_bytes: 14,
};
const SHAPES: Kind = Kind {
    item: "shape",
    count: "the number of shapes (a whole number)",
    too_many: "the scene's number of shapes",
    limit: "primitives",
    least_bytes: 17,
};

/// Reads a count and so many items. A negative count is none.
fn list<T>(
    words: &mut Words<'_>,
    kind: Kind,
    allowed: u64,
    mut item: impl FnMut(&mut Words<'_>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let count = u64::try_from(words.integer(kind.count)?).unwrap_or(0);
    if count > allowed {
        let (what, limit) = (kind.too_many, kind.limit);
        return Err(Error::TooLarge { what, actual: count, limit, allowed });
    }
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    // A count may lie; room is made only for what the rest of the text can hold.
    let mut items = Vec::with_capacity(count.min(words.bytes_left() / kind.least_bytes));
    for number in 0..count {
        words.pace()?;
        words.enter(kind.item, number, count);
        items.push(item(words)?);
    }
    words.leave();
    Ok(items)
}

fn light(words: &mut Words<'_>) -> Result<Light, Error> {
    Ok(Light {
        position: words.point("the light's position")?,
        color: color(words, "the light's colour")?,
        attenuation: [
            words.single("the light's constant attenuation")?,
            words.single("the light's linear attenuation")?,
            words.single("the light's quadratic attenuation")?,
        ],
    })
}

fn color(words: &mut Words<'_>, what: &'static str) -> Result<Rgb, Error> {
    let mut color = [0.0; 3];
    for channel in &mut color {
        *channel = words.single(what)?.clamp(0.0, 1.0);
    }
    Ok(color)
}

fn pigment(words: &mut Words<'_>) -> Result<Pigment, Error> {
    const EXPECTED: &str = "solid, checker, gradient or texmap";
    match words.word(EXPECTED)? {
        b"solid" => Ok(Pigment::Solid(color(words, "the solid's colour")?)),
        b"checker" => Ok(Pigment::Checker {
            even: color(words, "the checker's first colour")?,
            odd: color(words, "the checker's second colour")?,
            scale: words.double("the checker's scale")?,
        }),
        b"gradient" => {
            // A gradient was never more than its first colour.
            words.point("the gradient's origin")?;
            words.point("the gradient's vector")?;
            let first = color(words, "the gradient's first colour")?;
            color(words, "the gradient's second colour")?;
            Ok(Pigment::Solid(first))
        }
        b"texmap" => {
            // The picture comes with the request, so its file name says nothing.
            words.word("the texture's file name")?;
            Ok(Pigment::Texture {
                across: four(words, "the texture's horizontal mapping")?,
                down: four(words, "the texture's vertical mapping")?,
            })
        }
        _ => Err(words.unrecognized("pigment", EXPECTED)),
    }
}

fn four(words: &mut Words<'_>, what: &'static str) -> Result<[f64; 4], Error> {
    let mut numbers = [0.0; 4];
    for number in &mut numbers {
        *number = words.double(what)?;
    }
    Ok(numbers)
}

fn finish(words: &mut Words<'_>) -> Result<Finish, Error> {
    Ok(Finish {
        ambient: words.single("the finish's ambient part")?,
        diffuse: words.single("the finish's diffuse part")?,
        specular: words.single("the finish's specular part")?,
        shininess: words.single("the finish's shininess")?,
        reflection: words.single("the finish's reflection")?,
        transmission: words.single("the finish's transmission")?,
        refractive_index: words.single("the finish's refractive index")?,
    })
}

/// Reads a shape; none if it is of a kind that is never drawn.
fn shape(words: &mut Words<'_>, counts: [usize; 2]) -> Result<Option<Shape>, Error> {
    let pigment = words.index("the shape's pigment", counts[0])?;
    let finish = words.index("the shape's finish", counts[1])?;
    Ok(geometry(words)?.map(|geometry| Shape { pigment, finish, geometry }))
}

fn geometry(words: &mut Words<'_>) -> Result<Option<Geometry>, Error> {
    const EXPECTED: &str =
        "sphere, plane, triangle, cylinder, cone, disc, polyhedron, parallelogram or bezier";
    let geometry = match words.word(EXPECTED)? {
        b"sphere" => {
            let center = words.point("the sphere's centre")?;
            Geometry::Sphere(Sphere::new(center, words.double("the sphere's radius")?))
        }
        b"plane" => {
            let coefficients = words.point("the plane's coefficients")?;
            Geometry::Plane(Plane::new(coefficients, words.double("the plane's constant")?))
        }
        b"triangle" => Geometry::Triangle(Triangle::new([
            words.point("the triangle's first corner")?,
            words.point("the triangle's second corner")?,
            words.point("the triangle's third corner")?,
        ])),
        b"polyhedron" => {
            for _ in 0..words.integer("the polyhedron's number of faces (a whole number)")? {
                words.pace()?;
                four(words, "a face of the polyhedron")?;
            }
            return Ok(None);
        }
        kind => {
            let Some((_, numbers)) = INVISIBLE.iter().find(|(name, _)| *name == kind) else {
                return Err(words.unrecognized("shape", EXPECTED));
            };
            for _ in 0..*numbers {
                words.double("a number of the shape")?;
            }
            return Ok(None);
        }
    };
    Ok(Some(geometry))
}

#[cfg(test)]
mod tests;
