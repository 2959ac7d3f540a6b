//! Whether a request that no VM can take in time goes to a function instead.
//!
//! Short requests suffer most from a wait and cost least elsewhere, so it is they that go; what is
//! long waits for its VM.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::domain::cost::Work;
use crate::domain::function::{Function, Usage};
use crate::domain::vm::UnknownWord;

/// When requests may overflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Never.
    #[default]
    Off,
    /// While a VM is on its way that will take such requests.
    WhileScaling,
    /// While all that waits would cost less as functions than one more VM at its least.
    WhenCheaper,
    /// Whenever no VM can take a request in time.
    Always,
}

impl Mode {
    const WORDS: [(&str, Self); 4] = [
        ("off", Self::Off),
        ("while-scaling", Self::WhileScaling),
        ("when-cheaper", Self::WhenCheaper),
        ("always", Self::Always),
    ];
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = Self::WORDS.iter().find(|(_, mode)| mode == self);
        f.write_str(word.map_or("off", |(word, _)| word))
    }
}

impl FromStr for Mode {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let word = Self::WORDS.iter().find(|(word, _)| *word == text);
        let expected = "off, while-scaling, when-cheaper, always";
        word.map(|(_, mode)| *mode).ok_or_else(|| UnknownWord::new(text, expected))
    }
}

/// The rules in force.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// When requests may overflow.
    pub mode: Mode,
    /// The longest time in a function for which a request may go there, as predicted.
    pub longest: Duration,
    /// US dollars for an hour of one more VM.
    pub vm_price_per_hour: f64,
}

impl Default for Rules {
    /// Nothing overflows.
    fn default() -> Self {
        Self { mode: Mode::Off, longest: Duration::from_secs(2), vm_price_per_hour: 0.0 }
    }
}

/// How it stands with the VMs when a request finds all of them full.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Situation {
    /// Predicted work of the requests that wait, this one included.
    pub waiting: Work,
    /// How many they are.
    pub requests: u64,
    /// Predicted work of the requests that VMs have.
    pub running: Work,
    /// vCPUs of the VMs that get requests.
    pub speed: f64,
    /// Whether a VM boots, or is ordered.
    pub scaling: bool,
    /// How long this one has waited.
    pub waited: Duration,
}

/// The vendor bills an instance for at least so many seconds
/// (<https://aws.amazon.com/ec2/pricing/on-demand/>, November 2026).
const SHORTEST_BILL: f64 = 60.0;
/// However long a request is, it does not wait longer than this for a VM if a function may have
/// it: what people take for an answer at once is about 2 s.
const PATIENCE: Duration = Duration::from_secs(2);

impl Situation {
    /// How long the request will have waited: at least what it has, otherwise what is done before
    /// it, half of what runs and all that waits.
    pub fn wait(&self) -> Duration {
        let before = self.running.seconds() / 2.0 + self.waiting.seconds();
        let predicted = if self.speed > 0.0 { before / self.speed } else { f64::INFINITY };
        Duration::try_from_secs_f64(predicted).unwrap_or(Duration::MAX).max(self.waited)
    }
}

