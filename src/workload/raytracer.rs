//! Placeholder until the raytracer branch lands.
