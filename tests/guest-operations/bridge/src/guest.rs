//! The guests: our agent with its Talos, and Debian's vmtoolsd.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use apid::{Apid, TlsOptions, scene};
use vmx::{Sandbox, Vmx, VmxBuilder};

use crate::{Outcome, SOON};

/// The host pings so often, guest operations or not.
const PING: Duration = Duration::from_secs(5);

/// A guest operation that takes longer is a violation: pings wait behind it.
const REPLY_DEADLINE: Duration = Duration::from_secs(4);

/// An agent that was greeted by its host.
#[derive(Debug)]
pub(crate) struct Guest {
    pub(crate) vmx: Vmx,
    /// What our agent has: machined on a socket, and apid on its port.
    pub(crate) talos: Option<Talos>,
}

/// The API of a node, at both of its doors.
#[derive(Debug)]
pub(crate) struct Talos {
    pub(crate) machined: Apid,
    pub(crate) apid: Apid,
}

impl Guest {
    /// Our agent as an extension service starts it.
    pub(crate) fn agent(binary: &Path, folder: &Path) -> Outcome<Self> {
        let socket = folder.join("machine.sock");
        let machined = Apid::machined(&socket)?;
        scene::single_nic(&machined);
        let apid = Apid::tls(TlsOptions {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 50000)),
            ..TlsOptions::default()
        })?;
        scene::single_nic(&apid);
        let builder = Vmx::builder(binary)
            .args(["vmtoolsd", "--use-machined", "--machined-socket"])
            .args([socket])
            .args(["--config"])
            .args([folder.join("config.yaml")]);
        let guest = Self::start(builder, Some(Talos { machined, apid }))?;
        guest.vmx.wait_vcenter("name and address", SOON, |view| {
            view.host_name.is_some() && view.ip_address.is_some()
        })?;
        Ok(guest)
    }

    /// Debian's vmtoolsd, which checks passwords by PAM and really runs what it is asked to, as that user.
    pub(crate) fn vmtoolsd(folder: &Path) -> Outcome<Self> {
        let conf = folder.join("tools.conf");
        std::fs::write(
            &conf,
            "[guestoperations]\nuseVGAuth=false\n[vmbackup]\nenableSyncDriver=false\n\
             [logging]\nlog=true\nvmtoolsd.level=warning\nvmtoolsd.handler=std\n",
        )?;
        let binds =
            ["passwd", "shadow"].map(|name| (folder.join(name), Path::new("/etc").join(name)));
        let sandbox = Sandbox {
            pid_namespace: true,
            binds: binds.to_vec(),
            ..Sandbox::default()
        };
        let builder = Vmx::builder("/usr/bin/vmtoolsd")
            .args(["-n", "vmsvc", "-c"])
            .args([conf])
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .sandbox(sandbox);
        Self::start(builder, None)
    }

    fn start(builder: VmxBuilder, talos: Option<Talos>) -> Outcome<Self> {
        let vmx = builder
            .ping_every(PING)
            .config(|host| {
                host.reply_deadline = REPLY_DEADLINE;
                // It would rightly try to set the clock.
                host.options.retain(|option| !option.contains("sync"));
            })
            .spawn()?;
        let guest = Self { vmx, talos };
        guest.vmx.wait_greeted(SOON)?;
        Ok(guest)
    }

    /// The reply to a TCLO request.
    pub(crate) fn request(&self, request: Vec<u8>) -> Outcome<Vec<u8>> {
        let exchange = self.vmx.request(request, SOON)?;
        Ok(exchange.reply.unwrap_or_default())
    }
}
