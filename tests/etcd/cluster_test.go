package etcd_test

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
)

// How long anything but a freeze may take.
const patience = 30 * time.Second

// Members of etcd, each with the settings that Talos leaves as they are: a heartbeat every 100 ms, an election after
// 1 s without one.
type cluster struct {
	members []*embed.Etcd
	urls    []string
}

// The members have their data in these folders.
func newCluster(t *testing.T, folders ...string) *cluster {
	c := &cluster{}
	configs := make([]*embed.Config, len(folders))
	initial := make([]string, len(folders))

	for i, folder := range folders {
		client, peer := address(t), address(t)
		config := embed.NewConfig()
		config.Name = fmt.Sprintf("cp-%d", i+1)
		config.Dir = filepath.Join(folder, "etcd")
		config.ListenClientUrls, config.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
		config.ListenPeerUrls, config.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
		config.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
		configs[i] = config
		initial[i] = config.Name + "=" + peer.String()
		c.urls = append(c.urls, client.String())
	}

	for _, config := range configs {
		config.InitialCluster = strings.Join(initial, ",")

		member, err := embed.StartEtcd(config)
		must(t, err)
		t.Cleanup(member.Close)

		c.members = append(c.members, member)
	}

	for _, member := range c.members {
		select {
		case <-member.Server.ReadyNotify():
		case <-time.After(patience):
			t.Fatal("etcd does not start")
		}
	}

	c.settle(t)

	return c
}

func address(t *testing.T) url.URL {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)

	defer listener.Close()

	return url.URL{Scheme: "http", Host: listener.Addr().String()}
}

// A client of these members alone.
func (c *cluster) client(t *testing.T, members ...int) *clientv3.Client {
	var endpoints []string
	for _, member := range members {
		endpoints = append(endpoints, c.urls[member])
	}

	client, err := clientv3.New(clientv3.Config{Endpoints: endpoints, Logger: zap.NewNop()})
	must(t, err)
	t.Cleanup(func() { _ = client.Close() })

	return client
}

// Waits until all members agree on a leader and have all entries, for half a second on end.
func (c *cluster) settle(t *testing.T) {
	var since time.Time

	wait(t, "the members agree", func() bool {
		if !c.agrees() {
			since = time.Time{}

			return false
		}

		if since.IsZero() {
			since = time.Now()
		}

		return time.Since(since) > 500*time.Millisecond
	})
}

func (c *cluster) agrees() bool {
	first := c.members[0].Server
	for _, member := range c.members {
		server := member.Server
		if server.Lead() == 0 || server.Lead() != first.Lead() || server.Term() != first.Term() ||
			server.AppliedIndex()+20 < first.CommittedIndex() {
			return false
		}
	}

	return true
}

// Makes this member the leader.
func (c *cluster) lead(t *testing.T, member int) {
	wanted := uint64(c.members[member].Server.MemberID())

	wait(t, "the right member leads", func() bool {
		lead := c.members[member].Server.Lead()
		for _, other := range c.members {
			if id := uint64(other.Server.MemberID()); id == lead && id != wanted {
				ctx, cancel := context.WithTimeout(context.Background(), time.Second)
				_ = other.Server.MoveLeader(ctx, lead, wanted)

				cancel()
			}
		}

		return lead == wanted
	})
	c.settle(t)
}

// The terms of the members that are not frozen; each election that is won is a new one.
func (c *cluster) term() uint64 {
	var term uint64
	for _, member := range c.members {
		term = max(term, member.Server.Term())
	}

	return term
}

func wait(t *testing.T, what string, is func() bool) {
	t.Helper()

	for deadline := time.Now().Add(patience); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
	}
}
