//! Whether the host takes and gives guest variables: one is really written, read back, and put back as it was.
//!
//! ```text
//! info-get guestinfo.vmtools.description            what it was
//! info-set guestinfo.vmtools.description …, check   refused? secure RPC, or setInfo.disable
//! info-get guestinfo.vmtools.description            the same? else nothing was written
//! info-set guestinfo.vmtools.description …          as it was
//! ```

use crate::diagnosis::Outcome;
use crate::log::Chain;
use crate::vmware::link::rpci::{RpciError, RpciLink};
use crate::vmware::rpc::rpci::Reply;
use crate::vmware::services::{self, DENIED};
use crate::vmware::transport::backdoor::RegisterAccess;
use crate::vmware::wire::text::{info_set, is_blank, printable};

/// Below `guestinfo.`; the daemon writes it at every start, and nothing depends on it.
const KEY: &str = "vmtools.description";
/// What the daemon writes there.
const DESCRIPTION: &str = concat!("talos-vmtoolsd ", env!("CARGO_PKG_VERSION"));
/// What is written to try it out.
const TRIAL: &str = concat!("talos-vmtoolsd ", env!("CARGO_PKG_VERSION"), ", check");

/// What the host made of it.
#[derive(Debug)]
struct Trial {
    written: Reply,
    read: Reply,
}

/// Tries it out, unless no variables are `wanted`.
pub(super) async fn check<A: RegisterAccess + Clone>(
    link: &mut RpciLink<A>,
    wanted: bool,
) -> Outcome {
    if wanted {
        outcome(&try_out(link).await)
    } else {
        services::variables_unwanted()
    }
}

async fn try_out<A: RegisterAccess + Clone>(link: &mut RpciLink<A>) -> Result<Trial, RpciError> {
    let get = format!("info-get guestinfo.{KEY}").into_bytes();
    let before = link.exchange(&get).await?;
    let written = link.exchange(&info_set(KEY, TRIAL)).await?;
    let read = link.exchange(&get).await?;
    if matches!(written, Reply::Accepted(_)) {
        let before = match &before {
            Reply::Accepted(value) if !is_blank(value) => String::from_utf8_lossy(value),
            Reply::Accepted(_) | Reply::Refused(_) => DESCRIPTION.into(),
        };
        link.exchange(&info_set(KEY, &before)).await?;
    }
    Ok(Trial { written, read })
}

fn outcome(trial: &Result<Trial, RpciError>) -> Outcome {
    let fails = |problem: String, remedy: &str| Outcome::Fails {
        problem,
        remedy: remedy.to_owned(),
    };
    match trial {
        Err(error) => fails(
            Chain(error).to_string(),
            "look into vmware.log of the VM for guest RPC",
        ),
        Ok(Trial {
            written: Reply::Refused(why),
            ..
        }) => services::variables_refused(why),
        Ok(Trial {
            read: Reply::Refused(why),
            ..
        }) if why.starts_with(DENIED) => fails(
            format!("the host gives no guest variables: {}", printable(why)),
            "clear guest_rpc.rpci.auth.cmd.info-get in the VM's configuration, or let the agent use vsock from a port \
             below 1024",
        ),
        Ok(Trial {
            read: Reply::Accepted(value),
            ..
        }) if value.trim_ascii() == TRIAL.as_bytes() => {
            Outcome::Works("the host takes and gives guest variables".to_owned())
        }
        Ok(_) => fails(
            "the host does not keep the guest variable that it has taken".to_owned(),
            "clear isolation.tools.setInfo.disable in the VM's configuration, and look into vmware.log of the VM",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(written: Reply, read: Reply) -> Outcome {
        outcome(&Ok(Trial { written, read }))
    }

    #[test]
    fn each_refusal_names_its_option_and_the_way_out() {
        let refused = |why: &str| Reply::Refused(why.into());
        let accepted = |value: &str| Reply::Accepted(value.into());
        for (written, read, option) in [
            (
                refused("Permission denied"),
                refused("Permission denied"),
                "guest_rpc.rpci.auth.cmd.info-set",
            ),
            (
                accepted(""),
                refused("Permission denied"),
                "guest_rpc.rpci.auth.cmd.info-get",
            ),
            (
                refused("Unknown command"),
                refused("No value found"),
                "isolation.tools.setInfo.disable",
            ),
            (
                accepted(""),
                refused("No value found"),
                "isolation.tools.setInfo.disable",
            ),
            (
                accepted(""),
                accepted(DESCRIPTION),
                "isolation.tools.setInfo.disable",
            ),
        ] {
            let outcome = of(written, read);
            assert!(
                matches!(&outcome, Outcome::Fails { remedy, .. } if remedy.contains(option)),
                "{outcome:?}"
            );
        }
        assert!(matches!(
            of(accepted(""), accepted(TRIAL)),
            Outcome::Works(_)
        ));
    }
}
