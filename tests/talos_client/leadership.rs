//! This node's part in etcd, the facts of it, and handing over its leadership.

use apid::EtcdCluster;
use talos_vmtoolsd::facts::{EtcdLook, EtcdPart, EtcdQuestion};
use talos_vmtoolsd::power::HandOver;
use talos_vmtoolsd::talos::{follow_etcd, hand_over};

use super::*;

const THREE: [&str; 3] = ["10.5.0.2", "10.5.0.3", "10.5.0.4"];

/// A control plane of three whose first node leads, on virtual time.
fn three() -> (Apid, Client) {
    let (api, client) = in_process();
    api.set_etcd(3, 0);
    api.set_api_servers(&THREE);
    (api, client)
}

/// What was called to find out, and the call that moves it.
fn calls(api: &Apid) -> Vec<(Option<Method>, Vec<String>)> {
    let calls = api.calls().into_iter();
    calls.map(|call| (call.method, call.roles)).collect()
}

fn kept(outcome: &HandOver, words: &str) {
    assert!(
        matches!(outcome, HandOver::Kept(why) if why.contains(words)),
        "{words}: {outcome:?}"
    );
}

fn failed(outcome: &HandOver, words: &str) {
    assert!(
        matches!(outcome, HandOver::Failed(why) if why.contains(words)),
        "{words}: {outcome:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_look_says_what_this_node_is() {
    type Make = fn(&Apid);
    let cases: [(Make, Option<EtcdPart>); 5] = [
        (|_| {}, Some(EtcdPart::Leader)),
        (|api| api.set_etcd_leader(2), Some(EtcdPart::Voter)),
        // No one leads.
        (|api| api.set_etcd_leader(0), Some(EtcdPart::Voter)),
        (
            |api| api.update_etcd(|status, _| (status.leader, status.is_learner) = (2, true)),
            Some(EtcdPart::Learner),
        ),
        (
            |api| {
                let down = Status::unknown("failed to query etcd status");
                api.fail_next(Method::EtcdStatus, &down, 1);
            },
            None,
        ),
    ];
    for (make, part) in cases {
        let (api, client) = three();
        make(&api);
        let members = Some(Etcd { voters: 3, live: 3 });
        assert_eq!(look_at_etcd(&client).await, EtcdLook { part, members });
    }
}

#[tokio::test(start_paused = true)]
async fn each_half_of_a_look_counts_without_the_other() {
    let (api, client) = three();
    let part = Some(EtcdPart::Leader);
    let members = Some(Etcd { voters: 3, live: 3 });
    let begun = tokio::time::Instant::now();
    api.delay(Method::EtcdMemberList, LONG);
    let look = look_at_etcd(&client).await;
    assert_eq!((look.part, look.members), (part, None));
    api.delay(Method::EtcdMemberList, Duration::ZERO);
    api.delay(Method::EtcdStatus, LONG);
    let look = look_at_etcd(&client).await;
    assert_eq!((look.part, look.members), (None, members));
    assert_eq!(begun.elapsed(), Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_worker_is_no_member_and_that_is_no_trouble() {
    let (api, client) = in_process();
    api.update_node(|node| node.contents.etcd = None);
    let look = look_at_etcd(&client).await;
    assert_eq!(look.part, Some(EtcdPart::NotMember));
    assert_eq!(look.members, None);
    assert_eq!(hand_over(&client).await, HandOver::NotLeader);
    let (checks, _) = check(&client, LONG).await;
    assert!(all_well(&checks), "{checks:?}");
}

#[tokio::test(start_paused = true)]
async fn facts_of_etcd_take_one_call_each() {
    let (api, client) = three();
    let facts = watch::Sender::new(Facts {
        api_servers: Some(2),
        ..Facts::default()
    });
    follow_etcd(&client, EtcdQuestion::Part, &facts).await;
    assert_eq!(api.call_count(), 1);
    assert_eq!(facts.borrow().etcd_part, Some(EtcdPart::Leader));
    assert_eq!(facts.borrow().etcd, None);
    api.set_etcd_leader(3);
    follow_etcd(&client, EtcdQuestion::Members, &facts).await;
    assert_eq!(api.call_count(), 2);
    assert_eq!(facts.borrow().etcd, Some(Etcd { voters: 3, live: 2 }));
    follow_etcd(&client, EtcdQuestion::Both, &facts).await;
    assert_eq!(api.call_count(), 4);
    assert_eq!(facts.borrow().etcd_part, Some(EtcdPart::Voter));
    // What Talos does not say stays, and wakes no one.
    let seen = facts.subscribe();
    api.hang();
    let hanging = timeout(LONG, follow_etcd(&client, EtcdQuestion::Both, &facts)).await;
    assert!(hanging.is_err() && !seen.has_changed().unwrap());
    // It is asked again until it does.
    api.resume();
    let down = Status::unknown("failed to query etcd status");
    api.fail_next(Method::EtcdStatus, &down, 3);
    let before = api.calls_of(Method::EtcdMemberList).len();
    api.set_etcd_leader(1);
    follow_etcd(&client, EtcdQuestion::Both, &facts).await;
    assert_eq!(facts.borrow().etcd_part, Some(EtcdPart::Leader));
    let members = api.calls_of(Method::EtcdMemberList).len();
    assert_eq!(members, before + 1, "said once");
    for call in api.calls() {
        assert_eq!(call.roles, ["os:operator"]);
    }
}

#[tokio::test(start_paused = true)]
async fn the_members_are_asked_for_again_although_this_node_does_not_say_its_part() {
    let (api, client) = three();
    let down = Status::unknown("failed to query etcd status");
    api.fail_next(Method::EtcdStatus, &down, 100);
    let mut bridge = Bridge::with_client(client);
    for (what, calls) in [
        (EtcdQuestion::Both, 1),
        (EtcdQuestion::Part, 1),
        (EtcdQuestion::Members, 2),
        (EtcdQuestion::Members, 3),
    ] {
        bridge.follow_etcd(what);
        tokio::time::sleep(LONG).await;
        assert_eq!(
            api.calls_of(Method::EtcdMemberList).len(),
            calls,
            "{what:?}"
        );
    }
    assert!(
        api.calls_of(Method::EtcdStatus).len() > 2,
        "still asked for"
    );
}

#[tokio::test]
async fn who_is_cordoned_and_which_api_servers_serve_is_watched() {
    let (api, client, _directory) = machined();
    scene::control_plane(&api);
    let mut node = Observed::new(client);
    node.until(|facts| facts.cordoned == Some(false) && facts.api_servers == Some(1))
        .await;
    api.set_cordoned(true);
    api.set_api_servers(&THREE);
    node.until(|facts| facts.cordoned == Some(true) && facts.api_servers == Some(3))
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_talos_that_does_not_know_who_is_cordoned_is_no_trouble() {
    let (api, client) = in_process();
    api.drop_type("NodeStatuses.kubernetes.talos.dev");
    api.update_node(|node| node.version.tag = "v1.4.8".to_owned());
    let (checks, facts) = check(&client, LONG).await;
    assert!(all_well(&checks), "{checks:?}");
    assert_eq!(facts.cordoned, None);
}

#[tokio::test(start_paused = true)]
async fn leadership_is_handed_over_and_that_one_call_is_made_as_an_administrator() {
    let (api, client) = three();
    let moved = HandOver::Moved("talos-cp-2".to_owned());
    assert_eq!(hand_over(&client).await, moved);
    let operator = || vec!["os:operator".to_owned()];
    let expected = [
        (Some(Method::EtcdStatus), operator()),
        (Some(Method::EtcdMemberList), operator()),
        (Some(Method::Get), operator()),
        (
            Some(Method::EtcdForfeitLeadership),
            vec!["os:admin".to_owned()],
        ),
    ];
    assert_eq!(calls(&api), expected);
    // And then it does not lead.
    assert_eq!(hand_over(&client).await, HandOver::NotLeader);
    assert_eq!(api.call_count(), expected.len() + 1);
}

/// Everything else that the agent asks Talos for, with the role that it was given.
#[tokio::test(start_paused = true)]
async fn no_other_call_claims_to_be_an_administrators() {
    let (api, client) = three();
    api.set_power(PowerBehaviour::Sequences(apid::Sequences::default()));
    let mut node = Observed::new(client.clone());
    node.complete().await;
    hand_over(&client).await;
    look_at_etcd(&client).await;
    client.mounts().await.unwrap();
    client.traffic().await.unwrap();
    for how in [
        HOW,
        Manner {
            force_shutdown: true,
            takes_over: true,
            ..HOW
        },
    ] {
        let mut power = Power::begin(client.clone(), Shutdown, how);
        assert_eq!(power.next().await, Some(PowerOutcome::Accepted));
    }
    let calls = api.calls();
    assert!(calls.len() > 20, "{}", calls.len());
    for call in calls {
        let expected = match call.method {
            Some(Method::EtcdForfeitLeadership) => "os:admin",
            _ => "os:operator",
        };
        assert_eq!(call.metadata("talos-role"), [expected], "{:?}", call.method);
    }
}

#[tokio::test(start_paused = true)]
async fn leadership_is_kept_where_handing_it_over_could_harm() {
    type Make = fn(&Apid);
    let cases: [(&str, Make); 4] = [
        ("no other member votes", |api| {
            api.set_etcd(1, 0);
            api.set_api_servers(&THREE[..1]);
        }),
        ("does not vote yet", |api| api.set_etcd(3, 1)),
        ("2 of 3 members of etcd are there", |api| {
            api.set_api_servers(&THREE[..2]);
        }),
        ("etcd is not healthy: NOSPACE", |api| {
            api.update_etcd(|status, _| status.errors = vec!["NOSPACE".to_owned()]);
        }),
    ];
    for (words, make) in cases {
        let (api, client) = three();
        make(&api);
        kept(&hand_over(&client).await, words);
        assert_eq!(api.calls_of(Method::EtcdForfeitLeadership).len(), 0);
    }
    // Whoever does not lead, or does not vote, keeps nothing.
    for is_learner in [false, true] {
        let (api, client) = three();
        api.update_etcd(|status, _| (status.leader, status.is_learner) = (2, is_learner));
        assert_eq!(hand_over(&client).await, HandOver::NotLeader);
        assert_eq!(api.call_count(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_talos_that_says_nothing_is_given_three_seconds_in_all() {
    for (method, words) in [
        (Method::EtcdStatus, "what this node is in etcd"),
        (Method::EtcdMemberList, "what this node is in etcd"),
        (Method::EtcdForfeitLeadership, "may have moved"),
    ] {
        let (api, client) = three();
        api.delay(method, LONG);
        let begun = tokio::time::Instant::now();
        failed(&hand_over(&client).await, words);
        assert_eq!(begun.elapsed(), Duration::from_secs(3), "{method:?}");
    }
    let (api, client) = three();
    let lost = Status::unknown("failed to forfeit leadership: etcdserver: request timed out");
    api.fail_next(Method::EtcdForfeitLeadership, &lost, 1);
    failed(&hand_over(&client).await, "request timed out");
}

#[tokio::test]
async fn without_that_role_it_fails_with_a_remedy() {
    let (api, client) = in_process();
    api.set_etcd(3, 0);
    api.set_api_servers(&THREE);
    api.allow(Method::EtcdForfeitLeadership, &[]);
    failed(&hand_over(&client).await, "run the agent as one");

    for (role, is_moved) in [("os:operator", false), ("os:admin", true)] {
        let (api, client, _directory) = over_tls(TlsOptions {
            roles: vec![role.to_owned()],
            ..TlsOptions::default()
        });
        scene::single_nic(&api);
        api.set_etcd(3, 0);
        api.set_api_servers(&THREE);
        let outcome = hand_over(&client).await;
        if is_moved {
            assert_eq!(outcome, HandOver::Moved("talos-cp-2".to_owned()));
        } else {
            failed(&outcome, "use a talosconfig of that role");
            failed(&outcome, "power.etcd.forfeit");
        }
        for call in api.calls() {
            assert!(call.metadata("talos-role").is_empty(), "{call:?}");
        }
    }
}

#[tokio::test]
async fn nodes_that_share_an_etcd_see_one_leader() {
    let cluster = EtcdCluster::new(3);
    let mut clients = Vec::new();
    for number in 1..=3 {
        let (api, client) = in_process();
        api.set_etcd_backend(cluster.node(number));
        api.set_api_servers(&THREE);
        clients.push((api, client));
    }
    let (_, second) = &clients[1];
    assert_eq!(hand_over(second).await, HandOver::NotLeader);
    let (_, first) = &clients[0];
    let moved = HandOver::Moved("talos-cp-2".to_owned());
    assert_eq!(hand_over(first).await, moved);
    assert_eq!(look_at_etcd(second).await.part, Some(EtcdPart::Leader));
    let moved = HandOver::Moved("talos-cp-1".to_owned());
    assert_eq!(hand_over(second).await, moved);
}
