//! A queue in virtual time: requests that arrive one by one, and servers that work on them by one
//! of the disciplines that a VM or a balancer has.
//!
//! It exists to be compared with theory. Where its mean waits are those of the closed forms, the
//! rules that it shares with the live system are what they claim to be.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A request: when it arrives and how long one server needs for it, in seconds.
pub type Request = (f64, f64);

/// Times in the system of requests that wait in one line for the first of `servers` that is free,
/// as those that wait in the balancer do. In the order of arrival.
pub fn one_line(requests: &[Request], servers: usize) -> Vec<f64> {
    // Positive times order as their bits do.
    let mut free = BinaryHeap::from(vec![Reverse(0_u64); servers.max(1)]);
    let mut times = Vec::with_capacity(requests.len());
    for &(at, work) in requests {
        let first = free.pop().map_or(0.0, |Reverse(bits)| f64::from_bits(bits));
        let done = first.max(at) + work;
        free.push(Reverse(done.to_bits()));
        times.push(done - at);
    }
    times
}

/// Times in the system of requests that share one server equally, as the threads of a VM with one
/// vCPU do. In the order of completion.
pub fn shared(requests: &[Request]) -> Vec<f64> {
    // With equal shares all that matters is how much service each has had since the start: a
    // request ends when that reaches what it had at its arrival and its own work on top.
    let mut ends = BinaryHeap::<Reverse<(u64, u64)>>::new();
    let (mut now, mut service) = (0.0_f64, 0.0_f64);
    let mut times = Vec::with_capacity(requests.len());
    let mut arrivals = requests.iter().peekable();
    loop {
        let next_end = ends.peek().map(|Reverse((end, at))| (f64::from_bits(*end), *at));
        let present = ends.len() as f64;
        let ends_at = next_end.map(|(end, _)| now + (end - service) * present);
        match (arrivals.peek(), ends_at) {
            (Some(&&(at, work)), _) if ends_at.is_none_or(|end| at < end) => {
                service += if present > 0.0 { (at - now) / present } else { 0.0 };
                now = at;
                ends.push(Reverse(((service + work).to_bits(), at.to_bits())));
                arrivals.next();
            }
            (_, Some(end)) => {
                if let Some((reached, at)) = next_end {
                    (now, service) = (end, reached);
                    times.push(now - f64::from_bits(at));
                    ends.pop();
                }
            }
            (_, None) => return times,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Poisson arrivals at `rate`, and works of mean 1 from `work`. A fixed seed, so that the test
    /// says the same every time.
    fn requests(
        number: usize,
        rate: f64,
        work: impl Fn(&mut fastrand::Rng) -> f64,
    ) -> Vec<Request> {
        let mut random = fastrand::Rng::with_seed(7);
        let mut now = 0.0;
        let request = |_| {
            now += exponential(&mut random) / rate;
            (now, work(&mut random))
        };
        (0..number).map(request).collect()
    }

    fn exponential(random: &mut fastrand::Rng) -> f64 {
        -(1.0 - random.f64()).ln()
    }

    /// 9 of 10 need a quarter, the tenth 7.75: mean 1, variance 5.06.
    fn mixed(random: &mut fastrand::Rng) -> f64 {
        if random.f64() < 0.9 { 0.25 } else { 7.75 }
    }

    fn mean(times: &[f64]) -> f64 {
        times.iter().sum::<f64>() / times.len() as f64
    }

    #[track_caller]
    fn assert_within_one_per_cent(measured: f64, expected: f64) {
        let off = (measured / expected - 1.0).abs();
        assert!(
            off < 0.01,
            "measured {measured}, expected {expected}: off by {:.2} %",
            100.0 * off
        );
    }

    #[test]
    fn one_exponential_server_is_m_m_1() {
        // Mean time in the system 1 / (1 − ρ).
        let requests = requests(4_000_000, 0.7, exponential);
        assert_within_one_per_cent(mean(&one_line(&requests, 1)), 1.0 / 0.3);
    }

    #[test]
    fn several_exponential_servers_are_m_m_k() {
        // Erlang's C formula: the chance to wait, and the mean wait C / (k − a).
        let (servers, load) = (5, 4.0_f64);
        let mut blocked = 1.0;
        for k in 1..=servers {
            blocked = load * blocked / (k as f64 + load * blocked);
        }
        let share = load / servers as f64;
        let wait = blocked / (1.0 - share * (1.0 - blocked)) / (servers as f64 - load);
        let requests = requests(4_000_000, load, exponential);
        assert_within_one_per_cent(mean(&one_line(&requests, servers)), 1.0 + wait);
    }

    #[test]
    fn a_shared_server_is_m_g_1_ps_whatever_the_works_are() {
        // Mean time in the system 1 / (1 − ρ), insensitive to the distribution of the works.
        for works in [exponential, mixed] {
            let requests = requests(4_000_000, 0.7, works);
            assert_within_one_per_cent(mean(&shared(&requests)), 1.0 / 0.3);
        }
    }
}
