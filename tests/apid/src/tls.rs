//! Certificates as Talos makes them (Ed25519 throughout), and the talosconfig that goes with them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, PKCS_ED25519, SanType, date_time_ymd,
};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// Trouble with certificates: a programming error in a test, in words.
type Trouble = Box<dyn std::error::Error + Send + Sync>;

/// How a TLS server and its talosconfig are made.
#[derive(Clone, Debug)]
pub struct TlsOptions {
    /// Where to listen; port 0 for any.
    pub address: SocketAddr,
    /// Whether the server speaks ALPN, as Talos 1.9 and later.
    pub alpn: bool,
    /// What the server's certificate is good for.
    pub server_names: Vec<IpAddr>,
    /// Whether the server's certificate is good.
    pub server_certificate: Certificate,
    /// Whether the client's certificate is good.
    pub client_certificate: Certificate,
    /// The client's roles: the O entries of its certificate.
    pub roles: Vec<String>,
    /// How many other, older authorities stand in `ca` before the right one.
    pub retired_authorities: usize,
    /// Whether calls are passed on to other nodes, as on a control plane node.
    pub forwarding: bool,
}

impl Default for TlsOptions {
    /// Good certificates for 127.0.0.1, os:operator, ALPN, a control plane node.
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            alpn: true,
            server_names: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
            server_certificate: Certificate::Good,
            client_certificate: Certificate::Good,
            roles: vec!["os:operator".to_owned()],
            retired_authorities: 0,
            forwarding: true,
        }
    }
}

/// Whether a certificate will be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// It will.
    Good,
    /// It ended in 2020.
    Expired,
    /// It begins in 2090.
    NotYetValid,
    /// Another authority, unknown to the peer, signed it.
    Foreign,
}

/// One cluster's authority and what it issued.
#[derive(Debug)]
pub(crate) struct Issued {
    pub(crate) server: Arc<ServerConfig>,
    /// The PEM blocks of `ca`, `crt` and `key`.
    pub(crate) ca: String,
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// A certificate authority, which outlives what it issues.
pub(crate) type Authority = CertifiedIssuer<'static, KeyPair>;

/// A new self-signed authority.
pub(crate) fn authority() -> Result<Authority, Trouble> {
    let mut params = CertificateParams::default();
    params.distinguished_name = name(&["talos"]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyCertSign,
    ];
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2099, 1, 1);
    let key = KeyPair::generate_for(&PKCS_ED25519)?;
    Ok(CertifiedIssuer::self_signed(params, key)?)
}

/// Issues a server's and a client's certificate.
pub(crate) fn issue(authority: &Authority, options: &TlsOptions) -> Result<Issued, Trouble> {
    let mut params = leaf(options.server_certificate, &[]);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.subject_alt_names = options
        .server_names
        .iter()
        .map(|&ip| SanType::IpAddress(ip))
        .collect();
    let (certificate, key) = sign(authority, options.server_certificate, &params)?;
    let server = server_config(authority, certificate.der().clone(), &key, options.alpn)?;

    let roles: Vec<&str> = options.roles.iter().map(String::as_str).collect();
    let mut params = leaf(options.client_certificate, &roles);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let (certificate, key) = sign(authority, options.client_certificate, &params)?;

    let mut ca = String::new();
    for _ in 0..options.retired_authorities {
        ca.push_str(&self::authority()?.pem());
    }
    ca.push_str(&authority.pem());
    Ok(Issued {
        server: Arc::new(server),
        ca,
        certificate: certificate.pem(),
        // Talos' name for what is PKCS#8 inside.
        key: key
            .serialize_pem()
            .replace(" PRIVATE KEY", " ED25519 PRIVATE KEY"),
    })
}

/// A talosconfig with one context.
pub(crate) fn talosconfig(issued: &Issued, endpoints: &[String], nodes: &[String]) -> String {
    let list = |items: &[String]| {
        let quoted: Vec<String> = items.iter().map(|item| format!("{item:?}")).collect();
        format!("[{}]", quoted.join(", "))
    };
    format!(
        "context: apid\ncontexts:\n    apid:\n        endpoints: {}\n        nodes: {}\n        \
         ca: {}\n        crt: {}\n        key: {}\n",
        list(endpoints),
        list(nodes),
        STANDARD.encode(&issued.ca),
        STANDARD.encode(&issued.certificate),
        STANDARD.encode(&issued.key),
    )
}

/// The O entries of a certificate.
pub(crate) fn organizations(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, certificate)) = x509_parser::parse_x509_certificate(certificate) else {
        return Vec::new();
    };
    let entries = certificate.subject().iter_organization();
    entries
        .filter_map(|entry| entry.as_str().ok().map(str::to_owned))
        .collect()
}

fn sign(
    own: &Authority,
    certificate: Certificate,
    params: &CertificateParams,
) -> Result<(rcgen::Certificate, KeyPair), Trouble> {
    let key = KeyPair::generate_for(&PKCS_ED25519)?;
    let signed = if certificate == Certificate::Foreign {
        let foreign = authority()?;
        params.signed_by(&key, &foreign)?
    } else {
        params.signed_by(&key, own)?
    };
    Ok((signed, key))
}

fn leaf(certificate: Certificate, organizations: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = name(organizations);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let (from, until) = match certificate {
        Certificate::Good | Certificate::Foreign => (2020, 2099),
        Certificate::Expired => (2019, 2020),
        Certificate::NotYetValid => (2090, 2099),
    };
    params.not_before = date_time_ymd(from, 1, 1);
    params.not_after = date_time_ymd(until, 1, 1);
    params
}

/// A name of O entries. rcgen keeps one value a type, so the second one is spelled by its number and
/// there is no third.
fn name(organizations: &[&str]) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    let spellings = [
        DnType::OrganizationName,
        DnType::CustomDnType(vec![2, 5, 4, 10]),
    ];
    assert!(
        organizations.len() <= spellings.len(),
        "at most two roles in a certificate"
    );
    for (spelling, &organization) in spellings.into_iter().zip(organizations) {
        name.push(spelling, organization);
    }
    name
}

fn server_config(
    authority: &Authority,
    certificate: CertificateDer<'static>,
    key: &KeyPair,
    alpn: bool,
) -> Result<ServerConfig, Trouble> {
    let provider = Arc::new(ring::default_provider());
    let mut clients = RootCertStore::empty();
    clients.add(authority.der().clone())?;
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(clients), provider.clone()).build()?;
    let key = PrivateKeyDer::try_from(key.serialize_der())?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate], key)?;
    if alpn {
        config.alpn_protocols = vec![b"h2".to_vec()];
    }
    Ok(config)
}
