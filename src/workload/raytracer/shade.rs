//! The colour of eight hits: light, shadow, highlights, and the rays that go on from there.

use super::hits::Hits;
use super::packet::{Rays, Vectors, dot, scale, splat, subtract, unit};
use super::power::powers;
use super::scene::Light;
use super::simd::{ALL, Doubles, LANES, Mask, Simd, Singles, Task, each};
use super::wave::{Sink, set_bits};
use super::world::{Look, World};
use crate::workload::Error;

/// What eight hits' shapes are like.
struct Looks<S: Simd> {
    /// The centre of a sphere, the normal of anything else.
    vector: Vectors<S>,
    /// Hits of spheres, and of those from inside.
    sphere: u32,
    inside: u32,
    pigment: [S::S; 3],
    /// Columns of [`super::world::FinishRow`].
    finish: [S::S; 7],
}

const AMBIENT: usize = 0;
const DIFFUSE: usize = 1;
const SPECULAR: usize = 2;
const SHININESS: usize = 3;
const REFLECTION: usize = 4;
const TRANSMISSION: usize = 5;
const REFRACTIVE_INDEX: usize = 6;

impl<S: Simd> Looks<S> {
    /// All eight hits look alike.
    #[inline(always)]
    fn alike(simd: S, world: &World, hits: &Hits, look: Look, point: Vectors<S>) -> Self {
        let vector = if hits.code == [hits.code[0]; LANES] {
            let vector = &world.surface(hits.code[0]).vector;
            each!(axis => simd.splat(vector[axis]))
        } else {
            vectors(simd, world, hits)
        };
        let finish = &world.finishes[look.finish as usize];
        Self {
            vector,
            sphere: if look.sphere { ALL } else { 0 },
            inside: if look.inside { ALL } else { 0 },
            pigment: world.colors(simd, &world.pigments[look.pigment as usize], point),
            finish: finish.map(|part| simd.splat_single(part)),
        }
    }

    /// The hits whose finish has any of this part.
    #[inline(always)]
    fn have(&self, simd: S, part: usize) -> u32 {
        simd.splat_single(0.0).less(self.finish[part]).bits()
    }

    #[inline(always)]
    fn mixed(simd: S, world: &World, hits: &Hits, point: Vectors<S>) -> Self {
        let looks = hits.code.map(|code| world.look(code));
        let (mut sphere, mut inside) = (0, 0);
        let mut finish = [[0.0; LANES]; 7];
        for (lane, look) in looks.iter().enumerate() {
            sphere |= u32::from(look.sphere) << lane;
            inside |= u32::from(look.inside) << lane;
            for (part, value) in finish.iter_mut().zip(&world.finishes[look.finish as usize]) {
                part[lane] = *value;
            }
        }
        Self {
            vector: vectors(simd, world, hits),
            sphere,
            inside,
            pigment: mixed_colors(simd, world, &looks, point),
            finish: finish.map(|part| simd.load_single(&part)),
        }
    }
}

/// The colours of eight hits of different pigments.
#[inline(always)]
fn mixed_colors<S: Simd>(
    simd: S,
    world: &World,
    looks: &[Look; LANES],
    point: Vectors<S>,
) -> [S::S; 3] {
    let mut colors = [simd.splat_single(0.0); 3];
    let mut left = ALL;
    while let Some(first) = set_bits(left).next() {
        let pigment = looks[first].pigment;
        let mut lanes = 0;
        for (lane, look) in looks.iter().enumerate() {
            lanes |= u32::from(look.pigment == pigment) << lane;
        }
        left &= !lanes;
        let mask = simd.mask(lanes).narrow();
        let own = world.colors(simd, &world.pigments[pigment as usize], point);
        colors = each!(channel => S::S::select(mask, own[channel], colors[channel]));
    }
    colors
}

/// The hits' own vectors.
#[inline(always)]
fn vectors<S: Simd>(simd: S, world: &World, hits: &Hits) -> Vectors<S> {
    let mut vectors = [[0.0; LANES]; 3];
    for (lane, code) in hits.code.iter().enumerate() {
        for (row, coordinate) in vectors.iter_mut().zip(&world.surface(*code).vector) {
            row[lane] = *coordinate;
        }
    }
    each!(axis => simd.load(&vectors[axis]))
}

/// Eight hits in registers.
struct Shading<S: Simd> {
    point: Vectors<S>,
    direction: Vectors<S>,
    normal: Vectors<S>,
    pigment: [S::S; 3],
    diffuse: S::S,
    specular: S::S,
    shininess: S::D,
    /// Lanes with any highlight at all.
    glossy: u32,
    active: u32,
}

/// Colours some hits, of one look or of several, and sends their reflected and refracted rays into
/// the next wave.
#[inline(always)]
pub(super) fn shade<S: Simd>(
    simd: S,
    world: &World,
    hits: &Hits,
    look: Option<Look>,
    sink: &mut Sink<'_>,
) -> Result<(), Error> {
    let Some((ambient, lights)) = world.lights.split_first() else {
        return Err(Error::Unprocessable(
            "Index 0 out of bounds for length 0: the scene has no light.".to_owned(),
        ));
    };
    simd.run(Shade { simd, world, hits, look, ambient, lights, sink })
}

