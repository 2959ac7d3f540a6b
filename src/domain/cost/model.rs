//! What work costs on the machine at hand, learned from every answer.

use std::collections::BTreeMap;
use std::time::Duration;

use super::fit::{Sums, TERMS};
use super::{Features, Form, Kind, Work};

/// A cost more than so many times as large or small as predicted counts as no more than that: it
/// says more of the moment than of the request. What has changed for good is reached in steps.
const SURPRISE: f64 = 2.0;
/// The same while fewer lines than [`NEWNESS`] were seen, and the prediction is itself a guess.
const FIRST_SURPRISE: f64 = 10.0;
/// See [`FIRST_SURPRISE`].
const NEWNESS: f64 = 5.0;
/// However dense a picture's file, the logarithm of what that makes it cost is no larger: a factor of
/// twenty. The worst seen, a flat PNG picture, costs a quarter of what one of noise does.
pub const LARGEST_LOG: f64 = 3.0;
/// Costs that make no sense are not learned from, in seconds: a day.
const LONGEST: f64 = 86_400.0;

/// Predicts the CPU time of requests, on a typical VM, and learns from that of the answers.
///
/// For each kind of work and form of input the cost is a weighted sum of an overhead, the nominal
/// work in two parts and the bytes to be read. The weights start at 1; a combination that was never
/// seen is priced like the others together. That of a picture is then multiplied by what pictures
/// as densely filled have cost beside it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CostModel {
    classes: BTreeMap<(Kind, Form), Class>,
    densities: BTreeMap<(Kind, Form, i8), Density>,
    accuracy: BTreeMap<Kind, Accuracy>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Class {
    sums: Sums,
    /// What follows from the sums.
    weights: [f64; TERMS],
}

/// How much dearer than others of their form pictures are whose files are as densely filled.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Density {
    /// Answers that it was learned from.
    pub answers: u64,
    /// The natural logarithm of the factor.
    pub log: f64,
}

impl Density {
    /// Takes in the logarithm of an actual cost over that by the form alone.
    fn hear(&mut self, log: f64) {
        /// The share of the newest answer in the mean: about the last twenty count.
        const NEWEST: f64 = 0.05;
        /// That it is like the others counts as so many answers.
        const PRIOR: f64 = 0.5;
        self.answers = self.answers.saturating_add(1);
        let share = NEWEST.max(1.0 / (self.answers as f64 + PRIOR));
        self.log += share * (log.clamp(-LARGEST_LOG, LARGEST_LOG) - self.log);
    }
}

/// How well the cost of a kind of work was predicted lately.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Accuracy {
    /// Answers it was compared with.
    pub answers: u64,
    /// Mean absolute error as a share of the actual CPU time, over about the last 50 answers.
    pub error: f64,
}

impl Accuracy {
    fn hear(&mut self, error: f64) {
        /// The share of the newest answer in the mean.
        const NEWEST: f64 = 0.02;
        self.answers = self.answers.saturating_add(1);
        let share = NEWEST.max(1.0 / self.answers as f64);
        self.error += share * (error - self.error);
    }
}

impl CostModel {
    /// A model with what was learned before: sums by class, densities by class and band, and how good
    /// the predictions were.
    pub fn restored(
        classes: impl IntoIterator<Item = ((Kind, Form), Sums)>,
        densities: impl IntoIterator<Item = ((Kind, Form, i8), Density)>,
        accuracy: impl IntoIterator<Item = (Kind, Accuracy)>,
    ) -> Self {
        let bare = |(key, sums)| (key, Class { sums, weights: [0.0; TERMS] });
        let classes = classes.into_iter().map(bare).collect();
        let densities = densities.into_iter().collect();
        let mut model = Self { classes, densities, accuracy: accuracy.into_iter().collect() };
        model.refit();
        model
    }

    /// What was learned: the sums by class.
    pub fn classes(&self) -> impl Iterator<Item = ((Kind, Form), &Sums)> {
        self.classes.iter().map(|(key, class)| (*key, &class.sums))
    }

    /// What was learned of densities, by class and band.
    pub fn densities(&self) -> impl Iterator<Item = ((Kind, Form, i8), Density)> {
        self.densities.iter().map(|(key, detail)| (*key, *detail))
    }

    /// How well each kind of work was predicted lately.
    pub fn accuracy(&self) -> impl Iterator<Item = (Kind, Accuracy)> {
        self.accuracy.iter().map(|(kind, accuracy)| (*kind, *accuracy))
    }

    /// What a request will cost on a typical VM. More to do of the same density never costs less.
    pub fn predict(&self, features: &Features) -> Work {
        let key = |band| (features.kind, features.form, band);
        let density = features.density_band().and_then(|band| self.densities.get(&key(band)));
        let factor = density.map_or(1.0, |density| density.log.exp());
        Work::from_nanos_f64(self.by_form(features) * factor)
    }

    /// The same by its kind and form alone, in nanoseconds.
    fn by_form(&self, features: &Features) -> f64 {
        let terms = features.terms();
        let weights = match (features.kind, self.classes.get(&(features.kind, features.form))) {
            (Kind::Other, _) => [1.0; TERMS],
            (_, Some(class)) => class.weights,
            (_, None) => [self.common(); TERMS],
        };
        weights.iter().zip(terms).map(|(weight, term)| weight * term).sum()
    }

    /// Takes in that a request was `predicted` to cost so much and cost `actual` CPU time on a VM
    /// that computes `pace` times as fast as a typical one.
    pub fn learn(&mut self, features: &Features, predicted: Work, actual: Duration, pace: f64) {
        let (actual, cost) = (actual.as_secs_f64(), actual.as_secs_f64() * pace);
        let believable = |seconds: f64| seconds > 0.0 && seconds < LONGEST;
        if features.kind == Kind::Other || !believable(actual) || !believable(cost) {
            return;
        }
        let error = (predicted.seconds() / cost - 1.0).abs();
        self.accuracy.entry(features.kind).or_default().hear(error);
        let key = (features.kind, features.form);
        let now = self.predict(features).nanos() as f64;
        let by_form = self.by_form(features).max(1.0);
        let common = self.common();
        let class = self
            .classes
            .entry(key)
            .or_insert(Class { sums: Sums::default(), weights: [common; TERMS] });
        let is_new = class.sums.lines < NEWNESS;
        let surprise = if is_new { FIRST_SURPRISE } else { SURPRISE };
        let near =
            |foretold: f64| (cost * 1e9).clamp(foretold / surprise, (foretold * surprise).max(1.0));
        // What the first answers tell is what the form costs.
        if let (false, Some(band)) = (is_new, features.density_band()) {
            let density = self.densities.entry((key.0, key.1, band)).or_default();
            density.hear((near(now).max(1.0) / by_form).ln());
        }
        // By the form alone, or a band of other cost would pull its weights beyond all bounds.
        class.sums.add(features.terms(), near(by_form));
        self.refit();
    }

    /// Computes all weights anew: each class leans on what all have learned together.
    fn refit(&mut self) {
        let common = self.common();
        for class in self.classes.values_mut() {
            class.weights = class.sums.weights(class.sums.common(common));
        }
    }

    /// How many times its nominal cost anything costs here, as far as all answers together tell.
    fn common(&self) -> f64 {
        let heard: f64 = self.classes.values().map(|class| class.sums.lines).sum();
        let logs =
            self.classes.values().map(|class| class.sums.common(1.0).ln() * class.sums.lines);
        if heard > 0.0 { (logs.sum::<f64>() / heard).exp() } else { 1.0 }
    }
}

#[cfg(test)]
mod tests;
