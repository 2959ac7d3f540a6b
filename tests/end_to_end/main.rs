//! The cluster as a user runs it: real processes, real files, real requests.

mod cluster;
mod http;
mod scaling;
mod serving;
mod steering;
mod support;
mod surviving;
