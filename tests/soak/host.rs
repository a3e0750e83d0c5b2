//! What the host does, and what happens to the way to it.

use std::time::{Duration, Instant};

use apid::PowerBehaviour;
use nix::sys::signal::Signal;
use vmx::codec::vix;
use vmx::{FaultKind, PortPolicy, Protocol, Step, Times, VsockPolicy};

use crate::Outcome;
use crate::subject::{PATIENCE, Subject};

impl Subject {
    pub(crate) fn reset(&mut self) -> Outcome {
        self.forge();
        match self.ask("reset")? {
            None => Ok(()),
            Some(reply) if reply == b"OK ATR toolbox" => Ok(()),
            Some(reply) => Err(format!("reply to reset: {reply:?}").into()),
        }
    }

    /// Puts something wrong where the guest has to write.
    fn forge(&self) {
        self.vmx.host(|host, _| {
            host.set_variable("vmtools.talos.stage", "forged");
            host.set_variable("vmtools.talos.ready", "forged");
        });
    }

    pub(crate) fn options(&mut self) -> Outcome {
        for request in [
            "Capabilities_Register",
            "Set_Option broadcastIP 1",
            "Set_Option synctime 0",
            "Set_Option broadcastIP 0",
            "Time_Synchronize 0",
            "Set_Option broadcastIP 1",
        ] {
            self.answered(request.as_bytes().to_vec())?;
        }
        Ok(())
    }

