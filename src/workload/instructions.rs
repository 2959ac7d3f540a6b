//! Which vector instructions a workload uses. Results never depend on it, only how long they take.

use std::fmt;
use std::str::FromStr;

/// A set of vector instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instructions {
    /// Those that every processor of this architecture has.
    Portable,
    /// Vectors of 256 bits: AVX2 and FMA of x86-64.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// Vectors of 512 bits: AVX-512 F, BW, DQ and VL, and FMA, of x86-64.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Instructions {
    /// All sets, the slowest first.
    #[cfg(target_arch = "x86_64")]
    const ALL: &[Self] = &[Self::Portable, Self::Avx2, Self::Avx512];
    #[cfg(not(target_arch = "x86_64"))]
    const ALL: &[Self] = &[Self::Portable];

    /// The sets that this processor has, the fastest first.
    pub fn available() -> impl Iterator<Item = Self> {
        Self::ALL.iter().rev().copied().filter(|set| set.is_available())
    }

    /// The fastest set that this processor has.
    pub fn best() -> Self {
        Self::available().next().unwrap_or(Self::Portable)
    }

    /// Whether this processor has the set.
    pub fn is_available(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("fma")
            }
        }
    }
}

impl fmt::Display for Instructions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => "avx512",
        })
    }
}

impl FromStr for Instructions {
    type Err = String;

    /// Reads the name of a set that this processor has.
    fn from_str(name: &str) -> Result<Self, String> {
        Self::available().find(|set| set.to_string() == name).ok_or_else(|| {
            let names: Vec<_> = Self::available().map(|set| set.to_string()).collect();
            format!("no instructions `{name}` here: this processor has {}", names.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_set_is_one_that_the_processor_has() {
        assert!(Instructions::best().is_available());
        assert_eq!(Instructions::available().last(), Some(Instructions::Portable));
    }

    #[test]
    fn a_set_is_known_by_its_name() {
        for set in Instructions::available() {
            assert_eq!(set.to_string().parse(), Ok(set));
        }
        assert!("mmx".parse::<Instructions>().unwrap_err().contains("portable"));
    }
}
