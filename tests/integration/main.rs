//! The agent, its rooms and its documents against the real thing: one file a subject.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)] // a test stops at the first surprise

#[path = "../support/mod.rs"]
mod support;

mod access;
mod acknowledged;
mod alerting;
mod answers;
mod backtest;
mod bench_support;
mod cli;
mod config;
mod convert;
mod damaged;
mod dashboard;
mod delivery;
mod docs;
mod engine;
mod faults;
mod hostile;
mod house;
mod idle;
mod logql;
mod loki_double;
mod loki_faults;
mod matching;
mod nix;
mod partial;
mod promtail;
mod promtool;
mod proto;
mod query;
mod query_api;
mod query_command;
mod query_hostile;
mod query_journalctl;
mod query_paging;
mod query_scan;
mod query_tail;
mod recipes;
mod relabel;
mod reload;
mod retention;
mod rules;
mod second_reader;
mod ship;
mod shown;
mod stages;
mod unit;
