//! Cumulet, a pocket cloud.

pub mod autoscaler;
pub mod balancer;
pub mod cli;
pub mod client;
pub mod cluster;
pub mod config;
pub mod domain;
pub mod functions;
pub mod http;
pub mod logging;
pub mod operator;
pub mod process;
pub mod state;
pub mod tui;
pub mod units;
pub mod vm;
pub mod workload;
