//! The handle: everything a test can do to the node.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prost::Name;
use tokio::io::DuplexStream;
use tonic::Status;

use crate::door::{Address, Tls};
use crate::files::{File, Kind as FileKind};
use crate::journal::Call;
use crate::logs::KERNEL;
use crate::machine;
use crate::node::Node;
use crate::power::PowerBehaviour;
use crate::proto::cosi::resource::Spec;
use crate::proto::definitions::network::{AddressStatusSpec, LinkStatusSpec};
use crate::resources::{self, ADDRESS_SPEC, ADDRESS_STATUS, LINK_STATUS, NETWORK, NODE_ADDRESS};
use crate::runtime::Runtime;
use crate::shared::Shared;
use crate::tls::{self, Authority, Issued, TlsOptions};
use crate::{Method, Stage, Step, Trouble};

/// How long the serving thread may take to do what it was told.
const SOON: Duration = Duration::from_secs(5);

/// A running Talos API. Clones are the same one; it ends with the last of them.
#[derive(Clone, Debug)]
pub struct Apid(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    address: Address,
    pki: Option<Pki>,
    /// `None` in process.
    runtime: Option<Runtime>,
}

#[derive(Debug)]
struct Pki {
    options: Mutex<TlsOptions>,
    authority: Mutex<Authority>,
    issued: Mutex<Issued>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.door.close();
    }
}

/// Starting and stopping.
impl Apid {
    /// Serves as machined does: on a unix socket, roles from the metadata. The directory must exist.
    ///
    /// # Errors
    /// When the socket cannot be made or the thread not be started.
    pub fn machined(path: impl Into<PathBuf>) -> io::Result<Self> {
        Self::start(Address::Socket(path.into()), None)
    }

    /// Serves as apid does: TCP with mutual TLS, roles from the client's certificate.
    ///
    /// # Errors
    /// When the port cannot be had, the thread not be started, or the options make no certificate.
    pub fn tls(options: TlsOptions) -> io::Result<Self> {
        let authority = tls::authority().map_err(io::Error::other)?;
        let issued = tls::issue(&authority, &options).map_err(io::Error::other)?;
        let tls = Tls {
            config: Arc::new(Mutex::new(issued.server.clone())),
            forwarding: options.forwarding,
        };
        let address = Address::Tls(options.address, tls);
        let pki = Pki {
            options: Mutex::new(options),
            authority: Mutex::new(authority),
            issued: Mutex::new(issued),
        };
        Self::start(address, Some(pki))
    }

    /// Serves as machined does, but over pipes ([`Self::connect`]) and by tasks of the caller's runtime, which
    /// may be a paused one. `stop`, `restart` and the `wait_…` methods, which block, are not for it.
    pub fn in_process() -> Self {
        let shared = Arc::new(Shared::default());
        shared.door.open_in_process();
        Self(Arc::new(Inner {
            shared,
            address: Address::InProcess,
            pki: None,
            runtime: None,
        }))
    }

    /// A connection to [`Self::in_process`]; to be called within a runtime.
    ///
    /// # Errors
    /// Refused while the API is away, and on other APIs.
    pub fn connect(&self) -> io::Result<DuplexStream> {
        self.shared().door.connect(&self.0.shared)
    }

    fn start(address: Address, pki: Option<Pki>) -> io::Result<Self> {
        let runtime = Runtime::start()?;
        let shared = Arc::new(Shared::default());
        let address = shared.door.open(&shared, runtime.handle(), &address)?;
        Ok(Self(Arc::new(Inner {
            shared,
            address,
            pki,
            runtime: Some(runtime),
        })))
    }

    /// Goes away: the socket or port is closed, connections are cut. What the node is remains.
    pub fn stop(&self) {
        let door = &self.shared().door;
        door.close();
        // Done by the serving thread; nothing there takes long.
        self.wait_for(SOON, |_| door.is_closed().then_some(()));
    }

