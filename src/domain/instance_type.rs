//! Instance types: what a VM has and what it costs.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::credits;
use crate::units::Share;

/// The type of a VM.
#[derive(Debug, Clone, PartialEq)]
pub struct InstanceType {
    /// Its name, for example `t3.micro`.
    pub name: String,
    /// How many vCPUs it has; `None` is a VM without any limit (`local`): as many threads as the
    /// machine has cores, and any number of requests at once.
    pub vcpus: Option<u32>,
    /// Memory in bytes; `None` is no limit.
    pub memory_bytes: Option<u64>,
    /// For a burstable type, the share of each vCPU that it may use for ever; `None` for a type
    /// that may use its vCPUs all the time.
    pub baseline: Option<Share>,
    /// CPU credits earned in an hour, for a burstable type. One credit is one vCPU for a minute, so
    /// this is baseline × vCPUs × 60.
    pub credits_per_hour: f64,
    /// CPU credits that it has at launch.
    pub launch_credits: f64,
    /// The most earned CPU credits that it can keep: what it earns in 24 hours.
    pub max_credits: f64,
    /// A burstable type that may go on without credits, and is charged for them.
    pub unlimited: bool,
    /// Price in US dollars per hour.
    pub price_per_hour: f64,
    /// From launch to the first request it can serve, on the real thing.
    pub boot: Duration,
}

impl InstanceType {
    /// How many requests a VM of this type works on at once, if it is to be so many `per_vcpu`.
    /// `None` is any number: for a type without a limit, or if `per_vcpu` is 0.
    pub fn concurrency(&self, per_vcpu: u32) -> Option<u32> {
        self.vcpus.map(|vcpus| vcpus.saturating_mul(per_vcpu)).filter(|most| *most > 0)
    }

    /// How it earns and spends CPU credits; none for a type that is not burstable.
    pub fn credit_rule(&self) -> Option<credits::Rule> {
        let vcpus = f64::from(self.vcpus?);
        Some(credits::Rule {
            baseline: self.baseline?.get() * vcpus,
            vcpus,
            per_hour: self.credits_per_hour,
            at_launch: self.launch_credits,
            maximum: self.max_credits,
            unlimited: self.unlimited,
        })
    }

    /// How many threads compute at once on a machine with `cores` cores.
    pub fn threads(&self, cores: u32) -> u32 {
        self.vcpus.unwrap_or(cores).max(1)
    }
}

const GIB: u64 = 1 << 30;

/// The types that come with Cumulet, by name.
///
/// vCPUs, memory, baseline, credits and the mode (T2 standard, T3 unlimited) are the vendor's
/// published figures
/// (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/burstable-credits-baseline-concepts.html>,
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/burstable-performance-instances-standard-mode-concepts.html>),
/// prices are on-demand Linux in us-east-1, November 2026. The vendor publishes no boot times: 40 s
/// and 30 s are what people commonly measure until the first answer.
pub fn built_in() -> BTreeMap<String, InstanceType> {
    let fixed = |name: &str, vcpus, memory_gib: u64, price_per_hour| InstanceType {
        name: name.to_owned(),
        vcpus: Some(vcpus),
        memory_bytes: Some(memory_gib * GIB),
        baseline: None,
        credits_per_hour: 0.0,
        launch_credits: 0.0,
        max_credits: 0.0,
        unlimited: false,
        price_per_hour,
        boot: Duration::from_secs(30),
    };
    let burstable = |name: &str, vcpus, memory_gib, credits_per_hour: f64, price_per_hour| {
        let is_t2 = name.starts_with("t2.");
        InstanceType {
            baseline: Some(Share::saturating(credits_per_hour / f64::from(vcpus) / 60.0)),
            credits_per_hour,
            launch_credits: if is_t2 { 30.0 * f64::from(vcpus) } else { 0.0 },
            max_credits: 24.0 * credits_per_hour,
            unlimited: !is_t2,
            boot: Duration::from_secs(40),
            ..fixed(name, vcpus, memory_gib, price_per_hour)
        }
    };
    let local = InstanceType {
        vcpus: None,
        memory_bytes: None,
        boot: Duration::ZERO,
        ..fixed("local", 0, 0, 0.0)
    };
    [
        burstable("t2.micro", 1, 1, 6.0, 0.0116),
        burstable("t2.small", 1, 2, 12.0, 0.023),
        burstable("t3.micro", 2, 1, 12.0, 0.0104),
        burstable("t3.small", 2, 2, 24.0, 0.0208),
        burstable("t3.medium", 2, 4, 24.0, 0.0416),
        fixed("m5.large", 2, 8, 0.096),
        fixed("c5.large", 2, 4, 0.085),
        local,
    ]
    .into_iter()
    .map(|instance_type| (instance_type.name.clone(), instance_type))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_burstable_type_earns_is_what_its_baseline_spends() {
        for instance_type in built_in().values() {
            let Some(rule) = instance_type.credit_rule() else { continue };
            assert!((rule.baseline * 60.0 - rule.per_hour).abs() < 1e-9, "{instance_type:?}");
        }
    }

    #[test]
    fn the_figures_are_the_published_ones() {
        let types = built_in();
        let of = |name: &str| {
            let rule = types[name].credit_rule().unwrap();
            let baseline = types[name].baseline.unwrap().get();
            (baseline, rule.per_hour, rule.maximum, rule.at_launch, rule.unlimited)
        };
        assert_eq!(of("t2.micro"), (0.1, 6.0, 144.0, 30.0, false));
        assert_eq!(of("t3.micro"), (0.1, 12.0, 288.0, 0.0, true));
        assert_eq!(of("t3.small"), (0.2, 24.0, 576.0, 0.0, true));
        assert_eq!(of("t3.medium"), (0.2, 24.0, 576.0, 0.0, true));
        assert!(types["m5.large"].credit_rule().is_none() && types["local"].vcpus.is_none());
    }
}
