//! Whoever asks, as the daemon does, and takes what comes.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use apid::{Apid, TlsOptions, scene};
use talos_vmtoolsd::inquiry::{Answer, Inquiry, InquiryId, Step, Trouble};
use talos_vmtoolsd::proc::own_counters;
use talos_vmtoolsd::talos::{Client, Dial, Inquiries};
use tokio::io::DuplexStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

/// Longer than anything here should take, on a paused clock too.
pub(crate) const LONG: Duration = Duration::from_secs(120);

/// Asks, and takes answers.
pub(crate) struct Asker {
    pub(crate) client: Client,
    pub(crate) inquiries: Inquiries,
    sender: UnboundedSender<(InquiryId, Answer)>,
    answers: UnboundedReceiver<(InquiryId, Answer)>,
    last: u64,
}

impl Asker {
    pub(crate) fn new(client: Client, inquiries: Inquiries) -> Self {
        let (sender, answers) = unbounded_channel();
        Self {
            client,
            inquiries,
            sender,
            answers,
            last: 0,
        }
    }

    /// A node within this process, and whoever asks it with this role.
    pub(crate) fn with_role(role: &str) -> (Apid, Self) {
        struct Pipe(Apid);
        impl Dial for Pipe {
            type Stream = DuplexStream;
            async fn dial(&self) -> std::io::Result<DuplexStream> {
                self.0.connect()
            }
        }
        let api = Apid::in_process();
        scene::single_nic(&api);
        let socket = PathBuf::from("/machine.sock");
        let client = Client::machined_with_dialer(Pipe(api.clone()), socket, role);
        (api, Self::new(client, Inquiries::default()))
    }

    /// As configured when nothing is.
    pub(crate) fn operator() -> (Apid, Self) {
        Self::with_role("os:operator")
    }

    /// Through apid, with a certificate of these roles.
    pub(crate) fn over_tls(roles: &[&str]) -> (Apid, Self, Directory) {
        let options = TlsOptions {
            roles: roles.iter().map(|&role| role.to_owned()).collect(),
            ..TlsOptions::default()
        };
        let api = Apid::tls(options).unwrap();
        scene::single_nic(&api);
        let directory = Directory::new();
        let file = directory.0.join("talosconfig");
        std::fs::write(&file, api.talosconfig()).unwrap();
        let client = Client::apid(file, None, own_counters);
        (api, Self::new(client, Inquiries::default()), directory)
    }

    /// Asks apid at this address alone.
    pub(crate) fn of_apid(address: SocketAddr) -> Self {
        let client = Client::machined(PathBuf::from("/nowhere"), "os:operator");
        Self::new(client, Inquiries::with_apid(address))
    }

    pub(crate) fn begin(&mut self, inquiry: Inquiry) -> InquiryId {
        self.last += 1;
        let id = InquiryId(self.last);
        self.step(id, Step::Ask(inquiry));
        id
    }

    pub(crate) fn step(&mut self, id: InquiryId, step: Step) {
        let sender = self.sender.clone();
        let answer = move |answer| {
            let _ = sender.send((id, answer));
        };
        self.inquiries.handle_step(&self.client, id, step, answer);
    }

    /// The next answer to this one; those to others are lost.
    pub(crate) async fn next(&mut self, wanted: InquiryId) -> Answer {
        loop {
            let (id, answer) = timeout(LONG, self.answers.recv()).await.unwrap().unwrap();
            if id == wanted {
                return answer;
            }
        }
    }

    /// How many answers have not been taken.
    pub(crate) fn waiting(&self) -> usize {
        self.answers.len()
    }

    /// What this one brings next that is bytes, taken.
    pub(crate) async fn bytes(&mut self, id: InquiryId) -> Vec<u8> {
        match self.next(id).await {
            Answer::Bytes(bytes) => {
                self.step(id, Step::More);
                bytes
            }
            other => panic!("{other:?}"),
        }
    }

    /// All bytes to the end, and the end.
    pub(crate) async fn rest(&mut self, id: InquiryId) -> (Vec<u8>, Result<(), Trouble>) {
        let mut all = Vec::new();
        loop {
            match self.next(id).await {
                Answer::Bytes(bytes) => {
                    self.step(id, Step::More);
                    all.extend(bytes);
                }
                Answer::End(result) => return (all, result),
                other => panic!("{other:?}"),
            }
        }
    }

    /// All bytes, or the trouble.
    pub(crate) async fn whole(&mut self, inquiry: Inquiry) -> Result<Vec<u8>, Trouble> {
        let id = self.begin(inquiry);
        let (bytes, result) = self.rest(id).await;
        result.map(|()| bytes)
    }

    pub(crate) async fn text(&mut self, inquiry: Inquiry) -> String {
        let bytes = self.whole(inquiry).await.unwrap();
        String::from_utf8(bytes).unwrap()
    }

    /// The trouble; there are no bytes before it.
    pub(crate) async fn trouble(&mut self, inquiry: Inquiry) -> Trouble {
        let id = self.begin(inquiry);
        match self.next(id).await {
            Answer::End(Err(trouble)) => trouble,
            other => panic!("{other:?}"),
        }
    }

    /// The one answer.
    pub(crate) async fn one(&mut self, inquiry: Inquiry) -> Answer {
        let id = self.begin(inquiry);
        let answer = self.next(id).await;
        assert_eq!(self.next(id).await, Answer::End(Ok(())));
        answer
    }
}

/// A directory that goes away with the test.
pub(crate) struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("talos-inquiries-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