/// Whether a request of so much `work` goes to `function`, and then why, as a sentence.
///
/// It does if it is short, if its wait for a VM would be more than half its work or more than two
/// seconds, and if the mode has it so.
pub fn decide(
    rules: &Rules,
    work: Work,
    situation: &Situation,
    function: &Function,
) -> Option<String> {
    let time = function.time_for(work);
    if time > rules.longest.min(function.timeout) {
        return None;
    }
    let wait = situation.wait();
    if wait <= PATIENCE.min(Duration::from_nanos(work.nanos() / 2)) {
        return None;
    }
    let because = match rules.mode {
        Mode::Off => return None,
        Mode::WhileScaling if !situation.scaling => return None,
        Mode::WhileScaling => "a VM is on its way".to_owned(),
        Mode::WhenCheaper => {
            let all = Usage {
                requests: situation.requests.max(1),
                ..Usage::of(function.memory_mib, function.time_for(situation.waiting))
            };
            let (functions, vm) =
                (all.list_price(), rules.vm_price_per_hour / 3_600.0 * SHORTEST_BILL);
            if functions >= vm {
                return None;
            }
            format!("all that waits costs ${functions:.7} as functions, one more VM ${vm:.7}")
        }
        Mode::Always => "no VM can take it in time".to_owned(),
    };
    let wait = match wait {
        Duration::MAX => "no VM runs".to_owned(),
        wait => format!("it would wait {:.2} s for a VM", wait.as_secs_f64()),
    };
    Some(format!("overflow to {}: {wait}, {work} of work, {because}", function.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::cost::Kind;
    use crate::domain::function::Code;
    use proptest::prelude::*;

    fn function() -> Function {
        Function::new("blur".parse().unwrap(), Code::BuiltIn(Kind::Blur))
    }

    fn rules(mode: Mode) -> Rules {
        Rules { mode, longest: Duration::from_secs(2), vm_price_per_hour: 0.0104 }
    }

    fn ms(millis: u64) -> Work {
        Work::from_nanos(millis * 1_000_000)
    }

    fn crowded() -> Situation {
        Situation {
            waiting: ms(900),
            requests: 9,
            running: ms(200),
            speed: 2.0,
            scaling: true,
            waited: Duration::ZERO,
        }
    }

    #[test]
    fn short_work_overflows_and_large_work_waits() {
        let reason = decide(&rules(Mode::WhileScaling), ms(100), &crowded(), &function());
        assert_eq!(
            reason.as_deref(),
            Some(
                "overflow to blur: it would wait 0.50 s for a VM, 0.1 s of work, a VM is on its way"
            )
        );
        assert_eq!(decide(&rules(Mode::Always), ms(2_001), &crowded(), &function()), None);
    }

    #[test]
    fn only_while_a_vm_is_on_its_way_if_the_mode_says_so() {
        let settled = Situation { scaling: false, ..crowded() };
        assert_eq!(decide(&rules(Mode::WhileScaling), ms(100), &settled, &function()), None);
        assert!(decide(&rules(Mode::Always), ms(100), &settled, &function()).is_some());
        assert_eq!(decide(&rules(Mode::Off), ms(100), &crowded(), &function()), None);
    }

    #[test]
    fn a_short_wait_is_waited_and_a_prediction_that_failed_counts_no_more() {
        let quiet = Situation { waiting: ms(100), running: ms(0), speed: 4.0, ..crowded() };
        assert_eq!(decide(&rules(Mode::Always), ms(100), &quiet, &function()), None);
        let waited = Situation { waited: Duration::from_millis(60), ..quiet };
        assert!(decide(&rules(Mode::Always), ms(100), &waited, &function()).is_some());
    }

    #[test]
    fn functions_are_cheaper_for_a_moment_and_a_vm_is_for_long() {
        let decide = |waiting| {
            let situation = Situation { waiting: ms(waiting), scaling: false, ..crowded() };
            decide(&rules(Mode::WhenCheaper), ms(100), &situation, &function()).is_some()
        };
        // A minute of a t3.micro costs $0.000173, a second of one vCPU as a function $0.0000288.
        assert!(decide(5_000));
        assert!(!decide(7_000));
    }

    #[test]
    fn the_words_of_modes_are_read_as_they_are_written() {
        for (word, mode) in Mode::WORDS {
            assert_eq!((word.parse(), mode.to_string().as_str()), (Ok(mode), word));
        }
        assert!("sometimes".parse::<Mode>().is_err());
    }

    proptest! {
        #[test]
        fn whatever_overflows_is_short_and_would_wait(
            work in 0_u64..10_000, waiting in 0_u64..100_000, running in 0_u64..100_000,
            speed in 0.0..64.0, scaling: bool, waited in 0_u64..10_000,
        ) {
            let situation = Situation {
                waiting: ms(waiting), requests: 3, running: ms(running), speed, scaling,
                waited: Duration::from_millis(waited),
            };
            for (_, mode) in Mode::WORDS {
                if decide(&rules(mode), ms(work), &situation, &function()).is_some() {
                    prop_assert!(mode != Mode::Off && work <= 2_000);
                    prop_assert!(situation.wait() * 2 > Duration::from_millis(work).min(PATIENCE));
                    prop_assert!(mode != Mode::WhileScaling || scaling);
                }
            }
        }
    }
}