    /// Comes back at the same socket or port, cutting what connections there are.
    ///
    /// # Errors
    /// When the socket or port cannot be had again.
    pub fn restart(&self) -> io::Result<()> {
        self.stop();
        let runtime = self.0.runtime.as_ref();
        let runtime = runtime.ok_or(io::ErrorKind::Unsupported)?.handle();
        let door = &self.shared().door;
        door.open(&self.0.shared, runtime, &self.0.address)?;
        Ok(())
    }

    /// Cuts every connection and goes on listening.
    pub fn drop_connections(&self) {
        let door = &self.shared().door;
        let last = door.accepted();
        door.drop_connections();
        if self.0.runtime.is_none() {
            // Done by tasks of the caller's runtime, which must not be held up.
            return;
        }
        let gone = || door.oldest().is_none_or(|oldest| oldest > last);
        self.wait_for(SOON, |_| gone().then_some(()));
    }

    /// Takes connections and calls but answers nothing; streams fall silent. Until [`Self::resume`].
    pub fn hang(&self) {
        self.shared().hang(true);
    }

    /// Ends [`Self::hang`]: what was waiting is answered.
    pub fn resume(&self) {
        self.shared().hang(false);
    }

    /// The socket, of [`Self::machined`].
    pub fn socket(&self) -> Option<&Path> {
        match &self.0.address {
            Address::Socket(path) => Some(path),
            Address::Tls(..) | Address::InProcess => None,
        }
    }

    /// The address and port, of [`Self::tls`].
    pub fn endpoint(&self) -> Option<SocketAddr> {
        match &self.0.address {
            Address::Socket(_) | Address::InProcess => None,
            Address::Tls(address, _) => Some(*address),
        }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.0.shared
    }
}

/// Certificates.
impl Apid {
    /// The talosconfig of the client, with this server as its endpoint and its only node.
    ///
    /// # Panics
    /// On a machined socket, which has none.
    pub fn talosconfig(&self) -> String {
        let endpoint = self.endpoint().expect("only a TLS server has one");
        let endpoint = [endpoint.to_string()];
        self.talosconfig_for(&endpoint, &endpoint)
    }

    /// The talosconfig of the client with these endpoints and nodes.
    ///
    /// # Panics
    /// On a machined socket, which has none.
    pub fn talosconfig_for(&self, endpoints: &[String], nodes: &[String]) -> String {
        tls::talosconfig(&lock(&self.pki().issued), endpoints, nodes)
    }

    /// The PEM texts of the client: `ca`, `crt`, `key`.
    ///
    /// # Panics
    /// On a machined socket, which has none.
    pub fn client_pem(&self) -> [String; 3] {
        let issued = lock(&self.pki().issued);
        [&issued.ca, &issued.certificate, &issued.key].map(String::clone)
    }

    /// Issues new certificates by the same authority, for connections from now on; `address` and
    /// `forwarding` stay as they are. Fetch the talosconfig again.
    ///
    /// # Errors
    /// When the options make no certificate.
    ///
    /// # Panics
    /// On a machined socket.
    pub fn reissue(&self, change: impl FnOnce(&mut TlsOptions)) -> io::Result<()> {
        change(&mut lock(&self.pki().options));
        self.issue()
    }

    /// Replaces the authority and everything that it issued, for connections from now on.
    ///
    /// # Errors
    /// When no certificate can be made.
    ///
    /// # Panics
    /// On a machined socket.
    pub fn rotate_authority(&self) -> io::Result<()> {
        *lock(&self.pki().authority) = tls::authority().map_err(io::Error::other)?;
        self.issue()
    }

    fn issue(&self) -> io::Result<()> {
        let pki = self.pki();
        let issued = tls::issue(&lock(&pki.authority), &lock(&pki.options));
        let issued = issued.map_err(io::Error::other)?;
        if let Address::Tls(_, tls) = &self.0.address {
            *lock(&tls.config) = issued.server.clone();
        }
        *lock(&pki.issued) = issued;
        Ok(())
    }

    fn pki(&self) -> &Pki {
        let pki = self.0.pki.as_ref();
        pki.expect("a machined socket has no certificates")
    }
}

