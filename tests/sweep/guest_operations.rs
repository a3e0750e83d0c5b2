//! Faults at each access of a session in which a user of the host fetches a file: the file comes whole in the end, and
//! the host sees the guest running all the time.

use std::time::Duration;

use talos_vmtoolsd::config::{GuestOperationsConfig, Rights, User};
use talos_vmtoolsd::vmware::link::LinkSettings;
use talos_vmtoolsd::vmware::transport::vsock::HostVsock;
use tokio::time::Instant;
use vmx::codec::vix::{Message, Reply};
use vmx::guest_operations::hgfs::{self, Answer, Fields, Packet};
use vmx::guest_operations::{Credential, bodies, op};
use vmx::{ExchangeId, Host};

use crate::backdoor::{self, Case, Port, Step};
use crate::daemon::{self, Administrator};
use crate::node;
use crate::report::{self, Outcome};
use crate::session::{Scripted, ScriptedTalos, SharedHost, TalosScript, greet_again, nonsense};

/// The file, which needs no Talos.
const PATH: &str = "/talos/README.txt";
/// How long it is at least, whatever is in it.
const SHORTEST: usize = 100;
/// A token of the user, which counts on [`NODE`] at noon.
const TOKEN: &str = "tvt1.eyJ1c2VyIjoib3BzIiwibm9kZSI6IjU2NGQwYTJjLTM4ZjQtN2E5MS1iMmM1LTBlMWYyYTNiNGM1ZCIsImlhdCI6MTc5MDAwMDAwMCwiZXhwIjoxNzkwMDAwNjAwfQ.gkrnBlLF76RyKv3WaZMUHySZ8xkSEYGPIdBAOgU3yLIF31wGQeEzTK1XAGwe3ve0ZUS_Zi7LEyT6muFxJyFsCw";
/// The public half of the key that signed it.
const PUBLIC_KEY: [u8; 32] = [
    0x03, 0xa1, 0x07, 0xbf, 0xf3, 0xce, 0x10, 0xbe, 0x1d, 0x70, 0xdd, 0x18, 0xe7, 0x4b, 0xc0, 0x99,
    0x67, 0xe4, 0xd6, 0x30, 0x9b, 0xa5, 0x0d, 0x5f, 0x1d, 0xdc, 0x86, 0x64, 0x12, 0x55, 0x31, 0xb8,
];
const NODE: &str = "564d0a2c-38f4-7a91-b2c5-0e1f2a3b4c5d";
/// When a session without an end is given up.
const GIVE_UP: Duration = Duration::from_secs(60);
/// How often the user looks.
const LOOK: Duration = Duration::from_millis(50);

#[test]
fn a_fault_at_any_access_of_a_file_transfer_is_survived() {
    let (steps, outcome) = play(None);
    assert_eq!(outcome.wrong, Vec::<String>::new(), "without a fault");
    let cases = backdoor::cases_of(&steps, true, &[1]);
    report::run(
        "faults at each access while a file is fetched",
        &cases,
        crate::processors(),
        backdoor::name_of,
        |case| play(Some(*case)).1,
    );
}

fn play(case: Option<Case>) -> (Vec<Step>, Outcome) {
    backdoor::play_session(case, true, async |host, settings| {
        fetch(host, settings).await
    })
}

/// A session in which the file is fetched.
async fn fetch(host: &SharedHost, settings: LinkSettings<Port>) -> Outcome {
    let start = Instant::now();
    let mut facts = node::with_address(node::ADDRESS);
    facts.node.system_uuid = Some(NODE.to_owned());
    let script = TalosScript {
        news: vec![(Duration::from_millis(300), Scripted::Facts(Box::new(facts)))],
        ..TalosScript::default()
    };
    let config = GuestOperationsConfig {
        enabled: true,
        users: vec![User {
            name: "ops".to_owned(),
            password_hash: None,
            public_key: Some(PUBLIC_KEY),
            rights: Rights::default(),
        }],
        node_files: Vec::new(),
    };
    let user = Download {
        start,
        next_look: start + LOOK,
        stage: Stage::Initiate,
        asked: None,
        session: 0,
        bytes: Vec::new(),
        spoiled: 0,
    };
    let talos = ScriptedTalos::new(start, script);
    daemon::play_with(host, settings, &HostVsock, talos, user, &config).await
}

/// A user who fetches the file, and begins again when anything goes wrong.
struct Download {
    start: Instant,
    next_look: Instant,
    stage: Stage,
    asked: Option<ExchangeId>,
    session: u64,
    bytes: Vec<u8>,
    /// Requests of a greeting that were answered with an error.
    spoiled: usize,
}

