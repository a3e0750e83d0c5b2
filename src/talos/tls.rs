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
    /// No authority in the talosconfig, and none of the system's issued the server's certificate.
    ServerNotOfTheSystem,
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
    /// The server refuses our certificate; its reason.
    ClientRefused(&'static str),
    /// Our certificate and key cannot be used.
    ClientUnusable(String),
    /// No authority in the talosconfig, and none on this system.
    NoRoots,
    /// So many certificates in `ca`, and none is usable as an authority.
    NoAuthority(usize),
    /// The host of the endpoint is neither a DNS name nor an address.
    BadName(String),
    /// The server does not speak TLS.
    NotTls,
    /// The server hung up instead of going on.
    HungUp,
    /// Anything else.
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
            Self::ServerNotOfTheSystem => f.write_str(
                "unknown certificate authority: there is no `ca` in this context, and none of the system's authorities issued the server's certificate; add `ca`",
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
                "no certificate authority: there is no `ca` in this context, and this system has none; add `ca` or set SSL_CERT_FILE",
            ),
            Self::NoAuthority(count) => write!(
                f,
                "no certificate authority: `ca` has {count} certificates, none of them an authority; download the talosconfig again"
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

    /// rustls' own words for many of its errors are names of its types, so the words are ours.
    fn from_rustls(error: &Error) -> Self {
        Self::Protocol(
            match error {
                Error::InvalidCertificate(why) => return Self::from_certificate(why),
                Error::AlertReceived(alert) => return Self::from_alert(*alert),
                Error::InvalidMessage(_) => return Self::NotTls,
                Error::NoCertificatesPresented => "the server shows no certificate",
                Error::PeerIncompatible(_)
                | Error::NoApplicationProtocol
                | Error::InvalidEncryptedClientHello(_) => {
                    "the server and we have no version, cipher or protocol of TLS in common"
                }
                Error::InappropriateMessage { .. }
                | Error::InappropriateHandshakeMessage { .. }
                | Error::PeerMisbehaved(_)
                | Error::PeerSentOversizedRecord
                | Error::DecryptError => {
                    "the server breaks the rules of TLS, or something between changes the bytes"
                }
                Error::FailedToGetCurrentTime => "this machine has no clock",
                Error::FailedToGetRandomBytes => "this machine has no random numbers",
                Error::InconsistentKeys(_) => {
                    return Self::ClientUnusable("they do not belong together".to_owned());
                }
                Error::General(why) => return Self::Protocol(why.clone()),
                _ => "the TLS library has failed",
            }
            .to_owned(),
        )
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
            other => Self::ServerBad(
                match other {
                    CertificateError::BadEncoding => "it is malformed",
                    CertificateError::Revoked => "it is revoked",
                    CertificateError::InvalidPurpose
                    | CertificateError::InvalidPurposeContext { .. } => "it is not for a server",
                    CertificateError::UnhandledCriticalExtension => {
                        "it has a critical extension that we do not know"
                    }
                    CertificateError::UnsupportedSignatureAlgorithmContext { .. }
                    | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext {
                        ..
                    } => "it is signed in a way that we do not know",
                    // For example, it is an authority's.
                    _ => "it breaks a rule for certificates",
                }
                .to_owned(),
            ),
        }
    }

    fn from_alert(alert: AlertDescription) -> Self {
        match alert {
            AlertDescription::CertificateExpired => Self::ClientExpired,
            AlertDescription::UnknownCA => Self::ClientUnknownAuthority,
            AlertDescription::BadCertificate => Self::ClientRefused("it is bad"),
            AlertDescription::UnsupportedCertificate => {
                Self::ClientRefused("it is of a kind that the server does not take")
            }
            AlertDescription::CertificateRevoked => Self::ClientRefused("it is revoked"),
            AlertDescription::CertificateRequired | AlertDescription::NoCertificate => {
                Self::ClientRefused("the server has seen none")
            }
            AlertDescription::AccessDenied => Self::ClientRefused("access denied"),
            AlertDescription::DecryptError => Self::ClientRefused("its signature is wrong"),
            AlertDescription::CertificateUnknown => {
                Self::ClientRefused("the server does not say why")
            }
            AlertDescription::HandshakeFailure
            | AlertDescription::ProtocolVersion
            | AlertDescription::InsufficientSecurity
            | AlertDescription::NoApplicationProtocol => Self::Protocol(
                "the server and we have no version, cipher or protocol of TLS in common".to_owned(),
            ),
            AlertDescription::UnrecognisedName => {
                Self::Protocol("the server does not serve this host name".to_owned())
            }
            AlertDescription::InternalError => {
                Self::Protocol("the server has failed; look at its log".to_owned())
            }
            other => Self::Protocol(format!(
                "the server breaks off with alert {} of TLS",
                u8::from(other)
            )),
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
        .map_err(|error| TlsTrouble::from_rustls(&error))?
        .with_root_certificates(roots)
        .with_client_auth_cert(
            talosconfig.certificates.clone(),
            talosconfig.key.clone_key(),
        )
        .map_err(|error| match TlsTrouble::from_rustls(&error) {
            TlsTrouble::Protocol(why) => TlsTrouble::ClientUnusable(why),
            TlsTrouble::ServerBad(why) => TlsTrouble::ClientUnusable(format!("`crt`: {why}")),
            other => other,
        })?;
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
        return Err(TlsTrouble::NoAuthority(unusable));
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_rustls::rustls::{
        ContentType, InconsistentKeys, InvalidMessage, OtherError, PeerIncompatible, PeerMisbehaved,
    };

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
                "refuses the client's certificate (`crt`): it is bad",
            ),
        ] {
            let text = trouble(error);
            assert!(text.contains(words), "{text}");
        }
    }

    #[test]
    fn no_name_of_a_type_of_the_library_is_shown() {
        let alerts = (0..=u8::MAX).map(|number| Error::AlertReceived(number.into()));
        let certificates = [
            CertificateError::BadEncoding,
            CertificateError::Revoked,
            CertificateError::UnhandledCriticalExtension,
            CertificateError::InvalidPurpose,
            CertificateError::ApplicationVerificationFailure,
            CertificateError::Other(OtherError(Arc::new(io::Error::other("CaUsedAsEndEntity")))),
            CertificateError::UnsupportedSignatureAlgorithmContext {
                signature_algorithm_id: vec![1, 2],
                supported_algorithms: Vec::new(),
            },
        ];
        let others = [
            Error::PeerIncompatible(PeerIncompatible::Tls12NotOffered),
            Error::PeerMisbehaved(PeerMisbehaved::TooMuchEarlyDataReceived),
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch),
            Error::InappropriateMessage {
                expect_types: vec![ContentType::Alert],
                got_type: ContentType::Handshake,
            },
            Error::NoApplicationProtocol,
            Error::HandshakeNotComplete,
            Error::InvalidMessage(InvalidMessage::InvalidContentType),
        ];
        let certificates = certificates.into_iter().map(Error::InvalidCertificate);
        for error in alerts.chain(certificates).chain(others) {
            let text = trouble(error);
            let shouted = |word: &str| {
                let inner = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
                let mixed = inner.chars().skip(1).any(|c| c.is_ascii_uppercase())
                    && inner.chars().any(|c| c.is_ascii_lowercase());
                mixed || word.contains("::") || word.contains('{')
            };
            let found = text.split_whitespace().find(|word| shouted(word));
            assert_eq!(found, None, "{text}");
        }
    }

    #[test]
    fn trouble_of_the_network_is_not_trouble_of_tls() {
        let reset = io::Error::from(io::ErrorKind::ConnectionReset);
        assert_eq!(TlsTrouble::from_io(&reset), None);
        assert_eq!(TlsTrouble::from_io(&io::Error::other("x")), None);
    }
}
