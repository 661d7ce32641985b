use journal_ship::journal::*;
use std::io::Write;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let mut keys = Keys::default();
    let mode = a[1].as_str();
    if mode == "all" || mode == "export" { keys.add_all(); } else {
        for k in ["_HOSTNAME","_SYSTEMD_USER_UNIT","_SYSTEMD_UNIT","SYSLOG_IDENTIFIER","_TRANSPORT","PRIORITY","_PID","MESSAGE"] { keys.add(k); }
    }
    let paths: Vec<_> = a[2..].iter().map(|p| p.into()).collect();
    let mut t = Tail::open(&paths, keys, Start::Oldest, Waker::new().unwrap()).unwrap();
    let (mut n, mut f, mut b) = (0u64, 0u64, 0u64);
    let out = std::io::stdout(); let mut out = std::io::BufWriter::new(out.lock());
    while let Some(e) = t.next() {
        n += 1;
        if mode == "export" {
            writeln!(out, "__CURSOR={}", e.cursor()).unwrap();
            writeln!(out, "__REALTIME_TIMESTAMP={}\n__MONOTONIC_TIMESTAMP={}\n_BOOT_ID={}", e.cursor().realtime, e.cursor().monotonic, e.cursor().boot_id).unwrap();
            let mut fs: Vec<_> = e.fields().filter(|(n,_)| *n != b"_BOOT_ID").collect(); fs.sort();
            for (k, v) in fs { out.write_all(k).unwrap(); out.write_all(b"=").unwrap(); out.write_all(v).unwrap(); out.write_all(b"\n").unwrap(); }
            writeln!(out).unwrap();
        } else { for (k, v) in e.fields() { f += 1; b += (k.len() + v.len()) as u64; } }
    }
    eprintln!("{n} entries {f} fields {b} bytes {:?} empty={}", t.counts(), t.is_empty());
    let s = std::fs::read_to_string("/proc/self/stat").unwrap();
    let v: Vec<&str> = s.rsplit(')').next().unwrap().split_whitespace().collect();
    let cpu = (v[11].parse::<f64>().unwrap() + v[12].parse::<f64>().unwrap()) / 100.0;
    let st = std::fs::read_to_string("/proc/self/status").unwrap();
    eprintln!("cpu {cpu}s = {:.0}/s {}", n as f64 / cpu, st.lines().find(|l| l.starts_with("VmHWM")).unwrap());
}