/// What is asked next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Initiate,
    CreateSession,
    Open,
    Read(u32),
    Close(u32),
    DestroySession,
    Done,
}

impl Administrator<ScriptedTalos> for Download {
    fn next_look(&self) -> Instant {
        self.next_look
    }

    fn look(&mut self, host: &mut Host, _: &ScriptedTalos) -> Option<Outcome> {
        self.next_look += LOOK;
        let took = self.start.elapsed();
        let now = Instant::now().into_std();
        greet_again(host, &mut self.spoiled, now);
        let view = host.vcenter(now);
        // As vCenter does: nothing is asked of a guest that is not there, or that it knows nothing of.
        let is_ready = view.is_green() && host.greeting_done() && view.host_name.is_some();
        match self.asked {
            Some(id) => self.take(host, id),
            None if self.stage == Stage::Done || !is_ready => {}
            None => self.asked = Some(host.ask(self.request(), now)),
        }
        let is_over = self.stage == Stage::Done && is_ready;
        if !is_over && took < GIVE_UP {
            return None;
        }
        let mut wrong = nonsense(host);
        if !is_over {
            wrong.push(format!("{:?} is the last stage", self.stage));
        }
        if self.bytes.len() < SHORTEST || !self.bytes.is_ascii() {
            wrong.push(format!("{} bytes have come", self.bytes.len()));
        }
        let silence = host.longest_silence(now);
        if silence > Duration::from_millis(1500) {
            wrong.push(format!("silent for {silence:?}"));
        }
        if took > Duration::from_secs(15) {
            wrong.push(format!("took {took:?}"));
        }
        Some(Outcome {
            wrong,
            silence,
            took,
        })
    }
}

impl Download {
    /// The request of this stage.
    fn request(&self) -> Vec<u8> {
        let packet = |op, payload| {
            let packet = Packet {
                id: 1,
                op,
                session: self.session,
                payload,
            };
            (op::HGFS, bodies::hgfs(&packet.encode()))
        };
        let name = hgfs::name(PATH);
        let (opcode, body) = match self.stage {
            Stage::Initiate => (op::TRANSFER_FROM, bodies::transfer_from(PATH)),
            Stage::CreateSession => packet(
                hgfs::op::CREATE_SESSION,
                hgfs::create_session(hgfs::MOST_IN_PACKET),
            ),
            Stage::Open => packet(hgfs::op::OPEN_V3, hgfs::open_v3(&name, false)),
            Stage::Read(handle) => packet(
                hgfs::op::READ_V3,
                hgfs::read_v3(handle, self.bytes.len() as u64, 700),
            ),
            Stage::Close(handle) => packet(hgfs::op::CLOSE, hgfs::close(handle)),
            Stage::DestroySession | Stage::Done => packet(hgfs::op::DESTROY_SESSION, vec![0; 8]),
        };
        let login = Credential::named("ops", TOKEN);
        let message = Message {
            binary: opcode == op::HGFS,
            ..Message::new(opcode, &body)
        };
        message.with(login.kind, &login.blob).encode("sweep")
    }

    /// Takes the reply, if it is there.
    fn take(&mut self, host: &Host, id: ExchangeId) {
        let exchange = host.exchange_of(id).unwrap();
        if exchange.reply.is_none() && !exchange.lost {
            return;
        }
        self.asked = None;
        let next = exchange.reply.as_ref().and_then(|reply| self.next(reply));
        self.stage = next.unwrap_or(Stage::Initiate);
        if self.stage == Stage::Initiate {
            (self.session, self.bytes) = (0, Vec::new());
        }
    }

    /// The next stage; `None` when this one has failed.
    fn next(&mut self, reply: &[u8]) -> Option<Stage> {
        let reply = Reply::decode(reply).ok().filter(|reply| reply.error == 0)?;
        if self.stage == Stage::Initiate {
            return Some(Stage::CreateSession);
        }
        let answer = Answer::decode(&reply.result).ok()?;
        if answer.status != 0 {
            return None;
        }
        let mut fields = Fields(&answer.payload);
        Some(match self.stage {
            Stage::CreateSession => {
                self.session = fields.double()?;
                Stage::Open
            }
            Stage::Open => Stage::Read(fields.word()?),
            Stage::Read(handle) => {
                let count = fields.word()? as usize;
                let _reserved = fields.double()?;
                self.bytes.extend(fields.0.get(..count)?);
                if count == 0 {
                    Stage::Close(handle)
                } else {
                    Stage::Read(handle)
                }
            }
            Stage::Close(_) => Stage::DestroySession,
            Stage::Initiate | Stage::DestroySession | Stage::Done => Stage::Done,
        })
    }
}
