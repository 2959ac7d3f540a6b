//! One VM, from outside: real sockets, a state folder of its own, real work.

#![cfg(test)]

mod admission;
mod bad_inputs;
mod harness;
mod life;
mod page;
mod reports;
mod routes;
