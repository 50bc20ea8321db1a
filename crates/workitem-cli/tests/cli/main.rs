//! The program as its users meet it: the real binary, in a folder of its own, judged by what it prints,
//! how it exits, what it leaves behind and what still runs.
//!
//! One binary, so that all tests share the cores. None measures time: what is slow is waited for.
#![cfg(test)]
#![cfg(target_os = "linux")]

mod agents;
mod book;
mod config;
mod control;
mod crash;
mod doctor;
mod gc;
mod hearing;
mod letters;
mod map;
mod reading;
mod stop;
mod store;
mod torture;
mod usage;
mod verify;
mod worker;
mod workshop;
