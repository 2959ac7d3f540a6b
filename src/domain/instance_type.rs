//! Instance types: what a VM has and what it costs.

use std::collections::BTreeMap;
use std::time::Duration;

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
    /// CPU credits earned in an hour, for a burstable type. One credit is one vCPU for a minute.
    pub credits_per_hour: f64,
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

    /// How many threads compute at once on a machine with `cores` cores.
    pub fn threads(&self, cores: u32) -> u32 {
        self.vcpus.unwrap_or(cores).max(1)
    }
}

const GIB: u64 = 1 << 30;

/// The types that come with Cumulet, by name.
///
/// vCPUs, memory, baseline and credits are the vendor's published figures
/// (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/burstable-credits-baseline-concepts.html>),
/// prices are on-demand Linux in us-east-1, November 2026. The vendor publishes no boot times: 40 s
/// and 30 s are what people commonly measure until the first answer.
pub fn built_in() -> BTreeMap<String, InstanceType> {
    let burstable =
        |name: &str, vcpus, memory_bytes, baseline, credits_per_hour, price_per_hour| {
            InstanceType {
                name: name.to_owned(),
                vcpus: Some(vcpus),
                memory_bytes: Some(memory_bytes),
                baseline: Some(Share::saturating(baseline)),
                credits_per_hour,
                price_per_hour,
                boot: Duration::from_secs(40),
            }
        };
    let fixed = |name: &str, vcpus, memory_bytes, price_per_hour| InstanceType {
        name: name.to_owned(),
        vcpus: Some(vcpus),
        memory_bytes: Some(memory_bytes),
        baseline: None,
        credits_per_hour: 0.0,
        price_per_hour,
        boot: Duration::from_secs(30),
    };
    let local = InstanceType {
        name: "local".to_owned(),
        vcpus: None,
        memory_bytes: None,
        baseline: None,
        credits_per_hour: 0.0,
        price_per_hour: 0.0,
        boot: Duration::ZERO,
    };
    [
        burstable("t2.micro", 1, GIB, 0.10, 6.0, 0.0116),
        burstable("t3.micro", 2, GIB, 0.10, 12.0, 0.0104),
        burstable("t3.small", 2, 2 * GIB, 0.20, 24.0, 0.0208),
        burstable("t3.medium", 2, 4 * GIB, 0.20, 24.0, 0.0416),
        fixed("m5.large", 2, 8 * GIB, 0.096),
        fixed("c5.large", 2, 4 * GIB, 0.085),
        local,
    ]
    .into_iter()
    .map(|instance_type| (instance_type.name.clone(), instance_type))
    .collect()
}
