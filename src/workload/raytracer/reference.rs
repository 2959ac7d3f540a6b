//! A slow, plain tracer, one ray at a time: the definition that the fast one is tested against.
#![expect(
    clippy::manual_midpoint,
    clippy::manual_range_contains,
    reason = "other expressions are rounded otherwise, or treat NaN otherwise"
)]

use super::camera::{Camera, OFFSET, View};
use super::scene::{Geometry, Light, Pigment, Rgb, Scene, Shape, Sphere, Triangle};
use super::texture::Texture;
use super::vector::Vector;

const BACKGROUND: Rgb = [128.0 / 255.0; 3];

#[derive(Clone, Copy)]
struct Ray {
    origin: Vector,
    direction: Vector,
}

impl Ray {
    fn new(point: Vector, direction: Vector) -> Self {
        let direction = direction.unit();
        Self { origin: point + direction * OFFSET, direction }
    }
}

#[derive(Clone, Copy)]
struct Hit {
    distance: f64,
    point: Vector,
    normal: Vector,
    entering: bool,
}

/// A whole window as rows of red, green, blue from the top; none if something was hit and the
/// scene has no light.
pub(super) fn render(scene: &Scene, texture: Option<&Texture>, view: &View) -> Option<Vec<u8>> {
    let camera = Camera::new(&scene.lens, view);
    let mut rgb = Vec::new();
    for row in 0..view.window_rows {
        for column in 0..view.window_columns {
            rgb.extend(pixel(scene, texture, &camera, view, column, row)?.map(byte));
        }
    }
    Some(rgb)
}

fn pixel(
    scene: &Scene,
    texture: Option<&Texture>,
    camera: &Camera,
    view: &View,
    column: i32,
    row: i32,
) -> Option<Rgb> {
    let mut sum = [0.0; 3];
    let offsets: &[(f64, f64)] = if view.antialias {
        &[(0.0, 0.0), (0.5, 0.0), (0.0, 0.5), (0.5, 0.5)]
    } else {
        &[(0.5, 0.5)]
    };
    for &(ax, ay) in offsets {
        let (x, y) = (camera.across(column, ax), camera.above(row, ay));
        let [right, up, back] = camera.axes;
        let eye = camera.eye;
        let target = right * x + up * y + back * -1.0 + eye;
        let color = trace(scene, texture, Ray::new(eye, target - eye), 0)?;
        if !view.antialias {
            return Some(color);
        }
        sum = std::array::from_fn(|i| sum[i] + color[i] * 0.25);
    }
    Some(sum)
}

fn trace(scene: &Scene, texture: Option<&Texture>, ray: Ray, depth: u32) -> Option<Rgb> {
    let Some((shape, hit)) = closest(scene, ray, f64::INFINITY) else {
        return Some(BACKGROUND);
    };
    let ambient = scene.lights.first()?;
    let finish = &scene.finishes[shape.finish as usize];
    let pigment = pigment_at(&scene.pigments[shape.pigment as usize], texture, hit.point);
    let mut color = [0.0; 3];
    if finish.ambient > 0.0 {
        let light = scale(ambient.color, finish.ambient);
        color = blend(color, std::array::from_fn(|i| pigment[i] * light[i]));
    }
    for light in &scene.lights[1..] {
        let to_light = light.position - hit.point;
        let shadow = Ray::new(hit.point, to_light);
        if closest(scene, shadow, to_light.length()).is_none() {
            color = blend(color, lit(shape, scene, light, &hit, ray, shadow, pigment));
        }
    }
    if depth <= 5 {
        let (d, n) = (ray.direction, hit.normal);
        if finish.reflection > 0.0 {
            let reflected = Ray::new(hit.point, d - n * (2.0 * d.dot(n)));
            let seen = trace(scene, texture, reflected, depth + 1)?;
            color = blend(color, scale(seen, finish.reflection));
        }
        if finish.transmission > 0.0 {
            let v = d * -1.0;
            let ci = v.dot(n);
            let ior = f64::from(finish.refractive_index);
            let e = if hit.entering { 1.0 / ior } else { ior };
            let ct = (1.0 - e * e * (1.0 - ci * ci)).sqrt();
            let refracted = Ray::new(hit.point, n * (e * ci - ct) - v * e);
            let seen = trace(scene, texture, refracted, depth + 1)?;
            color = blend(color, scale(seen, finish.transmission));
        }
    }
    Some(color)
}

fn lit(
    shape: &Shape,
    scene: &Scene,
    light: &Light,
    hit: &Hit,
    incoming: Ray,
    shadow: Ray,
    pigment: Rgb,
) -> Rgb {
    let finish = &scene.finishes[shape.finish as usize];
    let distance = (light.position - shadow.origin).length();
    let [a, b, c] = light.attenuation.map(f64::from);
    let attenuation = 1.0_f32 / (a + b * distance + c * (distance * distance)) as f32;
    let diffuse = if finish.diffuse > 0.0 {
        finish.diffuse * positive(hit.normal.dot(shadow.direction)) as f32
    } else {
        0.0
    };
    let specular = if finish.specular > 0.0 {
        let half = (shadow.direction + incoming.direction * -1.0).unit();
        let cosine = positive(hit.normal.dot(half));
        finish.specular * power(cosine, f64::from(finish.shininess)) as f32
    } else {
        0.0
    };
    std::array::from_fn(|i| clamp(light.color[i] * attenuation * (pigment[i] * diffuse + specular)))
}

