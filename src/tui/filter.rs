//! What is typed to see less: `vm-4`, `draining`, `cpu>70`, `!running`; all words must fit.

use super::rows::Row;

/// A filter on rows of VMs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Filter(Vec<Term>);

#[derive(Debug, Clone, PartialEq)]
enum Term {
    /// The text stands, or does not stand, in the row's id, state, type or note.
    Text { text: String, there: bool },
    /// A number of the row lies above, or below.
    Number { field: Field, above: bool, bound: f64 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Cpu,
    Memory,
    InFlight,
    Rate,
    P95,
    Failures,
    Age,
}

/// `name>number` or `name<number`.
pub(crate) struct Comparison<'a> {
    pub(crate) name: &'a str,
    above: bool,
    bound: f64,
}

impl Comparison<'_> {
    /// The number lies there.
    pub(crate) fn holds(&self, value: f64) -> bool {
        if self.above { value > self.bound } else { value < self.bound }
    }
}

/// Reads a word as a comparison, if it is one.
pub(crate) fn comparison(word: &str) -> Option<Comparison<'_>> {
    let (name, rest) = word.split_at_checked(word.find(['>', '<'])?)?;
    let bound = rest.get(1..)?.trim_end_matches('%').parse().ok()?;
    Some(Comparison { name, above: rest.starts_with('>'), bound })
}

impl Field {
    fn named(name: &str) -> Option<Self> {
        match name {
            "cpu" => Some(Self::Cpu),
            "mem" => Some(Self::Memory),
            "flight" => Some(Self::InFlight),
            "req" | "req/s" => Some(Self::Rate),
            "p95" => Some(Self::P95),
            "err" => Some(Self::Failures),
            "age" => Some(Self::Age),
            _ => None,
        }
    }

    /// In the unit that a person types: percent, mebibytes, milliseconds, seconds.
    fn of(self, row: &Row<'_>) -> Option<f64> {
        match self {
            Self::Cpu => row.cpu().map(|cpu| cpu * 100.0),
            Self::Memory => row.report.map(|r| r.load.memory_bytes as f64 / f64::from(1 << 20)),
            Self::InFlight => row.in_flight().map(f64::from),
            Self::Rate => row.rate(),
            Self::P95 => row.p95(),
            Self::Failures => row.report.map(|report| report.served.failures as f64),
            Self::Age => row.age.map(|age| age.as_secs_f64()),
        }
    }
}

impl Filter {
    /// Reads a filter. Whatever is typed means something: what is no comparison is text.
    pub(crate) fn parse(text: &str) -> Self {
        Self(text.split_whitespace().filter_map(Term::parse).collect())
    }

    /// The row fits every word.
    pub(crate) fn lets_through(&self, row: &Row<'_>) -> bool {
        self.0.iter().all(|term| term.fits(row))
    }
}

impl Term {
    fn parse(word: &str) -> Option<Self> {
        let lower = word.to_ascii_lowercase();
        let known = comparison(&lower).and_then(|it| Some((Field::named(it.name)?, it)));
        if let Some((field, Comparison { above, bound, .. })) = known {
            return Some(Self::Number { field, above, bound });
        }
        let (text, there) = word.strip_prefix('!').map_or((word, true), |text| (text, false));
        (!text.is_empty()).then(|| Self::Text { text: text.to_lowercase(), there })
    }

    fn fits(&self, row: &Row<'_>) -> bool {
        match self {
            Self::Text { text, there } => {
                let id = row.id.as_str();
                // Digits alone or a whole id name one VM: vm-1 must not bring vm-10.
                let names = [row.status.as_str(), row.instance_type().unwrap_or(""), &row.note];
                let whole_id = id == text || id.strip_prefix("vm-") == Some(text);
                let numbered = text.strip_prefix("vm-").unwrap_or(text);
                let exact = !numbered.is_empty() && numbered.bytes().all(|b| b.is_ascii_digit());
                let found = whole_id
                    || !exact && id.contains(text.as_str())
                    || !exact && names.iter().any(|name| name.to_lowercase().contains(text));
                found == *there
            }
            Self::Number { field, above, bound } => field
                .of(row)
                .is_some_and(|value| if *above { value > *bound } else { value < *bound }),
        }
    }
}
