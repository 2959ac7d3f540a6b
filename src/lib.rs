//! Cumulet, a pocket cloud.

pub mod config;
pub mod domain;
pub mod http;
pub mod state;
pub mod units;
pub mod workload;
