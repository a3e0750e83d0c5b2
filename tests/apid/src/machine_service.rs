//! machine.MachineService.

use std::iter::repeat;
use std::sync::Arc;

use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Code, Request, Response, Status};

use crate::Method;
use crate::etcd::{self, EtcdBackend};
use crate::files;
use crate::logs::{self, KERNEL, Reading};
use crate::node;
use crate::power;
use crate::proto::common::{ContainerDriver, Data, Metadata};
use crate::proto::google::rpc;
use crate::proto::machine::machine_service_server::MachineService;
use crate::proto::machine::reboot_request::Mode;
use crate::proto::machine::{
    Container, ContainersRequest, ContainersResponse, DmesgRequest, EtcdForfeitLeadership,
    EtcdForfeitLeadershipRequest, EtcdForfeitLeadershipResponse, EtcdMember, EtcdMemberListRequest,
    EtcdMemberListResponse, EtcdMemberStatus, EtcdMembers, EtcdStatus, EtcdStatusResponse, Event,
    EventsRequest, FileInfo, ListRequest, LogsRequest, Memory, MemoryResponse, Mounts,
    MountsResponse, Netstat, NetstatRequest, NetstatResponse, NetworkDeviceStats,
    NetworkDeviceStatsResponse, Process, ProcessesResponse, ReadRequest, Reboot, RebootRequest,
    RebootResponse, ServiceList, ServiceListResponse, Shutdown, ShutdownRequest, ShutdownResponse,
    Stats, StatsRequest, StatsResponse, SystemStat, SystemStatResponse, Version, VersionResponse,
    netstat_request,
};
use crate::shared::{Admitted, Shared};
use crate::streams::Receiver;

/// The service; clones share everything.
#[derive(Clone, Debug)]
pub(crate) struct Machine(pub(crate) Arc<Shared>);

/// A message of which there is one per node.
trait PerNode: Default {
    fn metadata(&mut self) -> &mut Option<Metadata>;
}

macro_rules! per_node {
    ($($message:ty),*) => {$(
        impl PerNode for $message {
            fn metadata(&mut self) -> &mut Option<Metadata> {
                &mut self.metadata
            }
        }
    )*};
}

per_node!(
    Container,
    EtcdForfeitLeadership,
    EtcdMembers,
    EtcdStatus,
    Memory,
    Mounts,
    Netstat,
    NetworkDeviceStats,
    Process,
    Reboot,
    ServiceList,
    Shutdown,
    Stats,
    SystemStat,
    Version
);

impl Machine {
    /// One message without metadata, or one a node with metadata when apid fans out.
    fn messages<M: PerNode>(&self, admitted: &Admitted, make: impl Fn() -> M) -> Vec<M> {
        let Some(nodes) = &admitted.nodes else {
            return vec![make()];
        };
        let message = |node: &String| {
            let error = self.0.faults.node_error(node);
            let mut message = if error.is_some() {
                M::default()
            } else {
                make()
            };
            *message.metadata() = Some(Metadata {
                hostname: node.clone(),
                status: error.as_ref().map(|error| rpc::Status {
                    code: Code::Unavailable.into(),
                    message: error.clone(),
                    details: Vec::new(),
                }),
                error: error.unwrap_or_default(),
            });
            message
        };
        nodes.iter().map(message).collect()
    }
}

/// Bytes in one message of a file.
const CHUNK: usize = 32 << 10;

/// Where containers are, in a few words.
fn place(namespace: &str, driver: ContainerDriver) -> String {
    format!("{namespace} {}", driver.as_str_name())
}

/// A log as a stream: a message for each line.
fn stream(reading: Reading) -> impl Stream<Item = Result<Data, Status>> + Send + 'static {
    let past = reading.lines.into_iter().map(|line| Ok(logs::data(&line)));
    let endless = reading.endless.map(|line| repeat(Ok(logs::data(&line))));
    let past = tokio_stream::iter(past.chain(endless.into_iter().flatten()));
    match reading.follow {
        Some(follow) => {
            let all = past.chain(UnboundedReceiverStream::new(follow));
            Box::pin(all) as std::pin::Pin<Box<dyn Stream<Item = _> + Send>>
        }
        None => Box::pin(past),
    }
}

