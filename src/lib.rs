//! Cumulet, a pocket cloud.
#![doc = ""]

pub mod workload;