/// The node.
impl Apid {
    /// Sets HostnameStatus and what Hostname says; an empty domain for none. As Talos does it, Nodename follows where
    /// there is one.
    pub fn set_hostname(&self, host: &str, domain: &str) {
        resources::set_hostname(self.shared(), host, domain);
        if !self
            .shared()
            .store
            .list("k8s", machine::NODENAME)
            .is_empty()
        {
            self.set_node_name(host);
        }
    }

    /// Sets a LinkStatus; see [`crate::scene`] for ready-made ones.
    pub fn set_link(&self, name: &str, link: LinkStatusSpec) {
        resources::set_link(self.shared(), name, &link);
    }

    /// The LinkStatus as it is.
    pub fn link(&self, name: &str) -> Option<LinkStatusSpec> {
        resources::link(self.shared(), name)
    }

    /// Removes a LinkStatus.
    pub fn remove_link(&self, name: &str) {
        self.destroy(LINK_STATUS, NETWORK, name);
    }

    /// Puts an address such as `10.5.0.2/24` on a link; set the link first, for its index.
    ///
    /// # Panics
    /// When the text is no address with a prefix length.
    pub fn set_address(&self, link: &str, address: &str) {
        let status = resources::address_status(self.shared(), link, address);
        resources::set_address(self.shared(), link, address, &status);
    }

    /// As [`Self::set_address`], with a change to flags, scope or local address.
    ///
    /// # Panics
    /// When the text is no address with a prefix length.
    pub fn set_address_with(
        &self,
        link: &str,
        address: &str,
        change: impl FnOnce(&mut AddressStatusSpec),
    ) {
        let mut status = resources::address_status(self.shared(), link, address);
        change(&mut status);
        resources::set_address(self.shared(), link, address, &status);
    }

    /// Takes an address off a link.
    pub fn remove_address(&self, link: &str, address: &str) {
        self.destroy(ADDRESS_STATUS, NETWORK, &format!("{link}/{address}"));
    }

    /// Sets one of Talos' own address lists: `default`, `current`, `routed`, `routed-no-k8s` …
    ///
    /// # Panics
    /// When one of the texts is no address with a prefix length.
    pub fn set_node_address(&self, id: &str, addresses: &[&str]) {
        resources::set_node_address(self.shared(), id, addresses);
    }

    /// Removes one of Talos' own address lists.
    pub fn remove_node_address(&self, id: &str) {
        self.destroy(NODE_ADDRESS, NETWORK, id);
    }

    /// Makes this node the holder of a virtual IP: OperatorSpec, AddressSpec and AddressStatus.
    ///
    /// # Panics
    /// When the text is no address.
    pub fn set_vip(&self, link: &str, ip: &str) {
        let ip: IpAddr = ip.parse().expect("an IP address");
        resources::set_vip_operator(self.shared(), link, ip);
        resources::set_vip_address(self.shared(), link, ip);
        self.set_address(link, &resources::host_prefix(ip));
    }

    /// Gives a virtual IP to another node; this one goes on contending for it.
    ///
    /// # Panics
    /// When the text is no address.
    pub fn lose_vip(&self, link: &str, ip: &str) {
        let ip: IpAddr = ip.parse().expect("an IP address");
        resources::set_vip_operator(self.shared(), link, ip);
        let prefix = resources::host_prefix(ip);
        let id = resources::vip_address_id(link, ip);
        self.destroy(ADDRESS_SPEC, resources::NETWORK_CONFIG, &id);
        self.destroy(ADDRESS_SPEC, NETWORK, &format!("{link}/{prefix}"));
        self.remove_address(link, &prefix);
    }

    /// Sets MachineStatus.
    pub fn set_stage(&self, stage: Stage, ready: bool) {
        resources::set_stage(self.shared(), stage, ready);
    }

    /// Changes what the MachineService methods tell: version, platform, boot time, statistics.
    pub fn update_node(&self, change: impl FnOnce(&mut Node)) {
        change(&mut self.shared().node());
    }

