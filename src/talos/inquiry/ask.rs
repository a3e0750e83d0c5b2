//! One inquiry: what is asked, how long that may take, and where the answer goes.

use std::time::Duration;

use prost::Message;
use tokio::time::timeout;
use tonic::transport::Channel;
use tonic::{Response, Status, Streaming};

use super::outlet::{MOST_BYTES, Outlet, Source};
use super::{call, events, files, logs, resources, show, software, trouble};
use crate::inquiry::{Answer, Inquiry, Show, Trouble};
use crate::talos::client::Client;
use crate::talos::error::Error;
use crate::talos::proto::common::{self, Metadata};
use crate::talos::proto::cosi::resource::state_client::StateClient;
use crate::talos::proto::machine::machine_service_client::MachineServiceClient;

/// How long Talos may be silent. The front end waits for the answer, and gives up a little later.
const SILENCE: Duration = Duration::from_secs(3);

/// How long an inquiry may take that ends by itself.
pub(super) const WHOLE: Duration = Duration::from_secs(60);

/// What ends an inquiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It has so many bytes and so much time.
    Own,
    /// It has so many bytes, and may be read slowly. Talos may not be silent.
    OfReader(u64),
    /// It follows until it is forgotten.
    None,
}

impl End {
    const fn of(inquiry: &Inquiry) -> Self {
        match inquiry {
            Inquiry::Dmesg { follow: true } | Inquiry::Logs { follow: true, .. } => Self::None,
            Inquiry::Read { most, .. } => Self::OfReader(*most),
            _ => Self::Own,
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) client: Client,
    pub(super) outlet: Outlet,
    /// How long Talos may be silent.
    silence: Option<Duration>,
}

impl Ask {
    pub(super) const fn new(client: Client, outlet: Outlet) -> Self {
        Self {
            client,
            outlet,
            silence: Some(SILENCE),
        }
    }

    /// Asks, and sends all that comes, the end included.
    pub(super) async fn carry_out(mut self, inquiry: Inquiry) {
        let end = End::of(&inquiry);
        let result = match end {
            End::Own => {
                let whole = timeout(WHOLE, self.answer(inquiry)).await;
                whole.unwrap_or_else(|_| Err(trouble::too_slow()))
            }
            End::OfReader(most) => {
                self.outlet.bound(most);
                self.answer(inquiry).await
            }
            End::None => {
                self.outlet.bound(u64::MAX);
                self.silence = None;
                self.answer(inquiry).await
            }
        };
        self.outlet.answer(Answer::End(result));
    }

    async fn answer(&mut self, inquiry: Inquiry) -> Result<(), Trouble> {
        match inquiry {
            Inquiry::Processes => {
                let processes = show::processes(self).await?;
                self.outlet.answer(Answer::Processes(processes));
            }
            Inquiry::Services => {
                let services = show::services(self).await?;
                let ids = services.into_iter().map(|service| service.id).collect();
                self.outlet.answer(Answer::Services(ids));
            }
            Inquiry::Software => {
                let software = software::look(self).await?;
                self.outlet.answer(Answer::Software(software));
            }
            Inquiry::ResourceTypes => {
                let types = resources::types(self).await?;
                self.outlet.answer(Answer::ResourceTypes(types));
            }
            Inquiry::List { path } => {
                let entries = files::list(self, path).await?;
                self.outlet.answer(Answer::Entries(entries));
            }
            Inquiry::Read { path, .. } => files::read(self, path).await?,
            Inquiry::Dmesg { follow } => logs::dmesg(self, follow).await?,
            Inquiry::Logs {
                service,
                tail,
                follow,
            } => logs::logs(self, &service, tail, follow).await?,
            Inquiry::Resources { kind, id, form } => {
                resources::show(self, &kind, id.as_deref(), form).await?;
            }
            Inquiry::Show(Show::Events) => events::show(self).await?,
            Inquiry::Show(what) => {
                let text = show::text(self, what).await?;
                self.outlet.text(&text).await?;
            }
            Inquiry::Call { method, message } => call::relay(self, &method, message).await?,
            // The daemon and `Inquiries` answer these themselves.
            Inquiry::Checks | Inquiry::Apid => {}
        }
        Ok(())
    }

