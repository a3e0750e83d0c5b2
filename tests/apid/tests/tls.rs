//! TLS: certificates good and bad, ALPN, talosconfig, routing metadata.

mod client;

use std::io;
use std::sync::Arc;

use apid::proto::machine::machine_service_client::MachineServiceClient;
use apid::resources::LINK_STATUS;
use apid::{Apid, Certificate, TlsOptions};
use client::{everything, state};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request};
use tower::service_fn;

#[tokio::test]
async fn roles_are_those_of_the_certificate() {
    for (roles, claimed, code) in [
        (&["os:operator"][..], "", Code::Ok),
        (&["os:reader"], "", Code::Ok),
        (&["os:etcd:backup"], "", Code::PermissionDenied),
        // What is claimed counts only for an impersonator.
        (&["os:etcd:backup"], "os:admin", Code::PermissionDenied),
        (&["os:impersonator", "os:reader"], "os:admin", Code::Ok),
        (&["os:impersonator"], "", Code::PermissionDenied),
    ] {
        let options = TlsOptions {
            roles: roles.iter().map(|&role| role.to_owned()).collect(),
            ..TlsOptions::default()
        };
        let (_apid, channel) = serve(options).await;
        let answer = version(&channel.unwrap(), &[("talos-role", claimed)]).await;
        assert_eq!(answer, code, "{roles:?} {claimed:?}");
    }
}

#[tokio::test]
async fn bad_certificates_are_refused() {
    use Certificate::{Expired, Foreign, Good, NotYetValid};
    for (server, client) in [
        (Expired, Good),
        (Foreign, Good),
        (NotYetValid, Good),
        (Good, Expired),
        (Good, Foreign),
        (Good, NotYetValid),
    ] {
        let options = TlsOptions {
            server_certificate: server,
            client_certificate: client,
            ..TlsOptions::default()
        };
        let (apid, channel) = serve(options).await;
        // A client hears of its own bad certificate only after the handshake.
        if let Ok(channel) = channel {
            assert_eq!(server, Good, "{server:?} was taken");
            assert_ne!(
                version(&channel, &[]).await,
                Code::Ok,
                "{client:?} was taken"
            );
        }
        assert_eq!(apid.call_count(), 0);
    }
}

#[tokio::test]
async fn the_right_authority_may_stand_behind_retired_ones() {
    let options = TlsOptions {
        retired_authorities: 2,
        ..TlsOptions::default()
    };
    let (apid, channel) = serve(options).await;
    let [ca, ..] = apid.client_pem();
    assert_eq!(ca.matches("BEGIN CERTIFICATE").count(), 3);
    assert_eq!(version(&channel.unwrap(), &[]).await, Code::Ok);
}

#[tokio::test]
async fn alpn_is_spoken_only_if_wanted() {
    for alpn in [true, false] {
        let options = TlsOptions {
            alpn,
            ..TlsOptions::default()
        };
        let apid = Apid::tls(options).unwrap();
        let stream = handshake(&apid).await.unwrap();
        let spoken = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
        assert_eq!(spoken, alpn.then(|| b"h2".to_vec()));
        assert_eq!(version(&connect(&apid).await.unwrap(), &[]).await, Code::Ok);
    }
}

#[tokio::test]
async fn the_talosconfig_is_as_talos_writes_it() {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    let apid = Apid::tls(TlsOptions::default()).unwrap();
    let text = apid.talosconfig();
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(key));
        line.unwrap().trim().to_owned()
    };
    assert_eq!(value("context:"), "apid");
    assert_eq!(
        value("endpoints:"),
        format!("[\"{}\"]", apid.endpoint().unwrap())
    );
    assert_eq!(value("nodes:"), value("endpoints:"));
    let pem = |key: &str| String::from_utf8(STANDARD.decode(value(key)).unwrap()).unwrap();
    assert!(pem("ca:").starts_with("-----BEGIN CERTIFICATE-----"));
    assert!(pem("crt:").starts_with("-----BEGIN CERTIFICATE-----"));
    assert!(pem("key:").starts_with("-----BEGIN ED25519 PRIVATE KEY-----"));
    assert!(
        pem("key:")
            .trim_end()
            .ends_with("-----END ED25519 PRIVATE KEY-----")
    );
    let text = apid.talosconfig_for(&["a:1".to_owned(), "b".to_owned()], &["c".to_owned()]);
    assert!(text.contains("endpoints: [\"a:1\", \"b\"]\n        nodes: [\"c\"]\n"));
}

