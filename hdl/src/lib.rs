//! Koch's RTL generator: one Rust file per Verilog module, with the same name.
//!
//! Two layers and one printer. Behaviour is written as rust-hdl blocks ([`mod@leaf`]), structure directly as a
//! Verilog tree ([`verilog`]); both print through that tree.

pub mod bits;
pub mod cosim;
mod declare;
#[cfg(test)]
mod idioms;
pub mod leaf;
pub mod prelude;
mod reg;
pub mod tools;
pub mod verilog;

pub mod abuf;
pub mod activations;
pub mod array;
pub mod check;
pub mod columns;
pub mod control;
pub mod counters;
pub mod delay;
pub mod difference;
pub mod drain;
pub mod feeder;
pub mod fetch;
pub mod fetch_buffer;
pub mod fused;
pub mod koch;
pub mod lister;
pub mod load_aligner;
pub mod load_requester;
pub mod load_writer;
pub mod pbuf;
pub mod pe;
pub mod pieces;
pub mod post;
pub mod post_operands;
pub mod post_result;
pub mod post_setup;
pub mod queue;
pub mod ram;
pub mod read_master;
pub mod regs;
pub mod requant;
pub mod runs;
pub mod serializer;
pub mod store_data;
pub mod store_gatherer;
pub mod store_sender;
pub mod tile_table;
pub mod tokens;
pub mod wbuf;
