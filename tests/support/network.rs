//! Network namespaces of a test's own, joined by cables that can be pulled. Nothing in them reaches the world.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::process::{Child, Command, Stdio};

use super::Unavailable;
use super::journald::wait_until;

/// A network namespace; it goes with this, and its cables with it.
pub struct Network {
    holder: Child,
}

/// A cable between two of them, or from one to where the test is.
pub struct Cable {
    name: String,
    /// Where the end `name` is; `None`: where the test is.
    near: Option<String>,
    /// The address of the near end, and of the far end.
    pub ends: (IpAddr, IpAddr),
}

fn unavailable(why: &str) -> Unavailable {
    Unavailable(format!("{why}: a network namespace needs root and iproute2"))
}

/// Runs a line of shell, in a namespace if one is named.
fn shell(network: Option<&str>, line: &str) -> Result<(), Unavailable> {
    let mut command = match network {
        Some(path) => {
            let mut command = Command::new("nsenter");
            command.arg(format!("--net={path}")).args(["--", "sh", "-c", line]);
            command
        }
        None => {
            let mut command = Command::new("sh");
            command.args(["-c", line]);
            command
        }
    };
    let out = command.output().map_err(|error| unavailable(&error.to_string()))?;
    match out.status.success() {
        true => Ok(()),
        false => Err(unavailable(&format!("{line}: {}", String::from_utf8_lossy(&out.stderr).trim()))),
    }
}

impl Network {
    /// A namespace with a loopback interface and nothing else.
    pub fn new() -> Result<Network, Unavailable> {
        let mut holder = Command::new("unshare")
            .args(["--net", "sleep", "infinity"])
            .stdin(Stdio::null())
            .spawn()
            .map_err(|error| unavailable(&error.to_string()))?;
        let pid = holder.id();
        let own = fs::read_link("/proc/self/ns/net").unwrap();
        wait_until("the namespace is there", || {
            fs::read_link(format!("/proc/{pid}/ns/net")).is_ok_and(|of| of != own)
                || !matches!(holder.try_wait(), Ok(None))
        });
        let network = Network { holder };
        shell(Some(&network.path()), "ip link set lo up")?;
        Ok(network)
    }

    /// The file that stands for it.
    pub fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.holder.id())
    }

    /// What starts a program there.
    pub fn starter(&self) -> Vec<String> {
        vec!["nsenter".to_owned(), format!("--net={}", self.path()), "--".to_owned()]
    }

    /// Joins it to another one, or to where the test is.
    pub fn join(&self, near: Option<&Network>) -> Result<Cable, Unavailable> {
        let pid = self.holder.id();
        let name = format!("js{pid}");
        // Of the range for tests (RFC 2544), one pair of addresses for each process id.
        let at = |n: u32| IpAddr::V4(Ipv4Addr::from(0xc612_0000 + (pid * 4 + n) % 0x2_0000));
        let cable = Cable { name: name.clone(), near: near.map(Network::path), ends: (at(1), at(2)) };
        let near = cable.near.as_deref();
        shell(near, &format!("ip link add {name} type veth peer name peer0 netns {pid}"))?;
        shell(near, &format!("ip addr add {}/30 dev {name} && ip link set {name} up", at(1)))?;
        shell(Some(&self.path()), &format!("ip addr add {}/30 dev peer0 && ip link set peer0 up", at(2)))?;
        Ok(cable)
    }
}

impl Cable {
    /// Pulls the cable, or puts it back.
    pub fn plugged(&self, plugged: bool) {
        let state = if plugged { "up" } else { "down" };
        shell(self.near.as_deref(), &format!("ip link set {} {state}", self.name)).unwrap();
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