#[tonic::async_trait]
impl MachineService for Machine {
    type DmesgStream = Receiver<Data>;
    type EventsStream = Receiver<Event>;
    type ListStream = Receiver<FileInfo>;
    type LogsStream = Receiver<Data>;
    type ReadStream = Receiver<Data>;

    async fn containers(
        &self,
        request: Request<ContainersRequest>,
    ) -> Result<Response<ContainersResponse>, Status> {
        let summary = place(&request.get_ref().namespace, request.get_ref().driver());
        let show = |request: ContainersRequest, admitted: &Admitted| {
            let mut containers = self.0.node().contents.containers.clone();
            containers.retain(|one| one.namespace == request.namespace);
            let messages = self.messages(admitted, || Container {
                metadata: None,
                containers: containers.clone(),
            });
            Ok(ContainersResponse { messages })
        };
        self.0
            .answer(Method::Containers, request, summary, show)
            .await
    }

    async fn dmesg(
        &self,
        request: Request<DmesgRequest>,
    ) -> Result<Response<Self::DmesgStream>, Status> {
        let asked = request.get_ref();
        let summary = format!("follow={} tail={}", asked.follow, asked.tail);
        let read = |request: DmesgRequest, _: &Admitted| {
            let tail = request.tail.then_some(0);
            let reading = self.0.logs.read(KERNEL, tail, request.follow);
            let reading = reading.ok_or_else(|| Status::unknown("no kernel log"))?;
            Ok(Receiver::new(Method::Dmesg, stream(reading), &self.0))
        };
        self.0.answer(Method::Dmesg, request, summary, read).await
    }

    async fn etcd_forfeit_leadership(
        &self,
        request: Request<EtcdForfeitLeadershipRequest>,
    ) -> Result<Response<EtcdForfeitLeadershipResponse>, Status> {
        let forfeit = async |_, admitted: Admitted| {
            let member = etcd::ask(&self.0, |etcd| etcd.forfeit(), etcd::forfeit_own).await?;
            let messages = self.messages(&admitted, || EtcdForfeitLeadership {
                metadata: None,
                member: member.clone(),
            });
            Ok(EtcdForfeitLeadershipResponse { messages })
        };
        let method = Method::EtcdForfeitLeadership;
        self.0
            .answer_later(method, request, String::new(), forfeit)
            .await
    }

    async fn etcd_member_list(
        &self,
        request: Request<EtcdMemberListRequest>,
    ) -> Result<Response<EtcdMemberListResponse>, Status> {
        let summary = format!("query_local={}", request.get_ref().query_local);
        let show = async |request: EtcdMemberListRequest, admitted: Admitted| {
            let local = request.query_local;
            let backend = move |etcd: &dyn EtcdBackend| etcd.members(local);
            let members = etcd::ask(&self.0, backend, |_, members| Ok(members.to_vec())).await?;
            let messages = self.messages(&admitted, || EtcdMembers {
                metadata: None,
                members: members.clone(),
            });
            Ok(EtcdMemberListResponse { messages })
        };
        self.0
            .answer_later(Method::EtcdMemberList, request, summary, show)
            .await
    }

    async fn etcd_status(
        &self,
        request: Request<()>,
    ) -> Result<Response<EtcdStatusResponse>, Status> {
        let show = async |(), admitted: Admitted| {
            let own = |status: &mut EtcdMemberStatus, _: &[EtcdMember]| Ok(status.clone());
            let status = etcd::ask(&self.0, |etcd| etcd.status(), own).await?;
            let messages = self.messages(&admitted, || EtcdStatus {
                metadata: None,
                member_status: Some(status.clone()),
            });
            Ok(EtcdStatusResponse { messages })
        };
        self.0
            .answer_later(Method::EtcdStatus, request, String::new(), show)
            .await
    }

    async fn list(
        &self,
        request: Request<ListRequest>,
    ) -> Result<Response<Self::ListStream>, Status> {
        let summary = request.get_ref().root.clone();
        let list = |request: ListRequest, _: &Admitted| {
            let files = self.0.node().files.list(&request)?;
            let messages = tokio_stream::iter(files.into_iter().map(Ok));
            Ok(Receiver::new(Method::List, messages, &self.0))
        };
        self.0.answer(Method::List, request, summary, list).await
    }

