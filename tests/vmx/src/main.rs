//! `vmx run [options] -- PROGRAM ARGS…`: runs a program under the simulated VMX, prints the timeline as it
//! happens and at the end what vCenter shows.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use vmx::{PortPolicy, Profile, Vmx, VmxBuilder, VsockPolicy};

const USAGE: &str = "\
usage: vmx run [options] -- PROGRAM ARGS…
  --profile NAME      vmware (default), vmware-vmcall, vmware-vmmcall, vmware-no-backdoor,
                      kvm, qemu-vmport, qemu-vmport-old, bare-metal
  --low-bandwidth     do not offer high bandwidth
  --vsock POLICY      eperm (default), eafnosupport, served, tclo-only, rpci-only, reset, hang
  --ping SECONDS      ping so often
  --ask REQUEST       a TCLO request, after the greeting; may be given often
  --for SECONDS       send SIGTERM after this time
  --set KEY=VALUE     a guest variable (without guestinfo.)
  --json              print the view as JSON instead of the panel";

fn main() -> ExitCode {
    match run(std::env::args().skip(1).collect()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("vmx: {error}");
            ExitCode::from(2)
        }
    }
}

fn vsock(name: &str) -> Result<VsockPolicy, String> {
    let reset = PortPolicy::Refuse(libc::ECONNRESET);
    let served = VsockPolicy::served();
    Ok(match name {
        "eperm" => VsockPolicy::refused(libc::EPERM),
        "eafnosupport" => VsockPolicy::refused(libc::EAFNOSUPPORT),
        "served" => served,
        "tclo-only" => VsockPolicy {
            rpci: reset,
            ..served
        },
        "rpci-only" => VsockPolicy {
            tclo: reset,
            ..served
        },
        "reset" => VsockPolicy::both(reset),
        "hang" => VsockPolicy::both(PortPolicy::Hang),
        _ => return Err(format!("no vsock policy {name:?}\n{USAGE}")),
    })
}

struct Plan {
    builder: VmxBuilder,
    ask: Vec<String>,
    term_after: Option<Duration>,
    json: bool,
}

fn plan(args: Vec<String>) -> Result<Plan, String> {
    let mut args = args.into_iter();
    if args.next().as_deref() != Some("run") {
        return Err(USAGE.to_owned());
    }
    let mut changes: Vec<Box<dyn FnOnce(VmxBuilder) -> VmxBuilder>> = Vec::new();
    let (mut ask, mut term_after, mut json) = (Vec::new(), None, false);
    while let Some(arg) = args.next() {
        let mut value = || {
            args.next()
                .ok_or_else(|| format!("{arg} wants a value\n{USAGE}"))
        };
        let seconds = |text: String| {
            text.parse()
                .map(Duration::from_secs_f64)
                .map_err(|_| format!("{text}: no number"))
        };
        match arg.as_str() {
            "--" => break,
            "--profile" => {
                let profile: Profile = value()?.parse()?;
                changes.push(Box::new(move |builder| builder.profile(profile)));
            }
            "--vsock" => {
                let policy = vsock(&value()?)?;
                changes.push(Box::new(move |builder| builder.vsock(policy)));
            }
            "--low-bandwidth" => changes.push(Box::new(VmxBuilder::low_bandwidth_only)),
            "--ping" => {
                let every = seconds(value()?)?;
                changes.push(Box::new(move |builder| builder.ping_every(every)));
            }
            "--set" => {
                let pair = value()?;
                let (key, text) = pair.split_once('=').ok_or("--set wants KEY=VALUE")?;
                let (key, text) = (key.to_owned(), text.to_owned());
                changes.push(Box::new(move |builder| builder.variable(key, text)));
            }
            "--ask" => ask.push(value()?),
            "--for" => term_after = Some(seconds(value()?)?),
            "--json" => json = true,
            _ => return Err(USAGE.to_owned()),
        }
    }
    let program = args.next().ok_or(USAGE)?;
    let mut builder = Vmx::builder(program).args(args).inherit_env();
    for change in changes {
        builder = change(builder);
    }
    Ok(Plan {
        builder,
        ask,
        term_after,
        json,
    })
}

fn run(args: Vec<String>) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let Plan {
        builder,
        ask,
        term_after,
        json,
    } = plan(args)?;
    let vmx = builder.spawn()?;
    for request in ask {
        vmx.ask(request);
    }
    let start = Instant::now();
    let mut term_at = term_after.map(|after| start + after);
    let mut shown = 0;
    let status = loop {
        let wait = term_at.map_or(Duration::from_secs(3600), |at| {
            at.saturating_duration_since(Instant::now())
        });
        let step = vmx.wait_for("something new", wait, |host, _| {
            let fresh = host.events()[shown..].to_vec();
            let over = host.exit_status();
            (!fresh.is_empty() || over.is_some()).then_some((fresh, over))
        });
        match step {
            Ok((fresh, over)) => {
                shown += fresh.len();
                for event in &fresh {
                    println!("{event}");
                }
                if let (Some(status), true) = (over, fresh.is_empty()) {
                    break status;
                }
            }
            Err(error) if error.exit.is_some() => return Err(error.into()),
            Err(_) => {
                if term_at.take().is_some() {
                    vmx.signal(nix::sys::signal::Signal::SIGTERM);
                }
            }
        }
    };
    let view = vmx.vcenter();
    if json {
        println!("{}", serde_json::to_string_pretty(&view)?);
    } else {
        println!("\n{view}");
    }
    println!("{}", serde_json::to_string(&vmx.stats())?);
    let violations = vmx.violations();
    for violation in &violations {
        println!("BREACH {violation}");
    }
    Ok(match status.code() {
        Some(0) if !violations.is_empty() => ExitCode::from(3),
        Some(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        None => ExitCode::FAILURE,
    })
}
