//! The client: sends requests to a cluster as any HTTP client would.

pub mod load;
pub mod send;
pub mod volley;
