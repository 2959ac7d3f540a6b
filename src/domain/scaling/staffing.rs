//! Staffing: as many vCPUs as the work that arrives will need by the time a VM could be there, and
//! room for chance.
//!
//! The offered load `R` is the number of vCPUs that the arriving work would keep exactly busy. It
//! does not saturate as CPU shares do: twice the arrivals are twice `R`, however few VMs there are.
//! Its level and trend are followed, and what repeats is expected again, so that what is ordered
//! now fits the load when it has booted.
//!
//! The room for chance is what would have cost least in the last hour ([`hindsight`]), and so is
//! the time for which VMs are kept that are not needed. Until five minutes with a load have been
//! seen it is that of the square-root rule: `R + β √R` vCPUs make an arrival wait with a
//! probability that depends on `β` alone, whatever the size. `√R` is the standard deviation of the
//! number of requests at work; where requests are short, what counts is how much work a report
//! period brings, which varies less.

mod hindsight;
mod outlook;
mod repetition;
mod square_root;

use std::time::Duration;

use super::history::{History, KEPT};
use super::parameters::{BadPolicy, Parameters};
use super::policy::Defaults;
use super::{Advice, Situation, ceil};
use crate::domain::decision::Check;
use hindsight::Choice;
use outlook::{Outlook, chance, demand, source};

/// Less than this many vCPUs is no load.
const NOTHING: f64 = 0.001;
/// Steps into which the past is cut at most.
const STEPS: u32 = 720;
/// Seconds with a load after which the past says how much room it needs. Earlier, its first jump
/// would count for far too much.
const LEARNED: f64 = 300.0;
/// Patiences that are tried, beside that of the boot.
const PATIENCES: [Duration; 2] = [Duration::from_mins(1), Duration::from_mins(3)];

/// What staffing aims at, and how patient it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Staffing {
    wait: f64,
    beta: f64,
    /// None: as the boot asks for.
    hold: Option<Duration>,
    /// The longest hold where nothing is said.
    cooldown: Duration,
    band: f64,
    clear: Duration,
    forecast: bool,
}

/// What is expected, and what is done about it.
struct Plan {
    outlook: Outlook,
    /// vCPUs that are expected when a VM ordered now serves.
    load: f64,
    /// vCPUs above it.
    room: f64,
    /// For how long VMs are kept that are not needed.
    hold: Duration,
    /// Seconds after which the load comes again, where it does.
    repeats: Option<f64>,
    /// The load that the day before foretells, in vCPUs.
    yesterday: Option<f64>,
}

impl Staffing {
    pub(super) fn read(from: &mut Parameters, defaults: &Defaults) -> Result<Self, BadPolicy> {
        let wait = from.number(
            "wait",
            0.065,
            0.001..=0.9,
            "share of the time in which work may find no VM",
        )?;
        Ok(Self {
            wait,
            beta: square_root::beta(wait),
            hold: from.time_or("hold", "auto", "it shrinks to the most of this; auto: boot / 4")?,
            cooldown: defaults.scale_in_cooldown,
            band: from.number("band", 0.03, 0.0..=0.5, "share of the fleet not worth a change")?,
            clear: from.time("clear", Duration::from_secs(30), "time to work off a backlog")?,
            forecast: from.word(
                "forecast",
                "true",
                "true or false",
                "whether the same time yesterday counts",
            )?,
        })
    }

    pub(super) fn advise(&self, situation: &Situation, history: &History) -> Advice {
        let now = &situation.now;
        let plan = self.plan(situation, history);
        let load = plan.load;
        let backlog = now.backlog.unwrap_or(0.0) / self.clear.as_secs_f64().max(1.0);
        let need = if load < NOTHING { backlog } else { load + plan.room + backlog };
        let raw = ceil(need / situation.vcpus_per_vm());
        let (size, held) = self.patient(situation, history, raw, plan.hold);
        let wanted = f64::from(situation.wanted());
        let mut checks = vec![
            Check::input(source(now), demand(now)),
            Check::input("level, vCPUs", plan.outlook.level),
            Check::input("trend, vCPUs per minute", plan.outlook.trend * 60.0),
            Check::input("seconds ahead", horizon(situation)),
            Check::input("load expected then, vCPUs", load),
            Check::input("share of the time short", self.wait),
            Check::input("room for chance, vCPUs", plan.room),
            Check::input("seconds that VMs are kept", plan.hold.as_secs_f64()),
            Check::input("backlog, vCPUs to work it off", backlog),
            Check::input("vCPUs per VM", situation.vcpus_per_vm()),
            Check::compared(
                "VMs needed above those wanted",
                raw.into(),
                wanted,
                f64::from(raw) > wanted,
            ),
            Check::compared(
                "most needed lately below",
                held.into(),
                wanted,
                f64::from(held) < wanted,
            ),
            Check::compared(
                "VMs to change, worth it",
                f64::from(held.max(raw)) - wanted,
                self.least_change(situation.wanted()).into(),
                size != situation.wanted(),
            ),
        ];
        let seen = [
            ("the load repeats after seconds", plan.repeats),
            ("load at the same time yesterday, vCPUs", plan.yesterday),
        ];
        checks.extend(seen.iter().filter_map(|(name, value)| Some(Check::input(name, (*value)?))));
        let asked_for = held < situation.wanted() && self.keeps(situation, history);
        let reason = self.reason(situation, (raw, held, size), &plan, asked_for);
        Advice { raw: Some(raw), ..Advice::new(size, reason, checks) }
    }

