//! What is sent: a catalogue of inputs, and which of them each request is. The same seed gives the
//! same requests, whatever the answers and however fast they come.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use fastrand::Rng;

use super::ask::{Ask, Input, Plain, Ready, SceneSource};
use super::mix::{Mix, Workload};
use super::sizes::Sizes;
use super::trace::Row;
use crate::workload::imaging::{Format, PictureHeader};

/// What the inputs of a load are like.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Kinds of requests.
    pub mix: Mix,
    /// How many different inputs there are of each kind. Each is sent again and again, so that its
    /// answers can be compared.
    pub distinct: u32,
    /// Sizes of pictures, in megapixels.
    pub picture_sizes: Sizes,
    /// File formats of pictures; they take turns.
    pub formats: Vec<Format>,
    /// Sizes of what is rendered, in megapixels.
    pub render_sizes: Sizes,
    /// Shapes of scenes.
    pub shapes: Sizes,
    /// Pictures to be sent instead of ones made here.
    pub picture_files: Vec<PathBuf>,
    /// Scenes to be sent instead of ones made here.
    pub scene_files: Vec<PathBuf>,
    /// The request for [`Workload::Request`].
    pub plain: Option<Plain>,
    /// What all draws come from.
    pub seed: u64,
}

/// Everything about the requests of a load but their times.
#[derive(Debug, Clone)]
pub struct Plan {
    mix: Mix,
    seed: u64,
    plain: Option<Plain>,
    asks: Vec<Ask>,
    /// Which of the asks are of the mix's first workload, of its second, and so on.
    of: Vec<Range<usize>>,
    recorded: Option<Vec<(Duration, usize)>>,
}

/// Seeds of draws that must not go the same way.
const FOR_FORMS: u64 = 0x6d69_7865_7300_0001;
const FOR_CONTENT: u64 = 0x6d69_7865_7300_0002;
const FOR_DRAWS: u64 = 0x6d69_7865_7300_0003;

/// The largest picture or rendering that is made, in pixels along an edge.
const LONGEST_EDGE: f64 = 16_384.0;
/// A trace with more different pictures than this is sent with sizes that are rounded, so that the
/// pictures have room in memory.
const MOST_PICTURES: usize = 100;
/// Lights of a scene besides the ambient one, unless a trace says otherwise.
const LIGHTS: u32 = 2;

impl Plan {
    /// Requests as they are wanted.
    ///
    /// # Errors
    /// If the mix has a `request` and there is none.
    pub fn drawn(wanted: &Wanted) -> anyhow::Result<Self> {
        let (mut asks, mut of) = (Vec::new(), Vec::new());
        for workload in wanted.mix.workloads() {
            let from = asks.len();
            asks.extend(wanted.catalogue(workload)?);
            of.push(from..asks.len());
        }
        Ok(Self::of(wanted, asks, of, None))
    }

    fn of(
        wanted: &Wanted,
        asks: Vec<Ask>,
        of: Vec<Range<usize>>,
        recorded: Option<Vec<(Duration, usize)>>,
    ) -> Self {
        let (mix, plain) = (wanted.mix.clone(), wanted.plain.clone());
        Self { mix, seed: wanted.seed, plain, asks, of, recorded }
    }