    /// Sets any resource to these bytes of its spec message. A type that is new becomes known.
    pub fn put(&self, kind: &str, namespace: &str, id: &str, proto_spec: Vec<u8>) {
        let hex: String = proto_spec
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let spec = Spec {
            proto_spec,
            yaml_spec: format!("proto: {hex:?}\n"),
        };
        self.shared().store.put(namespace, kind, id, spec);
    }

    /// Sets any resource to this text of its spec, as people see it; its message stays empty. A type that is new becomes
    /// known.
    pub fn put_yaml(&self, kind: &str, namespace: &str, id: &str, yaml: &str) {
        let spec = Spec {
            proto_spec: Vec::new(),
            yaml_spec: yaml.to_owned(),
        };
        self.shared().store.put(namespace, kind, id, spec);
    }

    /// Makes a file of the node, and the folders above it.
    pub fn set_file(&self, path: &str, kind: FileKind) {
        self.update_node(|node| node.files.set(path, File::new(kind)));
    }

    /// Adds a line to the log of a service, or of a container as `k8s.io/ID`; those who follow see it.
    pub fn log(&self, id: &str, line: &str) {
        self.shared().logs.add(id, line);
    }

    /// Adds a line to the kernel's log.
    pub fn log_kernel(&self, line: &str) {
        self.shared().logs.add(KERNEL, line);
    }

    /// Replaces what a log has said; a service that is new has one then.
    pub fn set_log(&self, id: &str, lines: Vec<String>) {
        self.shared().logs.set(id, lines);
    }

    /// Makes a log never end: a reader gets this line as fast as it takes it.
    pub fn flood_log(&self, id: &str, line: &str) {
        self.shared().logs.flood(id, line);
    }

    /// How many streams follow a log.
    pub fn follower_count(&self) -> usize {
        self.shared().logs.follower_count()
    }

    /// Removes a resource; those who watch see DESTROYED.
    pub fn destroy(&self, kind: &str, namespace: &str, id: &str) {
        self.shared().store.destroy(namespace, kind, id);
    }

    /// Puts a resource into the phase `tearingDown`, as before a removal with finalizers.
    pub fn tear_down(&self, kind: &str, namespace: &str, id: &str) {
        self.shared().store.tear_down(namespace, kind, id);
    }

    /// Makes a resource type unknown, as to a Talos that is too old for it.
    pub fn drop_type(&self, kind: &str) {
        self.shared().store.drop_type(kind);
    }
}

/// Faults and events.
impl Apid {
    /// Answers the next calls of a method with this status; several of these are used up in order.
    pub fn fail_next(&self, method: Method, status: &Status, times: usize) {
        self.shared().faults.fail_next(method, status, times);
    }

    /// Lets every call of a method wait before anything is done; zero ends it.
    pub fn delay(&self, method: Method, delay: Duration) {
        self.shared().faults.delay(method, delay);
    }

    /// Allows a method to these roles only: for example Reboot to os:admin, as Talos 1.3.
    pub fn allow(&self, method: Method, roles: &[&str]) {
        self.shared().faults.allow(method, roles);
    }

    /// Forgets the caller's process, as machined 1.13 does not know one that has just started: calls on
    /// the socket are held this long (5 s there), then refused with PermissionDenied.
    pub fn unregister_peer(&self, hold: Duration) {
        self.shared().faults.unknown_peer(Some(hold));
    }

    /// Knows the caller's process (again): calls that are held go through.
    pub fn register_peer(&self) {
        self.shared().faults.unknown_peer(None);
    }

    /// When apid fans out to this node, its message is an error inside an OK answer.
    pub fn fail_node(&self, node: &str, error: &str) {
        self.shared().faults.fail_node(node, error);
    }

    /// Asks at every step from now on what goes wrong there. Before the other faults.
    pub fn on_step(&self, director: impl FnMut(&Step) -> Option<Trouble> + Send + 'static) {
        self.shared().script.set(Box::new(director));
    }

    /// Sends ERRORED on every watch, which then stays open and silent, as Talos' do.
    pub fn error_watches(&self) {
        self.shared().store.error_watches();
    }

