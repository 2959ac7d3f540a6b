//! CostModel.xml: what the balancer has learned of the cost of requests, so that a new one need
//! not learn it again.

use crate::domain::cost::{Accuracy, CostModel, Density, Form, Kind, LARGEST_LOG, Sums};
use crate::state::document::{self, Document};
use crate::state::xml::{Element, Fields, Foreign, Problem};

/// CostModel.xml.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CostModelFile {
    /// Grows by one with each write.
    pub seq: u64,
    /// What was learned.
    pub model: CostModel,
    /// What a newer writer or a person put at the root, kept.
    pub foreign: Foreign,
}

/// No sum grows so large, even if a request of a nanosecond was foretold to take a year: each line
/// adds at most the square of that ratio, and old ones fade.
const LARGEST: f64 = 1e36;

impl Document for CostModelFile {
    const FILE: &'static str = "CostModel.xml";
    const ROOT: &'static str = "CostModel";

    fn seq(&self) -> u64 {
        self.seq
    }

    fn set_seq(&mut self, seq: u64) {
        self.seq = seq;
    }

    fn from_element(root: &Element) -> Result<Self, Problem> {
        let mut fields = Fields::of(root);
        let seq = document::seq(&mut fields)?;
        let mut classes: Vec<((Kind, Form), Sums)> = Vec::new();
        let mut densities: Vec<((Kind, Form, i8), Density)> = Vec::new();
        let mut accuracy: Vec<(Kind, Accuracy)> = Vec::new();
        let foreign = fields.foreign(|child| {
            match child.name.as_str() {
                "Fit" => {
                    let (class, sums) = read_fit(child)?;
                    if classes.iter().any(|(known, _)| *known == class) {
                        return Err(Problem::new(child.at, "a second <Fit> of this kind"));
                    }
                    classes.push((class, sums));
                }
                "Density" => {
                    let (band, density) = read_density(child)?;
                    if densities.iter().any(|(known, _)| *known == band) {
                        return Err(Problem::new(child.at, "a second <Density> of this kind"));
                    }
                    densities.push((band, density));
                }
                // What was learned by an earlier version, of other terms, is learned anew.
                "Class" => {}
                "Accuracy" => accuracy.push(read_accuracy(child)?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(Self { seq, model: CostModel::restored(classes, densities, accuracy), foreign })
    }

    fn to_element(&self) -> Element {
        let mut root = document::root(self);
        for (kind, accuracy) in self.model.accuracy() {
            root.push(
                Element::new("Accuracy")
                    .with("workload", kind.as_str())
                    .with("requests", accuracy.answers)
                    .with("error", accuracy.error),
            );
        }
        for ((kind, form), sums) in self.model.classes() {
            root.push(
                Element::new("Fit")
                    .with("workload", kind.as_str())
                    .with("form", form.as_str())
                    .with("lines", sums.lines)
                    .with("products", list(&sums.products))
                    .with("costs", list(&sums.costs)),
            );
        }
        for ((kind, form, band), density) in self.model.densities() {
            root.push(
                Element::new("Density")
                    .with("workload", kind.as_str())
                    .with("form", form.as_str())
                    .with("band", band)
                    .with("requests", density.answers)
                    .with("log", density.log),
            );
        }
        root.with_foreign(&self.foreign)
    }
}

/// Numbers with a space between them, to the last digit.
fn list(numbers: &[f64]) -> String {
    numbers.iter().map(f64::to_string).collect::<Vec<_>>().join(" ")
}

fn read_fit(element: &Element) -> Result<((Kind, Form), Sums), Problem> {
    let mut fields = Fields::of(element);
    let (workload, form, lines) =
        (fields.word("workload")?, fields.word("form")?, fields.decimal("lines")?);
    let class = (fields.required("workload", workload)?, fields.required("form", form)?);
    let sums = Sums {
        lines: fields.required("lines", lines)?.min(LARGEST),
        products: numbers(&mut fields, element, "products")?,
        costs: numbers(&mut fields, element, "costs")?,
    };
    Ok((class, sums))
}

fn read_density(element: &Element) -> Result<((Kind, Form, i8), Density), Problem> {
    let mut fields = Fields::of(element);
    let (workload, form) = (fields.word("workload")?, fields.word("form")?);
    let (kind, form) = (fields.required("workload", workload)?, fields.required("form", form)?);
    let (band, log) = (fields.text("band"), fields.number("log")?);
    let (band, log) = (fields.required("band", band)?, fields.required("log", log)?);
    let answers = fields.whole("requests")?.unwrap_or(0);
    let problem = |name, range: &str| {
        let message = format!("attribute `{name}` of <Density> is not a number from {range}");
        Problem::new(element.at, message)
    };
    let band = band.parse().map_err(|_| problem("band", "-128 to 127, whole"))?;
    if log.abs() > LARGEST_LOG {
        return Err(problem("log", &format!("-{LARGEST_LOG} to {LARGEST_LOG}")));
    }
    Ok(((kind, form, band), Density { answers, log }))
}

fn numbers<const N: usize>(
    fields: &mut Fields<'_>,
    element: &Element,
    name: &'static str,
) -> Result<[f64; N], Problem> {
    let text = fields.text(name);
    let text = fields.required(name, text)?;
    let number = |word: &str| {
        let number = word.parse().ok()?;
        (0.0..=LARGEST).contains(&number).then_some(number)
    };
    let read: Option<Vec<f64>> = text.split(' ').map(number).collect();
    read.and_then(|read| read.try_into().ok()).ok_or_else(|| {
        let message = format!(
            "attribute `{name}` of <{}> is not {N} numbers from 0 to {LARGEST:e}, with a space \
             between them",
            element.name
        );
        Problem::new(element.at, message)
    })
}

fn read_accuracy(element: &Element) -> Result<(Kind, Accuracy), Problem> {
    let mut fields = Fields::of(element);
    let workload = fields.word("workload")?;
    let accuracy = Accuracy {
        answers: fields.whole("requests")?.unwrap_or(0),
        error: fields.decimal("error")?.unwrap_or(0.0),
    };
    Ok((fields.required("workload", workload)?, accuracy))
}
