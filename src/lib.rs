//! Cumulet, a pocket cloud.

pub mod balancer;
pub mod domain;
pub mod http;
pub mod state;
pub mod units;
pub mod workload;