#[tokio::test]
async fn certificates_can_be_replaced_while_it_runs() {
    let apid = Apid::tls(TlsOptions::default()).unwrap();
    let before = connect(&apid).await.unwrap();
    assert_eq!(version(&before, &[]).await, Code::Ok);

    let old = connector(&apid);
    apid.rotate_authority().unwrap();
    assert_eq!(version(&before, &[]).await, Code::Ok, "connections live on");
    let refused = handshake_with(&apid, old).await;
    assert!(refused.is_err(), "the old authority is not known any more");
    assert_eq!(version(&connect(&apid).await.unwrap(), &[]).await, Code::Ok);

    let reissued = apid.reissue(|options| options.roles = vec!["os:etcd:backup".to_owned()]);
    reissued.unwrap();
    let weak = connect(&apid).await.unwrap();
    assert_eq!(version(&weak, &[]).await, Code::PermissionDenied);

    // The port stays the same.
    let endpoint = apid.endpoint();
    apid.stop();
    assert!(handshake(&apid).await.is_err());
    apid.restart().unwrap();
    assert_eq!(apid.endpoint(), endpoint);
    assert!(handshake(&apid).await.is_ok());
}

#[tokio::test]
async fn node_metadata_routes_a_call() {
    let (apid, channel) = serve(TlsOptions::default()).await;
    let channel = channel.unwrap();
    apid.update_node(|node| "v1.99.0".clone_into(&mut node.version.tag));
    apid.fail_node("10.0.0.3", "connection refused");

    let mut request = Request::new(());
    let metadata = request.metadata_mut();
    metadata.append("nodes", "10.0.0.2".parse().unwrap());
    metadata.append("nodes", "10.0.0.3".parse().unwrap());
    let mut machine = MachineServiceClient::new(channel.clone());
    let answer = machine.version(request).await.unwrap().into_inner();
    let [good, failed] = &answer.messages[..] else {
        panic!("one message a node")
    };
    assert_eq!(good.version.as_ref().unwrap().tag, "v1.99.0");
    assert_eq!(good.metadata.as_ref().unwrap().hostname, "10.0.0.2");
    assert_eq!(failed.version, None);
    let metadata = failed.metadata.as_ref().unwrap();
    assert_eq!(metadata.error, "connection refused");
    assert_eq!(metadata.status.as_ref().unwrap().code, 14);
    assert_eq!(apid.calls()[0].metadata("nodes"), ["10.0.0.2", "10.0.0.3"]);

    assert_eq!(version(&channel, &[("node", "10.0.0.2")]).await, Code::Ok);
    let two = [("node", "10.0.0.2"), ("node", "10.0.0.3")];
    assert_eq!(version(&channel, &two).await, Code::InvalidArgument);

    let mut request = Request::new(everything(LINK_STATUS));
    let metadata = request.metadata_mut();
    metadata.append("nodes", "10.0.0.2".parse().unwrap());
    let refused = state(&channel).watch(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_worker_forwards_nothing() {
    let options = TlsOptions {
        forwarding: false,
        ..TlsOptions::default()
    };
    let (_apid, channel) = serve(options).await;
    let channel = channel.unwrap();
    assert_eq!(version(&channel, &[]).await, Code::Ok);
    let routed = [("node", "10.0.0.2")];
    assert_eq!(version(&channel, &routed).await, Code::PermissionDenied);
}

async fn serve(options: TlsOptions) -> (Apid, Result<Channel, tonic::transport::Error>) {
    let apid = Apid::tls(options).unwrap();
    let channel = connect(&apid).await;
    (apid, channel)
}

async fn version(channel: &Channel, metadata: &[(&'static str, &'static str)]) -> Code {
    let mut request = Request::new(());
    for (key, value) in metadata.iter().filter(|(_, value)| !value.is_empty()) {
        let value = value.parse().unwrap();
        request.metadata_mut().append(*key, value);
    }
    let mut machine = MachineServiceClient::new(channel.clone());
    match machine.version(request).await {
        Ok(_) => Code::Ok,
        Err(status) => status.code(),
    }
}

async fn connect(apid: &Apid) -> Result<Channel, tonic::transport::Error> {
    let apid = apid.clone();
    Endpoint::from_static("http://apid")
        .connect_with_connector(service_fn(move |_| {
            let apid = apid.clone();
            async move { handshake(&apid).await.map(TokioIo::new) }
        }))
        .await
}

type Stream = tokio_rustls::client::TlsStream<TcpStream>;

async fn handshake(apid: &Apid) -> io::Result<Stream> {
    handshake_with(apid, connector(apid)).await
}

async fn handshake_with(apid: &Apid, connector: TlsConnector) -> io::Result<Stream> {
    let endpoint = apid.endpoint().unwrap();
    let stream = TcpStream::connect(endpoint).await?;
    connector
        .connect(ServerName::from(endpoint.ip()), stream)
        .await
}

fn connector(apid: &Apid) -> TlsConnector {
    let [ca, certificate, key] = apid.client_pem();
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(ca.as_bytes()) {
        roots.add(authority.unwrap()).unwrap();
    }
    let chain = CertificateDer::pem_slice_iter(certificate.as_bytes());
    let key = key.replace("ED25519 PRIVATE KEY", "PRIVATE KEY");
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(
            chain.map(Result::unwrap).collect(),
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        )
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsConnector::from(Arc::new(config))
}
