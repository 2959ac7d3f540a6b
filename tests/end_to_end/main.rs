//! The cluster as a user runs it: real processes, real files, real requests.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a story that cannot go on has failed")]

mod cluster;
mod events;
mod functions;
mod http;
mod loading;
mod machines;
mod scaling;
mod screen;
mod serving;
mod steering;
mod support;
mod surviving;
mod taking_over;
mod watching;