    /// One call of MachineService, or the start of one that streams.
    pub(super) async fn machine<T, F>(
        &self,
        call: &'static str,
        put: impl FnOnce(MachineServiceClient<Channel>) -> F,
    ) -> Result<T, Trouble>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let work = async {
            let machine = self.client.machine().await?;
            let machine = machine.max_decoding_message_size(MOST_BYTES);
            self.client.answer(call, WHOLE, put(machine)).await
        };
        self.in_time(call, work).await
    }

    /// One call of MachineService that streams bytes: sends them.
    pub(super) async fn pump<F>(
        &mut self,
        call: &'static str,
        put: impl FnOnce(MachineServiceClient<Channel>) -> F,
    ) -> Result<(), Trouble>
    where
        F: Future<Output = Result<Response<Streaming<common::Data>>, Status>>,
    {
        let stream = self.machine(call, put).await?;
        let mut messages = self.messages(call, stream);
        self.outlet.pump(&mut messages).await
    }

    /// One call of the resources, or the start of one that streams.
    pub(super) async fn state<T, F>(
        &self,
        call: &'static str,
        put: impl FnOnce(StateClient<Channel>) -> F,
    ) -> Result<T, Trouble>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let work = async {
            let state = self.client.state().await?;
            let state = state.max_decoding_message_size(MOST_BYTES);
            self.client.answer(call, WHOLE, put(state)).await
        };
        self.in_time(call, work).await
    }

    async fn in_time<T>(
        &self,
        call: &'static str,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Trouble> {
        let result = match self.silence {
            Some(silence) => timeout(silence, work)
                .await
                .unwrap_or(Err(Error::Deadline { call })),
            // Of those that follow a log that may say nothing for long, not even a start.
            None => work.await,
        };
        result.map_err(|error| trouble::of(&error))
    }

    /// The messages of a stream.
    pub(super) fn messages<T>(&self, call: &'static str, stream: Streaming<T>) -> Messages<T> {
        Messages {
            call,
            stream,
            client: self.client.clone(),
            silence: self.silence,
        }
    }
}

/// The messages of a stream, as they come.
pub(super) struct Messages<T> {
    call: &'static str,
    stream: Streaming<T>,
    client: Client,
    silence: Option<Duration>,
}

impl<T: Message + Default + 'static> Messages<T> {
    /// The next one; `None` at the end. Cancel-safe.
    pub(super) async fn message(&mut self) -> Result<Option<T>, Trouble> {
        let next = self.stream.message();
        let next = match self.silence {
            Some(silence) => match timeout(silence, next).await {
                Ok(next) => next,
                Err(_) => {
                    let error = Error::Deadline { call: self.call };
                    return Err(trouble::of(&error));
                }
            },
            None => next.await,
        };
        next.map_err(|status| trouble::of(&self.client.error(self.call, &status)))
    }

    /// What a message's metadata say that is wrong.
    pub(super) fn check(&self, metadata: Option<&Metadata>) -> Result<(), Trouble> {
        match crate::talos::client::refusal(self.call, metadata) {
            Some(error) => Err(trouble::of(&error)),
            None => Ok(()),
        }
    }
}

impl Source for Messages<common::Data> {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, Trouble> {
        let Some(data) = self.message().await? else {
            return Ok(None);
        };
        self.check(data.metadata.as_ref())?;
        Ok(Some(data.bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_has_its_readers_bound_and_what_follows_has_none() {
        let path = || "/var/log/audit/kube/kube-apiserver.log".to_owned();
        let logs = |follow| Inquiry::Logs {
            service: "apid".to_owned(),
            tail: None,
            follow,
        };
        for (inquiry, end) in [
            (Inquiry::Dmesg { follow: true }, End::None),
            (logs(true), End::None),
            (
                Inquiry::Read {
                    path: path(),
                    most: 7,
                },
                End::OfReader(7),
            ),
            (Inquiry::Dmesg { follow: false }, End::Own),
            (logs(false), End::Own),
            (Inquiry::List { path: path() }, End::Own),
            (Inquiry::Processes, End::Own),
            (Inquiry::Show(Show::Events), End::Own),
        ] {
            assert_eq!(End::of(&inquiry), end, "{inquiry:?}");
        }
    }
}