/// What [`shade`] does.
struct Shade<'a, 'b, S> {
    simd: S,
    world: &'a World,
    hits: &'a Hits,
    look: Option<Look>,
    ambient: &'a Light,
    lights: &'a [Light],
    sink: &'a mut Sink<'b>,
}

impl<S: Simd> Task for Shade<'_, '_, S> {
    type Output = Result<(), Error>;

    #[inline(always)]
    fn work(self) -> Result<(), Error> {
        let point = each!(axis => self.simd.load(&self.hits.point[axis]));
        let looks = match self.look {
            Some(look) => Looks::alike(self.simd, self.world, self.hits, look, point),
            None => Looks::mixed(self.simd, self.world, self.hits, point),
        };
        self.lit(point, &looks)
    }
}

impl<S: Simd> Shade<'_, '_, S> {
    #[inline(always)]
    fn lit(self, point: Vectors<S>, looks: &Looks<S>) -> Result<(), Error> {
        let Self { simd, world, hits, ambient, lights, sink, .. } = self;
        let active = hits.active();
        let mut color = glow(simd, ambient, looks);
        if only_glow(simd, lights, point, looks, active) {
            sink.set_colors::<S>(&hits.node, active, color);
            return Ok(());
        }
        let shading = Shading {
            point,
            direction: each!(axis => simd.load(&hits.direction[axis])),
            normal: normals(simd, point, looks),
            pigment: looks.pigment,
            diffuse: looks.finish[DIFFUSE],
            specular: looks.finish[SPECULAR],
            shininess: looks.finish[SHININESS].to_doubles(),
            glossy: looks.have(simd, SPECULAR),
            active,
        };
        for light in lights {
            sink.look()?;
            add_light(simd, world, &shading, light, &mut color, sink);
        }
        sink.set_colors::<S>(&hits.node, active, color);
        if sink.next.is_some() {
            reflect(simd, &shading, hits, looks, sink);
            refract(simd, &shading, hits, looks, sink);
        }
        Ok(())
    }
}

/// What the ambient light gives.
#[inline(always)]
fn glow<S: Simd>(simd: S, ambient: &Light, looks: &Looks<S>) -> [S::S; 3] {
    let zero = simd.splat_single(0.0);
    let glow = looks.finish[AMBIENT];
    let glows = zero.less(glow);
    each!(channel => {
        let light = simd.splat_single(ambient.color[channel]) * glow.clamp();
        S::S::select(glows, (zero + looks.pigment[channel] * light).clamp(), zero)
    })
}

/// Whether these hits, of a sky perhaps, answer to no other light and send off no rays.
#[inline(always)]
fn only_glow<S: Simd>(
    simd: S,
    lights: &[Light],
    point: Vectors<S>,
    looks: &Looks<S>,
    active: u32,
) -> bool {
    let matte = looks.have(simd, DIFFUSE) | looks.have(simd, SPECULAR);
    let clear = looks.have(simd, REFLECTION) | looks.have(simd, TRANSMISSION);
    if active & (matte | clear) != 0 {
        return false;
    }
    // What is infinite adds something even if it is multiplied by nothing.
    let mut left = active;
    for light in lights {
        let to_light = subtract(splat(simd, light.position), point);
        let square = dot(to_light, to_light);
        let tame = simd.splat(1e-4).less(square) & square.less(simd.splat(1e300));
        left &= if light.is_tame() { tame.bits() } else { 0 };
    }
    left == active
}

#[inline(always)]
fn normals<S: Simd>(simd: S, point: Vectors<S>, looks: &Looks<S>) -> Vectors<S> {
    let vector = looks.vector;
    if looks.sphere == 0 {
        return vector;
    }
    let mut radius = subtract(point, vector);
    if looks.inside != 0 {
        let inside = simd.mask(looks.inside);
        let inward = subtract(vector, point);
        radius = each!(axis => S::D::select(inside, inward[axis], radius[axis]));
    }
    let normal = unit(simd, radius);
    if looks.sphere == ALL {
        return normal;
    }
    let sphere = simd.mask(looks.sphere);
    each!(axis => S::D::select(sphere, normal[axis], vector[axis]))
}

