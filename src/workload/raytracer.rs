//! The ray tracer: a scene in, a picture out.
//!
//! Renders the scene language of a small ray tracer that is widely used in teaching (spheres,
//! planes and triangles; mirrors, glass, checkers and textures), and promises its pictures to the
//! last bit: every expression is rounded as in the widely used Java implementation, whichever
//! instructions the machine has and however many threads work.
#![expect(
    clippy::inline_always,
    reason = "only what is inlined is compiled for optional instructions; see `simd::Task`"
)]
#![cfg_attr(
    test,
    expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::float_cmp,
        clippy::many_single_char_names,
        reason = "tests compare to the bit, and write the rules as they stand"
    )
)]

mod bmp;
mod bvh;
mod camera;
mod foretell;
mod glance;
mod hits;
mod index;
mod list;
mod meter;
mod packet;
mod parse;
mod power;
#[cfg(test)]
mod reference;
mod render;
mod scene;
mod shade;
mod simd;
mod texture;
mod tiles;
mod vector;
mod wave;
mod world;

#[cfg(test)]
mod tests;

pub use camera::View;
pub use foretell::{Arrangement, Foretold, foretell};
pub use list::LONG_LIST;
pub use render::{Counters, Features, Prepared, RenderRequest, Rendered, render};
pub use scene::Scene;