    async fn logs(
        &self,
        request: Request<LogsRequest>,
    ) -> Result<Response<Self::LogsStream>, Status> {
        let asked = request.get_ref();
        let summary = format!(
            "{} {} tail={} follow={}",
            place(&asked.namespace, asked.driver()),
            asked.id,
            asked.tail_lines,
            asked.follow
        );
        let read = |request: LogsRequest, _: &Admitted| {
            let id = &request.id;
            let (key, unknown) = if request.namespace == "system" || id == "kubelet" {
                (id.clone(), format!("log {id:?} was not registered"))
            } else {
                (
                    format!("{}/{id}", request.namespace),
                    format!("container {id:?} not found"),
                )
            };
            let tail = usize::try_from(request.tail_lines).ok();
            let reading = self.0.logs.read(&key, tail, request.follow);
            let reading = reading.filter(|_| !id.is_empty());
            let reading = reading.ok_or_else(|| Status::unknown(unknown))?;
            Ok(Receiver::new(Method::Logs, stream(reading), &self.0))
        };
        self.0.answer(Method::Logs, request, summary, read).await
    }

    async fn memory(&self, request: Request<()>) -> Result<Response<MemoryResponse>, Status> {
        let show = |(), admitted: &Admitted| {
            let memory = self.0.node().contents.memory;
            let messages = self.messages(admitted, || Memory {
                metadata: None,
                meminfo: Some(memory),
            });
            Ok(MemoryResponse { messages })
        };
        self.0
            .answer(Method::Memory, request, String::new(), show)
            .await
    }

    async fn netstat(
        &self,
        request: Request<NetstatRequest>,
    ) -> Result<Response<NetstatResponse>, Status> {
        let filter = netstat_request::Filter::try_from(request.get_ref().filter);
        let summary =
            filter.map_or_else(|_| String::new(), |filter| filter.as_str_name().to_owned());
        let show = |_: NetstatRequest, admitted: &Admitted| {
            let sockets = self.0.node().contents.sockets.clone();
            let messages = self.messages(admitted, || Netstat {
                metadata: None,
                connectrecord: sockets.clone(),
            });
            Ok(NetstatResponse { messages })
        };
        self.0.answer(Method::Netstat, request, summary, show).await
    }

    async fn processes(&self, request: Request<()>) -> Result<Response<ProcessesResponse>, Status> {
        let show = |(), admitted: &Admitted| {
            let processes = self.0.node().contents.processes.clone();
            let messages = self.messages(admitted, || Process {
                metadata: None,
                processes: processes.clone(),
            });
            Ok(ProcessesResponse { messages })
        };
        self.0
            .answer(Method::Processes, request, String::new(), show)
            .await
    }

    async fn read(
        &self,
        request: Request<ReadRequest>,
    ) -> Result<Response<Self::ReadStream>, Status> {
        let summary = request.get_ref().path.clone();
        let read = |request: ReadRequest, _: &Admitted| {
            let (bytes, is_endless) = match self.0.node().files.read(&request.path)? {
                files::Kind::Endless => (vec![b'x'; CHUNK], true),
                files::Kind::Regular(bytes) | files::Kind::Kernel(bytes) => (bytes, false),
                _ => return Err(Status::unknown("path must be a regular file")),
            };
            let chunk = |bytes: &[u8]| {
                Ok(Data {
                    metadata: None,
                    bytes: bytes.to_vec(),
                })
            };
            let chunks: Vec<_> = bytes.chunks(CHUNK).map(chunk).collect();
            let endless = is_endless.then(|| repeat(chunk(&bytes)));
            let messages =
                tokio_stream::iter(chunks.into_iter().chain(endless.into_iter().flatten()));
            Ok(Receiver::new(Method::Read, messages, &self.0))
        };
        self.0.answer(Method::Read, request, summary, read).await
    }

    async fn service_list(
        &self,
        request: Request<()>,
    ) -> Result<Response<ServiceListResponse>, Status> {
        let show = |(), admitted: &Admitted| {
            let services = self.0.node().contents.services.clone();
            let messages = self.messages(admitted, || ServiceList {
                metadata: None,
                services: services.clone(),
            });
            Ok(ServiceListResponse { messages })
        };
        self.0
            .answer(Method::ServiceList, request, String::new(), show)
            .await
    }

