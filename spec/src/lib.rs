//! The contract of Koch: configs, instructions, registers, counters, status codes, pipeline latencies, rounding and
//! layers. Declared here once; Verilog, the cycle model, the C header and the reference pages follow from it.

pub mod config;
pub mod docs;
pub mod isa;
pub mod layer;
pub mod memory;
pub mod post;
pub mod program;
pub mod regs;
pub mod requant;
pub mod rng;
pub mod timing;

pub use config::{Config, ConfigError, ConfigSpec, Size};
pub use memory::MemorySpec;
pub use program::{Mark, Program, Run, Segment};
pub use regs::{Counters, Status};
