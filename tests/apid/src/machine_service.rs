//! machine.MachineService.

use std::sync::Arc;

use tonic::{Code, Request, Response, Status};

use crate::Method;
use crate::node;
use crate::power;
use crate::proto::common::Metadata;
use crate::proto::google::rpc;
use crate::proto::machine::machine_service_server::MachineService;
use crate::proto::machine::reboot_request::Mode;
use crate::proto::machine::{
    Event, EventsRequest, Mounts, MountsResponse, NetworkDeviceStats, NetworkDeviceStatsResponse,
    Reboot, RebootRequest, RebootResponse, Shutdown, ShutdownRequest, ShutdownResponse, SystemStat,
    SystemStatResponse, Version, VersionResponse,
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
    Mounts,
    NetworkDeviceStats,
    Reboot,
    Shutdown,
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

#[tonic::async_trait]
impl MachineService for Machine {
    type EventsStream = Receiver<Event>;

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
            Ok(Receiver::new(stream, &self.0))
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
        let tell = |(), admitted: &Admitted| {
            let stats = self.0.node().mounts.clone();
            let messages = self.messages(admitted, || Mounts {
                metadata: None,
                stats: stats.clone(),
            });
            Ok(MountsResponse { messages })
        };
        self.0
            .answer(Method::Mounts, request, String::new(), tell)
            .await
    }

    async fn network_device_stats(
        &self,
        request: Request<()>,
    ) -> Result<Response<NetworkDeviceStatsResponse>, Status> {
        let tell = |(), admitted: &Admitted| {
            let devices = self.0.node().devices.clone();
            let messages = self.messages(admitted, || NetworkDeviceStats {
                metadata: None,
                devices: devices.clone(),
            });
            Ok(NetworkDeviceStatsResponse { messages })
        };
        self.0
            .answer(Method::NetworkDeviceStats, request, String::new(), tell)
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
            let actor_id = power::run(&self.0, "reboot")?;
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
        let shutdown = |_: ShutdownRequest, admitted: &Admitted| {
            let actor_id = power::run(&self.0, "shutdown")?;
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
        let tell = |(), admitted: &Admitted| {
            let stat = self.0.node().stat;
            let messages = self.messages(admitted, || stat(node::this_machine()));
            Ok(SystemStatResponse { messages })
        };
        self.0
            .answer(Method::SystemStat, request, String::new(), tell)
            .await
    }

    async fn version(&self, request: Request<()>) -> Result<Response<VersionResponse>, Status> {
        let tell = |(), admitted: &Admitted| {
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
            .answer(Method::Version, request, String::new(), tell)
            .await
    }
}
