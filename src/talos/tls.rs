//! TLS towards apid: what we trust, who we are, and in plain words what is wrong when it fails.
//!
//! Talos' authority and certificates are Ed25519; the server's certificate carries its addresses as subject
//! alternative names, so a connection by IP is checked like one by name. ALPN `h2` is offered, but apid
//! before Talos 1.9 knows no ALPN, which is accepted. Under TLS 1.3 a server rejects a client certificate
//! only after the handshake: see [`super::connect`].

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{
    AlertDescription, CertificateError, ClientConfig, Error, RootCertStore, crypto,
};

use crate::config::talosconfig::Talosconfig;

/// Where systems keep their roots in one PEM file: Talos, Debian, Alpine; Fedora; openSUSE.
const SYSTEM_ROOTS: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Why two sides do not trust each other, or cannot talk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsTrouble {
    /// The server's certificate is out of date.
    ServerExpired,
    /// The server's certificate is not valid yet.
    ServerNotYetValid,
    /// None of the talosconfig's authorities issued the server's certificate.
    ServerUnknownAuthority,
    /// The server's certificate is for other names.
    ServerOtherName {
        /// The name or address that we connected to.
        expected: String,
        /// What the certificate is for.
        presented: Vec<String>,
    },
    /// The server's certificate is unusable for another reason.
    ServerBad(String),
    /// The server says that our certificate is out of date.
    ClientExpired,
    /// The server does not know the authority of our certificate.
    ClientUnknownAuthority,
    /// The server refuses our certificate without a reason; the alert's name.
    ClientRefused(String),
    /// Our certificate and key cannot be used.
    ClientUnusable(String),
    /// No authority in the talosconfig, and none on this system.
    NoRoots,
    /// The host of the endpoint is neither a DNS name nor an address.
    BadName(String),
    /// The server does not speak TLS.
    NotTls,
    /// The server hung up instead of going on.
    HungUp,
    /// Anything else, in rustls' words.
    Protocol(String),
}

impl fmt::Display for TlsTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ServerExpired => f.write_str(
                "certificate expired: the server's; check the clocks of both sides",
            ),
            Self::ServerNotYetValid => f.write_str(
                "certificate not valid yet: the server's; check the clocks of both sides",
            ),
            Self::ServerUnknownAuthority => f.write_str(
                "unknown certificate authority: none of `ca` issued the server's certificate; is it the talosconfig of this cluster?",
            ),
            Self::ServerOtherName {
                expected,
                presented,
            } => write!(
                f,
                "wrong host name: the server's certificate is not for {expected} but for {}; add it to machine.certSANs or use another endpoint",
                if presented.is_empty() { "nothing".to_owned() } else { presented.join(", ") }
            ),
            Self::ServerBad(why) => write!(f, "the server's certificate cannot be used: {why}"),
            Self::ClientExpired => f.write_str(
                "certificate expired: the client's (`crt`); make a new one with `talosctl config new`",
            ),
            Self::ClientUnknownAuthority => f.write_str(
                "unknown certificate authority: the server does not know the one of the client's certificate (`crt`); is it the talosconfig of this cluster?",
            ),
            Self::ClientRefused(alert) => write!(
                f,
                "the server refuses the client's certificate (`crt`): {alert}; it must be issued by the cluster for client authentication",
            ),
            Self::ClientUnusable(why) => write!(f, "`crt` and `key` cannot be used: {why}"),
            Self::NoRoots => f.write_str(
                "no certificate authority: the context has no `ca`, and this system has no roots; add `ca` or set SSL_CERT_FILE",
            ),
            Self::BadName(host) => write!(f, "{host:?} is neither a DNS name nor an address"),
            Self::NotTls => f.write_str("the server does not speak TLS; is it apid's port?"),
            Self::HungUp => f.write_str(
                "the server hung up; it may refuse the client's certificate (`crt`), or is just starting",
            ),
            Self::Protocol(why) => f.write_str(why),
        }
    }
}

impl TlsTrouble {
    /// What an I/O error of a TLS stream means; `None` when it is not about TLS.
    pub(super) fn from_io(error: &io::Error) -> Option<Self> {
        let inner = error.get_ref()?;
        inner.downcast_ref::<Error>().map(Self::from_rustls)
    }

    fn from_rustls(error: &Error) -> Self {
        match error {
            Error::InvalidCertificate(why) => Self::from_certificate(why),
            Error::AlertReceived(alert) => Self::from_alert(*alert),
            Error::InvalidMessage(_) => Self::NotTls,
            other => Self::Protocol(other.to_string()),
        }
    }

