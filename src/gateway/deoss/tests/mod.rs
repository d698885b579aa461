//! What is a call, who may make it, and how bodies arrive.

mod bodies;
mod paths;
mod signatures;
