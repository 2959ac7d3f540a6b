//! What a render will count as work, from a few of its rays.

use super::camera::View;
use super::render::{Counters, Prepared};
use super::texture::Texture;
use super::{Scene, index};
use crate::workload::{Error, FullSpeed, Limits};

/// What a render will count as work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Foretold {
    /// All of it: [`Usage::work`](crate::workload::Usage).
    pub work: u64,
    /// The part of it that finds what rays hit: [`Counters::test_work`].
    pub tests: u64,
    /// How the shapes were arranged to be found.
    pub arrangement: Arrangement,
}

/// How shapes are arranged for rays to find them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrangement {
    /// One after the other.
    ShortList,
    /// In a list from which most are left out for a whole packet of rays.
    LongList,
    /// In a hierarchy.
    Hierarchy,
}

impl Arrangement {
    /// By what rays did there.
    const fn of(counters: &Counters) -> Self {
        match counters {
            Counters { visits: 1.., .. } => Self::Hierarchy,
            Counters { sifted: 1.., .. } => Self::LongList,
            _ => Self::ShortList,
        }
    }
}

/// Foretells the work of rendering a view: traces about `points` pixels spread evenly over the
/// window and scales up what their rays did.
///
/// No texture is needed, and reading one is not in the figure: it changes colours, not rays.
///
/// # Errors
/// Those of [`Scene::parse`]; [`Error::Unprocessable`] if something is hit and the scene has no
/// light.
pub fn foretell(
    scene: &[u8],
    view: &View,
    points: u32,
    limits: &Limits,
) -> Result<Foretold, Error> {
    let scene = Scene::parse(scene, limits)?;
    let prepared = Prepared::arrange(scene, Some(Texture::plain()), index::LEAST, &FullSpeed)?;
    let traced = prepared.probe(view, points)?;
    let features = prepared.features(view);
    let rays = features.pixels.saturating_mul(if view.antialias { 4 } else { 1 });
    // The work of so many camera rays, if all are like those traced.
    let scaled = |work: u64| {
        let work = u128::from(work) * u128::from(rays) / u128::from(traced.primary.max(1));
        u64::try_from(work).unwrap_or(u64::MAX)
    };
    Ok(Foretold {
        work: scaled(traced.work()).saturating_add(prepared.work()),
        tests: scaled(traced.test_work()),
        arrangement: Arrangement::of(&traced),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Run;
    use crate::workload::raytracer::{RenderRequest, render};
    use std::num::NonZeroUsize;

    #[test]
    fn a_foretold_render_counts_about_that_much() {
        let scene = include_bytes!("../../../workloads/scenes/crowd.txt");
        let limits = Limits::default();
        let run = Run { threads: NonZeroUsize::MIN, pacer: &FullSpeed, limits: &limits };
        for antialias in [false, true] {
            let view = View { antialias, ..View::full(200, 150) };
            let foretold = foretell(scene, &view, 400, &limits).unwrap().work;
            let request = RenderRequest { scene, texmap: None, view };
            let counted = render(&request, &run).unwrap().usage.work;
            let ratio = foretold as f64 / counted as f64;
            assert!((0.85..1.15).contains(&ratio), "{foretold} for {counted}");
        }
    }

    #[test]
    fn the_more_is_traced_the_better_it_is_foretold() {
        let scene = include_bytes!("../../../workloads/scenes/crowd.txt");
        let limits = Limits::default();
        let run = Run { threads: NonZeroUsize::MIN, pacer: &FullSpeed, limits: &limits };
        let view = View::full(32, 24);
        let request = RenderRequest { scene, texmap: None, view };
        let counted = render(&request, &run).unwrap().usage.work;
        // All pixels; what is left is how rays are grouped.
        let foretold = foretell(scene, &view, 32 * 24, &limits).unwrap().work;
        assert!(foretold.abs_diff(counted) < counted / 1_000, "{foretold} for {counted}");
    }
}
