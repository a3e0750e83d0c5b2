//! cosi.resource.State.

use std::sync::Arc;

use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Request, Response, Status};

use crate::Method;
use crate::proto::cosi::resource::state_server::State;
use crate::proto::cosi::resource::{
    GetRequest, GetResponse, ListRequest, ListResponse, WatchRequest, WatchResponse,
};
use crate::shared::{Admitted, Shared};
use crate::streams::Receiver;

/// The service; clones share everything.
#[derive(Clone, Debug)]
pub(crate) struct Resources(pub(crate) Arc<Shared>);

#[tonic::async_trait]
impl State for Resources {
    type ListStream = Receiver<ListResponse>;
    type WatchStream = Receiver<WatchResponse>;

    async fn get(&self, request: Request<GetRequest>) -> Result<Response<GetResponse>, Status> {
        let asked = request.get_ref();
        let summary = format!("{}/{}/{}", asked.namespace, asked.r#type, asked.id);
        let get = |request: GetRequest, admitted: &Admitted| {
            let (namespace, kind) = (&request.namespace, &request.r#type);
            self.0.store.permit(namespace, kind, &admitted.roles)?;
            let resource = self.0.store.get(namespace, kind, &request.id)?;
            Ok(GetResponse {
                resource: Some(resource),
            })
        };
        self.0.answer(Method::Get, request, summary, get).await
    }

    async fn list(
        &self,
        request: Request<ListRequest>,
    ) -> Result<Response<Self::ListStream>, Status> {
        let asked = request.get_ref();
        let summary = format!("{}/{}", asked.namespace, asked.r#type);
        let list = |request: ListRequest, admitted: &Admitted| {
            let (namespace, kind) = (&request.namespace, &request.r#type);
            self.0.store.permit(namespace, kind, &admitted.roles)?;
            let resources = self.0.store.list(namespace, kind).into_iter();
            let messages = resources.map(|resource| {
                Ok(ListResponse {
                    resource: Some(resource),
                })
            });
            let messages: Vec<_> = messages.collect();
            Ok(Receiver::new(
                Method::ListResources,
                tokio_stream::iter(messages),
                &self.0,
            ))
        };
        self.0
            .answer(Method::ListResources, request, summary, list)
            .await
    }

    async fn watch(
        &self,
        request: Request<WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let asked = request.get_ref();
        let options = asked.options.clone().unwrap_or_default();
        let mut summary = format!("{}/{}", asked.namespace, asked.r#type);
        if let Some(id) = &asked.id {
            summary.push_str(&format!("/{id}"));
        }
        summary.push_str(&format!(" api_version={}", asked.api_version));
        for (set, name) in [
            (options.bootstrap_contents, " bootstrap_contents"),
            (options.bootstrap_bookmark, " bootstrap_bookmark"),
            (
                options.start_from_bookmark.is_some(),
                " start_from_bookmark",
            ),
            (options.aggregated, " aggregated"),
        ] {
            if set {
                summary.push_str(name);
            }
        }
        let watch = |request: WatchRequest, admitted: &Admitted| {
            let (namespace, kind) = (&request.namespace, &request.r#type);
            self.0.store.permit(namespace, kind, &admitted.roles)?;
            let stream = UnboundedReceiverStream::new(self.0.store.watch(&request)?);
            Ok(Receiver::new(Method::Watch, stream, &self.0))
        };
        self.0.answer(Method::Watch, request, summary, watch).await
    }
}