fn power(base: f64, exponent: f64) -> f64 {
    // The C standard says 1 here, Java's library says NaN.
    if base == 1.0 && exponent.is_infinite() { f64::NAN } else { base.powf(exponent) }
}

fn closest(scene: &Scene, ray: Ray, limit: f64) -> Option<(&Shape, Hit)> {
    let mut best = limit;
    let mut found = None;
    for shape in &scene.shapes {
        let hit =
            match &shape.geometry {
                Geometry::Sphere(sphere) => hit_sphere(sphere, ray),
                Geometry::Plane(plane) => {
                    hit_plane(plane.coefficients, plane.constant, ray).map(|(distance, point)| {
                        Hit { distance, point, normal: plane.normal, entering: true }
                    })
                }
                Geometry::Triangle(triangle) => hit_triangle(triangle, ray),
            };
        if let Some(hit) = hit
            && hit.distance < best
        {
            best = hit.distance;
            found = Some((shape, hit));
        }
    }
    found
}

fn hit_sphere(sphere: &Sphere, ray: Ray) -> Option<Hit> {
    let v = ray.origin - sphere.center;
    let b = 2.0 * v.dot(ray.direction);
    let cc = v.dot(v) - sphere.radius_squared;
    let discriminant = b * b - 4.0 * cc;
    if discriminant < 0.0 {
        return None;
    }
    let near = (-b - discriminant.sqrt()) / 2.0;
    let far = (-b + discriminant.sqrt()) / 2.0;
    if near < 0.0 && far < 0.0 {
        return None;
    }
    let inside = near < 0.0 && far > 0.0;
    let point = ray.origin + ray.direction * if inside { far } else { near };
    let normal = if inside { sphere.center - point } else { point - sphere.center }.unit();
    Some(Hit { distance: (point - ray.origin).length(), point, normal, entering: !inside })
}

fn hit_plane(coefficients: Vector, constant: f64, ray: Ray) -> Option<(f64, Vector)> {
    let Vector { x: a, y: b, z: c } = coefficients;
    let (o, d) = (ray.origin, ray.direction);
    let denominator = a * d.x + b * d.y + c * d.z;
    if denominator == 0.0 {
        return None;
    }
    let distance = -(a * o.x + b * o.y + c * o.z + constant) / denominator;
    (distance >= 0.0).then(|| (distance, o + d * distance))
}

fn hit_triangle(triangle: &Triangle, ray: Ray) -> Option<Hit> {
    let (_, point) = hit_plane(triangle.plane.coefficients, triangle.plane.constant, ray)?;
    let m = point + triangle.corner * -1.0;
    let [u, w] = triangle.edges;
    let [uu, uw, ww] = triangle.products;
    let (mu, mw) = (m.dot(u), m.dot(w));
    let s = (uw * mw - ww * mu) / triangle.denominator;
    let t = (uw * mu - uu * mw) / triangle.denominator;
    if s < 0.0 || s > 1.0 || t < 0.0 || s + t > 1.0 {
        return None;
    }
    let distance = (point - ray.origin).length();
    Some(Hit { distance, point, normal: triangle.plane.normal, entering: true })
}

fn pigment_at(pigment: &Pigment, texture: Option<&Texture>, p: Vector) -> Rgb {
    match pigment {
        Pigment::Solid(color) => *color,
        Pigment::Checker { even, odd, scale } => {
            let cell = |v: f64| (v / scale).floor().abs() as i32;
            let sum = cell(p.x).wrapping_add(cell(p.y)).wrapping_add(cell(p.z));
            if sum % 2 == 0 { *even } else { *odd }
        }
        Pigment::Texture { across: s, down: t } => {
            let coordinate = |k: &[f64; 4]| k[0] * p.x + k[1] * p.y + k[2] * p.z + k[3];
            texture.map_or([0.0; 3], |texture| {
                texel(texture, coordinate(s), coordinate(t)).map(|byte| f32::from(byte) / 255.0)
            })
        }
    }
}

/// The texel at texture coordinates of any size.
pub(super) fn texel(texture: &Texture, across: f64, down: f64) -> [u8; 3] {
    let place = |coordinate: f64, size: usize| {
        ((wrap(coordinate) * size as f64).floor() as usize).min(size - 1)
    };
    let (width, height) = texture.size();
    texture.at(place(across, width), place(down, height))
}

/// Brings a coordinate into 0..1 by steps of 1, at once where those would be too many.
fn wrap(mut coordinate: f64) -> f64 {
    if coordinate.abs() > 1e5 {
        coordinate -= coordinate.trunc();
    }
    while coordinate < 0.0 {
        coordinate += 1.0;
    }
    while coordinate >= 1.0 {
        coordinate -= 1.0;
    }
    coordinate
}

/// The larger of 0 and a number; NaN stays.
fn positive(value: f64) -> f64 {
    if value <= 0.0 { 0.0 } else { value }
}

fn clamp(value: f32) -> f32 {
    value.clamp(0.0, 1.0)
}

fn blend(a: Rgb, b: Rgb) -> Rgb {
    std::array::from_fn(|i| clamp(a[i] + b[i]))
}

fn scale(color: Rgb, factor: f32) -> Rgb {
    color.map(|channel| channel * clamp(factor))
}

fn byte(channel: f32) -> u8 {
    (f64::from(channel * 255.0) + 0.5) as u8
}