    fn from_certificate(error: &CertificateError) -> Self {
        match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                Self::ServerExpired
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                Self::ServerNotYetValid
            }
            // All authorities of Talos clusters bear the same name, so another cluster's
            // certificate shows as a bad signature.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                Self::ServerUnknownAuthority
            }
            CertificateError::NotValidForName => Self::ServerOtherName {
                expected: "this endpoint".to_owned(),
                presented: vec!["others".to_owned()],
            },
            CertificateError::NotValidForNameContext {
                expected,
                presented,
            } => Self::ServerOtherName {
                expected: expected.to_str().into_owned(),
                presented: presented.clone(),
            },
            other => Self::ServerBad(other.to_string()),
        }
    }

    fn from_alert(alert: AlertDescription) -> Self {
        match alert {
            AlertDescription::CertificateExpired => Self::ClientExpired,
            AlertDescription::UnknownCA => Self::ClientUnknownAuthority,
            AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateRequired
            | AlertDescription::NoCertificate
            | AlertDescription::AccessDenied
            | AlertDescription::DecryptError => Self::ClientRefused(format!("{alert:?}")),
            other => Self::Protocol(format!("the server says {other:?}")),
        }
    }
}

/// The TLS configuration of a talosconfig's context. `ssl_cert_file` is the value of SSL_CERT_FILE, used
/// when the context names no authority.
pub(super) fn client_config(
    talosconfig: &Talosconfig,
    ssl_cert_file: Option<&Path>,
) -> Result<ClientConfig, TlsTrouble> {
    let roots = roots(talosconfig, ssl_cert_file)?;
    let provider = Arc::new(crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsTrouble::Protocol(error.to_string()))?
        .with_root_certificates(roots)
        .with_client_auth_cert(
            talosconfig.certificates.clone(),
            talosconfig.key.clone_key(),
        )
        .map_err(|error| TlsTrouble::ClientUnusable(error.to_string()))?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    // One connection at a time that lives for days: nothing to resume, so nothing to keep.
    config.resumption = tokio_rustls::rustls::client::Resumption::disabled();
    Ok(config)
}

/// The authorities to trust.
fn roots(
    talosconfig: &Talosconfig,
    ssl_cert_file: Option<&Path>,
) -> Result<RootCertStore, TlsTrouble> {
    let mut roots = RootCertStore::empty();
    if talosconfig.authorities.is_empty() {
        let files = ssl_cert_file
            .into_iter()
            .chain(SYSTEM_ROOTS.iter().map(Path::new));
        for file in files {
            let Ok(certificates) = CertificateDer::pem_file_iter(file) else {
                continue;
            };
            roots.add_parsable_certificates(certificates.flatten());
            if !roots.is_empty() {
                return Ok(roots);
            }
        }
        return Err(TlsTrouble::NoRoots);
    }
    let (_, unusable) = roots.add_parsable_certificates(talosconfig.authorities.iter().cloned());
    if roots.is_empty() {
        return Err(TlsTrouble::ServerBad(format!(
            "{unusable} certificates in `ca`, none of them an authority"
        )));
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trouble(error: Error) -> String {
        let io = io::Error::new(io::ErrorKind::InvalidData, error);
        TlsTrouble::from_io(&io).unwrap().to_string()
    }

    #[test]
    fn trouble_is_said_in_plain_words() {
        for (error, words) in [
            (
                Error::InvalidCertificate(CertificateError::Expired),
                "certificate expired: the server's",
            ),
            (
                Error::AlertReceived(AlertDescription::CertificateExpired),
                "certificate expired: the client's",
            ),
            (
                Error::InvalidCertificate(CertificateError::UnknownIssuer),
                "unknown certificate authority: none of `ca`",
            ),
            (
                Error::InvalidCertificate(CertificateError::BadSignature),
                "unknown certificate authority: none of `ca`",
            ),
            (
                Error::AlertReceived(AlertDescription::UnknownCA),
                "unknown certificate authority: the server",
            ),
            (
                Error::InvalidCertificate(CertificateError::NotValidForNameContext {
                    expected: "10.0.0.9".try_into().unwrap(),
                    presented: vec!["10.0.0.5".into(), "cp1".into()],
                }),
                "wrong host name: the server's certificate is not for 10.0.0.9 but for 10.0.0.5, cp1",
            ),
            (
                Error::AlertReceived(AlertDescription::BadCertificate),
                "refuses the client's certificate (`crt`): BadCertificate",
            ),
        ] {
            let text = trouble(error);
            assert!(text.contains(words), "{text}");
        }
    }

    #[test]
    fn trouble_of_the_network_is_not_trouble_of_tls() {
        let reset = io::Error::from(io::ErrorKind::ConnectionReset);
        assert_eq!(TlsTrouble::from_io(&reset), None);
        assert_eq!(TlsTrouble::from_io(&io::Error::other("x")), None);
    }
}