    /// The requests of a trace, `speed` times as fast. What a row does not say is as wanted.
    ///
    /// # Errors
    /// As [`Self::drawn`].
    pub fn recorded(wanted: &Wanted, rows: &[Row], speed: f64) -> anyhow::Result<Self> {
        let mut catalogues: HashMap<Workload, Vec<Ask>> = HashMap::new();
        for row in rows {
            if let Entry::Vacant(entry) = catalogues.entry(row.workload) {
                entry.insert(wanted.catalogue(row.workload)?);
            }
        }
        let ask = |(number, row): (u64, &Row)| {
            let drawn = draws(wanted.seed, number).choice(catalogues.get(&row.workload)?)?.clone();
            Some(as_recorded(drawn, row))
        };
        // Every workload has a catalogue and none is empty: there are as many as there are rows.
        let mut each = (0..).zip(rows).filter_map(ask).collect::<Vec<_>>();
        let pictures = each.iter().filter(|ask| matches!(ask.input, Input::Picture(_)));
        if pictures.collect::<HashSet<_>>().len() > MOST_PICTURES {
            each.iter_mut().for_each(coarsen);
        }
        let mut asks: Vec<Ask> = Vec::new();
        let mut known: HashMap<Ask, usize> = HashMap::new();
        let mut recorded = Vec::with_capacity(rows.len());
        for (ask, row) in each.into_iter().zip(rows) {
            let index = *known.entry(ask).or_insert_with_key(|ask| {
                asks.push(ask.clone());
                asks.len() - 1
            });
            let at = row.at.as_secs_f64() / speed;
            recorded.push((Duration::try_from_secs_f64(at).unwrap_or(Duration::MAX), index));
        }
        Ok(Self::of(wanted, asks, Vec::new(), Some(recorded)))
    }

    /// The times of a trace, as fast as they are wanted.
    pub fn recorded_times(&self) -> Option<Vec<Duration>> {
        let recorded = self.recorded.as_ref()?;
        Some(recorded.iter().map(|(at, _)| *at).collect())
    }

    /// Request number `number` as a row of a trace, due at `at`. None after the last request.
    pub fn row(&self, number: u64, at: Duration) -> Option<Row> {
        let ask = self.asks.get(self.request(number)?)?;
        Some(described(ask, at))
    }

    /// Which input request number `number` is. None after the last request.
    pub(super) fn request(&self, number: u64) -> Option<usize> {
        if let Some(recorded) = &self.recorded {
            return recorded.get(usize::try_from(number).ok()?).map(|(_, index)| *index);
        }
        let mut rng = draws(self.seed, number);
        let of = self.of.get(self.mix.at(rng.f64()))?;
        Some(rng.usize(of.clone()))
    }

    /// All inputs with their bytes.
    ///
    /// # Errors
    /// If a file cannot be read, or a picture cannot be made.
    pub(super) fn ready(&self) -> anyhow::Result<Vec<Ready>> {
        (0..)
            .zip(&self.asks)
            .map(|(index, ask)| {
                let seed = draws(self.seed ^ FOR_CONTENT, index).u64(..);
                ask.ready(self.plain.as_ref(), seed)
            })
            .collect()
    }
}

