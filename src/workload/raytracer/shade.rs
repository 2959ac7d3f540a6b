//! The colour of eight hits: light, shadow, highlights, and the rays that go on from there.

use super::packet::{Nearest, Rays, Vectors, dot, scale, splat, subtract, unit};
use super::power::powers;
use super::scene::{Light, Pigment, Rgb};
use super::simd::{ALL, Doubles, LANES, Mask, Simd, Singles, Task, each};
use super::wave::{Sink, set_bits};
use super::world::World;
use crate::workload::Error;

/// Up to eight hits.
#[derive(Debug, Clone, Default)]
#[repr(align(64))]
pub(super) struct Hits {
    point: [[f64; LANES]; 3],
    /// Of the ray that hit.
    direction: [[f64; LANES]; 3],
    /// As in [`Nearest`].
    code: [u32; LANES],
    /// The node whose colour this is.
    node: [u32; LANES],
    length: usize,
}

impl Hits {
    /// Eight hits of rays whose nodes follow each other.
    #[inline(always)]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "codes are small whole numbers; of a ray that misses the code is not used"
    )]
    pub(super) fn new<S: Simd>(rays: &Rays<S>, nearest: &Nearest<S>, node: usize) -> Self {
        Self {
            point: Self::lanes::<S>(rays.at(nearest.root)),
            direction: Self::lanes::<S>(rays.direction),
            code: nearest.code.to_array().map(|code| code as u32),
            node: std::array::from_fn(|lane| (node + lane) as u32),
            length: LANES,
        }
    }

    #[inline(always)]
    fn lanes<S: Simd>(vectors: Vectors<S>) -> [[f64; LANES]; 3] {
        each!(axis => vectors[axis].to_array())
    }

    pub(super) const fn is_full(&self) -> bool {
        self.length == LANES
    }

    pub(super) const fn clear(&mut self) {
        self.length = 0;
    }

    /// Adds one of eight other hits; there must be room.
    pub(super) fn push(&mut self, other: &Self, lane: usize) {
        if self.length == 0 {
            // Lanes without a hit of their own stay alike, so that they cost nothing.
            self.code = [other.code[lane]; LANES];
        }
        let place = self.length;
        for axis in 0..3 {
            self.point[axis][place] = other.point[axis][lane];
            self.direction[axis][place] = other.direction[axis][lane];
        }
        self.code[place] = other.code[lane];
        self.node[place] = other.node[lane];
        self.length += 1;
    }

    fn active(&self) -> u32 {
        ALL >> (LANES - self.length)
    }
}

/// What eight hits' shapes are like.
struct Looks {
    /// The centre of a sphere, the normal of anything else.
    vector: [[f64; LANES]; 3],
    /// Hits of spheres, and of those from inside.
    sphere: u32,
    inside: u32,
    pigment: [[f32; LANES]; 3],
    /// Columns of [`super::world::FinishRow`].
    finish: [[f32; LANES]; 7],
}

const AMBIENT: usize = 0;
const DIFFUSE: usize = 1;
const SPECULAR: usize = 2;
const SHININESS: usize = 3;
const REFLECTION: usize = 4;
const TRANSMISSION: usize = 5;
const REFRACTIVE_INDEX: usize = 6;

impl Looks {
    #[inline(always)]
    fn of(world: &World, hits: &Hits) -> Self {
        if hits.code == [hits.code[0]; LANES] {
            Self::alike(world, hits)
        } else {
            Self::mixed(world, hits)
        }
    }

    /// All eight hits are of one shape.
    #[inline(always)]
    fn alike(world: &World, hits: &Hits) -> Self {
        let surface = &world.surfaces[hits.code[0] as usize / 2];
        let mut looks = Self {
            vector: surface.vector.map(|axis| [axis; LANES]),
            sphere: if surface.sphere { ALL } else { 0 },
            inside: (hits.code[0] & 1) * ALL,
            pigment: [[0.0; LANES]; 3],
            finish: world.finishes[surface.finish as usize].map(|part| [part; LANES]),
        };
        match &world.pigments[surface.pigment as usize] {
            Pigment::Solid(color) => looks.pigment = color.map(|channel| [channel; LANES]),
            pigment => {
                for lane in 0..LANES {
                    looks.set_pigment(
                        lane,
                        world.color(pigment, each!(axis => hits.point[axis][lane])),
                    );
                }
            }
        }
        looks
    }

    #[inline(always)]
    fn mixed(world: &World, hits: &Hits) -> Self {
        let mut looks = Self {
            vector: [[0.0; LANES]; 3],
            sphere: 0,
            inside: 0,
            pigment: [[0.0; LANES]; 3],
            finish: [[0.0; LANES]; 7],
        };
        for lane in 0..LANES {
            let code = hits.code[lane];
            let surface = &world.surfaces[code as usize / 2];
            for axis in 0..3 {
                looks.vector[axis][lane] = surface.vector[axis];
            }
            looks.sphere |= u32::from(surface.sphere) << lane;
            looks.inside |= (code & 1) << lane;
            let finish = &world.finishes[surface.finish as usize];
            for (part, value) in looks.finish.iter_mut().zip(finish) {
                part[lane] = *value;
            }
            let pigment = &world.pigments[surface.pigment as usize];
            looks.set_pigment(lane, world.color(pigment, each!(axis => hits.point[axis][lane])));
        }
        looks
    }

