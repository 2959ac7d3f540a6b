//! Runs a kernel with the widest vector instructions that this processor has.
//!
//! Kernels are plain loops over arrays. Inside a function for which the compiler may use AVX2 or
//! AVX-512 it turns the same loops into wider vectors; the results do not depend on it.

/// A computation that may be compiled several times, for several instruction sets.
///
/// `run` and all it calls have to be `#[inline(always)]`: only what is inlined into the functions
/// below is compiled for their instruction set.
pub(super) trait Kernel {
    /// Does the work.
    fn run(self);
}

/// Runs `kernel`, compiled for the best instruction set at hand.
pub(super) fn run_widest<K: Kernel>(kernel: K) {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vl") {
            #[expect(unsafe_code, reason = "calls a function compiled for optional instructions")]
            // SAFETY: both features were just detected; avx512bw implies avx512f and avx2.
            return unsafe { with_avx512(kernel) };
        }
        if is_x86_feature_detected!("avx2") {
            #[expect(unsafe_code, reason = "calls a function compiled for optional instructions")]
            // SAFETY: the feature was just detected.
            return unsafe { with_avx2(kernel) };
        }
    }
    kernel.run();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512bw,avx512vl")]
fn with_avx512<K: Kernel>(kernel: K) {
    kernel.run();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn with_avx2<K: Kernel>(kernel: K) {
    kernel.run();
}
