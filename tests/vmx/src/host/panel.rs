//! The view of vCenter for people: rows of text, and the panel that they make.

use std::fmt;
use std::fmt::Write as _;
use std::net::IpAddr;

use super::vcenter::{ToolsRunning, Vcenter};

impl Vcenter {
    /// The summary of the machine, without guest variables: what each row shows, by a label, and the value. A row that
    /// belongs to the one before has no label, and its value is indented.
    pub fn rows(&self) -> Vec<(&'static str, String)> {
        let none = || "—".to_owned();
        let mut rows = vec![
            (
                "VMware Tools",
                format!(
                    "{}, heartbeat {}",
                    match self.tools_running {
                        ToolsRunning::NotRunning => "not running",
                        ToolsRunning::Running => "running",
                        ToolsRunning::ExecutingScripts => "executing scripts",
                    },
                    format!("{:?}", self.heartbeat).to_lowercase()
                ),
            ),
            (
                "Version",
                format!(
                    "{}, {}, {}",
                    self.tools_version, self.tools_version_status, self.tools_install_type
                ),
            ),
            ("DNS name", self.host_name.clone().unwrap_or_else(none)),
            ("IP address", self.ip_address.clone().unwrap_or_else(none)),
            ("Cloud provider", self.cloud_provider().unwrap_or_else(none)),
            (
                "Guest OS",
                self.guest_full_name.clone().unwrap_or_else(none),
            ),
            ("Guest id", self.guest_id.clone().unwrap_or_else(none)),
        ];
        if let Some(name) = self.detailed.get("prettyName") {
            rows.push(("Detailed", name.clone()));
        }
        for nic in self.nics.iter().flat_map(|info| &info.nics) {
            let dhcp = [("DHCPv4", &nic.dhcp4), ("DHCPv6", &nic.dhcp6)];
            let dhcp = dhcp.map(|(name, dhcp)| match dhcp {
                Some(dhcp) if dhcp.enabled => format!(", {name}"),
                Some(_) => format!(", no {name}"),
                None => String::new(),
            });
            rows.push(("Network", nic.mac.clone() + &dhcp.concat()));
            for ip in &nic.ips {
                let source = ip.source().unwrap_or_default();
                let row = format!("  {}/{} {} {source}", ip.address, ip.prefix, ip.state());
                rows.push(("", row.trim_end().to_owned()));
            }
        }
        let routes = self.nics.iter().flat_map(|info| &info.routes);
        for route in routes.filter(|route| route.prefix == 0) {
            if let Some(gateway) = route.next_hop {
                rows.push(("Gateway", format!("{gateway}, metric {}", route.metric)));
            }
        }
        if let Some(dns) = self.nics.as_ref().and_then(|info| info.dns.as_ref()) {
            let servers: Vec<_> = dns.servers.iter().map(ToString::to_string).collect();
            if !servers.is_empty() {
                rows.push(("DNS servers", servers.join(", ")));
            }
            if !dns.suffixes.is_empty() {
                rows.push(("DNS search", dns.suffixes.join(", ")));
            }
        }
        for disk in &self.disks {
            let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
            let row = format!(
                "{} {:.1} of {:.1} GiB free {} {}",
                disk.name,
                gib(disk.free),
                gib(disk.size),
                disk.fstype.as_deref().unwrap_or_default(),
                disk.devices.join(", ")
            );
            rows.push(("Disk", row.trim_end().to_owned()));
        }
        // mem.needed of mem.physUsable, in KiB.
        let stat = |id| self.stats.iter().find(|stat| stat.id == id)?.number();
        if let (Some(needed), Some(usable)) = (stat(5), stat(6)) {
            let mib = |kib: f64| kib / 1024.0;
            let row = format!("needs {:.0} of {:.0} MiB", mib(needed), mib(usable));
            rows.push(("Memory", row));
        }
        // cpu.runQueue and contextSwapRate, which is a rate and known from the second time on.
        if let Some(queue) = stat(61) {
            let switches = stat(2).map(|rate| format!(", {rate:.0} context switches/s"));
            let row = format!("run queue {queue}{}", switches.unwrap_or_default());
            rows.push(("Processors", row));
        }
        let uptime = self
            .uptime_centis
            .map_or_else(none, |centis| format!("{:.2} s", centis as f64 / 100.0));
        rows.push(("Uptime", uptime));
        rows.push((
            "Power operations",
            match self.state_change_supported {
                true => "Shut Down Guest, Restart Guest".to_owned(),
                false => "not supported".to_owned(),
            },
        ));
        for status in &self.power {
            let word = if status.success { "accepted" } else { "failed" };
            rows.push(("", format!("  {} {word}", status.command())));
        }
        rows
    }

    /// The variables of Talos' agents, without the prefix `guestinfo.vmtools.talos.`.
    pub fn talos_variables(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.variables.iter();
        all.filter_map(|(key, value)| Some((key.strip_prefix("vmtools.talos.")?, value.as_str())))
    }

    /// The node that the cloud provider finds by its name, with the addresses that it gives to it.
    fn cloud_provider(&self) -> Option<String> {
        let addresses: Vec<_> = self
            .node_addresses()
            .iter()
            .map(IpAddr::to_string)
            .collect();
        let name = self.host_name.as_ref().filter(|_| !addresses.is_empty())?;
        Some(format!("node {name}, {}", addresses.join(", ")))
    }
}

impl fmt::Display for Vcenter {
    /// The panel: a box of 76 columns.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const WIDTH: usize = 74;
        let mut rows = self.rows();
        let variables = self.talos_variables();
        let variables = variables.map(|(key, value)| ("", format!("  {key} = {value}")));
        let mut variables = variables.peekable();
        if variables.peek().is_some() {
            rows.push(("Variables", "guestinfo.vmtools.talos.".to_owned()));
        }
        rows.extend(variables);
        let mut text = String::new();
        let title = " vCenter ";
        writeln!(text, "┌─{title}{}┐", "─".repeat(WIDTH - 1 - title.len()))?;
        for (name, value) in rows {
            let room = WIDTH - 20;
            let value = value.trim_end();
            let value: String = match value.chars().count() {
                count if count <= room => value.to_owned(),
                _ => value.chars().take(room - 1).chain(['…']).collect(),
            };
            writeln!(text, "│ {name:<17} {value:<room$} │")?;
        }
        write!(text, "└{}┘", "─".repeat(WIDTH))?;
        f.write_str(&text)
    }
}