/// The source of what is drawn for request number `number`, and for nothing else.
fn draws(seed: u64, number: u64) -> Rng {
    let mut rng = Rng::with_seed(seed ^ FOR_DRAWS);
    let start = rng.u64(..);
    // Steps by an odd number reach every state once (Weyl sequence).
    Rng::with_seed(start.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
}

impl Wanted {
    /// The different inputs of a kind. Their sizes are evenly spaced quantiles of the distribution,
    /// so that a few of them stand for it.
    fn catalogue(&self, workload: Workload) -> anyhow::Result<Vec<Ask>> {
        let ask = |input| Ask { workload, input };
        let count = self.distinct.max(1);
        let part = |place: u32| (f64::from(place) + 0.5) / f64::from(count);
        let mut order = (0..count).collect::<Vec<_>>();
        let mut rng = Rng::with_seed(self.seed ^ FOR_FORMS);
        rng.shuffle(&mut order);
        Ok(match workload {
            Workload::Request if self.plain.is_none() => {
                bail!("the mix has a `request`: say which with --request \"GET /test\"")
            }
            Workload::Request => vec![ask(Input::Plain)],
            Workload::Raytrace if self.scene_files.is_empty() => (0..count)
                .zip(order)
                .map(|(place, other)| {
                    let size = edges(self.render_sizes.quantile(part(place)), 4.0 / 3.0);
                    let shapes = whole(self.shapes.quantile(part(other))).max(1);
                    let source = SceneSource::Made { shapes, lights: LIGHTS };
                    ask(Input::Scene { source, size, antialias: rng.bool() })
                })
                .collect(),
            Workload::Raytrace => (self.scene_files.iter().cycle().zip(0..))
                .take(self.scene_files.len().max(count as usize))
                .map(|(path, place)| {
                    let size = edges(self.render_sizes.quantile(part(place % count)), 4.0 / 3.0);
                    let source = SceneSource::File(path.clone());
                    ask(Input::Scene { source, size, antialias: rng.bool() })
                })
                .collect(),
            Workload::Blur | Workload::Enhance if self.picture_files.is_empty() => (0..count)
                .zip(self.formats.iter().cycle())
                .map(|(place, format)| {
                    let (width, height) = edges(self.picture_sizes.quantile(part(place)), 1.5);
                    ask(Input::Picture(PictureHeader { format: *format, width, height }))
                })
                .collect(),
            Workload::Blur | Workload::Enhance => self
                .picture_files
                .iter()
                .map(|path| ask(Input::PictureFile(path.clone())))
                .collect(),
        })
    }
}

/// Width and height in pixels of so many megapixels.
fn edges(megapixels: f64, aspect: f64) -> (u32, u32) {
    let height = (megapixels * 1e6 / aspect).sqrt();
    (whole((height * aspect).min(LONGEST_EDGE)).max(1), whole(height.min(LONGEST_EDGE)).max(1))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
fn whole(number: f64) -> u32 {
    number.round() as u32
}

/// Sizes of a picture that are as good as equal become equal: steps of a twelfth of an octave.
fn coarsen(ask: &mut Ask) {
    let step = |edge: u32| whole(((f64::from(edge).log2() * 12.0).round() / 12.0).exp2()).max(1);
    if let Input::Picture(header) = &mut ask.input {
        (header.width, header.height) = (step(header.width), step(header.height));
    }
}

/// An ask of a kind, with all that a row of a trace says of it.
fn as_recorded(drawn: Ask, row: &Row) -> Ask {
    let workload = row.workload;
    let input = match drawn.input {
        _ if row.file.is_some() && workload.filter().is_some() => {
            Input::PictureFile(row.file.clone().unwrap_or_default())
        }
        Input::Picture(PictureHeader { format, width, height }) => {
            let (width, height) = row.size.unwrap_or((width, height));
            Input::Picture(PictureHeader { format: row.format.unwrap_or(format), width, height })
        }
        Input::Scene { source, size, antialias } => {
            let source = match (&row.file, source) {
                (Some(path), _) => SceneSource::File(path.clone()),
                (None, SceneSource::Made { shapes, lights }) => SceneSource::Made {
                    shapes: row.shapes.unwrap_or(shapes).max(1),
                    lights: row.lights.unwrap_or(lights),
                },
                (None, file) => file,
            };
            let size = row.size.unwrap_or(size);
            Input::Scene { source, size, antialias: row.antialias.unwrap_or(antialias) }
        }
        input => input,
    };
    Ask { workload, input }
}

/// An ask as a row of a trace.
fn described(ask: &Ask, at: Duration) -> Row {
    let mut row = Row {
        at,
        workload: ask.workload,
        size: None,
        format: None,
        shapes: None,
        lights: None,
        antialias: None,
        file: None,
    };
    match &ask.input {
        Input::Plain => {}
        Input::PictureFile(path) => row.file = Some(path.clone()),
        Input::Picture(PictureHeader { format, width, height }) => {
            row.size = Some((*width, *height));
            row.format = Some(*format);
        }
        Input::Scene { source, size, antialias } => {
            row.size = Some(*size);
            row.antialias = Some(*antialias);
            match source {
                SceneSource::File(path) => row.file = Some(path.clone()),
                SceneSource::Made { shapes, lights } => {
                    row.shapes = Some(*shapes);
                    row.lights = Some(*lights);
                }
            }
        }
    }
    row
}

#[cfg(test)]
mod tests;
