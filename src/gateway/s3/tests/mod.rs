//! Requests as clients send them, against the object layer in memory.

mod bounds;
mod bucket_store;
mod buckets;
mod chunked;
mod client;
mod configuration;
mod locks;
mod multipart;
mod objects;
mod page;
mod rights;
mod server;
mod signatures;
mod world;
