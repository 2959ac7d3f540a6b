//! Compiles a kernel for several instruction sets.
//!
//! Kernels are plain loops over arrays. Inside a function for which the compiler may use AVX2 or
//! AVX-512 it turns the same loops into wider vectors; the results do not depend on it.

use super::Instructions;

/// A computation that may be compiled several times, for several instruction sets.
///
/// `run` and all it calls have to be `#[inline(always)]`: only what is inlined into the functions
/// below is compiled for their instruction set.
pub(super) trait Kernel {
    /// Does the work.
    fn run(self);
}

/// Runs `kernel`, compiled for these instructions, or for portable ones if the processor lacks
/// them.
pub(super) fn run_with<K: Kernel>(instructions: Instructions, kernel: K) {
    #[cfg(target_arch = "x86_64")]
    #[expect(unsafe_code, reason = "calls functions compiled for optional instructions")]
    match instructions {
        // SAFETY, for both: the processor was just seen to have the instructions.
        Instructions::Avx512 if instructions.is_available() => {
            return unsafe { with_avx512(kernel) };
        }
        Instructions::Avx2 if instructions.is_available() => return unsafe { with_avx2(kernel) },
        _ => {}
    }
    #[cfg(not(target_arch = "x86_64"))]
    let Instructions::Portable = instructions;
    kernel.run();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512bw,avx512dq,avx512vl")]
fn with_avx512<K: Kernel>(kernel: K) {
    kernel.run();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn with_avx2<K: Kernel>(kernel: K) {
    kernel.run();
}
