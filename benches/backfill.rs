//! bench
mod support;
fn main() -> Result<(), support::Error> {
    let entries: u64 =
        std::env::var("JOURNAL_SHIP_BENCH_ENTRIES").ok().map_or(Ok(1_000_000), |n| n.parse())?;
    let target = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).parent().ok_or("no target")?;
    println!("{:?}", support::generate::prepare(&target.join("bench-journal"), entries)?);
    Ok(())
}
