//! The rules of an elastic service, as pure types and functions.
//!
//! No I/O, no clock, no randomness: what a rule needs comes in as arguments (time too), and a
//! decision goes out as data together with its reason. The live roles and a simulator run the
//! same code.

pub mod alerting;
pub mod balancing;
pub mod cost;
pub mod credits;
pub mod decision;
pub mod elasticity;
pub mod function;
pub mod health;
pub mod hedging;
pub mod instance_type;
pub mod load;
pub mod overflow;
pub mod quarantine;
pub mod queueing;
pub mod refresh;
pub mod restart;
pub mod retention;
pub mod retries;
pub mod scaling;
pub mod simulation;
pub mod summary;
pub mod termination;
pub mod trigger;
pub mod vm;
pub mod waiting;