    /// Ends every watch with this status.
    pub fn end_watches(&self, status: &Status) {
        self.shared()
            .store
            .end_watches(status.code(), status.message());
    }

    /// Makes the bookmarks given out so far invalid, as a restart of machined does.
    pub fn expire_bookmarks(&self) {
        self.shared().store.expire_bookmarks();
    }

    /// Chooses what becomes of Reboot and Shutdown from now on.
    pub fn set_power(&self, behaviour: PowerBehaviour) {
        *self.shared().power() = behaviour;
    }

    /// From now on an Events stream begins with its first event, header included, as gRPC servers do that do not greet
    /// as Talos' own does.
    pub fn mute_events(&self) {
        self.shared().events.mute();
    }

    /// Publishes a message of package `machine` on the event stream, under an actor id or an empty one.
    pub fn publish<M: Name>(&self, actor_id: &str, message: &M) {
        self.shared().events.publish(actor_id, message);
    }
}

/// What was called.
impl Apid {
    /// All calls since the start.
    pub fn calls(&self) -> Vec<Call> {
        self.shared().journal.all()
    }

    /// All calls of one method.
    pub fn calls_of(&self, method: Method) -> Vec<Call> {
        self.shared().journal.of(method)
    }

    /// How many calls there were.
    pub fn call_count(&self) -> usize {
        self.shared().journal.count()
    }

    /// The power sequences that have begun, `reboot` or `shutdown`, in their order.
    pub fn sequences(&self) -> Vec<String> {
        self.shared().sequences()
    }

    /// How many watches on a type are open and not silenced.
    pub fn watch_count(&self, kind: &str) -> usize {
        self.shared().store.watch_count(kind)
    }

    /// How many event streams are open.
    pub fn listener_count(&self) -> usize {
        self.shared().events.listener_count()
    }

    /// How many connections are open.
    pub fn connection_count(&self) -> usize {
        self.shared().door.connection_count()
    }

    /// How many connections there have been.
    pub fn connections_accepted(&self) -> u64 {
        self.shared().door.accepted()
    }

    /// Blocks until there were this many calls of a method and returns them; `None` when time is over.
    pub fn wait_calls(&self, method: Method, count: usize, timeout: Duration) -> Option<Vec<Call>> {
        self.wait_for(timeout, |apid| apid.at_least(method, count))
    }

    /// As [`Self::wait_calls`], suspending the task.
    pub async fn until_calls(
        &self,
        method: Method,
        count: usize,
        timeout: Duration,
    ) -> Option<Vec<Call>> {
        self.until(timeout, |apid| apid.at_least(method, count))
            .await
    }

    /// Blocks until this many watches on a type are open; false when time is over.
    pub fn wait_watches(&self, kind: &str, count: usize, timeout: Duration) -> bool {
        let enough = |apid: &Self| (apid.watch_count(kind) >= count).then_some(());
        self.wait_for(timeout, enough).is_some()
    }

    /// As [`Self::wait_watches`], suspending the task.
    pub async fn until_watches(&self, kind: &str, count: usize, timeout: Duration) -> bool {
        let enough = |apid: &Self| (apid.watch_count(kind) >= count).then_some(());
        self.until(timeout, enough).await.is_some()
    }

    /// Blocks until `look` finds something, looking again after every call, answer and connection.
    pub fn wait_for<T>(
        &self,
        timeout: Duration,
        mut look: impl FnMut(&Self) -> Option<T>,
    ) -> Option<T> {
        self.shared().changed.wait(timeout, || look(self))
    }

    /// As [`Self::wait_for`], suspending the task.
    pub async fn until<T>(
        &self,
        timeout: Duration,
        mut look: impl FnMut(&Self) -> Option<T>,
    ) -> Option<T> {
        self.shared().changed.until(timeout, || look(self)).await
    }

    fn at_least(&self, method: Method, count: usize) -> Option<Vec<Call>> {
        let calls = self.calls_of(method);
        (calls.len() >= count).then_some(calls)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
