//! Cumulet, a pocket cloud.

pub mod domain;
pub mod http;
pub mod state;
pub mod units;
pub mod vm;
pub mod workload;
