//! Coming, going, hanging, and not knowing the caller.

mod client;

use std::time::{Duration, Instant};

use apid::Method;
use apid::proto::definitions::network::HostnameStatusSpec;
use apid::resources::HOSTNAME_STATUS;
use client::{SOON, as_operator, connect, event, everything, machine, machined, watch};
use prost::Message;
use tonic::Code;

#[tokio::test]
async fn a_stopped_api_is_gone_and_comes_back_with_what_changed() {
    let (directory, apid, channel) = machined().await;
    let mut names = watch(&channel, everything(HOSTNAME_STATUS)).await;
    event(&mut names).await;
    event(&mut names).await;

    apid.stop();
    assert_eq!(apid.connection_count(), 0);
    assert!(!directory.join("machine.sock").exists());
    let cut = tokio::time::timeout(SOON, names.message()).await.unwrap();
    assert!(cut.is_err(), "the stream is cut");
    assert!(connect(apid.socket().unwrap()).await.is_err());

    apid.set_hostname("renamed", "");
    apid.restart().unwrap();
    let channel = connect(apid.socket().unwrap()).await.unwrap();
    let mut names = watch(&channel, everything(HOSTNAME_STATUS)).await;
    let name = event(&mut names).await.resource.unwrap().spec.unwrap();
    let name = HostnameStatusSpec::decode(name.proto_spec.as_slice()).unwrap();
    assert_eq!(name.hostname, "renamed");
}

#[tokio::test]
async fn dropped_connections_can_be_made_anew() {
    let (_directory, apid, channel) = machined().await;
    machine(&channel).version(as_operator(())).await.unwrap();
    assert_eq!(apid.connections_accepted(), 1);
    apid.drop_connections();
    assert_eq!(apid.connection_count(), 0);
    let fresh = connect(apid.socket().unwrap()).await.unwrap();
    machine(&fresh).version(as_operator(())).await.unwrap();
    let calls = apid.calls();
    assert_eq!((calls[0].connection, calls[1].connection), (1, 2));
}

#[tokio::test]
async fn a_hanging_api_takes_calls_and_answers_when_it_resumes() {
    let (_directory, apid, channel) = machined().await;
    let mut names = watch(&channel, everything(HOSTNAME_STATUS)).await;
    event(&mut names).await;
    event(&mut names).await;

    apid.hang();
    apid.set_hostname("renamed", "");
    let mut client = machine(&channel);
    let call = tokio::spawn(async move { client.version(as_operator(())).await });
    let calls = apid.until_calls(Method::Version, 1, SOON).await.unwrap();
    assert_eq!(calls[0].answer, None);
    let silence = tokio::time::timeout(Duration::from_millis(20), names.message());
    assert!(silence.await.is_err());

    apid.resume();
    assert!(call.await.unwrap().is_ok());
    event(&mut names).await;
}

#[tokio::test]
async fn a_process_that_is_not_known_is_held_then_refused() {
    let (_directory, apid, channel) = machined().await;
    let hold = Duration::from_millis(50);
    apid.unregister_peer(hold);
    let asked = Instant::now();
    let refused = machine(&channel).version(as_operator(())).await;
    let refused = refused.unwrap_err();
    assert!(asked.elapsed() >= hold);
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert_eq!(refused.message(), "not authorized");

    apid.unregister_peer(Duration::from_secs(3600));
    let mut client = machine(&channel);
    let call = tokio::spawn(async move { client.version(as_operator(())).await });
    apid.until_calls(Method::Version, 2, SOON).await.unwrap();
    assert!(!call.is_finished());
    apid.register_peer();
    assert!(call.await.unwrap().is_ok());
}

#[test]
fn a_program_without_a_runtime_can_use_it() {
    let directory = client::Directory::new();
    let apid = apid::Apid::machined(directory.join("machine.sock")).unwrap();
    apid::scene::single_nic(&apid);
    let clone = apid.clone();
    let never = clone.wait_calls(Method::Reboot, 1, Duration::from_millis(10));
    assert!(never.is_none(), "nobody called");
    let stream = std::os::unix::net::UnixStream::connect(clone.socket().unwrap()).unwrap();
    let connected = clone.wait_for(SOON, |apid| (apid.connection_count() == 1).then_some(()));
    assert!(connected.is_some());
    drop((apid, clone, stream));
}