    /// Asks something that has an answer, whatever it is.
    fn answered(&mut self, request: Vec<u8>) -> Outcome {
        let reply = self.ask(request.clone())?;
        match reply {
            Some(reply) if !reply.starts_with(b"OK ") && !reply.starts_with(b"ERROR ") => {
                Err(format!("reply to {request:?}: {reply:?}").into())
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn garbage(&mut self) -> Outcome {
        let len = self.random.within(1, 60_000);
        let noise = self.random.bytes(len);
        let len = self.random.within(1, 400);
        let long = vec![b'x'; usize::try_from(self.random.within(1, 65_000))?];
        for request in [
            noise,
            self.random.bytes(len),
            b"Set_Option foo".to_vec(),
            [b"Set_Option key ".to_vec(), long].concat(),
            [b"Set_Option ".to_vec(), self.random.bytes(len)].concat(),
            [
                b"Vix_1_Relayed_Command \"r\" ".to_vec(),
                self.random.bytes(len),
            ]
            .concat(),
            b"\0\0\0".to_vec(),
            b"OS_Fly".to_vec(),
        ] {
            self.answered(request)?;
        }
        Ok(())
    }

    pub(crate) fn tools_state(&mut self) -> Outcome {
        let Some(reply) = self.ask(vix::get_tools_state("soak"))? else {
            return Ok(());
        };
        let reply = vix::Reply::decode(&reply).map_err(|malformed| malformed.to_string())?;
        match reply.error {
            0 => Ok(()),
            error => Err(format!("GetToolsState gives VIX error {error}").into()),
        }
    }

    pub(crate) fn state_changes(&mut self) -> Outcome {
        for command in ["OS_Suspend", "OS_Resume", "OS_PowerOn"] {
            self.status_of(command)?;
        }
        Ok(())
    }

    /// Power operations that Talos does not carry out, each in its own way: the node lives.
    pub(crate) fn power_refused(&mut self) -> Outcome {
        let behaviours = [PowerBehaviour::AcceptLocked, PowerBehaviour::AcceptFail];
        let behaviour = self
            .random
            .one_of(PowerBehaviour::ContainerMode, &behaviours);
        self.talos.set_power(behaviour);
        let command = self.random.one_of("OS_Halt", &["OS_Reboot"]);
        let outcome = self.status_of(command);
        self.conditions();
        outcome
    }

    /// Asks for a state change and waits for its status.
    fn status_of(&mut self, command: &str) -> Outcome {
        let before = self.vmx.vcenter().power.len();
        match self.ask(command)? {
            // Refused while another one is under way.
            None => Ok(()),
            Some(reply) if reply.starts_with(b"ERROR ") => Ok(()),
            Some(_) => {
                self.vmx
                    .wait_vcenter(&format!("the status of {command}"), PATIENCE, |view| {
                        view.power.len() > before
                    })?;
                Ok(())
            }
        }
    }

    pub(crate) fn lose(&mut self, protocol: Option<Protocol>) {
        self.vmx
            .host(|host, now| host.close_channels(protocol, now));
    }

    pub(crate) fn migration(&mut self) {
        self.forge();
        self.vmx.host(|host, now| host.resume_elsewhere(now));
    }

    /// Replies that make no sense, and a reset after that: what a host refuses is not told it again before.
    pub(crate) fn rpci_refused(&mut self) -> Outcome {
        let len = self.random.within(0, 300);
        let replies = [self.random.bytes(len), Vec::new(), b"1".to_vec()];
        let refused = b"0 Unknown command".to_vec();
        let at = usize::try_from(self.random.below(4))?;
        let reply = replies.into_iter().nth(at).unwrap_or(refused);
        let prefix = self.random.one_of("SetGuestInfo", &["info-set", "tools."]);
        self.vmx
            .host(|host, _| host.answer(prefix, reply, Times::Count(3)));
        self.addresses();
        self.readiness();
        self.pass(Duration::from_millis(100))?;
        self.vmx.host(|host, _| host.accept_all());
        self.reset()
    }

    /// SIGHUP; one file in three cannot be read.
    pub(crate) fn reload(&mut self) -> Outcome {
        if self.random.below(3) == 0 {
            self.folder.write("config.yaml", "log: [\n")?;
        } else {
            let level = self.random.one_of("info", &["warning", "error"]);
            self.folder.configure(level)?;
        }
        self.vmx.signal(Signal::SIGHUP);
        self.pass(Duration::from_millis(30))
    }

    /// Any call but CLOSE: a host that does not carry that out goes on waiting for replies on a channel that the
    /// guest has left, and nobody could tell them from lost ones.
    pub(crate) fn backdoor_faults(&mut self) -> Outcome {
        for _ in 0..self.random.within(1, 4) {
            let step = self.random.one_of(
                Step::Open,
                &[
                    Step::SendSize,
                    Step::SendPayload,
                    Step::RecvSize,
                    Step::RecvPayload,
                    Step::RecvStatus,
                    Step::HighBandwidthOut,
                    Step::HighBandwidthIn,
                ],
            );
            let kind = self.random.one_of(
                FaultKind::Checkpoint,
                &[
                    FaultKind::Fail,
                    FaultKind::Close,
                    FaultKind::Unsent,
                    FaultKind::Timeout,
                    FaultKind::Ones,
                    FaultKind::Fault,
                ],
            );
            let protocol = self
                .random
                .one_of(None, &[Some(Protocol::Rpci), Some(Protocol::Tclo)]);
            let nth = self.random.within(1, 6);
            self.vmx
                .host(|host, _| host.fault_on(step, protocol, nth, kind));
        }
        self.addresses();
        self.answered(b"Capabilities_Register".to_vec())
    }

    pub(crate) fn dead_port(&mut self) -> Outcome {
        self.vmx.host(|host, now| host.dead_port(true, now));
        self.addresses();
        let time = self.random.within(20, 400);
        let passed = self.pass(Duration::from_millis(time));
        self.vmx.host(|host, now| host.dead_port(false, now));
        passed
    }

    pub(crate) fn restricted_backdoor(&mut self) -> Outcome {
        self.vmx.host(|host, now| host.restrict_backdoor(true, now));
        self.addresses();
        let time = self.random.within(20, 300);
        let passed = self.pass(Duration::from_millis(time));
        self.vmx
            .host(|host, now| host.restrict_backdoor(false, now));
        passed
    }

    pub(crate) fn refused_open(&mut self) {
        let times = u32::try_from(self.random.within(1, 6)).unwrap_or(1);
        self.vmx.host(|host, now| {
            host.refuse_open(Protocol::Tclo, Times::Count(times));
            host.close_channels(Some(Protocol::Tclo), now);
        });
    }

    pub(crate) fn vsock_garbage(&mut self) -> Outcome {
        let len = self.random.within(1, 500);
        let noise = self.random.bytes(len);
        let frames = [
            vec![0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1],
            vec![0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 1],
            vec![0, 0, 0, 8, 0, 0, 0, 9, 0, 0, 0, 2],
            vec![0, 0, 0, 12, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0xff, 0xff],
        ];
        let at = usize::try_from(self.random.below(5))?;
        let bytes = frames.into_iter().nth(at).unwrap_or(noise);
        let protocol = self.random.one_of(Protocol::Tclo, &[Protocol::Rpci]);
        self.vmx.host(|host, _| host.vsock_raw(protocol, bytes));
        self.pass(Duration::from_millis(50))?;
        // A frame of which half has come stays open until its rest does.
        self.lose(Some(protocol));
        Ok(())
    }

    /// vsock fails in one of its ways; the backdoor serves, and vsock again when it is there again.
    pub(crate) fn vsock_withdrawn(&mut self) -> Outcome {
        let ways = [PortPolicy::Mute, PortPolicy::Drop, PortPolicy::Hang];
        let refused = PortPolicy::Refuse(nix::libc::ECONNRESET);
        let way = self.random.one_of(refused, &ways);
        self.vmx.host(|host, now| {
            host.config.vsock = VsockPolicy::both(way);
            host.close_channels(None, now);
        });
        self.addresses();
        let served = self
            .vmx
            .wait_for("TCLO over the backdoor", PATIENCE, |host, _| {
                matches!(host.tclo_link(), Some(vmx::Link::Backdoor(_))).then_some(())
            });
        self.vmx
            .host(|host, _| host.config.vsock = VsockPolicy::served());
        Ok(served?)
    }

    /// Leads TCLO back to vsock where that was left: the backdoor is kept for seconds then, and for good until
    /// it is lost.
    pub(crate) fn back_to_vsock(&mut self) -> Outcome {
        let started = Instant::now();
        while !self.is_over_vsock() {
            if started.elapsed() > PATIENCE * 2 {
                return Err("TCLO does not come back to vsock".into());
            }
            self.lose(None);
            self.pass(Duration::from_millis(500))?;
        }
        Ok(())
    }
}