    async fn stats(
        &self,
        request: Request<StatsRequest>,
    ) -> Result<Response<StatsResponse>, Status> {
        let summary = place(&request.get_ref().namespace, request.get_ref().driver());
        let show = |request: StatsRequest, admitted: &Admitted| {
            let mut stats = self.0.node().contents.stats.clone();
            stats.retain(|one| one.namespace == request.namespace);
            let messages = self.messages(admitted, || Stats {
                metadata: None,
                stats: stats.clone(),
            });
            Ok(StatsResponse { messages })
        };
        self.0.answer(Method::Stats, request, summary, show).await
    }

    async fn events(
        &self,
        request: Request<EventsRequest>,
    ) -> Result<Response<Self::EventsStream>, Status> {
        let asked = request.get_ref();
        let summary = format!(
            "tail_events={} with_actor_id={:?}",
            asked.tail_events, asked.with_actor_id
        );
        let listen = |request: EventsRequest, _: &Admitted| {
            let stream = self.0.events.listen(&request);
            let stream = UnboundedReceiverStream::new(stream);
            Ok(Receiver::new(Method::Events, stream, &self.0))
        };
        let answer = self.0.answer(Method::Events, request, summary, listen);
        let mut stream = answer.await?;
        if self.0.events.is_mute() {
            // The header goes out with what this returns.
            stream.get_mut().first().await;
        }
        Ok(stream)
    }

    async fn mounts(&self, request: Request<()>) -> Result<Response<MountsResponse>, Status> {
        let show = |(), admitted: &Admitted| {
            let stats = self.0.node().mounts.clone();
            let messages = self.messages(admitted, || Mounts {
                metadata: None,
                stats: stats.clone(),
            });
            Ok(MountsResponse { messages })
        };
        self.0
            .answer(Method::Mounts, request, String::new(), show)
            .await
    }

    async fn network_device_stats(
        &self,
        request: Request<()>,
    ) -> Result<Response<NetworkDeviceStatsResponse>, Status> {
        let show = |(), admitted: &Admitted| {
            let devices = self.0.node().devices.clone();
            let messages = self.messages(admitted, || NetworkDeviceStats {
                metadata: None,
                devices: devices.clone(),
            });
            Ok(NetworkDeviceStatsResponse { messages })
        };
        self.0
            .answer(Method::NetworkDeviceStats, request, String::new(), show)
            .await
    }

    async fn reboot(
        &self,
        request: Request<RebootRequest>,
    ) -> Result<Response<RebootResponse>, Status> {
        let mode = Mode::try_from(request.get_ref().mode);
        let summary = mode.map_or_else(
            |_| format!("mode={}", request.get_ref().mode),
            |mode| format!("mode={}", mode.as_str_name()),
        );
        let reboot = |_: RebootRequest, admitted: &Admitted| {
            let actor_id = power::run(&self.0, "reboot", false)?;
            let messages = self.messages(admitted, || Reboot {
                metadata: None,
                actor_id: actor_id.clone(),
            });
            Ok(RebootResponse { messages })
        };
        self.0
            .answer(Method::Reboot, request, summary, reboot)
            .await
    }

    async fn shutdown(
        &self,
        request: Request<ShutdownRequest>,
    ) -> Result<Response<ShutdownResponse>, Status> {
        let summary = format!("force={}", request.get_ref().force);
        let shutdown = |request: ShutdownRequest, admitted: &Admitted| {
            let actor_id = power::run(&self.0, "shutdown", request.force)?;
            let messages = self.messages(admitted, || Shutdown {
                metadata: None,
                actor_id: actor_id.clone(),
            });
            Ok(ShutdownResponse { messages })
        };
        self.0
            .answer(Method::Shutdown, request, summary, shutdown)
            .await
    }

    async fn system_stat(
        &self,
        request: Request<()>,
    ) -> Result<Response<SystemStatResponse>, Status> {
        let show = |(), admitted: &Admitted| {
            let stat = self.0.node().stat;
            let messages = self.messages(admitted, || stat(node::this_machine()));
            Ok(SystemStatResponse { messages })
        };
        self.0
            .answer(Method::SystemStat, request, String::new(), show)
            .await
    }

    async fn version(&self, request: Request<()>) -> Result<Response<VersionResponse>, Status> {
        let show = |(), admitted: &Admitted| {
            let node = self.0.node().clone();
            let messages = self.messages(admitted, || Version {
                metadata: None,
                version: Some(node.version.clone()),
                platform: Some(node.platform.clone()),
                features: node.features,
            });
            Ok(VersionResponse { messages })
        };
        self.0
            .answer(Method::Version, request, String::new(), show)
            .await
    }
}
