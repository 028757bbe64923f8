//! End-to-end tests: the programs as users run them, over real sockets and real files.

mod api;
mod architecture;
mod bench;
mod blobs;
mod crash;
mod cuda;
mod detection;
mod endings;
mod jobs;
mod miner;
mod peers;
mod restart;
mod scrypt;
mod stratum;
mod vectors;