    /// What is expected, and what is ordered beyond it.
    fn plan(&self, situation: &Situation, history: &History) -> Plan {
        let now = &situation.now;
        let (horizon, period) = (horizon(situation), situation.period.as_secs_f64());
        let step = situation.period.max(KEPT / STEPS).as_secs_f64();
        let (outlook, mut steps) = Outlook::follow(history.until(now), horizon, period, step);
        let count = |time: f64| ceil(time / step - 0.5) as usize;
        let terms = hindsight::Terms {
            horizon: count(horizon).max(1),
            price: 1.0 / self.wait,
            vcpus: situation.vcpus_per_vm(),
        };
        let repeats = repetition::lift(&mut steps, terms.horizon);
        let yesterday = situation.forecast.filter(|_| self.forecast);
        let ahead = steps.last().map_or(0.0, |newest| newest.ahead);
        let load = yesterday.map_or(ahead, |seen| ahead.max(seen));
        let holds = self.holds(situation);
        let patiences = holds.iter().map(|hold| count(hold.as_secs_f64())).collect::<Vec<_>>();
        let choice = hindsight::choose(&steps, &patiences, terms)
            .filter(|choice| choice.learned_from as f64 * step >= LEARNED);
        let by_rule = || self.beta * chance(now, load, period).sqrt();
        let learned = |choice: Choice| choice.room.above(load, chance(now, 1.0, period));
        let hold = choice.and_then(|choice| {
            let at = patiences.iter().position(|patience| *patience == choice.patience)?;
            holds.get(at).copied()
        });
        Plan {
            outlook,
            load,
            room: choice.map_or_else(by_rule, learned),
            hold: hold.unwrap_or_else(|| self.hold(situation)),
            repeats: repeats.map(|period| period as f64 * step),
            yesterday,
        }
    }

    /// The times for which VMs may be kept that are not needed.
    fn holds(&self, situation: &Situation) -> Vec<Duration> {
        let shortest = self.hold(situation);
        let longer = PATIENCES.into_iter().filter(|_| self.hold.is_none());
        std::iter::once(shortest).chain(longer.filter(|hold| *hold > shortest)).collect()
    }

    /// What can be had back within a short boot need not be kept for long, but some reports must
    /// agree.
    fn hold(&self, situation: &Situation) -> Duration {
        let auto = || (situation.boot / 4).max(situation.period * 3).min(self.cooldown);
        self.hold.unwrap_or_else(auto)
    }

    pub(super) fn patience(&self) -> Duration {
        self.hold.unwrap_or(self.cooldown)
    }

    /// Out at once; in to the most that was needed lately, and only by what is worth it.
    fn patient(
        &self,
        situation: &Situation,
        history: &History,
        raw: u32,
        patience: Duration,
    ) -> (u32, u32) {
        let held = history.highest_advice(raw, &situation.now, patience);
        let wanted = situation.wanted();
        let least = self.least_change(wanted);
        if raw < wanted && self.keeps(situation, history) {
            return (wanted, held);
        }
        let aim = if raw > wanted { raw } else { held.min(wanted) };
        (if aim.abs_diff(wanted) < least { wanted } else { aim }, held)
    }

    /// What a person has just asked for is not taken back at once.
    fn keeps(&self, situation: &Situation, history: &History) -> bool {
        history.is_asked_for(&situation.now, self.patience())
    }

    fn least_change(&self, wanted: u32) -> u32 {
        ceil(f64::from(wanted) * self.band).max(1)
    }

    fn reason(
        &self,
        situation: &Situation,
        (raw, held, size): (u32, u32, u32),
        plan: &Plan,
        asked_for: bool,
    ) -> String {
        let wanted = situation.wanted();
        let again = plan.repeats.filter(|_| plan.load > plan.outlook.after(horizon(situation)));
        let again = again.map_or(String::new(), |period| format!(" as {period:.0} s before"));
        let said = format!(
            "{} {:.2} vCPUs, {:.2} expected in {:.0} s{again}, {:.2} for chance: {raw} needed",
            source(&situation.now).trim_end_matches(", vCPUs"),
            demand(&situation.now),
            plan.load,
            horizon(situation),
            plan.room,
        );
        if size != wanted || raw == wanted {
            return said;
        }
        if held >= wanted && raw < wanted {
            return format!("{said}, {held} in the last {:.0} s", plan.hold.as_secs_f64());
        }
        if asked_for {
            let patience = self.patience().as_secs_f64();
            return format!("{said}, but {wanted} were asked for in the last {patience:.0} s");
        }
        format!("{said}, {wanted} is near enough")
    }
}

/// Seconds from now until a VM that is ordered now has served for a report.
fn horizon(situation: &Situation) -> f64 {
    (situation.boot + situation.period).as_secs_f64()
}
