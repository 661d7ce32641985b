//! The message types in `src/loki/proto.rs` are what prost-build makes of `proto/push.proto`.

use std::path::Path;

/// First lines of the checked-in file; the rest is the generator's output, byte for byte.
const HEADER: &str = "\
//! The messages of `proto/push.proto` as Rust types.
//!
//! Generated: after a change of `proto/push.proto` run
//! `JOURNAL_SHIP_REGENERATE=1 cargo test --test integration proto`, which writes this file anew. The build itself
//! needs no protobuf compiler.

";

#[test]
fn checked_in_types_are_generated_from_the_proto_file() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let descriptors =
        protox::compile(["push.proto"], [root.join("proto")]).expect("proto/push.proto compiles");
    let output = tempfile::tempdir().expect("a temporary directory");
    prost_build::Config::new().out_dir(output.path()).compile_fds(descriptors).expect("types are generated");
    let generated = std::fs::read_to_string(output.path().join("logproto.rs")).expect("package logproto");
    let expected = format!("{HEADER}{generated}");

    let path = root.join("src/loki/proto.rs");
    if std::env::var_os("JOURNAL_SHIP_REGENERATE").is_some() {
        std::fs::write(&path, &expected).expect("src/loki/proto.rs is writable");
    }
    let checked_in = std::fs::read_to_string(&path).expect("src/loki/proto.rs is readable");
    assert!(
        checked_in == expected,
        "src/loki/proto.rs is not what proto/push.proto generates; \
         run JOURNAL_SHIP_REGENERATE=1 cargo test --test integration proto and look at the difference"
    );
}