    #[inline(always)]
    fn set_pigment(&mut self, lane: usize, color: Rgb) {
        for (row, channel) in self.pigment.iter_mut().zip(color) {
            row[lane] = channel;
        }
    }
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

/// Colours some hits and sends their reflected and refracted rays into the next wave.
#[inline(always)]
pub(super) fn shade<S: Simd>(
    simd: S,
    world: &World,
    hits: &Hits,
    sink: &mut Sink<'_>,
) -> Result<(), Error> {
    if hits.length == 0 {
        return Ok(());
    }
    let Some((ambient, lights)) = world.lights.split_first() else {
        return Err(Error::Unprocessable(
            "Index 0 out of bounds for length 0: the scene has no light.".to_owned(),
        ));
    };
    simd.run(Shade { simd, world, hits, ambient, lights, sink })
}

/// Lights between two looks at the clock: each may take a test against every shape.
const LIGHTS_A_LOOK: usize = 8;

/// Arguments of [`shade_lit`].
struct Shade<'a, 'b, S> {
    simd: S,
    world: &'a World,
    hits: &'a Hits,
    ambient: &'a Light,
    lights: &'a [Light],
    sink: &'a mut Sink<'b>,
}

impl<S: Simd> Task for Shade<'_, '_, S> {
    type Output = Result<(), Error>;

    #[inline(always)]
    fn work(self) -> Result<(), Error> {
        let Self { simd, world, hits, ambient, lights, sink } = self;
        shade_lit(simd, world, hits, ambient, lights, sink)
    }
}

#[inline(always)]
fn shade_lit<S: Simd>(
    simd: S,
    world: &World,
    hits: &Hits,
    ambient: &Light,
    lights: &[Light],
    sink: &mut Sink<'_>,
) -> Result<(), Error> {
    let looks = Looks::of(world, hits);
    let point = each!(axis => simd.load(&hits.point[axis]));
    let zero = simd.splat_single(0.0);
    let specular = simd.load_single(&looks.finish[SPECULAR]);
    let shading = Shading {
        point,
        direction: each!(axis => simd.load(&hits.direction[axis])),
        normal: normals(simd, point, &looks),
        pigment: each!(channel => simd.load_single(&looks.pigment[channel])),
        diffuse: simd.load_single(&looks.finish[DIFFUSE]),
        specular,
        shininess: simd.load(&looks.finish[SHININESS].map(f64::from)),
        glossy: zero.less(specular).bits(),
        active: hits.active(),
    };
    let glow = simd.load_single(&looks.finish[AMBIENT]);
    let glows = zero.less(glow);
    let mut color = each!(channel => {
        let light = simd.splat_single(ambient.color[channel]) * glow.clamp();
        S::S::select(glows, (zero + shading.pigment[channel] * light).clamp(), zero)
    });
    for (number, light) in lights.iter().enumerate() {
        if number % LIGHTS_A_LOOK == LIGHTS_A_LOOK - 1 {
            (sink.pause)(&sink.effort.counters)?;
        }
        add_light(simd, world, &shading, light, &mut color, sink);
    }
    let color = each!(channel => color[channel].to_array());
    for lane in set_bits(shading.active) {
        sink.set_color(hits.node[lane], each!(channel => color[channel][lane]));
    }
    if sink.next.is_some() {
        reflect(simd, &shading, hits, &looks, sink);
        refract(simd, &shading, hits, &looks, sink);
    }
    Ok(())
}

#[inline(always)]
fn normals<S: Simd>(simd: S, point: Vectors<S>, looks: &Looks) -> Vectors<S> {
    let vector = each!(axis => simd.load(&looks.vector[axis]));
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
    let half = unit(simd, subtract(direction, hit.direction));
    let gleam = dot(hit.normal, half).positive();
    let glossy = hit.glossy & !without_highlight(simd, hit, gleam);
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

/// Lanes whose highlight is zero without computing a power: 0 to a positive number.
#[inline(always)]
fn without_highlight<S: Simd>(simd: S, hit: &Shading<S>, gleam: S::D) -> u32 {
    let zero = simd.splat(0.0);
    let finite = hit.specular.less(simd.splat_single(f32::INFINITY)).bits();
    (gleam.at_most(zero) & zero.less(hit.shininess)).bits() & finite
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
fn reflect<S: Simd>(simd: S, hit: &Shading<S>, hits: &Hits, looks: &Looks, sink: &mut Sink<'_>) {
    let gains = &looks.finish[REFLECTION];
    let lanes = simd.splat_single(0.0).less(simd.load_single(gains)).bits() & hit.active;
    if lanes == 0 {
        return;
    }
    let twice = simd.splat(2.0) * dot(hit.direction, hit.normal);
    let direction = subtract(hit.direction, scale(hit.normal, twice));
    let rays = Rays::new(simd, hit.point, direction);
    sink.spawn(0, &rays, lanes, &hits.node, gains);
}

#[inline(always)]
fn refract<S: Simd>(simd: S, hit: &Shading<S>, hits: &Hits, looks: &Looks, sink: &mut Sink<'_>) {
    let gains = &looks.finish[TRANSMISSION];
    let lanes = simd.splat_single(0.0).less(simd.load_single(gains)).bits() & hit.active;
    if lanes == 0 {
        return;
    }
    let one = simd.splat(1.0);
    let back = each!(axis => -hit.direction[axis]);
    let cosine = dot(back, hit.normal);
    let index = simd.load(&looks.finish[REFRACTIVE_INDEX].map(f64::from));
    let ratio = S::D::select(simd.mask(looks.inside), index, one / index);
    let refracted_cosine = (one - ratio * ratio * (one - cosine * cosine)).sqrt();
    let along_normal = scale(hit.normal, ratio * cosine - refracted_cosine);
    let rays = Rays::new(simd, hit.point, subtract(along_normal, scale(back, ratio)));
    sink.spawn(1, &rays, lanes, &hits.node, gains);
}