/// Adds what one light contributes.
#[inline(always)]
fn add_light<S: Simd>(
    simd: S,
    world: &World,
    hit: &Shading<S>,
    light: &Light,
    color: &mut [S::S; 3],
    sink: &mut Sink<'_>,
) {
    let to_light = subtract(splat(simd, light.position), hit.point);
    let limit = dot(to_light, to_light).sqrt();
    let direction = scale(to_light, simd.splat(1.0) / limit);
    let shadow = Rays::from_unit(simd, hit.point, direction);
    let falloff = falloff(simd, light, &shadow, limit);
    let gain = each!(channel => simd.splat_single(light.color[channel]) * falloff);

    let zero = simd.splat_single(0.0);
    let cosine = dot(hit.normal, direction).positive().to_singles();
    let diffuse = S::S::select(zero.less(hit.diffuse), hit.diffuse * cosine, zero);
    let half = subtract(direction, hit.direction);
    let glossy = hit.glossy & !without_highlight(simd, hit, half);
    // As if there were no highlights.
    let mut term = each!(channel => {
        (gain[channel] * (hit.pigment[channel] * diffuse + zero)).clamp()
    });
    let dark = term[0].equal(zero) & term[1].equal(zero) & term[2].equal(zero);
    // A light that adds exactly nothing need not be looked for.
    let wanted = hit.active & (glossy | !dark.bits());
    if wanted == 0 {
        return;
    }
    let lit = wanted & !world.index.blocked(simd, &shadow, limit, wanted, sink.effort);
    if lit == 0 {
        return;
    }
    if lit & glossy != 0 {
        sink.effort.counters.highlights += u64::from((lit & glossy).count_ones());
        let gleam = dot(hit.normal, unit(simd, half)).positive();
        let power = powers(simd, gleam, hit.shininess, lit & glossy);
        let glossy = simd.mask(glossy).narrow();
        let specular = S::S::select(glossy, hit.specular * power, zero);
        term = each!(channel => {
            (gain[channel] * (hit.pigment[channel] * diffuse + specular)).clamp()
        });
    }
    let lit = simd.mask(lit).narrow();
    for channel in 0..3 {
        let sum = (color[channel] + term[channel]).clamp();
        color[channel] = S::S::select(lit, sum, color[channel]);
    }
}

/// Lanes whose highlight is zero without computing a power: 0 to a positive number. `half` is of
/// any length; where its angle to the normal is about a right one, the power decides.
#[inline(always)]
fn without_highlight<S: Simd>(simd: S, hit: &Shading<S>, half: Vectors<S>) -> u32 {
    /// More than the rounding of a product of two vectors as long as 1 and at most 2.
    const OBTUSE: f64 = -1e-12;
    let finite = hit.specular.less(simd.splat_single(f32::INFINITY)).bits();
    let averted = dot(hit.normal, half).less(simd.splat(OBTUSE));
    (averted & simd.splat(0.0).less(hit.shininess)).bits() & finite
}

/// How much of a light arrives: the reciprocal of its attenuation.
#[inline(always)]
fn falloff<S: Simd>(simd: S, light: &Light, shadow: &Rays<S>, limit: S::D) -> S::S {
    let one = simd.splat_single(1.0);
    let [a, b, c] = each!(part => simd.splat(f64::from(light.attenuation[part])));
    // Squares of such distances are finite, and times 0 they are 0.
    let near = limit.less(simd.splat(1e150)).bits() == ALL;
    if near && light.attenuation[1..] == [0.0, 0.0] {
        let nothing = simd.splat(0.0);
        return one / (a + b * nothing + c * nothing).to_singles();
    }
    let path = subtract(splat(simd, light.position), shadow.origin);
    let distance = dot(path, path).sqrt();
    one / (a + b * distance + c * (distance * distance)).to_singles()
}

#[inline(always)]
fn reflect<S: Simd>(simd: S, hit: &Shading<S>, hits: &Hits, looks: &Looks<S>, sink: &mut Sink<'_>) {
    let gains = looks.finish[REFLECTION];
    let lanes = looks.have(simd, REFLECTION) & hit.active;
    if lanes == 0 {
        return;
    }
    let twice = simd.splat(2.0) * dot(hit.direction, hit.normal);
    let direction = subtract(hit.direction, scale(hit.normal, twice));
    let rays = Rays::new(simd, hit.point, direction);
    sink.spawn(0, &rays, lanes, &hits.node, &gains.to_array());
}

#[inline(always)]
fn refract<S: Simd>(simd: S, hit: &Shading<S>, hits: &Hits, looks: &Looks<S>, sink: &mut Sink<'_>) {
    let gains = looks.finish[TRANSMISSION];
    let lanes = looks.have(simd, TRANSMISSION) & hit.active;
    if lanes == 0 {
        return;
    }
    let one = simd.splat(1.0);
    let back = each!(axis => -hit.direction[axis]);
    let cosine = dot(back, hit.normal);
    let index = looks.finish[REFRACTIVE_INDEX].to_doubles();
    let ratio = S::D::select(simd.mask(looks.inside), index, one / index);
    let refracted_cosine = (one - ratio * ratio * (one - cosine * cosine)).sqrt();
    let along_normal = scale(hit.normal, ratio * cosine - refracted_cosine);
    let rays = Rays::new(simd, hit.point, subtract(along_normal, scale(back, ratio)));
    sink.spawn(1, &rays, lanes, &hits.node, &gains.to_array());
}
